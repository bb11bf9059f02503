"""The server's hold on Monty's workers: they end with it, however it ends, and the kernel limits what they can take.

Monty's client starts the workers itself, so nothing can be done in a worker before it runs: what is done is done from
outside, before its first program.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

import anyio

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty import guard

ADDRESS_SPACE = 1 << 30
"""Bytes. Monty counts what a program holds itself; this is for what it does not count."""
OPEN_FILES = 3
"""What a worker has from its start. It opens nothing."""
OOM_SCORE = "900"
"""When memory ends, the system ends a worker first."""
END_GRACE = 2.0
"""Seconds for the guard to end after its pipe was closed."""
SETTLE = 0.1
"""Seconds for Monty's threads to notice workers that were ended at the very last moment."""
SETTLE_GRACE = 1.0
"""Seconds that Monty's threads may take to leave Python."""


class Workers:
    """The workers of one pool, and the guard that ends them when we cannot. Lives on one event loop."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the guard.

        Raises:
            SandboxError: It does not start.

        """
        command = [sys.executable, "-I", "-S", guard.__file__]
        try:
            self._guard = subprocess.Popen(
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SandboxError(f"the guard of Monty's workers does not start: {error}") from error
        atexit.register(self._at_exit)

    def hold(self, pid: int, limits: Limits) -> None:
        """From now on the worker ends with us. A guard that somebody ended is replaced.

        Raises:
            SandboxError: There is no guard and none starts.

        """
        confine(pid, limits)
        self._held.add(pid)
        if not self._tell(f"+{pid}\n"):
            self._let_go_of_guard()
            self.start()
            self._tell("".join(f"+{each}\n" for each in self._held))

    def release(self, pid: int) -> None:
        """The worker was ended."""
        if pid in self._held:
            self._held.remove(pid)
            self._tell(f"-{pid}\n")

    async def aclose(self) -> None:
        """To be called when Monty's pool is closed."""
        atexit.unregister(self._at_exit)
        process = self._guard
        if process is not None and process.stdin is not None:
            process.stdin.close()
            with anyio.move_on_after(END_GRACE):
                while process.poll() is None:  # noqa: ASYNC110  (a child that was started without asyncio tells nobody)
                    await anyio.sleep(0.005)
        self._let_go_of_guard()
        with anyio.move_on_after(SETTLE_GRACE):
            while _telling():  # noqa: ASYNC110  (they set no event)
                await anyio.sleep(0.001)

    def _tell(self, lines: str) -> bool:
        if self._guard is None or self._guard.stdin is None or self._guard.poll() is not None:
            return False
        try:
            self._guard.stdin.write(lines.encode())
        except OSError:
            return False
        return True

    def _let_go_of_guard(self) -> None:
        atexit.unregister(self._at_exit)
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None

    def _at_exit(self) -> None:
        """Nobody closed us."""
        for pid in self._held:
            with suppress(OSError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self._let_go_of_guard()
        time.sleep(SETTLE)
        until = time.monotonic() + SETTLE_GRACE
        while _telling() and time.monotonic() < until:
            time.sleep(0.001)


def _telling() -> bool:
    """Whether a thread of Monty's is still inside Python, where it tells an event loop that a turn has ended.

    The loop may have long gone on. Python before 3.14 ends such a thread when the process exits, and with it, as
    there are frames below that are not C's, the process: SIGABRT or SIGBUS.
    """
    ours = {each.ident for each in threading.enumerate()}
    frames = sys._current_frames().items()  # noqa: SLF001  (documented, despite its name)
    return any(_within(frame, "call_soon_threadsafe") for ident, frame in frames if ident not in ours)


def _within(frame: FrameType | None, name: str) -> bool:
    while frame is not None:
        if frame.f_code.co_name == name:
            return True
        frame = frame.f_back
    return False


def confine(pid: int, limits: Limits) -> None:
    """The kernel's limits on a worker, on Linux and as far as we may: processor time, memory, files, core files."""
    if sys.platform != "linux":
        return
    import resource

    for which, soft, hard in (
        (resource.RLIMIT_CPU, limits.session_cpu, limits.session_cpu + 1),
        (resource.RLIMIT_AS, ADDRESS_SPACE, ADDRESS_SPACE),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        with suppress(OSError):
            ceiling = resource.prlimit(pid, which)[1]
            known = ceiling != resource.RLIM_INFINITY
            resource.prlimit(pid, which, (min(soft, ceiling), min(hard, ceiling)) if known else (soft, hard))
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
        file.write(OOM_SCORE)
