"""`CloudChild`: a runner in a cloud sandbox as the broker sees it, a socket and two outputs on this machine.

Passes the contract of `sandbox.child.Child`. What it says is as little trusted as what a child here says: the link
checks its own lines, and the broker the frames in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.e2b.cloud import Cloud
from toolweft_server.sandbox.e2b.lines import PIECE
from toolweft_server.sandbox.e2b.link import Link
from toolweft_server.sandbox.e2b.records import Records
from toolweft_server.sandbox.e2b.settings import E2BEntry

if TYPE_CHECKING:
    from e2b import AsyncSandbox

EXIT_WAIT = 5.0
"""Seconds for the exit status to come after the end of the frames."""

_logger = logging.getLogger(__name__)


class CloudChild:
    def __init__(self, cloud: Cloud, sandbox: AsyncSandbox, entry: E2BEntry, records: Records) -> None:
        self._cloud, self._records = cloud, records
        self.guarded = True  # by its relay, which no runner outlives
        self.channel, channel = socket.socketpair()
        out, out_far = socket.socketpair()
        err, err_far = socket.socketpair()
        self.outputs = (out, err)
        self._far = {"frames": channel, "out": out_far, "err": err_far}
        for each in (self.channel, *self.outputs, *self._far.values()):
            each.setblocking(False)
        self.link = Link(cloud, sandbox, entry, self._deliver, self._over)
        self._ended = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None
        self._closing = asyncio.Lock()  # two that close it both wait for its end
        self._closed = False

    async def start(self, archive: bytes, settings: Mapping[str, Any]) -> None:
        """Raises:
        SandboxError: The runner did not start. The child is to be closed.

        """
        await self.link.start(archive, settings)
        self._pump = asyncio.get_running_loop().create_task(self._send())

    @property
    def alive(self) -> bool:
        return not self.link.over

    def interrupt(self) -> None:
        self.link.post("int")

    def freeze(self) -> None:
        self.link.post("stop")

    def thaw(self) -> None:
        self.link.post("go")

    def kill(self) -> None:
        """Ends the whole sandbox."""
        self.link.stop()
        if self._killing is None:
            self._killing = asyncio.get_running_loop().create_task(self._end())

    def cpu(self) -> float:
        return self.link.cpu

    async def exit_status(self) -> int:
        """See `Child`.

        Raises:
            SandboxError: The sandbox was lost: nothing is known of the program.

        """
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), EXIT_WAIT)
            status = await self.aclose()
        if self.link.failure is not None:
            raise self.link.failure
        return status

    async def aclose(self) -> int:
        with anyio.CancelScope(shield=True):
            async with self._closing:
                if not self._closed:
                    self._closed = True
                    self.kill()
                    await self.link.aclose()
                    if self._pump is not None:
                        self._pump.cancel()
                        await asyncio.gather(self._pump, return_exceptions=True)
                    for each in (self.channel, *self.outputs, *self._far.values()):
                        each.close()
                    assert self._killing is not None
                    await self._killing
        return self.link.status if self.link.status is not None else -_SIGKILL

    async def _send(self) -> None:
        """What the broker writes goes to the runner."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._far["frames"], PIECE):
                self.link.post("in", data)
                await self.link.room.wait()

    async def _deliver(self, kind: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._far[kind], data)

    def _over(self) -> None:
        """No more will come: the broker reads what is there, and the end."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._far["frames"].shutdown(socket.SHUT_RDWR)

    async def _end(self) -> None:
        try:
            await self._cloud.kill(self.link.id)
        except SandboxError as error:
            _logger.warning("%s; it ends with its timeout, or at the next start of the server", error)
        else:
            self._records.remove(self.link.id)


_SIGKILL: int = getattr(signal, "SIGKILL", 9)
