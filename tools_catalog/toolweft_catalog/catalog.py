"""`Catalog`: every tool at one moment, immutable, ordered and cheap to ask.

It holds `Card`s (id, names, digest, effect) and fetches whole `Tool`s on demand, so that fifty thousand tools cost
some tens of megabytes and not a gigabyte. Searching is the index's business; ids are given by `names`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toolweft_catalog.tool import Tool


@dataclass(frozen=True, slots=True)
class Card:
    """What the catalogue keeps in memory of one tool."""

    id: str
    name: str
    server: str
    digest: str


def card(tool: Tool) -> Card:
    return Card(tool.id, tool.name, tool.server, tool.digest)


class Delta(NamedTuple):
    """What leads from one catalogue to another. The three parts are disjoint and each in catalogue order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


Load = Callable[[Sequence[str]], Sequence[Tool]]
"""Fetches whole tools by id, in the order asked for. Ids come from the catalogue, so each one exists."""


class Catalog:
    """An ordered, immutable set of tools. The order is that of ids, whatever order they came in.

    Raises:
        ValueError: Two cards share an id.

    """

    __slots__ = ("__dict__", "_by_id", "_load")

    def __init__(self, cards: Iterable[Card], load: Load) -> None:
        ordered = sorted(cards, key=lambda entry: entry.id)
        self._by_id = {entry.id: entry for entry in ordered}
        self._load = load
        if len(self._by_id) != len(ordered):
            twice = next(a.id for a, b in itertools.pairwise(ordered) if a.id == b.id)
            raise ValueError(f"two tools have the id {twice!r}; give ids with names.assign")

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> Catalog:
        """A catalogue that holds its tools in memory."""
        held = tuple(tools)
        kept = {tool.id: tool for tool in held}
        return cls((card(tool) for tool in held), lambda ids: [kept[each] for each in ids])

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Card]:
        return iter(self._by_id.values())

    def __contains__(self, tool_id: object) -> bool:
        return tool_id in self._by_id

    def get(self, tool_id: str) -> Card | None:
        return self._by_id.get(tool_id)

    def named(self, name: str) -> tuple[Card, ...]:
        """The tools whose own server calls them `name`, in catalogue order; usually one, rarely many."""
        return self._by_name.get(name, ())

    def tool(self, tool_id: str) -> Tool:
        """One whole tool.

        Raises:
            KeyError: No such id.

        """
        return self.tools([tool_id])[0]

    def tools(self, ids: Sequence[str]) -> Sequence[Tool]:
        """Whole tools, in the order asked for.

        Raises:
            KeyError: No such id.

        """
        for each in ids:
            self._by_id[each]
        return self._load(ids)

    @cached_property
    def servers(self) -> tuple[str, ...]:
        """The identifiers before the dot of every id, sorted."""
        return tuple(sorted({each.split(".", 1)[0] for each in self._by_id}))

    @cached_property
    def _by_name(self) -> dict[str, tuple[Card, ...]]:
        found: dict[str, tuple[Card, ...]] = {}
        for entry in self:
            found[entry.name] = (*found.get(entry.name, ()), entry)
        return found

    def delta(self, newer: Catalog) -> Delta:
        """What changes from this catalogue to `newer`. Linear in the number of tools, without reading them."""
        return Delta(
            added=tuple(entry.id for entry in newer if entry.id not in self._by_id),
            changed=tuple(e.id for e in newer if (old := self.get(e.id)) is not None and old.digest != e.digest),
            removed=tuple(entry.id for entry in self if entry.id not in newer),
        )
