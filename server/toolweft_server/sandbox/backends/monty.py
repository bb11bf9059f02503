"""The `monty` backend: programs run in Monty, an interpreter of a part of Python without any way out of it.

Covered: no file, no network, no process, no environment and no module of CPython exists for a program; each session
is a worker process of its own, which a crash, an endless loop or a flood ends alone, and which ends with the server,
`kill -9` included (`workers`); time, memory, output, calls and sizes are limited. It works wherever `pydantic-monty`
has a wheel: Linux, macOS, Windows.
Not covered: much of Python (classes that inherit, `yield`, `with` over files, many modules), so that programs may
have to be written again; there is no work directory. On Linux the kernel limits a worker's processor time, memory
and open files; beyond that what holds a program is the interpreter alone.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from toolweft_catalog.wire import Error
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding, Host, Outcome, OutcomeStatus, Program
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty import explain, prelude
from toolweft_server.sandbox.monty.run import Run, memory
from toolweft_server.sandbox.monty.script import Script, prepare
from toolweft_server.sandbox.monty.workers import Workers
from toolweft_server.sandbox.monty.world import World

if TYPE_CHECKING:
    from pydantic_monty import AsyncMonty, AsyncMontySession

MISSING = "the sandbox backend 'monty' needs the package pydantic-monty: pip install 'toolweft[monty]'"
WORKERS = 64
"""More than `sessions` and waiting ones ever are: Monty would make the next one wait, we refuse it with a reason."""
KEPT_SCRIPTS = 100
"""Programs of a session whose functions may still be called; older ones keep working, one call at a time."""
SUSPENSIONS = 2**31
"""Per session. The limit that counts is `calls`, which is counted here, per run."""


class MontySandbox:
    """Opens sessions in workers of one pool. Lives on one event loop, and starts nothing before the first `open`."""

    name = "monty"

    def __init__(self) -> None:
        self._pool: AsyncMonty | None = None
        self._workers = Workers()
        self._entering = anyio.Lock()  # two first sessions must not make two pools

    async def open(self, limits: Limits) -> MontySession:
        """A waiting session.

        Raises:
            SandboxError: Monty is not installed, or its worker does not start.

        """
        pool = await self._entered()
        checkout = pool.checkout(
            limits={
                "max_feed_duration_secs": limits.cpu, "max_memory": memory(limits), "max_suspensions": SUSPENSIONS,
            },
            os_policy={"sleep_system_max": math.inf}, assert_message_annotations=False,
        )  # fmt: skip
        try:
            monty = await checkout.__aenter__()
        except Exception as error:
            raise SandboxError(f"Monty's worker did not start: {error}") from error
        session = MontySession(monty, limits, self._workers)
        try:
            await session.start()
        except BaseException as error:
            await session.aclose()
            if isinstance(error, Exception):
                raise SandboxError(f"Monty's worker did not start: {error}") from error
            raise
        return session

    async def self_check(self) -> Sequence[Finding]:
        from toolweft_server.sandbox.monty.check import check
        from toolweft_server.sandbox.self_check import check as every

        return await check(self, every)

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            with anyio.CancelScope(shield=True):
                await pool.__aexit__(None, None, None)
                await self._workers.aclose()

    async def _entered(self) -> AsyncMonty:
        async with self._entering:
            if self._pool is None:
                try:
                    from pydantic_monty import AsyncMonty
                except ImportError as error:
                    raise SandboxError(MISSING) from error
                self._workers.start()
                try:
                    pool = AsyncMonty(max_processes=WORKERS)
                    self._pool = await pool.__aenter__()
                except Exception as error:
                    await self._workers.aclose()
                    raise SandboxError(f"Monty does not start on this machine: {error}") from error
            return self._pool


class MontySession:
    """One worker and the runs in it, one at a time. Passes the contract of `base.Session`."""

    def __init__(self, monty: AsyncMontySession, limits: Limits, workers: Workers) -> None:
        self.monty, self.limits, self.world = monty, limits, World()
        self._workers = workers
        self.scripts: dict[str, Script] = {}
        self.taken: frozenset[str] = frozenset()
        self.coroutines: frozenset[str] = frozenset()
        self._pid = monty.worker_pid
        self._fed = 0
        self._running: Run | None = None
        self._idle = anyio.Event()
        self._idle.set()
        self._usable = True

    @property
    def alive(self) -> bool:
        """Whether another run could start here."""
        return self._usable and (self._running is not None or self.attached)

    @property
    def attached(self) -> bool:
        """See `run.Worker.attached`."""
        return self.monty.worker_pid is not None

    @property
    def file(self) -> str:
        """See `run.Worker.file`."""
        return f"<python-input-{self._fed}>"

    def fed(self, script: Script) -> None:
        """See `run.Worker.fed`."""
        self.scripts[self.file] = script
        self._fed += 1
        if len(self.scripts) > KEPT_SCRIPTS:
            del self.scripts[next(iter(self.scripts))]

    def counted(self, file: str) -> None:
        """See `run.Worker.counted`."""
        number = file.removeprefix("<python-input-").removesuffix(">")
        if number.isdigit():
            self._fed = int(number) + 1

    def saved(self, script: Script) -> None:
        """See `run.Worker.saved`. Monty has one name for all code that it was not fed: the latest counts."""
        self.scripts["<string>"] = script

    async def start(self) -> None:
        """Gives the session what every program in it has. Before anything runs, the worker is bound to us."""
        if self._pid is None:
            raise SandboxError("it has ended already")
        self._workers.hold(self._pid, self.limits)
        script = prepare(prelude.CODE, last=False)
        self.fed(script)
        await self.monty.feed_run(script.text)

    async def run(self, program: Program, host: Host) -> Outcome:
        """See `base.Session.run`. A program too big, with files, or a second one at a time is an outcome, not a run."""
        if self._running is not None:
            return _unrun("error", "SessionBusy", "session busy: another program runs in it")
        if len(program.code) > self.limits.code:
            text = f"the program has {len(program.code)} characters, {self.limits.code} are allowed (limit `code`)"
            return _unrun("limit", "CodeTooLong", text, limits=("code",))
        if not _encodes(program.code):
            return _unrun("error", "SyntaxError", "the program has lone surrogates: it is no text that UTF-8 can carry")
        if program.files:
            text = f"the file {program.files[0].name!r} cannot be handed to the program: there is no work directory"
            return _unrun("error", "NoWorkDirectory", text, hint=explain.FILES)
        if not self.alive:
            await self._close()
            raise SandboxError("the session's process has ended; open another session")
        self._running, self._idle = Run(self, program, host), anyio.Event()
        try:
            outcome = await self._running.outcome()
            if not outcome.kept:
                await self._close()
        except BaseException:
            await self._close()
            raise
        finally:
            self._running = None
            self._idle.set()
        return outcome

    def kill(self) -> None:
        """Ends the worker at once. Only while it is ours: a worker that was given back may serve another session."""
        if self._usable and self._pid is not None:
            with contextlib.suppress(OSError):
                os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    async def aclose(self) -> None:
        """Ends a run that is going on first. The worker ends too: none serves two sessions."""
        if self._running is not None:
            self._running.close()
            with anyio.CancelScope(shield=True):
                await self._idle.wait()
        await self._close()

    async def _close(self) -> None:
        if not self._usable:
            return
        self.kill()
        if self._pid is not None:
            self._workers.release(self._pid)
        self._usable = False
        with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
            await self.monty.__aexit__(None, None, None)


def _unrun(
    status: OutcomeStatus, kind: str, text: str, *, hint: str | None = None, limits: Sequence[str] = ()
) -> Outcome:
    return Outcome(status, error=Error(type=kind, message=text, hint=hint), limits=limits)


def _encodes(code: str) -> bool:
    try:
        code.encode()
    except UnicodeEncodeError:
        return False
    return True
