"""The `bwrap` backend, where only an installed bubblewrap may make namespaces: one of it around each child.

The same runner inside, whose own steps need no right: Landlock, seccomp, limits. Of the system's libraries exactly
those files are bound that the interpreter loads, never a whole folder of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import folders
from toolweft_server.sandbox.backends import local
from toolweft_server.sandbox.backends.linux import INSIDE, hidden, interpreter, second_wall, standard_library
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.process import Process, processor_seconds

if TYPE_CHECKING:
    from toolweft_server.sandbox.packages import Environment

LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
"""Where executables say that their loader is."""
OURS = "/toolweft"
"""Where the runner lies inside."""
PATIENCE = 60.0
_FILES = """
import sys
sys.path.insert(0, sys.argv[1])
from linux import preload
preload.load()
print(*preload.files(), sep="\\n")
"""


@dataclass(slots=True)
class Wrapped(Process):
    """The child that we started is bubblewrap's; the program runs in a child of that."""

    inner: int = 0

    def interrupt(self) -> None:
        if self.ended is None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.inner, signal.SIGINT)

    def cpu(self) -> float | None:
        return processor_seconds(self.inner)


class BwrapSandbox:
    """`open` must be called on the thread of the event loop that goes on to serve the session."""

    name = "bwrap"

    def __init__(self, *, packages: Environment | None = None, folder: Path | None = None) -> None:
        self._packages = packages
        self._folder = folder or Path(tempfile.gettempdir())
        self._files: Sequence[str] | None = None
        self._swept = False

    async def open(self, limits: Limits) -> ChildSession:
        """A waiting session.

        Raises:
            SandboxError: There is no bubblewrap, the kernel refuses it, or the child did not start.

        """
        program = shutil.which("bwrap") if sys.platform.startswith("linux") else None
        if program is None:
            raise SandboxError("there is no `bwrap` on PATH; install the package bubblewrap")
        if not self._swept:
            self._swept = True
            await to_thread.run_sync(folders.sweep, self._folder, local.PREFIX)
        if self._files is None:
            self._files = await _loaded()
        told, tell = os.pipe()
        try:
            process = local.start(
                self._folder,
                lambda folder, fd: self._command(program, folder, fd, tell, limits),
                passed=[tell],
                kind=Wrapped,
            )
        except BaseException:
            os.close(told)
            raise
        finally:
            os.close(tell)
        session = ChildSession(process, limits)
        try:
            await session.start()
            process.inner = int(json.loads(os.read(told, 4096))["child-pid"])
        except (ValueError, KeyError, TypeError) as error:
            await session.aclose()
            raise SandboxError(f"{program} does not say which process it started; is it bubblewrap?") from error
        finally:
            os.close(told)
        return session

    async def self_check(self) -> Sequence[Finding]:
        from toolweft_server.sandbox.self_check import check

        findings = await check(self)
        return [*findings, second_wall()] if findings[0].ok else findings

    async def aclose(self) -> None:
        pass

    def _command(self, program: str, folder: Path, fd: int, tell: int, limits: Limits) -> list[str]:
        assert self._files is not None
        settings = {
            "fd": fd, "parent": 0, "packages": INSIDE if self._packages else None,
            "modules": self._packages.modules if self._packages else (),
            "rlimits": local.rlimits(limits) | {"RLIMIT_NPROC": (limits.threads, limits.threads)},
            "walls": {"read": ["/"], "work": "/tmp", "own_files": True, "threads_only_ours": True},  # noqa: S108
        }  # fmt: skip
        python, *options, runner = interpreter()
        home = Path(runner).parent
        binds = [(name, name) for name in (*self._files, *standard_library())]
        binds += [
            (runner, f"{OURS}/runner.py"),
            *((str(home / name), f"{OURS}/{name}") for name in ("inside", "linux")),
        ]
        binds += [(loader, loader) for loader in LOADERS if Path(loader).exists()]
        binds += [(str(self._packages.path), INSIDE)] if self._packages else []
        return [
            program, "--unshare-all", "--die-with-parent", "--as-pid-1", "--info-fd", str(tell), "--cap-drop", "ALL",
            "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
            *(word for outside, inside in binds for word in ("--ro-bind", os.path.realpath(outside), inside)),
            *(word for path in hidden() if Path(path).is_dir() for word in ("--tmpfs", path, "--remount-ro", path)),
            *(word for outside, inside in _devices(folder) for word in ("--dev-bind", outside, inside)),
            "--perms", "0700", "--size", str(limits.disk), "--tmpfs", "/tmp", "--remount-ro", "/",  # noqa: S108
            "--chdir", "/tmp", "--clearenv", *(word for pair in _environment(self._files) for word in pair),  # noqa: S108
            os.path.realpath(python), *options, f"{OURS}/runner.py", json.dumps(settings),
        ]  # fmt: skip


async def _loaded() -> list[str]:
    """Files that the interpreter maps, each under every name that the loader may look for it."""
    python, *options, runner = interpreter()
    command = [python, *options, "-c", _FILES, str(Path(runner).parent)]
    try:
        with anyio.fail_after(PATIENCE):
            done = await anyio.run_process(command, stderr=subprocess.DEVNULL)
    except (OSError, TimeoutError, subprocess.CalledProcessError) as error:
        raise SandboxError(f"the interpreter's libraries could not be found out: {error}") from error
    return [name for file in done.stdout.decode().splitlines() for name in _names(Path(file))]


def _names(file: Path) -> Iterator[str]:
    yield str(file)
    if ".so" in file.name:
        for other in file.parent.glob(file.name.partition(".so")[0] + ".so*"):
            if other.is_symlink() and other.resolve() == file:
                yield str(other)


def _devices(folder: Path) -> Iterator[tuple[str, str]]:
    """Where they are, outside and inside. Of root's sandbox they are copies: bubblewrap maps a program's user to root,
    who owns the machine's and could change their modes. A container that forbids copies has none of them inside.
    """
    for path in ("/dev/null", "/dev/urandom"):
        if os.geteuid() != 0:
            yield path, path
            continue
        copy = folder / Path(path).name
        with contextlib.suppress(OSError):
            os.mknod(copy, stat.S_IFCHR, Path(path).stat().st_rdev)
            copy.chmod(0o666)
            yield str(copy), path


def _environment(files: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    folders = dict.fromkeys(str(Path(file).parent) for file in files if ".so" in file and "lib-dynload" not in file)
    yield "--setenv", "LD_LIBRARY_PATH", ":".join(folders)
    for name, value in {
        "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2",  # noqa: S108
    }.items():  # fmt: skip
        yield "--setenv", name, value
