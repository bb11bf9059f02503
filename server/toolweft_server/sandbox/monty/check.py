"""Monty's self-check: the checks of every backend, with what Monty cannot express reported as such.

A check that asks for a module, a descriptor or a file finds none of it here. That is no failure of the tier: an
attack that cannot be written down is refused. `not offered here` says so, and the finding counts as passed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from toolweft_catalog.call import Result, failed
from toolweft_catalog.tool import Json
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding, Host, Outcome, Program, Sandbox, SavedSource, Session
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty import explain

ABSENT = "not offered here: "

OWN = (
    ("one value too large is refused", "held = 'x' * (1 << 30)", "MemoryError"),
    (
        "values without end are refused",
        "held = []\nwhile True: held.append('x' * 65536 + str(len(held)))",
        "MemoryError",
    ),
    ("what is too large to leave never arrives", "'x' * 50_000_000", "MemoryError"),
    ("a file of the machine is refused", "open('/etc/hosts').read()", "PermissionError"),
    ("no object leads to the interpreter", "().__class__.__bases__", "AttributeError"),
)
"""Programs that Monty can express, and the error that each must end with."""


async def check(backend: Sandbox, every: Callable[[Sandbox], Awaitable[Sequence[Finding]]]) -> Sequence[Finding]:
    """`every` is the check of every backend; it must report a `SandboxError` as a finding's detail."""
    findings = await every(_Told(backend))
    told = [replace(each, ok=True) if each.detail.startswith(ABSENT) else each for each in findings]
    return [*told, *[await _own(backend, *each) for each in OWN]]


async def _own(backend: Sandbox, name: str, code: str, kind: str) -> Finding:
    session = await backend.open(Limits())
    try:
        outcome = await session.run(Program("check", code), _Nobody())
    finally:
        await session.aclose()
    ok = outcome.error is not None and outcome.error.type == kind
    return Finding(name, ok=ok, detail="" if ok else f"unexpected: {outcome!r}"[:500])


class _Nobody:
    """A host that offers nothing."""

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:  # noqa: ARG002  (the signature is the protocol's)
        return failed("unknown_tool", f"no tool {tool!r}", sent=False)

    async def describe(self, tool: str) -> str | None:  # noqa: ARG002  (the same)
        return None

    async def function(self, name: str, version: int | None) -> SavedSource | str:  # noqa: ARG002  (the same)
        return f"no function {name!r}"

    async def save(self, name: str) -> Json:
        return name


class _Told:
    """The backend, whose sessions say by an exception that a program asked for more than Monty has."""

    def __init__(self, backend: Sandbox) -> None:
        self._backend, self.name = backend, backend.name

    async def open(self, limits: Limits) -> Session:
        return _ToldSession(await self._backend.open(limits))

    async def self_check(self) -> Sequence[Finding]:
        return ()

    async def aclose(self) -> None:
        pass


class _ToldSession:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def run(self, program: Program, host: Host) -> Outcome:
        outcome = await self._session.run(program, host)
        if absent := _absent(program, outcome):
            raise SandboxError(ABSENT + absent)
        return outcome

    async def aclose(self) -> None:
        await self._session.aclose()


def _absent(program: Program, outcome: Outcome) -> str | None:
    if outcome.error is not None and (outcome.error.hint or "").startswith(explain.TIER):
        return outcome.error.message[:200]
    if outcome.status == "timeout" and not outcome.kept and "while True" in program.code:
        return "the program was ended, but variables do not survive a limit of time"
    return None
