"""`Proving`: functions are run again before anybody is offered them. It joins sandbox, ledger and library.

A program that worked is replayed in a fresh sandbox with every tool answered from its record, to see what its
functions were given and what they answered. Then each function, as it would be saved, must answer the same in another
fresh sandbox. One that only reads is also run once for real, on arguments that it was not proven with where such can be
made. Nothing here calls a tool that may write. Covered: code that does not stand alone, that changed in extraction, or
that fits one case only. Not covered: an answer that was wrong in the first place and stays wrong.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import anyio

from toolweft_catalog import shape
from toolweft_catalog.call import Call, Caller, Result, failed
from toolweft_catalog.tool import Json, Tool, digest
from toolweft_server.bridge import Bridge, Functions
from toolweft_server.errors import SandboxError
from toolweft_server.ledger import Ledger
from toolweft_server.library.function import EXAMPLES, Function, overreach
from toolweft_server.library.proof import Observed, Proof, like
from toolweft_server.library.replay import (
    NOTED,
    PRELUDE,
    call,
    callable_by_text,
    learnt_by_heart,
    noting,
    observed,
    otherwise,
    unused,
    variation,
)
from toolweft_server.live import LiveCatalog
from toolweft_server.policy import Policy
from toolweft_server.sandbox.base import FileIn, Outcome, Program, Sandbox, SavedSource, Session
from toolweft_server.sandbox.limits import Limits
from toolweft_server.store.calls import Answered
from toolweft_server.store.store import Store

logger = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for all that one program left to prove; then its functions wait for the next time they are saved."""
FAR = 1_000_003
"""How far numbers are changed to see whether an answer depends on them: beyond thresholds of either side."""
BLIND = 1.0
"""Seconds for a run with such numbers: a loop over as many would take up what the others have."""
LIVE_CALLS = 20
"""Calls of tools in one live run."""


Record: TypeAlias = Mapping[tuple[str, str], Sequence[Answered]]
"""What one execution was answered: `store.calls.Calls.answers`."""


class Cell(NamedTuple):
    """A program of a session, with the execution whose record answers its calls."""

    execution: str
    code: str


class Drafted(NamedTuple):
    """A function to prove: as it is in its program, and as it would be saved."""

    name: str
    """As its program calls it."""
    function: Function
    given: Mapping[str, Json]
    """Arguments that saving made of literals."""


class Work(Protocol):
    """What a replay needs of the rest of the server; `app` provides it."""

    def servers(self) -> Sequence[str]: ...

    def absent(self) -> Mapping[str, str]: ...

    async def tool(self, tool_id: str) -> Tool: ...


class Proving:
    def __init__(
        self, live: LiveCatalog, store: Store, ledger: Ledger, sandbox: Sandbox, limits: Limits, *, work: Work,
        policy: Policy,
    ) -> None:  # fmt: skip
        self._live, self._store, self._ledger, self._sandbox, self._limits = live, store, ledger, sandbox, limits
        self._work, self._permit = work, policy.gate()
        self._turn = anyio.Semaphore(2)
        """Replays side by side: they are nobody's answer yet and must not crowd out programs that are."""

    async def prove(
        self, cells: Sequence[Cell], drafts: Sequence[Drafted], functions: Functions, *, owner: str, consent: bool,
        files: Sequence[FileIn] = (),
    ) -> dict[str, Proof]:  # fmt: skip
        """What a replay shows of the functions of the last of `cells`, by their names.

        `consent`: a person saw the program or its calls before it ran. A function that writes is then offered after
        its replay, else after a second clean run.
        """
        why = "the replay took too long"
        async with self._turn:
            with anyio.move_on_after(PATIENCE):
                # A sandbox that dies says nothing about the function: once more.
                for _ in range(2):
                    try:
                        return await self._prove(cells, drafts, functions, owner=owner, consent=consent, files=files)
                    except SandboxError as error:
                        why = f"the replay could not run: {error}"
        return {each.name: Proof("candidate", why) for each in drafts}

    async def _prove(
        self, cells: Sequence[Cell], drafts: Sequence[Drafted], functions: Functions, *, owner: str, consent: bool,
        files: Sequence[FileIn],
    ) -> dict[str, Proof]:  # fmt: skip
        records = [await self._record(cell.execution, owner) for cell in cells]
        names = {each.name for each in drafts}
        async with self._fresh() as session:
            for number, (cell, record) in enumerate(zip(cells, records, strict=True)):
                tape = _Tape(record, self)
                given = files if number == len(cells) - 1 else ()
                ran = await self._run(session, noting(cell.code, names), self._bridge(tape, functions, owner), given)
                if ran.status != "ok" or tape.missed:
                    why = f"replayed against its recorded calls, the program {_ended(ran, tape)}"
                    return {name: Proof("candidate", why) for name in names}
            calls = observed((await self._run(session, NOTED, self._bridge(_nobody, functions, owner))).value)
        proofs: dict[str, Proof] = {}
        for each in drafts:
            own = [one for one in calls if one.name == each.name]
            proofs[each.name] = await self._one(each, own, records[-1], functions, owner=owner, consent=consent)
        return proofs

    async def _one(
        self,
        drafted: Drafted,
        calls: Sequence[Observed],
        record: Record,
        functions: Functions,
        *,
        owner: str,
        consent: bool,
    ) -> Proof:
        function = drafted.function
        calls = [Observed(c.name, {**c.arguments, **drafted.given}, c.result) for c in calls]
        calls = [each for each in calls if callable_by_text(each.arguments)]
        if not calls:
            return Proof("candidate", "its program did not call it with arguments that can be written down")
        if ignored := unused(function):
            return Proof("candidate", f"it never looks at its parameter {ignored[0]!r}", calls)
        if why := learnt_by_heart(function, calls):
            return Proof("candidate", why, calls)
        own = _Own(functions, function)
        proof = await self._alone(own, calls, record, owner, consent=consent)
        if proof.state != "candidate" and await self._blind(own, calls, record, owner):
            return Proof("candidate", "with other arguments it makes the same calls and answers the same", calls)
        return proof

    async def _alone(
        self, own: _Own, calls: Sequence[Observed], record: Record, owner: str, *, consent: bool
    ) -> Proof:  # fmt: skip
        """What it shows outside of its program."""
        function = own.function
        async with self._fresh() as session:
            for each in calls[:EXAMPLES]:
                if why := await self._differs(session, own, each, record, owner):
                    return Proof("candidate", why, calls)
            count = len(calls[:EXAMPLES])
            replayed = f"it answered {count} recorded call{'s' * (count > 1)} alike"
            if function.effect != "read" and (function.tools or function.functions):
                if consent:
                    return Proof("active", f"{replayed}; it may write, so none was made for real", calls)
                why = f"{replayed}; it may write and nobody was asked, so it waits for a second clean run"
                return Proof("verified", why, calls)
            varied = variation(function.parameters, calls)
            ran = await self._call(session, own, varied, _Live(self._read), owner)
        if why := _fails(ran, calls[0].result):
            return Proof("candidate", f"{replayed}, but run for real {why}", calls)
        return Proof("active", f"{replayed}, and once for real", calls)

    async def _differs(self, session: Session, own: _Own, each: Observed, record: Record, owner: str) -> str | None:
        """How a replayed call differs from the recorded one.

        The same call of a tool may be on record with several answers: the first is tried, then the last.
        """
        why = None
        for latest in (False, True):
            tape = _Tape(record, self, latest=latest)
            ran = await self._call(session, own, each.arguments, tape, owner)
            if ran.status == "ok" and not tape.missed:
                if digest(ran.value) == digest(each.result):
                    return None
                why = "taken out of its program, it answers otherwise"
            else:
                why = f"taken out of its program, it {_ended(ran, tape)}"
        return why

    async def _blind(self, own: _Own, calls: Sequence[Observed], record: Record, owner: str) -> bool:
        """Whether nothing depends on what it is given. The record answers: what is made up goes nowhere.

        It is run on its own and not for long: what it does with numbers nobody gave it says nothing against it.
        """
        first, answers = calls[0], {digest(each.result) for each in calls}
        if len(answers) > 1 or first.result in (None, "", [], {}):
            return False
        try:
            async with self._fresh() as session:
                for by in (FAR, -FAR):
                    tape = _Tape(record, self)
                    others = {key: otherwise(value, by) for key, value in first.arguments.items()}
                    if others == first.arguments:
                        return False
                    ran = await self._call(session, own, others, tape, owner, seconds=BLIND)
                    if ran.status != "ok" or tape.missed or digest(ran.value) not in answers:
                        return False
        except SandboxError:
            return False
        return True

    async def again(self, function: Function, functions: Functions, owner: str) -> str | None:
        """Proves a function anew, against its tools as they are now: why it fails, or `None`.

        One that only reads is run for real on its recorded arguments; any other is replayed while the calls that it
        was made of are on record, their arguments checked against the new schemas.
        """
        if not function.examples:
            return "no call of it is on record to try again"
        try:
            with anyio.fail_after(PATIENCE):
                return await self._again(function, functions, owner)
        except TimeoutError:
            return "trying it again took too long"
        except SandboxError as error:
            return f"it could not be tried again: {error}"

    async def _again(self, function: Function, functions: Functions, owner: str) -> str | None:
        own, reads = _Own(functions, function), function.effect == "read"
        made = function.provenance
        # Whose calls they were: what they answered is compared here and shown to nobody.
        record = {} if reads else await self._record(str(made.get("execution", "")), str(made.get("owner", owner)))
        if not reads and not record:
            return "it may write, and the calls it could be replayed with are no longer on record; run its code again"
        async with self._fresh() as session:
            for example in function.examples:
                arguments: Any = example["arguments"]
                tape = _Tape(record, self)
                ran = await self._call(session, own, arguments, _Live(self._read) if reads else tape, owner)
                if ran.status != "ok" or tape.missed:
                    return f"tried again, it {_ended(ran, tape)}"
                if reads and not like(example["shape"], ran.value):
                    return "tried again, its answer has another shape"
                if not reads and digest(ran.value) != example["digest"]:
                    return "tried again, it answers otherwise"
        return None

    @asynccontextmanager
    async def _fresh(self) -> AsyncIterator[Session]:
        """A sandbox of its own, in which a replay can be prepared and run."""
        session = await self._sandbox.open(self._limits)
        try:
            ran = await self._run(session, PRELUDE, self._bridge(_nobody, _None(), ""))
            if ran.status != "ok":
                why = ran.error.message if ran.error else ran.status
                raise SandboxError(f"this sandbox cannot replay programs: {why}")
            yield session
        finally:
            with anyio.CancelScope(shield=True):
                await session.aclose()

    async def _call(
        self, session: Session, own: _Own, arguments: Mapping[str, Any], caller: Caller, owner: str,
        seconds: float = PATIENCE,
    ) -> Outcome:  # fmt: skip
        text = call(own.function.name, arguments, is_async=own.function.is_async)
        return await self._run(session, text, self._bridge(caller, own, owner), seconds=seconds)

    async def _run(
        self, session: Session, code: str, bridge: Bridge, files: Sequence[FileIn] = (), *, seconds: float = PATIENCE
    ) -> Outcome:
        ran = await session.run(Program("replay", code, tuple(self._work.servers()), seconds, files), bridge)
        if ran.status in ("crashed", "cancelled"):
            raise SandboxError(ran.error.message if ran.error else ran.status)
        return ran

    async def _record(self, execution: str, owner: str) -> Record:
        await self._ledger.settled()

        def read() -> Record:
            return self._store.calls.answers(execution, owner=owner)

        return await self._live.look(read)

    def _bridge(self, caller: Caller, functions: Functions, owner: str) -> Bridge:
        return Bridge(
            catalog=lambda: self._live.catalog, load=self._work.tool, caller=caller, functions=functions,
            execution="replay", owner=owner, absent=self._work.absent,
        )  # fmt: skip

    async def _read(self, call: Call) -> Result:
        """Calls a tool for real: what would need a person's answer is not called."""
        refusal = await self._permit(call)
        return await self._live.gateway(call) if refusal is None else Result(failure=refusal)

    async def recorded(self, execution: str, seq: int) -> Result:
        return await self._live.look(self._store.calls.result, execution, seq)


@dataclass
class _Tape:
    """A `Caller` that answers from the record, and nothing else."""

    record: Record
    proving: Proving
    latest: bool = False
    missed: list[str] = field(default_factory=list)
    """Tools of calls that are not on record."""
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def __call__(self, call: Call) -> Result:
        same = call.tool.id, digest(call.arguments)
        number, self.seen[same] = self.seen[same], self.seen[same] + 1
        answers = self.record.get(same, ())
        rest = answers[-1:] if self.latest else answers[number : number + 1]
        if not rest or rest[0][2] == "absent":
            self.missed.append(call.tool.id)
            return failed("unavailable", f"this call of {call.tool.id} is not on record", sent=False)
        return await self.proving.recorded(*rest[0][:2])


@dataclass
class _Live:
    """A `Caller` that reads for real, a bounded number of times, and never writes."""

    read: Caller
    calls: int = 0

    async def __call__(self, call: Call) -> Result:
        self.calls += 1
        if call.tool.annotations.effect != "read" or self.calls > LIVE_CALLS:
            return failed("refused", f"{call.tool.id} is not called to verify a function", sent=False)
        return await self.read(call)


@dataclass(frozen=True)
class _Own:
    """The library as a function sees it that is being proven: with itself in it."""

    functions: Functions
    function: Function

    async def source(self, name: str, version: int | None) -> SavedSource | str:
        own = self.function
        if name == own.name and version in (None, own.version):
            return SavedSource(own.name, own.version, own.source, own.functions, tuple(own.tools))
        return await self.functions.source(name, version)

    async def overreached(self, name: str, version: int, tool: str) -> str:
        if (name, version) == (self.function.name, self.function.version):
            return overreach(self.function, tool)
        return await self.functions.overreached(name, version, tool)


class _None:
    async def source(self, name: str, version: int | None) -> SavedSource | str:  # noqa: ARG002
        return "there are no saved functions here"

    async def overreached(self, name: str, version: int, tool: str) -> str:  # noqa: ARG002
        return f"{tool} is not called here"


async def _nobody(call: Call) -> Result:
    return failed("refused", f"{call.tool.id} is not called here", sent=False)


def _ended(ran: Outcome, tape: _Tape) -> str:
    if tape.missed:
        return f"calls {tape.missed[0]} otherwise than recorded"
    return f"ends with {ran.error.type}: {ran.error.message[:200]}" if ran.error else f"ends with {ran.status}"


def _fails(ran: Outcome, result: Any) -> str | None:
    """What a live run says against the function. A tool's refusal, or an assertion, speaks of the arguments."""
    if ran.status == "ok":
        alike = like(shape.to_json(shape.observe(result)), ran.value)
        return None if alike else "its answer has another shape"
    if ran.error is not None and ran.error.type in ("ToolError", "AssertionError"):
        return None
    return f"it ends with {ran.error.type}: {ran.error.message[:200]}" if ran.error else f"it ends with {ran.status}"
