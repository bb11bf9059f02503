"""`Run`: one program in a child, from its start to its outcome.

With `pending_calls` requests open nothing more is read, so that a flood waits in the child. The wall clock runs only
while no request is open; processor time and the total never stop. Time over: SIGINT first, so that the session's
variables can survive, then SIGKILL. `clock` measures, `output` keeps stdout and stderr.
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from toolweft_catalog.call import Failure
from toolweft_catalog.wire import Error
from toolweft_server.sandbox import files_in, frames, requests
from toolweft_server.sandbox.base import FileOut, Host, Outcome, OutcomeStatus, Program
from toolweft_server.sandbox.clock import Clock
from toolweft_server.sandbox.frames import Done, ViolationError
from toolweft_server.sandbox.output import Output
from toolweft_server.sandbox.texts import limit_hit, signal_name, size

if TYPE_CHECKING:
    from toolweft_server.sandbox.broker import ChildSession

INTERRUPT_GRACE = 0.5
"""Between SIGINT and SIGKILL: Python needs microseconds, a C function that never returns needs for ever."""
EXIT_CHANNEL = 71
"""The child's exit status when its frame socket broke; the same in `inside/channel.py`."""
MOST_FILES = 100
"""The same in `inside/files.py`."""
HEAD_START = 0.002
"""Seconds after which clocks and output are watched: most programs end before, and their output waits in the pipe."""


class Run:
    """One program from `run` to its outcome."""

    def __init__(self, session: ChildSession, program: Program, host: Host) -> None:
        self._session, self._child, self._limits = session, session.child, session.limits
        self._program, self._host = program, host
        limits = self._limits
        self._clock = Clock(
            wall=limits.wall if program.timeout is None else program.timeout,
            total=limits.total, cpu=limits.cpu, processor=self._child.cpu,
        )  # fmt: skip
        self._out, self._err = (Output(fd, cap=limits.stdout) for fd in self._child.outputs)
        self._slots = anyio.Semaphore(limits.pending_calls, fast_acquire=True)
        self._pending: set[int] = set()
        self._resting: list[asyncio.Future[frames.Request]] = []
        self._calls = 0
        self._files: dict[str, bytearray] = {}
        self._filed = 0
        self._verdict: tuple[OutcomeStatus, str] | None = None
        self._killed = False
        self._hit: list[str] = []
        self._talk = anyio.CancelScope()
        self._timer: asyncio.TimerHandle | None = None

    async def outcome(self) -> Outcome:
        self._child.thaw()
        self._timer = asyncio.get_running_loop().call_later(HEAD_START, self._watch)
        try:
            done = await self._talked()
        finally:
            self._unwatch()
        self._session.deaf()
        return self._finished(done) if done is not None and not self._killed else await self._unfinished()

    async def _talked(self) -> Done | None:
        done: Done | None = None
        async with anyio.create_task_group() as tasks:
            with self._talk:
                try:
                    done = frames.within(await self._converse(tasks), self._limits.value)
                except ViolationError as violation:
                    self._end("violation", str(violation))
                except OSError:
                    pass  # the child is gone: its exit status tells why
                except BaseException:
                    self._child.kill()  # which may read nothing: an answer on its way would wait for it
                    raise
            self._unwatch()  # calls that nobody waits for may take a moment to end: that is no time of the program's
            if self._calls:
                tasks.cancel_scope.cancel()
        return done

    def close(self) -> None:
        """Ends the run from outside."""
        self._end("cancelled", "the session was closed")

    async def _converse(self, tasks: TaskGroup) -> Done | None:
        """Speaks with the child until it is done (`None`: it ended without)."""
        if not self._session.silent():
            raise ViolationError("it spoke between two runs")
        program = self._program
        self._clock.pause()
        for put in files_in.puts(program.files):
            await self._session.send(put)
        self._clock.resume()
        run = {"kind": "run", "id": program.id, "code": program.code, "servers": list(program.servers)}
        await self._session.send(frames.encode({**run, "limits": self._session.told}))
        while not self._killed and (message := await self._session.receive()) is not None:
            if isinstance(message, Done):
                if message.id != self._program.id:
                    raise ViolationError("it ended another run than the one that was started")
                if not self._session.silent():
                    raise ViolationError("it went on speaking after its end")
                return message
            if isinstance(message, frames.Hello):
                raise ViolationError("a second hello")
            if isinstance(message, frames.FilePart):
                self._take_file(message)
                await anyio.lowlevel.checkpoint()
            else:
                await self._take_request(message, tasks)
        return None

    async def _take_request(self, request: frames.Request, tasks: TaskGroup) -> None:
        if request.c in self._pending:
            raise ViolationError(f"request id {request.c} used twice")
        self._calls += 1
        if self._calls > 2 * self._limits.calls:
            self._note("calls")
            self._end("limit", f"more than {2 * self._limits.calls} calls in one run")
            return
        self._pending.add(request.c)
        await self._slots.acquire()
        self._clock.pause()
        rest = self._resting.pop() if self._resting else None
        if rest is None or rest.done():  # done: the run is being taken down
            tasks.start_soon(self._answer_all, request)
        else:
            rest.set_result(request)

    async def _answer_all(self, request: frames.Request) -> None:
        """One request after another: a task for each would cost more than the rest of a quick call."""
        while True:
            await self._answer(request)
            rest = asyncio.get_running_loop().create_future()
            self._resting.append(rest)
            request = await rest

    async def _answer(self, request: frames.Request) -> None:
        try:
            frame = self._encoded(request, await self._ask(request))
            self._clock.resume()
            self._pending.discard(request.c)
            await self._session.send(frame)
        except ViolationError as violation:
            self._end("violation", str(violation))
        except OSError:
            pass  # the child is gone; the reader sees its end
        finally:
            self._slots.release()

    async def _ask(self, request: frames.Request) -> dict[str, Any]:
        if isinstance(request, frames.CallRequest) and self._calls > self._limits.calls:
            self._note("calls")
            text = f"more than {self._limits.calls} calls in one run (limit `calls`)"
            return requests.failed(request, Failure("limit", text, sent=False))
        return await requests.ask(self._host, request)

    def _encoded(self, request: frames.Request, frame: dict[str, Any]) -> bytes:
        data = frames.encode(frame)
        if len(data) <= self._limits.result + frames.SLACK:
            return data
        allowed = size(self._limits.result)
        self._note("result", f"result={allowed}")
        text = f"the result has {size(len(data))}, {allowed} are allowed: ask for less (limit `result`)"
        return frames.encode(requests.failed(request, Failure("limit", text)))

    def _take_file(self, part: frames.FilePart) -> None:
        self._filed += max(len(part.data), 1024)  # so that endless empty parts come to an end too
        more = part.name not in self._files
        if self._filed > self._limits.disk + frames.SLACK or (more and len(self._files) >= MOST_FILES):
            raise ViolationError("more files than the limit `disk` allows")
        self._files.setdefault(part.name, bytearray()).extend(part.data)

    def _watch(self) -> None:
        self._look()
        for output, name in ((self._out, "stdout"), (self._err, "stderr")):
            output.watch(partial(self._flooded, output, name))

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._out.ignore()
        self._err.ignore()
        self._clock.stop()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if (over := self._clock.over()) is None:
            self._timer = loop.call_later(self._clock.next_look(), self._look)
            return
        self._note(over.limit, over.text)
        self._verdict = self._verdict or ("timeout", over.reason)
        self._child.interrupt()
        self._timer = loop.call_later(INTERRUPT_GRACE, self._end, "timeout", over.reason)

    def _flooded(self, output: Output, name: str) -> None:
        self._note("stdout", f"{name}={size(self._limits.stdout)}")
        self._end("limit", f"the program wrote more than {size(output.flood)} to {name}")

    def _end(self, status: OutcomeStatus, reason: str) -> None:
        """Ends the child; the first reason given is the one that counts."""
        self._verdict = self._verdict or (status, reason)
        self._killed = True  # the signal is on its way: whatever the child said last, it does not live on
        self._child.kill()
        self._talk.cancel()

    def _note(self, limit: str, text: str = "") -> None:
        shown = text or f"{limit}={getattr(self._limits, limit)}"
        if shown not in self._hit:
            self._hit.append(shown)

    def _finished(self, done: Done) -> Outcome:
        """The program came to an end of its own, or heeded the interrupt."""
        status: OutcomeStatus = done.status
        error = done.error
        if self._verdict is not None:
            status, reason = self._verdict
            error = (error or Error(type="", message="")).model_copy(update={"type": "TimeoutError", "message": reason})
        elif error is not None and (limit := limit_hit(self._limits, error.type, error.message)):
            self._note("", limit)
        if error is not None:
            error = error.model_copy(update={"message": error.message[: self._limits.error]})
        killed = not self._child.alive
        shown = None if done.value_repr is None else done.value_repr[: self._limits.value_repr]
        return self._outcome(
            status, value=done.value, value_repr=shown, error=error, limits=done.limits,
            reset_reason="the program's process was ended" if killed else None,
        )  # fmt: skip

    async def _unfinished(self) -> Outcome:
        """The child ended, or was ended, before the program did."""
        self._session.spent()
        if self._verdict is None:
            with anyio.move_on_after(1):
                while self._child.alive:  # noqa: ASYNC110  (what it prints until its end is kept)
                    await anyio.sleep(0.002)
        self._out.drain()
        self._err.drain()
        ended = await self._child.exit_status() if self._verdict is None else None
        status, reason = self._verdict or self._cause(ended or 0)
        await self._child.aclose()
        kind = {"timeout": "TimeoutError", "limit": "LimitExceeded", "violation": "SandboxViolation"}
        error = Error(type=kind.get(status, "Crash"), message=reason)
        return self._outcome(status, error=error, reset_reason=reason, drain=False)

    def _cause(self, status: int) -> tuple[OutcomeStatus, str]:
        if status == -getattr(signal, "SIGXCPU", 0):
            self._note("session_cpu")
            return "limit", f"the session used more than {self._limits.session_cpu} s of processor time"
        if status == EXIT_CHANNEL:
            return "violation", "the program closed its channel to the server"
        if status == -getattr(signal, "SIGKILL", 9):
            return "crashed", "the program's process was killed from outside; perhaps the system ran out of memory"
        if status < 0:
            return "crashed", f"the program's process ended with {signal_name(-status)}"
        return "crashed", f"the program ended its process with exit status {status}"

    def _outcome(self, status: OutcomeStatus, *, reset_reason: str | None, drain: bool = True, **more: Any) -> Outcome:
        if drain:
            self._out.drain()
            self._err.drain()
        for output, name in ((self._out, "stdout"), (self._err, "stderr")):
            if output.cut:
                self._note("stdout", f"{name}={size(self._limits.stdout)}")
        return Outcome(
            status, stdout=self._out.text(), stderr=self._err.text(), kept=reset_reason is None,
            reset_reason=reset_reason, seconds=round(self._clock.active(), 6),
            files=tuple(FileOut(name, bytes(data)) for name, data in self._files.items()),
            limits=(*self._hit, *more.pop("limits", ())), **more,
        )  # fmt: skip
