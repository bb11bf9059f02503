"""`Output`: one raw pipe of a child (stdout or stderr), of which the beginning is kept.

Bytes, not frames: whatever writes to the descriptor is caught, be it Python, C or a process that the program started.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

FLOOD = 16
"""Times the cap that end the program: a print loop, not a report."""

_READ = 64 * 1024
_AGAIN = 0.05


class Output:
    def __init__(self, source: int | socket.socket, *, cap: int) -> None:
        """`source` does not block. A socket stands for a pipe where the child is not on this machine."""
        self._source, self._cap = source, cap
        self._kept = bytearray()
        self._count = 0
        self._fd = source if isinstance(source, int) else source.fileno()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None
        self.flood = FLOOD * cap

    @property
    def cut(self) -> bool:
        return self._count > self._cap

    def watch(self, flooded: Callable[[], None]) -> None:
        """Reads whenever something is there, until `ignore`; calls `flooded` when there was too much."""
        self._loop = asyncio.get_running_loop()
        try:
            self._loop.add_reader(self._fd, self._ready, flooded)
            self._reading = True
        except NotImplementedError:  # the loop of Windows has none
            self._poll(flooded)

    def ignore(self) -> None:
        """Nothing more is read, unless by `drain`. To be called before the descriptor is closed. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._reading and self._loop is not None:
            self._loop.remove_reader(self._fd)
        self._loop = None

    def drain(self) -> None:
        """Takes what is in the pipe now, and no more than a flood of it."""
        while self._count <= self.flood and self._take():
            pass

    def drained(self) -> str:
        self.drain()
        return self.text()

    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def _ready(self, flooded: Callable[[], None]) -> None:
        if self._take() == 0:
            self.ignore()
        if self._count > self.flood:
            self.ignore()
            flooded()

    def _poll(self, flooded: Callable[[], None]) -> None:
        self._ready(flooded)
        if self._loop is not None:
            self._timer = self._loop.call_later(_AGAIN, self._poll, flooded)

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
