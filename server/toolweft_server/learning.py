"""`Learning`: what a run teaches: shapes of results, which calls follow which request, functions of clean programs.

It joins the store and the library; the app tells it what happened. It decides nothing about what may be saved
(`library.admit`) and reads no syntax (`library.extract`).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from toolweft_catalog import shape
from toolweft_catalog.call import Result
from toolweft_catalog.tool import Json, Tool
from toolweft_catalog.wire import CallRecord, SavedFunction
from toolweft_server.bridge import Bridge
from toolweft_server.errors import ToolweftError
from toolweft_server.executions import Request
from toolweft_server.library.extract import extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.live import LiveCatalog
from toolweft_server.sandbox.base import Outcome
from toolweft_server.store.store import Store

logger = logging.getLogger(__name__)

CELLS, SESSIONS = 20, 64
"""Programs of a session that a saved function may draw from, and sessions for which they are kept."""


class Learning:
    def __init__(self, live: LiveCatalog, store: Store, library: FunctionStore) -> None:
        self._live, self._store, self._library = live, store, library
        self._cells: dict[tuple[str, str], list[str]] = {}
        """Clean programs of each named session: a function may need what an earlier one defined."""

    async def observed(self, tool: Tool, result: Result, request: Request) -> None:
        """Takes in the shape of a result, and that the call followed a request. Losing one is no failure."""
        try:
            await self._live.thread(self._note, tool, result, request)
        except ToolweftError as error:
            logger.warning("not learned from %s: %s", tool.id, error)

    def _note(self, tool: Tool, result: Result, request: Request) -> None:
        if result.ok:
            seen = json.dumps(shape.to_json(shape.observe(result.value)))
            self._store.shapes.merge(tool.digest, seen, _merge)
        self._store.requests.called(request.owner, request.connection, tool.id, result.ok)

    async def functions(
        self, execution: str, request: Request, bridge: Bridge, calls: Sequence[CallRecord], servers: Sequence[str]
    ) -> tuple[list[SavedFunction], list[str]]:
        """Offers a clean run's functions to the library: what was saved, and a sentence on each that was not."""
        earlier = self._cells_of(request)
        extraction = extract(request.code, servers=servers, earlier=earlier, save=bridge.wanted)
        if request.session:
            earlier.append(request.code)
            del earlier[:-CELLS]
        made = {call.tool for call in calls if call.status == "ok"}
        fetched = {name for name, _ in bridge.used}
        worked = [
            each
            for each in extraction.functions
            if each.name in bridge.wanted or made.intersection(each.tools) or fetched.intersection(each.functions)
        ]
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
        refused = (*extraction.rejected, *admission.rejected)
        return list(admission.saved), [f"{each.name} was not saved: {each.reason}" for each in refused]

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


def _merge(old: str, new: str) -> str:
    return json.dumps(shape.to_json(shape.merge(shape.from_json(json.loads(old)), shape.from_json(json.loads(new)))))
