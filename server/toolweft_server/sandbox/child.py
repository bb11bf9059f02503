"""`Child`: what the broker needs of a process in which programs run, whoever started and confined it.

`process.py` has the child that we start ourselves, `forked.py` the one that a zygote forks.
"""

from __future__ import annotations

import socket
from typing import Protocol


class Child(Protocol):
    channel: socket.socket
    """Non-blocking, ours of the pair: frames."""
    guarded: bool
    """The kernel ends it with us even while it is frozen; only then it may be frozen."""

    @property
    def outputs(self) -> tuple[int | socket.socket, int | socket.socket]:
        """Read ends of stdout and stderr, non-blocking; sockets where the child is not on this machine."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it still runs. Does not reap it."""
        ...

    def interrupt(self) -> None:
        """Tells the program that its time is up, so that the session's variables can survive."""
        ...

    def freeze(self) -> None:
        """Stops left-over threads until the next run."""
        ...

    def thaw(self) -> None: ...

    def kill(self) -> None:
        """Ends it at once, and all that it started."""
        ...

    def cpu(self) -> float | None:
        """Processor seconds so far, where the system tells cheaply."""
        ...

    async def aclose(self) -> int:
        """Kills and reaps it, and closes what belongs to it. Idempotent; the exit status, -N for signal N."""
        ...

    async def exit_status(self) -> int:
        """Its own exit status when it ends by itself within a moment; else as `aclose`."""
        ...
