"""`Learning`: what a run teaches: shapes of results, its calls, functions of clean programs.

It joins the store and the library; the app tells it what happened. It decides nothing about what may be saved
(`library.admit`), reads no syntax (`library.extract`), and leaves it to `using` what calls say of tools.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from toolweft_catalog import shape
from toolweft_catalog.call import Result
from toolweft_catalog.tool import Json, Tool
from toolweft_catalog.wire import CallRecord, SavedFunction
from toolweft_server.bridge import Bridge
from toolweft_server.errors import ToolweftError
from toolweft_server.executions import Request
from toolweft_server.library.extract import Rejected, extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.live import LiveCatalog
from toolweft_server.sandbox.base import Outcome
from toolweft_server.store.store import Store
from toolweft_server.using import Called, Using

logger = logging.getLogger(__name__)

CELLS, SESSIONS = 20, 64
"""Programs of a session that a saved function may draw from, and sessions for which they are kept."""


@dataclass(slots=True)
class _Seen:
    """What the calls of one program showed."""

    calls: list[Called] = field(default_factory=list)
    shapes: dict[str, shape.Shape] = field(default_factory=dict)


class Learning:
    def __init__(self, live: LiveCatalog, store: Store, library: FunctionStore, using: Using) -> None:
        self._live, self._store, self._library, self._using = live, store, library, using
        self._cells: dict[tuple[str, str], list[str]] = {}
        """Clean programs of each named session: a function may need what an earlier one defined."""
        self._seen: dict[tuple[str, str, str], _Seen] = {}
        """By owner, connection and code: programs that run side by side do not use their tools together."""

    def observed(self, tool: Tool, result: Result, request: Request) -> None:
        """Remembers what a call showed until `settled`: its shape, and whether it succeeded."""
        seen = self._seen.setdefault(_program(request), _Seen())
        seen.calls.append(Called(tool.id, tool.digest, result.ok))
        if result.ok:
            one = shape.observe(result.value)
            before = seen.shapes.get(tool.digest)
            seen.shapes[tool.digest] = one if before is None else shape.merge(before, one)

    async def settled(self, request: Request) -> None:
        """Takes what was observed of this program into the store. Losing it is no failure."""
        if (seen := self._seen.pop(_program(request), None)) is None:
            return
        try:
            await self._live.thread(self._note, request, seen)
        except ToolweftError as error:
            logger.warning("not learned from %d calls: %s", len(seen.calls), error)

    def _note(self, request: Request, seen: _Seen) -> None:
        for digest, one in seen.shapes.items():
            self._store.shapes.merge(digest, json.dumps(shape.to_json(one)), _merge)
        self._using.called(request.owner, request.connection, request.code, seen.calls)

    async def functions(
        self, execution: str, request: Request, bridge: Bridge, calls: Sequence[CallRecord], servers: Sequence[str]
    ) -> tuple[list[SavedFunction], list[str]]:
        """Offers a clean run's functions to the library: what was saved, and a sentence on each that was not."""
        earlier = self._cells_of(request)
        before = list(earlier)
        if request.session:
            earlier.append(request.code)
            del earlier[:-CELLS]
        made = {call.tool for call in calls if call.status == "ok"}
        fetched = {name for name, _ in bridge.used}
        if not (made or fetched or bridge.wanted):
            return [], []
        extraction = extract(request.code, servers=servers, earlier=before, save=bridge.wanted)
        worked = [
            each
            for each in extraction.functions
            if each.name in bridge.wanted or made.intersection(each.tools) or fetched.intersection(each.functions)
        ]
        if not worked:
            return [], [_why(each) for each in extraction.rejected]
        tools = await self._live.tools(sorted({tool for each in worked for tool in each.tools}))
        provenance: dict[str, Json] = {
            "execution": execution, "owner": request.owner, "host": request.connection.partition(":")[2],
            "date": datetime.now(UTC).date().isoformat(), "task": request.task,
        }  # fmt: skip
        admission = await self._live.thread(
            partial(self._library.admit, worked, tools={tool.id: tool for tool in tools}, provenance=provenance)
        )
        if admission.saved:
            await self._live.reload()
        return list(admission.saved), [_why(each) for each in (*extraction.rejected, *admission.rejected)]

    def forget(self, request: Request) -> None:
        """The request's session was reset: what its programs defined is gone."""
        if request.session:
            self._cells.pop((request.owner, request.session), None)

    def _cells_of(self, request: Request) -> list[str]:
        """The clean programs of the request's session so far; the oldest sessions are forgotten."""
        if request.session is None:
            return []
        key = (request.owner, request.session)
        cells = self._cells[key] = self._cells.pop(key, [])
        while len(self._cells) > SESSIONS:
            del self._cells[next(iter(self._cells))]
        return cells

    async def used(self, functions: Iterable[tuple[str, int]], outcome: Outcome) -> None:
        """Counts uses. A failure counts against a function only when it was running as the program failed."""
        frames = outcome.error.frames if outcome.error else []
        for name, version in functions:
            running = any(re.match(rf".*\bin {re.escape(name)}\b", frame.partition(":")[0]) for frame in frames)
            await self._live.thread(self._library.used, name, version, not running)


def _program(request: Request) -> tuple[str, str, str]:
    return request.owner, request.connection, request.code


def _why(refused: Rejected) -> str:
    return f"{refused.name} was not saved: {refused.reason}"


def _merge(old: str, new: str) -> str:
    return json.dumps(shape.to_json(shape.merge(shape.from_json(json.loads(old)), shape.from_json(json.loads(new)))))
