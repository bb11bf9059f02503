"""`Learning`: what a run teaches: shapes of results, its calls, functions of clean programs, and solved tasks.

It joins the store and the library; the app tells it what happened. It decides nothing about what may be saved
(`library.admit`), reads no syntax (`library.extract`), and leaves it to `using` what calls say of tools.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from toolweft_catalog import shape
from toolweft_catalog.call import Result
from toolweft_catalog.tool import Json, Tool
from toolweft_catalog.wire import CallRecord, SavedFunction
from toolweft_server.bridge import Bridge, Functions
from toolweft_server.errors import LibraryError, ToolweftError
from toolweft_server.executions import Request
from toolweft_server.library.extract import Extracted, Rejected, extract
from toolweft_server.library.function import Function
from toolweft_server.library.lift import Lifted, lift
from toolweft_server.library.proof import Proof
from toolweft_server.library.replay import swallows
from toolweft_server.library.store import FunctionStore
from toolweft_server.live import LiveCatalog
from toolweft_server.policy import Policy
from toolweft_server.proving import Cell, Drafted, Proving
from toolweft_server.sandbox.base import FileIn, Outcome
from toolweft_server.solved import Solved
from toolweft_server.store.store import Store
from toolweft_server.using import Called, Using

logger = logging.getLogger(__name__)

OUTSIDE = frozenset({"unavailable", "timeout", "refused", "cancelled"})
"""Failures of calls that lie outside of the program."""
_FRAME = re.compile(r"line \d+ of function (\w+)@(\d+)\b")

CELLS, SESSIONS = 20, 64
"""Programs of a session that a saved function may draw from, and sessions for which they are kept."""


@dataclass(slots=True)
class _Seen:
    """What the calls of one program showed."""

    calls: list[Called] = field(default_factory=list)
    shapes: dict[str, shape.Shape] = field(default_factory=dict)


class Learning:
    def __init__(
        self, live: LiveCatalog, store: Store, library: FunctionStore, using: Using, proving: Proving, known: Functions,
        policy: Policy,
    ) -> None:  # fmt: skip
        """`known` are the saved functions that a replay may call."""
        self._live, self._store, self._library, self._using = live, store, library, using
        self._proving, self._known, self._policy = proving, known, policy
        self.solved = Solved(live, store, library, using)
        self._cells: dict[tuple[str, str], list[Cell]] = {}
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
        await self.solved.retried(request)
        if (seen := self._seen.pop(_program(request), None)) is None:
            return
        await self._using.settled()  # what these calls follow comes first
        try:
            await self._live.thread(self._note, request, seen)
        except ToolweftError as error:
            logger.warning("not learned from %d calls: %s", len(seen.calls), error)

    def _note(self, request: Request, seen: _Seen) -> None:
        for digest, one in seen.shapes.items():
            self._store.shapes.merge(digest, json.dumps(shape.to_json(one)), _merge)
        self._using.called(request.owner, request.connection, request.code, seen.calls)

    async def functions(
        self, execution: str, request: Request, bridge: Bridge, calls: Sequence[CallRecord], servers: Sequence[str],
        files: Sequence[FileIn] = (),
    ) -> tuple[list[SavedFunction], list[str]]:  # fmt: skip
        """Offers a clean run's functions to the library: what was saved, and a sentence on each that was not."""
        earlier = self._cells_of(request)
        if not earlier:  # else it may need what those before it defined
            await self.solved.keep(execution, request, calls, bridge.used)
        cells = [*earlier, Cell(execution, request.code)]
        if request.session:
            earlier.append(cells[-1])
            del earlier[:-CELLS]
        made = {call.tool for call in calls if call.status == "ok"}
        fetched = {name for name, _ in bridge.used}
        if not (made or fetched or bridge.wanted):
            return [], []
        before = [cell.code for cell in cells[:-1]]
        extraction = extract(request.code, servers=servers, earlier=before, save=bridge.wanted)
        worked = [
            each
            for each in extraction.functions
            if each.name in bridge.wanted or made.intersection(each.tools) or fetched.intersection(each.functions)
            or not (each.tools or each.functions)
        ]  # fmt: skip
        if not worked:
            return [], [_why(each) for each in extraction.rejected]
        ids = sorted({tool for each in worked for tool in each.tools})
        tools = {tool.id: tool for tool in await self._live.tools(ids)}
        kept, rejected = _fit(worked, request.task, tools)
        found = [each.found for each in kept.values()]
        drafts = await self._live.look(partial(self._library.drafts, found, tools=tools))
        proofs = await self._proofs(cells, kept, drafts, calls, request, files)
        provenance: dict[str, Json] = {
            "execution": execution, "owner": request.owner, "host": request.connection.partition(":")[2],
            "date": datetime.now(UTC).date().isoformat(),
            "task": request.task if self._using.keeps_texts else None,
        }  # fmt: skip
        admission = await self._live.thread(partial(
            self._library.admit, found, tools=tools, provenance=provenance, proofs=proofs, on_purpose=bridge.wanted
        ))  # fmt: skip
        if admission.saved:
            await self._live.thread(self._shown, admission.saved)
            await self._live.reload()
        refused = (*extraction.rejected, *rejected, *admission.rejected)
        waiting = [
            f"{each.name} is saved as {each.state} and cannot be called by name yet: {why}"
            for each in admission.saved
            if each.state in ("candidate", "verified") and (why := proofs[each.name].why if each.name in proofs else "")
        ]
        return list(admission.saved), [*(_why(each) for each in refused), *waiting]

    async def _proofs(
        self, cells: Sequence[Cell], kept: Mapping[str, Lifted], drafts: Mapping[str, Function],
        calls: Sequence[CallRecord], request: Request, files: Sequence[FileIn],
    ) -> dict[str, Proof]:  # fmt: skip
        """What speaks for each function; those that are active already need no proof again."""
        failed = {call.tool for call in calls if call.status != "ok"}
        proofs: dict[str, Proof] = {}
        fresh: list[Drafted] = []
        for name, draft in drafts.items():
            same = await self._live.look(self._library.same, draft.source, name)
            if hidden := failed.intersection(draft.tools):
                proofs[name] = Proof("candidate", f"a call of {min(hidden)} failed, and its program went on")
            elif same is not None and same.state == "active" and _stands(same) == _stands(draft):
                proofs[name] = Proof("active", "")
            else:
                fresh.append(Drafted(name, draft, kept[name].given))
        if fresh:
            consent = await self._seen_written(calls, request)
            proofs |= await self._proving.prove(
                cells, fresh, self._known, owner=request.owner, consent=consent, files=files
            )
        return proofs

    async def _seen_written(self, calls: Sequence[CallRecord], request: Request) -> bool:
        """Whether a person saw what the program wrote. A tool that is gone by now says nothing, and so no."""
        ids = sorted({call.tool for call in calls if call.effect != "read"})
        known = await self._live.tools(ids)
        policy = self._policy.under(request.terms)
        return len(known) == len(ids) and policy.seen(known, careful=request.terms.careful)

    def _shown(self, saved: Sequence[SavedFunction]) -> None:
        """What a function without a declared result was seen to answer is shown as that of any other tool."""
        for each in saved:
            function = self._library.get(each.name, each.version)
            if function is not None and function.output is None and "result" in function.shapes:
                seen = json.dumps(function.shapes["result"])
                self._store.shapes.merge(function.as_tool().digest, seen, _merge)

    def forget(self, request: Request) -> None:
        """The request's session was reset: what its programs defined is gone."""
        if request.session:
            self._cells.pop((request.owner, request.session), None)

    def _cells_of(self, request: Request) -> list[Cell]:
        """The clean programs of the request's session so far; the oldest sessions are forgotten."""
        if request.session is None:
            return []
        key = (request.owner, request.session)
        cells = self._cells[key] = self._cells.pop(key, [])
        while len(self._cells) > SESSIONS:
            del self._cells[next(iter(self._cells))]
        return cells

    async def used(self, functions: Iterable[tuple[str, int]], outcome: Outcome, calls: Sequence[CallRecord]) -> None:
        """Counts uses. A failure counts against those saved functions in which the program failed.

        When a tool could not be reached or was refused, that says nothing about the functions that called it, unless
        policy blocks it: a function that goes on calling what may not be called is of no use here.
        """
        frames = [each for each in outcome.error.frames if each.startswith("line ")] if outcome.error else []
        stack = [_FRAME.match(each) for each in frames]
        guilty = {(each[1], int(each[2])) for each in stack if each} if stack and stack[-1] else set()
        failed = [call for call in calls if call.status != "ok"]
        excused, why = False, ""
        if guilty and failed and failed[-1].status in OUTSIDE and outcome.error and outcome.error.type == "ToolError":
            why = await self._blocked(failed[-1])
            excused = not why
        changed = False
        for name, version in functions:
            blamed = (name, version) in guilty
            if blamed and excused:
                continue
            count = partial(self._library.used, name, version, not blamed, why=why if blamed else "")
            changed |= await self._live.thread(count) not in ("active", None)
        if changed:
            await self._live.reload()

    async def _blocked(self, call: CallRecord) -> str:
        """That policy blocks the tool of a refused call; empty when a person, or nobody, refused it."""
        blocks = call.status == "refused" and any(
            self._policy.judge(tool).decision == "block" for tool in await self._live.tools([call.tool])
        )
        return f"policy blocks {call.tool}" if blocks else ""


def _stands(function: Function) -> tuple[Mapping[str, str], Mapping[str, int]]:
    """What the function was verified with: digests of tools, versions of others."""
    return function.tools, function.functions


def _fit(
    found: Iterable[Extracted], task: str | None, tools: Mapping[str, Tool]
) -> tuple[dict[str, Lifted], list[Rejected]]:
    """Functions without the values of their task, by name, and why others cannot be kept."""
    listed = {value for tool in tools.values() for value in _enumerated(tool.parameters)}
    kept: dict[str, Lifted] = {}
    rejected: list[Rejected] = []
    for each in found:
        try:
            if line := swallows(each.source):
                raise LibraryError(f"line {line} of it lets every error pass; catch what you expect, such as ToolError")
            kept[each.name] = lift(each, task, known=listed)
        except LibraryError as error:
            rejected.append(Rejected(each.name, str(error)))
    return kept, rejected


def _enumerated(schema: Json | Mapping[str, Json]) -> Iterable[str]:
    """The texts that a schema lists as the only ones."""
    if isinstance(schema, Mapping):
        listed = schema.get("enum")
        yield from (each for each in listed if isinstance(each, str)) if isinstance(listed, list) else ()
        for each in schema.values():
            yield from _enumerated(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _enumerated(each)


def _program(request: Request) -> tuple[str, str, str]:
    return request.owner, request.connection, request.code


def _why(refused: Rejected) -> str:
    return f"{refused.name} was not saved: {refused.reason}"


def _merge(old: str, new: str) -> str:
    return json.dumps(shape.to_json(shape.merge(shape.from_json(json.loads(old)), shape.from_json(json.loads(new)))))
