"""`ChildSession`: the server's side of one child. It trusts nothing that comes out of it.

Rules: frames are parsed by `frames`; a violation ends the child. A write that the child does not take within five
seconds ends it. What happens while a program runs is `run`'s.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import asdict

import anyio
import anyio.lowlevel

from toolweft_catalog.wire import Error
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import files_in, frames
from toolweft_server.sandbox.base import Host, Outcome, OutcomeStatus, Program
from toolweft_server.sandbox.child import Child
from toolweft_server.sandbox.frames import ViolationError
from toolweft_server.sandbox.inbox import Inbox
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.output import Output
from toolweft_server.sandbox.run import Run

HELLO_TIMEOUT = 30.0
"""Only a process that hangs comes near, or a machine with no processor to spare."""
WRITE_TIMEOUT = 5.0
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
        self._running: Run | None = None
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
        self._running, self._idle = Run(self, program, host), anyio.Event()
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
        return not len(self._buffer) and not self._inbox.now()

    def spent(self) -> None:
        """Nothing can run here any more."""
        self._usable = False

    def deaf(self) -> None:
        """Nothing is waited for: between runs, and before the socket is closed."""
        self._inbox.close()


def _unrun(status: OutcomeStatus, kind: str, text: str, *, kept: bool, limits: tuple[str, ...] = ()) -> Outcome:
    return Outcome(status, error=Error(type=kind, message=text), kept=kept, limits=limits)
