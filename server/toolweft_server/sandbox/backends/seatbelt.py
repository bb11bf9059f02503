"""The `seatbelt` backend, on macOS: `sandbox-exec` around the same runner, with a profile that denies by default.

Covered: files other than Python's own modules and the work directory, the network, other processes, new processes
and system services are refused by the kernel; limits as everywhere else.
Not covered: macOS enforces no limit on memory, a work directory has no quota, and sessions are not frozen between
runs. The interpreter may replace itself by another of its own, under the same profile.
Written after the profiles that others publish, and not yet run on a real machine: `self_check` decides there.

The profile names no path. Paths are its parameters, handed over beside it, so that nothing in one can change a rule.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox import folders
from toolweft_server.sandbox.backends import local
from toolweft_server.sandbox.backends.linux import hidden, interpreter, standard_library
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.process import Process

if TYPE_CHECKING:
    from toolweft_server.sandbox.packages import Environment

SANDBOX_EXEC = "/usr/bin/sandbox-exec"

SYSTEM = (
    "/usr/lib", "/System/Library/Frameworks", "/System/Library/PrivateFrameworks", "/System/Library/dyld",
    "/System/Volumes/Preboot/Cryptexes/OS", "/System/Cryptexes/OS", "/private/var/db/dyld", "/usr/share/locale",
    "/usr/share/zoneinfo", "/usr/share/zoneinfo.default", "/private/var/db/timezone",
)  # fmt: skip
"""What Apple's loader and C library read in every process. The system's own files, nothing of the person's."""

LIBRARIES = ("/opt/homebrew/Cellar", "/opt/homebrew/opt", "/usr/local/Cellar", "/usr/local/opt")
"""Where an interpreter of Homebrew finds the libraries of its modules: programs, no data."""

DEVICES = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/dtracehelper")

_RULES = """\
(allow sysctl-read (sysctl-name-prefix "hw.") (sysctl-name-prefix "kern.os") (sysctl-name "kern.version")
  (sysctl-name "kern.argmax") (sysctl-name "kern.maxfilesperproc") (sysctl-name "kern.ngroups")
  (sysctl-name "kern.usrstack64") (sysctl-name "vm.page_size"))
(allow process-info* (target self))
(allow signal (target self))
"""


class SeatbeltSandbox:
    """`open` must be called on the thread of the event loop that goes on to serve the session."""

    name = "seatbelt"

    def __init__(self, *, packages: Environment | None = None, folder: Path | None = None) -> None:
        self._packages = packages
        self._folder = folder or Path(tempfile.gettempdir())
        self._swept = False

    async def open(self, limits: Limits) -> ChildSession:
        """A waiting session.

        Raises:
            SandboxError: This is no macOS, it has no `sandbox-exec`, or the child did not start.

        """
        if sys.platform != "darwin" or not os.access(SANDBOX_EXEC, os.X_OK):
            raise SandboxError(f"the sandbox backend 'seatbelt' needs macOS and its {SANDBOX_EXEC}")
        if not self._swept:
            self._swept = True
            folders.sweep(self._folder, local.PREFIX)
        process = local.start(self._folder, lambda folder, fd: self.command(folder, fd, limits), kind=Process)
        session = ChildSession(process, limits)
        await session.start()
        return session

    async def self_check(self) -> Sequence[Finding]:
        from toolweft_server.sandbox.self_check import check

        return await check(self)

    async def aclose(self) -> None:
        pass

    def command(self, folder: Path, fd: int, limits: Limits) -> list[str]:
        """What starts the confined runner, with its work directory and the number of its frame socket."""
        packages = str(self._packages.path) if self._packages else None
        settings = {
            "fd": fd, "parent": os.getpid(), "rlimits": local.rlimits(limits), "forget": ["MALLOC_ARENA_MAX"],
            "packages": packages, "modules": self._packages.modules if self._packages else (),
        }  # fmt: skip
        python, *options, runner = interpreter()
        read = [*standard_library(), str(Path(runner).parent / "inside"), *([packages] if packages else [])]
        text, parameters = profile(
            work=str(folder), programs=_programs(python), read=read, files=[runner, *_shared()], hidden=hidden()
        )
        given = (word for name, value in parameters.items() for word in ("-D", f"{name}={value}"))
        return [SANDBOX_EXEC, *given, "-p", text, python, *options, runner, json.dumps(settings)]


def profile(
    *, work: str, programs: Sequence[str], read: Sequence[str], files: Sequence[str], hidden: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """The profile's text, and the paths that it speaks of.

    `read` are folders, `files` single files, `programs` the files that may be executed, `hidden` folders within those
    in `read` that are not read. The later of two rules that match counts.
    """
    parameters: dict[str, str] = {}

    def named(kind: str, paths: Iterable[str]) -> list[str]:
        # The kernel compares real paths: /tmp is /private/tmp.
        real = dict.fromkeys(os.path.realpath(path) for path in paths)
        names = [f"{kind}_{number}" for number in range(len(real))]
        parameters.update(zip(names, real, strict=True))
        return names

    folders = named("READ", [*read, *SYSTEM, *LIBRARIES])
    single = named("FILE", [*files, *programs, *DEVICES])
    above = named("ABOVE", _above([*read, *files, *programs, work]))
    executed, unread = named("PROGRAM", programs), named("HIDDEN", hidden)
    [place] = named("WORK", [work])
    readable = "\n  ".join([*_filters("subpath", folders), *_filters("literal", single)])
    text = (
        "(version 1)\n(deny default)\n"
        f'(allow file-read* file-map-executable (literal "/")\n  {readable})\n'
        f"(allow file-read-metadata {' '.join(_filters('literal', above))})\n"
        + (f"(deny file-read* {' '.join(_filters('subpath', unread))})\n" if unread else "")
        + f"(allow process-exec* {' '.join(_filters('literal', executed))})\n"
        f'(allow file-read* file-write* (subpath (param "{place}")))\n'
        f'(deny file-map-executable (subpath (param "{place}")))\n'
        "(deny file-write-setugid)\n"
        '(allow file-read* file-write-data (literal "/dev/null"))\n' + _RULES
    )
    return text, parameters


def _filters(kind: str, names: Iterable[str]) -> list[str]:
    return [f'({kind} (param "{name}"))' for name in names]


def _above(paths: Iterable[str]) -> Iterator[str]:
    """Folders on the way to what may be read: whether they are there, not what is in them."""
    for path in paths:
        for parent in Path(os.path.realpath(path)).parents:
            if parent != Path("/"):
                yield str(parent)


def _programs(python: str) -> list[str]:
    """The interpreter, and the one within its framework that it replaces itself by."""
    framework = Path(sys.base_prefix) / "Resources/Python.app/Contents/MacOS/Python"
    return [python, *([str(framework)] if framework.exists() else [])]


def _shared() -> list[str]:
    """The interpreter's own library, which is not among its modules."""
    variables = sysconfig.get_config_vars()
    names = (variables.get("LDLIBRARY"), variables.get("INSTSONAME"))
    places = (sys.base_prefix, variables.get("LIBDIR"), variables.get("PYTHONFRAMEWORKPREFIX"))
    found = (Path(place) / name for place in places if place for name in names if name)
    return [str(path) for path in found if path.is_file()]
