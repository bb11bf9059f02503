"""`Sessions`: who runs where. Named sessions of an owner, one-shot ones for everybody else, one child waiting ahead.

A session belongs to one owner and is one trust unit: no run of another owner ever enters it. A one-shot run gets a
child of its own, which ends with it. What a child may do is the backend's business, how it is spoken to the broker's.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import anyio

from toolweft_catalog.wire import Error, SessionState
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Host, Outcome, Program, Sandbox, Session
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.texts import seconds

REFILL_AFTER = 0.05
"""Seconds before the next waiting child is started: the run that took the last one goes first."""
_REMEMBERED = 500
"""Ended sessions whose reason is kept, so that a host that comes back is told."""


class Ran(NamedTuple):
    """What a run gave, and what became of its session (`None` for a one-shot run)."""

    outcome: Outcome
    state: SessionState | None


@dataclass(slots=True)
class _Named:
    """A named session: its child, and the timer that closes it while nobody uses it."""

    session: Session
    busy: bool = True
    idle: asyncio.TimerHandle | None = field(default=None)


class Sessions:
    """Lives on one event loop. Nothing starts before the first run, unless `prepare` is called.

    Background work uses asyncio's tasks rather than a task group, so that `aclose` may be called from any task.
    """

    def __init__(self, backend: Sandbox, limits: Limits, *, warm: int = 1) -> None:
        self._backend, self._limits, self._warm = backend, limits, warm
        self._named: OrderedDict[tuple[str, str], _Named] = OrderedDict()  # least recently used first
        self._ended: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._spares: list[Session] = []
        self._starting = 0
        self._one_shot: set[Session] = set()
        self._opening = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opens: dict[anyio.CancelScope, anyio.Event] = {}
        self._closed = False

    @property
    def backend(self) -> str:
        return self._backend.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def prepare(self) -> None:
        """Has a child waiting before the first run.

        Raises:
            SandboxError: None can be started.

        """
        while len(self._spares) < self._warm:
            self._spares.append(await self._open())

    async def run(self, program: Program, host: Host, *, owner: str, session: str | None) -> Ran:
        """Runs a program in the owner's session of that name, made on first use; without a name in a fresh child.

        A cancelled run ends its child, and the session says so the next time.

        Raises:
            SandboxError: No child could be had, or all sessions are busy; nothing ran.

        """
        if self._closed:
            raise SandboxError("the sandbox is closed: the server is stopping")
        if session is None:
            return Ran(await self._run_once(program, host), None)
        return await self._run_named(program, host, (owner, session))

    def reset(self, owner: str, session: str) -> None:
        """Ends a session; the next run of that name starts empty. Unknown names are nothing to do."""
        self._drop((owner, session), "it was reset on request")

    async def aclose(self) -> None:
        """Ends every child, those too that are being started. Idempotent."""
        self._closed = True
        for key in list(self._named):
            self._drop(key, "the server stopped")
        for session in [*self._spares, *self._one_shot]:
            self._later(session.aclose())
        self._spares.clear()
        for opening in self._opens:
            opening.cancel()
        while self._tasks or self._opens:
            await asyncio.gather(*self._tasks, *(done.wait() for done in self._opens.values()), return_exceptions=True)

    async def _run_once(self, program: Program, host: Host) -> Outcome:
        self._make_room()
        self._opening += 1
        try:
            session = await self._fresh()
        finally:
            self._opening -= 1
        self._one_shot.add(session)
        try:
            return await session.run(program, host)
        finally:
            self._one_shot.discard(session)
            self._later(session.aclose())

    async def _run_named(self, program: Program, host: Host, key: tuple[str, str]) -> Ran:
        name = key[1]
        held = self._named.get(key)
        if held is not None and held.busy:
            return Ran(_busy(name), SessionState(name=name, state="kept"))
        if held is not None and not _alive(held.session):
            self._drop(key, "its process had ended")
            held = None
        lost = None
        if held is None:
            self._make_room()
            held = self._named[key] = _Named(_Unopened())
            try:
                held.session = await self._fresh()
            except BaseException:
                self._drop(key, None, held)
                raise
            if self._named.get(key) is not held:
                await held.session.aclose()
                raise SandboxError(f"session {name!r} was closed while it was being opened")
            lost = self._ended.pop(key, None)
        outcome = await self._run_held(program, host, key, held)
        if not outcome.kept:
            return Ran(outcome, SessionState(name=name, state="reset", reason=outcome.reset_reason))
        if lost is not None:
            return Ran(
                outcome, SessionState(name=name, state="reset", reason=f"{lost}; this run began without variables")
            )
        return Ran(outcome, SessionState(name=name, state="kept"))

    async def _run_held(self, program: Program, host: Host, key: tuple[str, str], held: _Named) -> Outcome:
        held.busy = True
        if held.idle is not None:
            held.idle.cancel()
        self._named.move_to_end(key)
        try:
            outcome = await held.session.run(program, host)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            reason = "the run before was cancelled" if cancelled else "the sandbox failed in the run before"
            self._drop(key, reason, held)
            raise
        held.busy = False
        if outcome.kept and self._named.get(key) is held:
            loop = asyncio.get_running_loop()
            reason = f"it was closed after {seconds(self._limits.idle)} without use"
            held.idle = loop.call_later(self._limits.idle, self._drop, key, reason)
        else:
            # The outcome says that the session was reset: the next run need not say it again.
            self._drop(key, None, held)
        return outcome

    async def _fresh(self) -> Session:
        """A child that waits, else a new one."""
        try:
            while self._spares:
                session = self._spares.pop()
                if _alive(session):
                    return session
                self._later(session.aclose())
            return await self._open()
        finally:
            asyncio.get_running_loop().call_later(REFILL_AFTER, self._refill)

    async def _open(self) -> Session:
        """A new child, which `aclose` does not leave behind."""
        scope = anyio.CancelScope()
        self._opens[scope] = anyio.Event()
        session: Session | None = None
        try:
            with scope:
                if not self._closed:
                    session = await self._backend.open(self._limits)
            if session is not None and not self._closed:
                return session
            if session is not None:
                await session.aclose()
            raise SandboxError("the sandbox is closed: the server is stopping")
        finally:
            self._opens.pop(scope).set()

    def _refill(self) -> None:
        if not self._closed and len(self._spares) + self._starting < self._warm:
            self._starting += 1
            self._later(self._start_spare())

    async def _start_spare(self) -> None:
        try:
            self._spares.append(await self._open())
        except SandboxError:
            pass  # the next run tries itself, and reports
        finally:
            self._starting -= 1

    def _make_room(self) -> None:
        """Ends the session that was idle longest when the cap is reached.

        Raises:
            SandboxError: None is idle.

        """
        if len(self._named) + len(self._one_shot) + self._opening < self._limits.sessions:
            return
        idle = next((key for key, held in self._named.items() if not held.busy), None)
        if idle is None:
            count = self._limits.sessions
            raise SandboxError(
                f"{count} programs are running (limit `sessions`); wait for one to end, or raise the limit"
            )
        self._drop(idle, "it was closed to make room for another session")

    def _drop(self, key: tuple[str, str], reason: str | None, expected: _Named | None = None) -> None:
        """Forgets and ends a session, unless its name by now stands for another one than `expected`."""
        held = self._named.get(key)
        if held is None or (expected is not None and held is not expected):
            return
        del self._named[key]
        if held.idle is not None:
            held.idle.cancel()
        if reason is not None:
            self._ended[key] = reason
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        self._later(held.session.aclose())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Unopened:
    """Holds a name while its child starts."""

    async def run(self, program: Program, host: Host) -> Outcome:  # noqa: ARG002  (the signature is the protocol's)
        raise SandboxError("the session is not open yet")

    async def aclose(self) -> None:
        pass


def _alive(session: Session) -> bool:
    return bool(getattr(session, "alive", True))


def _busy(name: str) -> Outcome:
    text = f"session busy: another program runs in session {name!r}"
    hint = "Wait for its answer, or use another session name."
    return Outcome("error", error=Error(type="SessionBusy", message=text, hint=hint))
