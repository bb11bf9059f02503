"""What a function stands on, and whether it is still as it was. Pure: the catalogue of the moment is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from toolweft_server.library.function import Function

Judge = Callable[[str, str], str | None]
"""What happened to a tool, given its id and the digest it had: `changed`, `disappeared`, or `None`."""


class Drifted(NamedTuple):
    name: str
    version: int
    why: str


def problems(function: Function, judge: Judge) -> list[str]:
    """What became of a function's own tools, one sentence each; empty when they are as they were."""
    found = [(each, judge(each, held)) for each, held in function.tools.items()]
    return [f"{each} {what}" for each, what in found if what is not None]


def drifted(functions: Iterable[Function], judge: Judge) -> list[Drifted]:
    """Functions that can no longer be relied on: those whose tools drifted, and whoever uses those, with the reason."""
    held = {(each.name, each.version): each for each in functions}
    why: dict[tuple[str, int], str] = {}
    for key, each in held.items():
        if found := problems(each, judge):
            why[key] = "; ".join(found)
    while True:
        more = {
            key: f"functions.{pin[0]}@{pin[1]}, which it uses, is stale: {why[pin]}"
            for key, each in held.items()
            if key not in why and (pin := next((p for p in each.functions.items() if p in why), None)) is not None
        }
        if not more:
            return [Drifted(*key, reason) for key, reason in why.items()]
        why |= more


def against(digests: Mapping[str, str]) -> Judge:
    """Judges by a whole catalogue: ids of tools with their digests."""

    def judge(tool: str, held: str) -> str | None:
        if tool not in digests:
            return "disappeared"
        return None if digests[tool] == held else "changed"

    return judge
