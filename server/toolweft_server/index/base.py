"""What every index is: an immutable snapshot that answers requests with ranked tools.

An index is replaced, never changed: `updated` returns the next snapshot while searches go on in worker threads over
the old one. Every index passes the one contract test in `tests/server/index/test_contract.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import IndexName, Why


class Hit(NamedTuple):
    """One tool that matches a request."""

    tool: str
    """Its id."""
    score: float
    """Comparable within one answer only; in (0, 1] with the best at the top."""
    why: tuple[Why, ...]


class Matches(NamedTuple):
    """Everything a search found, best first."""

    hits: list[Hit]
    total: int
    """How many tools matched above the floor; at least `len(hits)`."""
    nearest: list[str]
    """When nothing matched: the ids whose names come closest to the request."""


class ToolIndex(Protocol):
    name: IndexName

    def __len__(self) -> int: ...

    def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        """Ranks tools for a request. `server` keeps those of one server (its identifier). Thread-safe, deterministic.

        An identifier in the request that equals a tool's name (case and separators folded, or one edit away from
        six letters on) always wins.
        """
        ...

    def updated(self, added: Iterable[Tool], removed: Iterable[str]) -> ToolIndex:
        """The next snapshot. A tool whose id is present already is replaced. Ranks and scores equal a rebuild's."""
        ...

    def unfinished(self) -> int:
        """How many tools are found by less than they could be, until `further` has seen to them. 0: all is done."""
        ...

    def further(self) -> ToolIndex:
        """The next snapshot, with less unfinished. Blocking, some seconds of one core; called in the background."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the snapshot into `folder` (created), atomically: a reader sees the old one or the new one."""
        ...
