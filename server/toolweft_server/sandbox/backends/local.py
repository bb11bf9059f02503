"""The `unsafe-process` backend: a child process of its own, without isolation by the operating system.

Covered: programs never run in the server's process; a crash, an endless loop, a flood of output or memory ends the
child alone; the environment is scrubbed, descriptors are closed, limits are set, everything dies with the server.
Not covered: files, network and other processes of the person are as reachable for a program as for the person.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from anyio import to_thread

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import folders
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.ends import Ends
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.process import Process

if TYPE_CHECKING:
    from toolweft_server.sandbox.packages import Environment

RUNNER = Path(__file__).parent.parent / "runner.py"
PREFIX = "toolweft-run-"
SIGNALS = 64
"""Signals and timers of a program that wait: more than the standard ones, of which each kind waits once."""


class UnsafeProcess:
    """Starts a child for each session. `open` must be called on the thread of the event loop that goes on to serve
    the session: Linux ends a child with the *thread* that started it.
    """

    name = "unsafe-process"

    def __init__(self, *, packages: Environment | None = None, folder: Path | None = None) -> None:
        self._packages, self._folder = packages, folder
        self._swept = False

    async def open(self, limits: Limits) -> ChildSession:
        """A waiting session.

        Raises:
            SandboxError: The platform cannot, or the child did not start.

        """
        if sys.platform == "win32":
            raise SandboxError(
                "the sandbox backend 'unsafe-process' does not work on Windows; configure another in `sandbox`"
            )
        base = self._folder or Path(tempfile.gettempdir())
        if not self._swept:
            self._swept = True
            await to_thread.run_sync(folders.sweep, base, PREFIX)
        process = start(base, lambda _folder, fd: command(fd, limits, self._packages), kind=Process)
        session = ChildSession(process, limits)
        await session.start()
        return session

    async def self_check(self) -> Sequence[Finding]:
        from toolweft_server.sandbox.self_check import check

        return [*await check(self), Finding("isolated", ok=False, detail=NOT_ISOLATED)]

    async def aclose(self) -> None:
        pass


NOT_ISOLATED = (
    "programs can read this user's files and reach the network: the backend 'unsafe-process' does not isolate"
)


P = TypeVar("P", bound=Process)


def start(base: Path, command: Callable[[Path, int], Sequence[str]], *, passed: Sequence[int] = (), kind: type[P]) -> P:
    """One child, started on the calling thread: `command` gets its work directory and the number of its frame socket.

    Raises:
        SandboxError: No directory could be made in `base`, or the command did not start.

    """
    try:
        folder, lock = folders.make(base, PREFIX)
    except OSError as error:
        raise SandboxError(f"no work directory could be made in {str(base)!r}: {error}") from error
    with contextlib.ExitStack() as undo:
        undo.callback(folders.remove, folder)
        undo.callback(os.close, lock)
        ends = Ends.open()
        undo.callback(ends.close_ours)
        try:
            (folder / ".tmp").mkdir()
            popen = subprocess.Popen(
                command(folder, ends.theirs.fileno()),
                stdin=subprocess.DEVNULL, stdout=ends.writers[0], stderr=ends.writers[1],
                pass_fds=[ends.theirs.fileno(), *passed], cwd=folder, env=_environment(folder), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SandboxError(f"no process could be started for a program: {error}") from error
        finally:
            ends.close_theirs()
        undo.pop_all()
    return kind(popen, ends.channel, ends.outputs, folder, lock)


def command(fd: int, limits: Limits, packages: Environment | None = None) -> list[str]:
    """What starts the runner, unconfined."""
    # The base interpreter: a virtual environment's would look for its packages, which programs do not get.
    python = getattr(sys, "_base_executable", None) or sys.executable
    settings = {
        "fd": fd, "parent": os.getpid(), "rlimits": rlimits(limits), "forget": ["MALLOC_ARENA_MAX"],
        "packages": str(packages.path) if packages else None, "modules": packages.modules if packages else (),
    }  # fmt: skip
    return [python, "-I", "-S", "-B", "-X", "utf8", str(RUNNER), json.dumps(settings)]


def rlimits(limits: Limits) -> dict[str, tuple[int, int]]:
    """Soft and hard limit by name. A second between both for CPU: the first signal tells why the child ended."""
    return {
        "RLIMIT_AS": (limits.memory, limits.memory),
        "RLIMIT_CPU": (limits.session_cpu, limits.session_cpu + 1),
        "RLIMIT_FSIZE": (limits.file_size, limits.file_size),
        "RLIMIT_NOFILE": (limits.open_files, limits.open_files),
        "RLIMIT_CORE": (1, 1),  # no file is that small, and 0 would not stop a core that is piped to a program
        # Counted for the server's user as a whole: what a program queued there, the server would lack.
        "RLIMIT_SIGPENDING": (SIGNALS, SIGNALS),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (0, 0),
    }


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of ours but the four names; the allocator's setting is taken out again by the child.

    It keeps threads within the address space: each arena of the C library reserves 64 MiB of it.
    """
    return {
        "HOME": str(folder), "TMPDIR": str(folder / ".tmp"), "LANG": "C.UTF-8", "PYTHONUTF8": "1",
        "MALLOC_ARENA_MAX": "2",
    }  # fmt: skip
