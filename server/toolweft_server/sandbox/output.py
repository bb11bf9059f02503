"""`Output`: one raw pipe of a child (stdout or stderr), of which the beginning is kept.

Bytes, not frames: whatever writes to the descriptor is caught, be it Python, C or a process that the program started.
"""

from __future__ import annotations

import os
import socket

import anyio
import anyio.lowlevel

FLOOD = 16
"""Times the cap that end the program: a print loop, not a report."""

_READ = 64 * 1024


class Output:
    def __init__(self, source: int | socket.socket, *, cap: int) -> None:
        """`source` does not block. A socket stands for a pipe where the child is not on this machine."""
        self._source, self._cap = source, cap
        self._kept = bytearray()
        self._count = 0
        self.flood = FLOOD * cap

    @property
    def cut(self) -> bool:
        return self._count > self._cap

    async def pump(self) -> None:
        """Reads until it is cancelled; returns when there was too much."""
        while self._count <= self.flood:
            match self._take():
                case None:
                    await anyio.wait_readable(self._source)
                case 0:
                    await anyio.sleep_forever()
                case _:
                    await anyio.lowlevel.checkpoint()

    def drain(self) -> None:
        """Takes what is in the pipe now, and no more than a flood of it."""
        while self._count <= self.flood and self._take():
            pass

    def drained(self) -> str:
        self.drain()
        return self.text()

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def _take(self) -> int | None:
        """Bytes read; `None` when there are none yet, 0 at the end."""
        try:
            data = os.read(self._source, _READ) if isinstance(self._source, int) else self._source.recv(_READ)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        self._count += len(data)
        self._kept += data[: max(0, self._cap - len(self._kept))]
        return len(data)
