"""`ChildSession`: the server's side of one child. It trusts nothing that comes out of it.

Rules: frames are parsed by `frames`; a violation ends the child. With `pending_calls` requests open nothing more is
read, so that a flood waits in the child. A write that the child does not take within five seconds ends it. The wall
clock runs only while no request is open; processor time and the total never stop. Time over: SIGINT first, so that
the session's variables can survive, then SIGKILL. `clock` measures, `output` keeps stdout and stderr.
"""

from __future__ import annotations

import contextlib
import logging
import signal
from dataclasses import asdict
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from toolweft_catalog.call import Failure
from toolweft_catalog.wire import Error
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import files_in, frames, requests
from toolweft_server.sandbox.base import FileOut, Host, Outcome, OutcomeStatus, Program
from toolweft_server.sandbox.child import Child
from toolweft_server.sandbox.clock import Clock
from toolweft_server.sandbox.frames import Done, ViolationError
from toolweft_server.sandbox.inbox import Inbox
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.output import Output
from toolweft_server.sandbox.texts import limit_hit, signal_name, size

HELLO_TIMEOUT = 30.0
"""Only a process that hangs comes near, or a machine with no processor to spare."""
WRITE_TIMEOUT = 5.0
INTERRUPT_GRACE = 0.5
"""Between SIGINT and SIGKILL: Python needs microseconds, a C function that never returns needs for ever."""
EXIT_CHANNEL = 71
"""The child's exit status when its frame socket broke; the same in `inside/channel.py`."""
FAIR = 8
"""Reads in a row before others get their turn."""
_logger = logging.getLogger(__name__)


class ChildSession:
    """One child and the runs in it, one at a time. Passes the contract of `base.Session`."""

    def __init__(self, child: Child, limits: Limits) -> None:
        self.child, self.limits = child, limits
        self.told = asdict(limits)
        """The limits as the child is told them."""
        self._inbox = Inbox(child.channel)
        self._buffer = frames.Buffer(cap=limits.frame)
        self._reads = 0
        self._writing = anyio.Lock()  # frames of concurrent replies do not mix
        self._running: _Run | None = None
        self._idle = anyio.Event()
        self._idle.set()
        self._usable = True

    @property
    def alive(self) -> bool:
        """Whether another run could start here."""
        return self._usable and self.child.alive

    async def start(self) -> None:
        """Waits for the child's hello.

        Raises:
            SandboxError: It did not come.

        """
        hello: frames.Message | None = None
        try:
            with anyio.move_on_after(HELLO_TIMEOUT):
                hello = await self.receive()
        except (ViolationError, OSError) as error:
            _logger.warning("a sandbox child did not start: %s", error)
        except BaseException:
            await self.aclose()
            raise
        self.deaf()
        if not isinstance(hello, frames.Hello):
            said = Output(self.child.outputs[1], cap=2000).drained()
            status = await self.child.exit_status()
            self._usable = False
            raise SandboxError(f"the sandbox's process did not start (exit status {status}). It said: {said[-500:]!r}")
        self.child.guarded = hello.guarded

    async def run(self, program: Program, host: Host) -> Outcome:
        """See `base.Session.run`. A program too big to send, or a second one at a time, is an outcome, not a run."""
        if self._running is not None:
            return _unrun("error", "SessionBusy", "session busy: another program runs in it", kept=True)
        if len(program.code) > self.limits.code:
            text = f"the program has {len(program.code)} characters, {self.limits.code} are allowed (limit `code`)"
            return _unrun("limit", "CodeTooLong", text, kept=True, limits=("code",))
        if problem := files_in.too_much(program.files, self.limits):
            return _unrun("limit", "FilesTooBig", problem.text, kept=True, limits=(problem.limit,))
        if not self.alive:
            await self.aclose()
            raise SandboxError("the session's process has ended; open another session")
        self._running, self._idle = _Run(self, program, host), anyio.Event()
        try:
            outcome = await self._running.outcome()
            if outcome.kept:
                self.child.freeze()
            else:
                await self._close()
        except BaseException:
            await self._close()
            raise
        finally:
            self._running = None
            self._idle.set()
        return outcome

    async def aclose(self) -> None:
        """Ends a run that is going on first: nobody may wait for descriptors that are closed."""
        self._usable = False
        with anyio.CancelScope(shield=True):
            if self._running is not None:
                self._running.close()
                await self._idle.wait()
            self.deaf()
            await self.child.aclose()

    async def _close(self) -> None:
        self._usable = False
        self.deaf()
        await self.child.aclose()

    async def send(self, frame: bytes) -> None:
        """Writes one encoded frame.

        Raises:
            ViolationError: The child does not read.
            OSError: The child is gone.

        """
        data = memoryview(frame)
        if not self._writing.locked():
            with contextlib.suppress(BlockingIOError):  # nearly always there is room, and nobody to wait for
                data = data[self.child.channel.send(data) :]
            if not data:
                return
        # Once begun, to its end, even if nobody waits any more: half a frame would make nonsense of the next run's.
        with anyio.CancelScope(shield=len(data) < len(frame)):
            async with self._writing:
                with anyio.move_on_after(WRITE_TIMEOUT, shield=True) as deadline:
                    while data:
                        try:
                            data = data[self.child.channel.send(data) :]
                        except BlockingIOError:
                            await anyio.wait_writable(self.child.channel)
                if deadline.cancelled_caught:
                    raise ViolationError(f"the program took no answer for {WRITE_TIMEOUT:g} s")

    async def receive(self) -> frames.Message | None:
        """The next message; `None` at the end.

        Raises:
            ViolationError: It is not a message.

        """
        while (body := self._buffer.next()) is None:
            if not (data := await self._inbox.wait()):
                return None
            self._buffer.feed(data)
            self._reads += 1
            if self._reads % FAIR == 0:
                await anyio.lowlevel.checkpoint()  # a child that drips bytes must not hold the event loop
        return frames.parse(body, arguments=self.limits.arguments)

    def silent(self) -> bool:
        """Whether nothing is left to read: what our runner guarantees after `done`."""
        return not len(self._buffer) and self._inbox.now() is None

    def deaf(self) -> None:
        """Nothing is waited for: between runs, and before the socket is closed."""
        self._inbox.close()


class _Run:
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
        self._calls = 0
        self._files: dict[str, bytearray] = {}
        self._filed = 0
        self._verdict: tuple[OutcomeStatus, str] | None = None
        self._hit: list[str] = []
        self._talk = anyio.CancelScope()

    async def outcome(self) -> Outcome:
        self._child.thaw()
        done: Done | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_output, self._out, "stdout")
            tasks.start_soon(self._watch_output, self._err, "stderr")
            tasks.start_soon(self._watch_clock)
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
            tasks.cancel_scope.cancel()
        self._session.deaf()
        self._clock.stop()
        if done is not None and (self._verdict is None or self._verdict[0] != "violation"):
            return self._finished(done)
        return await self._unfinished()

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
        while (message := await self._session.receive()) is not None:
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
        tasks.start_soon(self._answer, request)

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
        if self._filed > self._limits.disk + frames.SLACK or len(self._files) > 1000:
            raise ViolationError("more files than the limit `disk` allows")
        self._files.setdefault(part.name, bytearray()).extend(part.data)

    async def _watch_clock(self) -> None:
        while (over := self._clock.over()) is None:  # noqa: ASYNC110  (time itself is what is waited for)
            await anyio.sleep(self._clock.next_look())
        self._note(over.limit, over.text)
        self._verdict = self._verdict or ("timeout", over.reason)
        self._child.interrupt()
        await anyio.sleep(INTERRUPT_GRACE)
        self._end("timeout", over.reason)

    async def _watch_output(self, output: Output, name: str) -> None:
        await output.pump()
        self._note("stdout", f"{name}={size(self._limits.stdout)}")
        self._end("limit", f"the program wrote more than {size(output.flood)} to {name}")

    def _end(self, status: OutcomeStatus, reason: str) -> None:
        """Ends the child; the first reason given is the one that counts."""
        self._verdict = self._verdict or (status, reason)
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
        self._session._usable = False  # noqa: SLF001  (same module)
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


def _unrun(status: OutcomeStatus, kind: str, text: str, *, kept: bool, limits: tuple[str, ...] = ()) -> Outcome:
    return Outcome(status, error=Error(type=kind, message=text), kept=kept, limits=limits)
