"""`Process`: the `Child` that a backend starts by itself.

All signals go to the child's process group, and the group is signalled before its leader is reaped, so that no signal
can reach a stranger who got the same number.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread

from toolweft_server.sandbox.folders import remove

_REAP_STEP = 0.002
_REAP_LIMIT = 5.0


@dataclass(slots=True)
class Process:
    """A running child. `ended` is its exit status once it has been reaped."""

    popen: subprocess.Popen[bytes]
    channel: socket.socket
    """Non-blocking, ours of the pair."""
    outputs: tuple[int, int]
    """Read ends of stdout and stderr, non-blocking."""
    folder: Path
    """Its work directory, removed with it. Never looked into."""
    lock: int
    """Tells other servers that the directory is in use."""
    guarded: bool = False
    """The kernel ends it with us even while it is frozen; only then it may be frozen."""
    ended: int | None = None
    _frozen: bool = field(default=False)

    @property
    def alive(self) -> bool:
        """Whether the child still runs. Does not reap it."""
        if self.ended is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    def signal(self, number: int) -> None:
        """To the whole group."""
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, number)

    def interrupt(self) -> None:
        """SIGINT for the child alone: what it started is not what runs the program."""
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.popen.pid, signal.SIGINT)

    def freeze(self) -> None:
        """Stops left-over threads until the next run."""
        if self.guarded and not self._frozen:
            self.signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self.signal(signal.SIGCONT)
            self._frozen = False

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def cpu(self) -> float | None:
        """Processor seconds of the child so far, where the system tells cheaply (Linux)."""
        return processor_seconds(self.popen.pid)

    async def aclose(self) -> int:
        """Kills the group, reaps the child, removes its work directory. Idempotent; returns the exit status."""
        if self.ended is not None:
            return self.ended
        with anyio.CancelScope(shield=True):
            self.kill()
            status = await self._reap()
            if self.ended is None:  # another task may have closed it meanwhile, and the numbers are free again
                self.ended = status
                self.channel.close()
                for fd in self.outputs:
                    os.close(fd)
                try:
                    await to_thread.run_sync(remove, self.folder)
                finally:
                    os.close(self.lock)
        return status

    async def exit_status(self) -> int:
        """The child's own exit status when it ends by itself; kills what is left of its group."""
        if self.ended is None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                while self.alive:  # noqa: ASYNC110  (no event tells of an exit on every platform)
                    await anyio.sleep(_REAP_STEP)
        return await self.aclose()

    async def _reap(self) -> int:
        with anyio.move_on_after(_REAP_LIMIT, shield=True):
            while (status := self.popen.poll()) is None:  # noqa: ASYNC110  (the same)
                await anyio.sleep(_REAP_STEP)
            return status
        return -signal.SIGKILL


def processor_seconds(pid: int) -> float | None:
    """What a process has used so far; `None` where the system does not tell (Linux does), or it is gone."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
