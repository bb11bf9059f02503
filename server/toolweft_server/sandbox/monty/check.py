"""Monty's self-check: the checks of every backend, with what Monty cannot express reported as such.

A check that asks for a module, a descriptor or a file finds none of it here. That is no failure of the tier: an
attack that cannot be written down is refused. `not offered here` says so, and the finding counts as passed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding, Host, Outcome, Program, Sandbox, Session
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty import explain

ABSENT = "not offered here: "


async def check(backend: Sandbox, every: Callable[[Sandbox], Awaitable[Sequence[Finding]]]) -> Sequence[Finding]:
    """`every` is the check of every backend; it must report a `SandboxError` as a finding's detail."""
    findings = await every(_Told(backend))
    return [replace(each, ok=True) if each.detail.startswith(ABSENT) else each for each in findings]


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
