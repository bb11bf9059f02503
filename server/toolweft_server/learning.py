"""`Learning`: what a run teaches: shapes of results, which calls follow which request, functions of clean programs.

It joins the store and the library; the app tells it what happened. It decides nothing about what may be saved
(`library.admit`) and reads no syntax (`library.extract`).
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

logger = logging.getLogger(__name__)

CELLS, SESSIONS = 20, 64
"""Programs of a session that a saved function may draw from, and sessions for which they are kept."""


@dataclass(slots=True)
class _Seen:
    """What the calls of one asker showed, since the store last heard of them."""

    calls: list[tuple[str, bool]] = field(default_factory=list)
    shapes: dict[str, shape.Shape] = field(default_factory=dict)


class Learning:
    def __init__(self, live: LiveCatalog, store: Store, library: FunctionStore) -> None:
        self._live, self._store, self._library = live, store, library
        self._cells: dict[tuple[str, str], list[str]] = {}
        """Clean programs of each named session: a function may need what an earlier one defined."""
        self._seen: dict[tuple[str, str], _Seen] = {}

    def observed(self, tool: Tool, result: Result, request: Request) -> None:
        """Remembers what a call showed until `settled`: its shape, and that it followed a request."""
        seen = self._seen.setdefault((request.owner, request.connection), _Seen())
        seen.calls.append((tool.id, result.ok))
        if result.ok:
            one = shape.observe(result.value)
            before = seen.shapes.get(tool.digest)
            seen.shapes[tool.digest] = one if before is None else shape.merge(before, one)

    async def settled(self, request: Request) -> None:
        """Takes what was observed for this asker into the store. Losing it is no failure."""
        key = (request.owner, request.connection)
        if (seen := self._seen.pop(key, None)) is None:
            return
        try:
            await self._live.thread(self._note, *key, seen)
        except ToolweftError as error:
            logger.warning("not learned from %d calls: %s", len(seen.calls), error)

    def _note(self, owner: str, connection: str, seen: _Seen) -> None:
        for digest, one in seen.shapes.items():
            self._store.shapes.merge(digest, json.dumps(shape.to_json(one)), _merge)
        self._store.requests.called(owner, connection, seen.calls)

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


def _why(refused: Rejected) -> str:
    return f"{refused.name} was not saved: {refused.reason}"


def _merge(old: str, new: str) -> str:
    return json.dumps(shape.to_json(shape.merge(shape.from_json(json.loads(old)), shape.from_json(json.loads(new)))))
