"""The `unsafe-process` backend: a child process of its own, without isolation by the operating system.

Covered: programs never run in the server's process; a crash, an endless loop, a flood of output or memory ends the
child alone; the environment is scrubbed, descriptors are closed, limits are set, everything dies with the server.
Not covered: files, network and other processes of the person are as reachable for a program as for the person.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.folders import remove
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.process import Process

RUNNER = Path(__file__).parent.parent / "runner.py"
PREFIX = "toolweft-run-"


class UnsafeProcess:
    """Starts a child for each session. `open` must be called on the thread of the event loop that goes on to serve
    the session: Linux ends a child with the *thread* that started it.
    """

    name = "unsafe-process"

    def __init__(self, *, folder: Path | None = None) -> None:
        self._folder = folder
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
            sweep(base)
        process = start(base, lambda _folder, fd: command(fd, limits), kind=Process)
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
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))
        (folder / ".tmp").mkdir()
    except OSError as error:
        raise SandboxError(f"no work directory could be made in {str(base)!r}: {error}") from error
    ours, theirs = socket.socketpair()
    out, out_child = os.pipe()
    err, err_child = os.pipe()
    try:
        popen = subprocess.Popen(
            command(folder, theirs.fileno()),
            stdin=subprocess.DEVNULL, stdout=out_child, stderr=err_child, pass_fds=[theirs.fileno(), *passed],
            cwd=folder, env=_environment(folder), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        ours.close()
        os.close(out)
        os.close(err)
        shutil.rmtree(folder, ignore_errors=True)
        raise SandboxError(f"no process could be started for a program: {error}") from error
    finally:
        theirs.close()
        os.close(out_child)
        os.close(err_child)
    ours.setblocking(False)
    os.set_blocking(out, False)
    os.set_blocking(err, False)
    return kind(popen, ours, (out, err), folder)


def command(fd: int, limits: Limits) -> list[str]:
    """What starts the runner, unconfined."""
    # The base interpreter: a virtual environment's would look for its packages, which programs do not get.
    python = getattr(sys, "_base_executable", None) or sys.executable
    settings = json.dumps({"fd": fd, "parent": os.getpid(), "rlimits": rlimits(limits), "forget": ["MALLOC_ARENA_MAX"]})
    return [python, "-I", "-S", "-B", "-X", "utf8", str(RUNNER), settings]


def rlimits(limits: Limits) -> dict[str, tuple[int, int]]:
    """Soft and hard limit by name. A second between both for CPU: the first signal tells why the child ended."""
    return {
        "RLIMIT_AS": (limits.memory, limits.memory),
        "RLIMIT_CPU": (limits.session_cpu, limits.session_cpu + 1),
        "RLIMIT_FSIZE": (limits.file_size, limits.file_size),
        "RLIMIT_NOFILE": (limits.open_files, limits.open_files),
        "RLIMIT_CORE": (0, 0),
    }


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of ours but the four names; the allocator's setting is taken out again by the child.

    It keeps threads within the address space: each arena of the C library reserves 64 MiB of it.
    """
    return {
        "HOME": str(folder), "TMPDIR": str(folder / ".tmp"), "LANG": "C.UTF-8", "PYTHONUTF8": "1",
        "MALLOC_ARENA_MAX": "2",
    }  # fmt: skip


def sweep(base: Path, prefix: str = PREFIX) -> None:
    """Removes work directories of servers that died without a chance to. Errors are left to the next sweep."""
    with contextlib.suppress(OSError):
        for folder in base.glob(f"{prefix}*"):
            owner = folder.name.removeprefix(prefix).partition("-")[0]
            if owner.isdigit() and not _runs(int(owner)) and folder.lstat().st_uid == os.getuid():
                remove(folder)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
