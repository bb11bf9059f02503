"""Our client's stdio: starts an upstream on its leash and speaks JSON-RPC lines with it.

Unlike the SDK's transport it lets the whole family die with us (`leash`), survives what some servers print to stdout,
bounds the length of a line and keeps the end of stderr for diagnosis. Lines are `lines`, programs `command`.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from toolweft_server.upstream import leash
from toolweft_server.upstream.command import StdioEntry, find
from toolweft_server.upstream.evidence import Evidence
from toolweft_server.upstream.lines import MAX_LINE, Lines, encode, understand

FLUSH, GRACE, END = 0.5, 2.0, 4.0
"""Seconds for accepted messages to leave, for the upstream to end by itself, for the leash to end it."""


@asynccontextmanager
async def stdio(entry: StdioEntry, evidence: Evidence) -> AsyncGenerator[TransportStreams]:
    """Starts the command and yields the streams of the SDK's client. Leaving ends it, bounded in time.

    Raises:
        NotFoundError: There is no such program, or it may not be executed, or `cwd` is no folder.
        OSError: The system would not start another process.

    """
    command = find(entry)
    to_client, inbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outbox, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks:
        child = await _Child.start([command, *entry.args], entry, evidence)
        for work in (
            partial(child.read_messages, to_client),
            partial(child.write_messages, from_client, to_client),
            child.read_stderr,
            child.watch,
        ):
            tasks.start_soon(child.do, work)
        try:
            yield inbox, outbox
        finally:
            with anyio.CancelScope(shield=True):
                inbox.close()
                outbox.close()
                await child.stop()
                to_client.close()
                from_client.close()
            tasks.cancel_scope.cancel()


class _Child:
    """One started upstream: its pipes, its leash, and the order in which they end."""

    def __init__(self, process: Process, lifeline: socket.socket | None, evidence: Evidence) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._lifeline, self._evidence = process, lifeline, evidence
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._written, self._read, self._gone = anyio.Event(), anyio.Event(), anyio.Event()
        self._work: list[anyio.CancelScope] = []

    @classmethod
    async def start(cls, command: list[str], entry: StdioEntry, evidence: Evidence) -> _Child:
        if sys.platform == "win32":
            return cls(await anyio.open_process(command, env=entry.environment(), cwd=entry.cwd), None, evidence)
        ours, theirs = socket.socketpair()
        with theirs:
            # Neither end is inheritable: `theirs` reaches the leash because it is named, `ours` reaches nobody.
            held = str(theirs.fileno())
            try:
                process = await anyio.open_process(
                    [sys.executable, "-I", "-S", leash.__file__, held, "--", *command],
                    env=entry.environment(),
                    cwd=entry.cwd,
                    start_new_session=True,
                    pass_fds=[theirs.fileno()],
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, ours, evidence)

    async def do(self, work: Callable[[], Awaitable[None]]) -> None:
        """Goes on when the caller is cancelled: without its pipes being served, a process cannot end in peace."""
        with anyio.CancelScope(shield=True) as scope:
            self._work.append(scope)
            await work()

    async def read_messages(self, deliver: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        lines = Lines(MAX_LINE)
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
            async with deliver:
                async for chunk in _chunks(self._stdout):
                    for line in lines.feed(chunk):
                        for message in understand(line, self._evidence):
                            await deliver.send(SessionMessage(message))
                self._read.set()
        # A server that is still writing must not block on a full pipe: it would miss its chance to end.
        async for _ in _chunks(self._stdout):
            pass

    async def write_messages(
        self,
        messages: MemoryObjectReceiveStream[SessionMessage],
        deliver: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        try:
            async with messages:
                async for each in messages:
                    await self._stdin.send(encode(each.message))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            # Nobody reads any more: the client must see an end, not wait for an answer.
            deliver.close()
        finally:
            self._written.set()

    async def read_stderr(self) -> None:
        async for chunk in _chunks(self._stderr):
            self._evidence.stderr(chunk)

    async def watch(self) -> None:
        """Notices the end of the process, whoever still holds its pipes."""
        if self._lifeline is None:
            await self._process.wait()
        else:
            with suppress(OSError, anyio.ClosedResourceError):
                while said := await _receive(self._lifeline):
                    self._evidence.cannot_start = said.decode("utf-8", "replace").partition(" ")[2].strip()
        self._gone.set()
        await self._collect()
        with anyio.move_on_after(FLUSH):
            await self._read.wait()
        await self._close(self._stdout)

    async def stop(self) -> None:
        """Closes stdin, waits, lets the leash end the family, waits, ends the leash. Every wait is bounded."""
        with anyio.move_on_after(FLUSH):
            await self._written.wait()
        if self._read.is_set():
            with anyio.move_on_after(FLUSH):
                await self._gone.wait()
        self._evidence.ended_by_itself = self._gone.is_set()
        await self._close(self._stdin)
        with anyio.move_on_after(GRACE):
            await self._gone.wait()
        if not self._gone.is_set():
            if self._lifeline is None:
                self._process.kill()
            else:
                # The watcher reads this end, so it is shut, not closed: the leash sees the same.
                with suppress(OSError):
                    self._lifeline.shutdown(socket.SHUT_WR)
            with anyio.move_on_after(END):
                await self._gone.wait()
        await self._collect()
        for stream in (self._stdout, self._stderr):
            await self._close(stream)
        for scope in self._work:
            scope.cancel()
        # A turn for the watcher, so that nobody waits on the lifeline when it closes.
        await anyio.lowlevel.checkpoint()
        if self._lifeline is not None:
            self._lifeline.close()

    async def _collect(self) -> None:
        """Takes the exit code, and whoever a leash that was killed left behind."""
        if not self._gone.is_set():
            with suppress(ProcessLookupError):
                self._process.kill()
        with anyio.move_on_after(1):
            # Not `wait()`: that waits for the pipes, too, and a stranger may hold them.
            while self._process.returncode is None:  # noqa: ASYNC110  (asyncio offers no event for it)
                await anyio.sleep(0.01)
        self._evidence.exit_code = self._process.returncode
        if self._process.returncode is not None and self._process.returncode < 0 and self._lifeline is not None:
            leash.end_session(self._process.pid)

    @staticmethod
    async def _close(stream: anyio.abc.AsyncResource) -> None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await stream.aclose()


async def _receive(lifeline: socket.socket) -> bytes:
    while True:
        await anyio.wait_readable(lifeline)
        with suppress(BlockingIOError):
            return lifeline.recv(4096)


async def _chunks(stream: ByteReceiveStream) -> AsyncGenerator[bytes]:
    with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        while True:
            yield await stream.receive()
