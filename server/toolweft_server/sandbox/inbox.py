"""`Inbox`: what a child has written to its socket, for one reader on one event loop."""

from __future__ import annotations

import asyncio
import socket

import anyio

LARGEST = 256 * 1024
"""Bytes taken at a time."""


class Inbox:
    """Registers with the event loop once for a whole run.

    `anyio.wait_readable` does so for each wait, which costs two system calls and three turns of the loop: as much as
    all that a tool call needs besides. Nothing is read ahead: what nobody waits for stays in the socket.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self._fd = channel, channel.fileno()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._got: bytes | None = None

    def now(self) -> bytes | None:
        """What is there; `b""` at the end, `None` when there is nothing yet."""
        if self._got is not None:
            got, self._got = self._got, None
            return got
        try:
            return self._channel.recv(LARGEST)
        except BlockingIOError:
            return None
        except ConnectionError:
            return b""

    async def wait(self) -> bytes:
        """What is there when something is; `b""` at the end. A wait that is cancelled loses nothing."""
        while (got := self._got if self._loop else self.now()) is None:
            loop = asyncio.get_running_loop()
            if self._loop is None:
                try:
                    loop.add_reader(self._fd, self._read)
                except NotImplementedError:  # the loop of Windows has none; anyio's threads have
                    await anyio.wait_readable(self._channel)
                    continue
                self._loop = loop
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._got = None
        return got

    def close(self) -> None:
        """The loop looks no longer; before the socket is closed. Idempotent."""
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None

    def _read(self) -> None:
        if self._waiter is None or self._got is not None:
            self.close()  # the loop would turn for nobody
            return
        self._got = self.now()
        if not self._waiter.done():
            self._waiter.set_result(None)
