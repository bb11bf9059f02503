"""SIGINT is how the server says "time is up": it becomes `KeyboardInterrupt` in the program and nowhere else."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Turns SIGINT into `KeyboardInterrupt` while armed; holds it back while a frame is being written.

    All state is the main thread's: Python runs signal handlers there only.
    """

    def __init__(self) -> None:
        self.armed = False
        self._shields = 0
        self._late = False

    def install(self) -> None:
        """Again before each run: a program may have replaced the handler."""
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature is Python's)
        if self._shields:
            self._late = True
        elif self.armed:
            raise KeyboardInterrupt

    @contextmanager
    def shield(self) -> Iterator[None]:
        """No interrupt inside the block, so that no frame is torn; one that came is raised after it."""
        if threading.get_ident() != threading.main_thread().ident:
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._late and self.armed:
            self._late = False
            raise KeyboardInterrupt

    def disarm(self) -> None:
        self.armed = self._late = False
