"""`Link`: one cloud sandbox with the relay in it, over lost connections and pauses, until either side is through.

Bytes go in by `post` and come out by `deliver`, in order and exactly once. One task watches over everything that
takes time: it reconnects when the connection is lost, renews the sandbox's timeout, and pauses a sandbox in which
nothing but waiting happens. What is sent to a paused one resumes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.e2b.cloud import Cloud, GoneError, Stream
from toolweft_server.sandbox.e2b.cost import Meter
from toolweft_server.sandbox.e2b.inbox import Inbox
from toolweft_server.sandbox.e2b.lines import Lines, acknowledgement, detachment
from toolweft_server.sandbox.e2b.settings import E2BEntry
from toolweft_server.sandbox.frames import ViolationError
from toolweft_server.sandbox.run import EXIT_CHANNEL

if TYPE_CHECKING:
    from e2b import AsyncSandbox

ARCHIVE = "relay.zip"
ANSWER = 15.0
"""Seconds for a relay to answer on a new stream: a Python starts on a small machine, an ocean away."""
DETACH = 3.0
"""Seconds for a stream to end in good order before a pause."""
UNHEARD = 5.0
"""Seconds after which a line that the relay has not taken means that the connection is lost without a sign."""
PING = 15.0
"""Seconds of silence in a running program after which we make sure that the connection stands."""
RECOVERY = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each attempt to reconnect: a quarter of a minute in all, within a program's own time."""
WINDOW = 16 * 1024 * 1024
"""Bytes on their way to the runner after which no more is taken from the broker: four of the largest frames."""

_logger = logging.getLogger(__name__)


class Link:
    """`deliver` gets the runner's bytes by kind; `over` is called once, when no more will come."""

    def __init__(
        self, cloud: Cloud, sandbox: AsyncSandbox, entry: E2BEntry,
        deliver: Callable[[str, bytes], Awaitable[None]], over: Callable[[], None],
    ) -> None:  # fmt: skip
        self.id = sandbox.sandbox_id
        self.status: int | None = None
        """The runner's exit status, once it is known."""
        self.failure: SandboxError | None = None
        """Why the sandbox is lost, when that is nobody's program's fault."""
        self.over = False
        self.cut = False
        """Whether there was no connection when it ended."""
        self.room = asyncio.Event()
        """Set while bytes for the runner may be posted."""
        self.room.set()
        self.meter = Meter(entry.price_per_second)
        self._cloud, self._sandbox, self._entry = cloud, sandbox, entry
        self._tell = over
        self._lines = Lines()
        self._stream: Stream | None = None
        self._streams: set[Stream] = set()  # all that are not closed yet
        self._paused = False
        self._pausable = True
        self._running = True  # the runner starts: nothing to be paused
        self._asked = 0
        self._lock = asyncio.Lock()  # one change of the connection at a time
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._inbox = Inbox(deliver)
        self._heard = self._active = self._renewed = self._progress = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def cpu(self) -> float:
        """Seconds of processor time that the runner has used, a moment ago."""
        return self._lines.cpu

    async def start(self, archive: bytes, settings: Mapping[str, Any]) -> None:
        """Uploads the relay and starts the runner.

        Raises:
            SandboxError: That did not work out; the sandbox is of no use.

        """
        await self._cloud.upload(self._sandbox, ARCHIVE, archive)
        await self._attach("start", settings)
        self._later(self._carry())
        self._later(self._tend())

    def post(self, kind: str, data: bytes = b"") -> None:
        """Sends a line, now or as soon as there is a connection."""
        if self.over:
            return
        self._active = time.monotonic()
        if not self._lines.unheard:
            self._progress = self._active
        self._lines.wrap(kind, data)
        if self._lines.waiting > WINDOW and self._stream is not None:
            self.room.clear()
        self._changed.set()

    async def begin(self) -> None:
        """Before a run: the sandbox is awake and has its whole timeout before it.

        Raises:
            SandboxError: It is gone.

        """
        async with self._lock:
            if not self.over:
                try:
                    if self._paused:
                        await self._resume()
                    elif time.monotonic() - self._renewed > self._entry.timeout / 10:
                        await self._renew()
                except SandboxError as error:
                    self._fail(error)
        if self.failure is not None:
            raise self.failure
        self._running, self._active = True, time.monotonic()
        self._changed.set()

    def end(self) -> None:
        """After the start, and after a run."""
        self._running, self._active = False, time.monotonic()
        self._changed.set()

    def ask(self) -> None:
        """The program waits for one more answer of the server's."""
        self._asked += 1
        self._active = time.monotonic()
        self._changed.set()

    async def answer(self) -> None:
        """An answer is there. A paused sandbox is awake when this returns, or the link is over."""
        self._asked -= 1
        self._active = time.monotonic()
        if self._paused or self._lock.locked():
            async with self._lock:
                if self._paused and not self.over:
                    try:
                        await self._resume()
                    except SandboxError as error:
                        self._fail(error)

    def stop(self) -> None:
        """Nothing more is sent or handed over."""
        self._finish()

    async def aclose(self) -> None:
        """Stops everything on this side. The sandbox itself is the owner's to end."""
        self._finish()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._stream = None
        for stream in list(self._streams):
            await self._close(stream)

    # What comes

    async def _hear(self, stream_of: int, chunk: str) -> None:
        if self.over or stream_of != self._lines.epoch:
            return
        self._heard = time.monotonic()
        before = self._lines.heard
        try:
            messages = self._lines.take(chunk)
            self._inbox.put(messages)
        except ViolationError as violation:
            _logger.warning("the relay in the E2B sandbox %s broke the rules: %s", self.id, violation)
            self.status = EXIT_CHANNEL
            self._finish()
            return
        if self._lines.resumed:
            self._answered.set()
        if self._lines.heard > before:
            self._progress = self._heard
        if messages:
            self._active = self._heard
        if self._lines.waiting <= WINDOW:
            self.room.set()
        await asyncio.sleep(0)  # who floods us gets no more than its turn

    async def _carry(self) -> None:
        status = await self._inbox.carry(self._acknowledge)
        if not self.over:
            self.status = status
            self._finish()

    async def _acknowledge(self, n: int) -> None:
        if self._stream is not None:
            await self._stream.send(acknowledgement(n))

    # What takes time

    async def _tend(self) -> None:
        while not self.over:
            self._changed.clear()
            try:
                await self._look()
            except SandboxError as error:
                self._fail(error)
            except Exception:
                # Without this task a program would wait for ever.
                _logger.exception("the link to the E2B sandbox %s failed inside toolweft", self.id)
                self._fail(SandboxError("the connection to the E2B sandbox failed inside toolweft; see the log"))
            if not self.over:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), self._next_look())

    async def _look(self) -> None:
        async with self._lock:
            now = time.monotonic()
            if self.over:
                return
            if self._paused:
                if self._lines.unwritten:
                    await self._resume()
                return
            if self._stream is not None and self._lines.unheard and now - self._progress >= UNHEARD:
                await self._lose(self._stream)
            if self._stream is None:
                await self._recover()
            elif self._waits() and now - self._active >= self._entry.patience and not self._lines.unheard:
                await self._pause()
                return
            elif now - self._renewed >= self._entry.timeout / 3:
                await self._renew()
            if self._running and now - max(self._heard, self._active) >= PING and not self._lines.unheard:
                self._progress = now
                self._lines.wrap("ping")
            await self._write()

    def _next_look(self) -> float:
        """Seconds until time alone can change anything."""
        if self._paused:
            return 3600.0
        now = time.monotonic()
        due = [self._renewed + self._entry.timeout / 3]
        if self._lines.unheard:
            due.append(self._progress + UNHEARD)
        elif self._waits():
            due.append(self._active + self._entry.patience)
        elif self._running:
            due.append(max(self._heard, self._active) + PING)
        return max(min(due) - now, 0.01)

    def _waits(self) -> bool:
        """Nothing happens in the sandbox that we would not start: no program, or one that waits for an answer."""
        return self._pausable and (not self._running or self._asked > 0)

    async def _write(self) -> None:
        stream = self._stream
        if stream is None:
            return
        for line in self._lines.unsent():
            if not await stream.send(line):
                await self._lose(stream)
                self._changed.set()
                return

    async def _renew(self) -> None:
        self._renewed = time.monotonic()
        try:
            await self._cloud.renew(self.id)
        except GoneError:
            raise
        except SandboxError as error:
            _logger.warning("%s; its timeout goes on running", error)

    async def _pause(self) -> None:
        """Ends the stream first, from the other side: one that is open in a pause is a dead reader afterwards."""
        if (stream := self._stream) is not None:
            self._stream = None
            await stream.send(detachment())
            await asyncio.wait({stream.ended}, timeout=DETACH)
            await self._close(stream)
        try:
            await self._cloud.pause(self.id)
        except GoneError:
            raise
        except SandboxError as error:
            _logger.warning("%s; it goes on running, and costing", error)
            self._pausable = False
            await self._recover()
            return
        self._paused = True
        self.meter.stop()

    async def _resume(self) -> None:
        await self._recover()
        self._paused = False

    async def _recover(self) -> None:
        """Reconnects; what the sandbox or we said meanwhile is said again."""
        error: SandboxError | None = None
        for delay in RECOVERY:
            await asyncio.sleep(delay)
            if self.over:
                return
            try:
                self._sandbox = await self._cloud.connect(self.id)
                self.meter.start()
                self._renewed = time.monotonic()
                await self._attach("attach", {})
            except GoneError:
                raise
            except SandboxError as last:
                error = last
            else:
                return
        raise SandboxError(f"the connection to the E2B sandbox is lost and does not come back: {error}")

    async def _attach(self, mode: str, settings: Mapping[str, Any]) -> None:
        self._answered.clear()
        first = self._lines.begin()
        epoch = self._lines.epoch
        stream = await self._cloud.stream(
            self._sandbox, ARCHIVE, mode, settings, lambda chunk: self._hear(epoch, chunk)
        )
        self._streams.add(stream)
        answered = asyncio.ensure_future(self._answered.wait())
        try:
            await stream.send(first)
            await asyncio.wait({stream.ended, answered}, timeout=ANSWER, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise _no_answer(stream.ended.result() if stream.ended.done() else None, stream.said)
        except BaseException:
            await self._close(stream)
            raise
        finally:
            answered.cancel()
        if self.over:
            await self._close(stream)
            return
        self._stream = stream
        self._heard = self._progress = time.monotonic()
        self._later(self._watch(stream))
        await stream.send(acknowledgement(self._inbox.delivered))
        await self._write()

    async def _watch(self, stream: Stream) -> None:
        """Notices the end of a stream that we did not end."""
        await asyncio.wait({stream.ended})
        if self._stream is not stream or self.over:
            return
        if stream.ended.cancelled() or stream.ended.result() is None:
            self._stream = None
            self._later(self._close(stream))
            self._changed.set()
        elif not self._inbox.ends:
            # The relay never ends before the runner: somebody ended it.
            self.status = -9
            self._finish()

    async def _lose(self, stream: Stream) -> None:
        self._stream = None
        self.room.set()
        await self._close(stream)

    async def _close(self, stream: Stream) -> None:
        await stream.aclose()
        self._streams.discard(stream)

    def _fail(self, error: SandboxError) -> None:
        if not self.over:
            self.failure = error
            self._finish()

    def _finish(self) -> None:
        if not self.over:
            self.over, self.cut = True, self._stream is None and not self._paused
            self.meter.stop()
            self.room.set()
            self._changed.set()
            self._tell()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _no_answer(status: int | None, said: str) -> SandboxError:
    if status is None:
        return SandboxError(f"the runner in the E2B sandbox did not answer within {ANSWER:g} s. It said: {said!r}")
    return GoneError(f"the runner in the E2B sandbox ended with exit status {status}. It said: {said!r}")
