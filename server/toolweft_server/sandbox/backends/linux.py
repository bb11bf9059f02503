"""Linux: `namespaces`, `chroot` and `landlock`. A zygote confines itself once and forks a process for each session.

The tiers differ in what the kernel lets us take away; what they stop and what not is in `tiers.py`.
"""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
import platformdirs

from toolweft_catalog.tool import digest
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends.local import RUNNER, rlimits
from toolweft_server.sandbox.base import Finding
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.forked import BOOT_TIMEOUT, PACKAGES_TIMEOUT, Zygote
from toolweft_server.sandbox.limits import Limits

if TYPE_CHECKING:
    from toolweft_server.sandbox.packages import Environment

Tier = Literal["namespaces", "chroot", "landlock"]
INSIDE = "/packages"
"""Where programs find the packages, in the tiers that have a file tree of their own."""
ZONEINFO = "/usr/share/zoneinfo"
RENEWED = 5_000
"""Sessions after which another zygote takes over: all sessions of one share its addresses and its hash seed, and
what a program learnt of these is worth nothing then. A start is a fifth of a second, beside hours of use."""


class LinuxSandbox:
    """One tier. The zygote starts with the first session and again after it has died."""

    def __init__(self, tier: Tier, *, packages: Environment | None = None, cache: Path | None = None) -> None:
        self.name: str = tier
        self._tier, self._packages = tier, packages
        self._cache = cache or Path(platformdirs.user_cache_dir("toolweft", appauthor=False))
        self._zygote: Zygote | None = None
        self._due = RENEWED
        self._renewing: asyncio.Task[None] | None = None
        self._retiring: dict[asyncio.Task[None], Zygote] = {}
        self._starting = asyncio.Lock()
        self._boot = anyio.CancelScope()
        self._closed = False

    async def open(self, limits: Limits) -> ChildSession:
        """A waiting session.

        Raises:
            SandboxError: This machine refuses the tier, or the process did not start.

        """
        zygote = await self._ready()
        try:
            return await _session(zygote, limits)
        except SandboxError:
            if zygote.alive or self._closed:
                raise
        # It died before we knew; should the next one die as well, something is wrong that a third would not mend.
        return await _session(await self._ready(), limits)

    async def self_check(self) -> Sequence[Finding]:
        from toolweft_server.sandbox.self_check import check

        findings = await check(self)
        return [*findings, second_wall()] if self._tier == "namespaces" and findings[0].ok else findings

    async def aclose(self) -> None:
        """Ends the zygote and with it every session; a start that is going on is given up. For good."""
        self._closed = True
        self._boot.cancel()
        tasks = [each for each in (self._renewing, *self._retiring) if each is not None]
        zygotes = [each for each in (self._zygote, *self._retiring.values()) if each is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._zygote = None
        for zygote in zygotes:  # a task that was cancelled before it began has ended none
            await zygote.aclose()

    async def _ready(self) -> Zygote:
        async with self._starting:
            if self._zygote is not None and self._zygote.alive:
                if self._zygote.forks >= self._due and self._renewing is None:
                    self._renewing = asyncio.get_running_loop().create_task(self._renew())
                return self._zygote
            if self._zygote is not None:
                await self._zygote.aclose()
            with anyio.CancelScope() as self._boot:
                if not self._closed:
                    zygote = await self._start()
                    if not self._closed:
                        self._zygote = zygote
                        return zygote
                    await zygote.aclose()
            raise SandboxError("the sandbox is closed: the server is stopping")

    async def _renew(self) -> None:
        """Puts another zygote in the place of this one, which ends with its last session."""
        try:
            zygote = await self._start()
        except SandboxError:  # while the old one serves nobody needs to know
            self._due += RENEWED
        else:
            old, self._zygote, self._due = self._zygote, zygote, RENEWED
            if old is not None:
                task = asyncio.get_running_loop().create_task(old.retire())
                self._retiring[task] = old
                task.add_done_callback(lambda done: self._retiring.pop(done, None))
        finally:
            self._renewing = None

    async def _start(self) -> Zygote:
        if not sys.platform.startswith("linux"):
            raise SandboxError(f"the sandbox backend {self.name!r} needs Linux")
        packages = self._packages
        paths = [(path, path) for path in (*standard_library(), "/dev/null", "/dev/urandom")]
        inside = None
        if packages is not None:
            inside = str(packages.path) if self._tier == "landlock" else INSIDE
            paths += [(str(packages.path), inside)] if inside == INSIDE else []
        settings: dict[str, Any] = {
            "tier": self._tier, "paths": paths, "hidden": hidden(), "packages": inside,
            "modules": packages.modules if packages else (), "folder": self._root(paths),
        }  # fmt: skip
        patience = PACKAGES_TIMEOUT if packages else BOOT_TIMEOUT
        return await Zygote.start(interpreter(), settings, patience=patience)

    def _root(self, paths: Sequence[tuple[str, str]]) -> str | None:
        """Where the copy for `chroot` lies: one for each interpreter and set of packages."""
        if self._tier != "chroot":
            return None
        try:
            marks = [(outside, inside, Path(outside).stat().st_mtime_ns) for outside, inside in paths]
        except OSError as error:
            raise SandboxError(f"what programs need cannot be read: {error}") from error
        return str(self._cache / f"root-{digest([sys.version, *marks])[:16]}")


async def _session(zygote: Zygote, limits: Limits) -> ChildSession:
    child = await zygote.fork(limits, rlimits(limits) | {"RLIMIT_NPROC": (limits.threads, limits.threads)})
    session = ChildSession(child, limits)
    await session.start()
    return session


def second_wall() -> Finding:
    """Whether Landlock stands around files too, in tiers whose programs have a file tree of their own."""
    from toolweft_server.sandbox.linux import landlock

    found = landlock.version()
    why = "this kernel has no Landlock, or it is switched off: the file tree alone keeps your files away"
    detail = f"version {found}" if found else why
    return Finding("Landlock is a second wall around files", ok=found > 0, detail=detail, area="files", expected=detail)


def interpreter() -> list[str]:
    """The command that takes settings as one more argument. Not a virtual environment's: programs get no packages."""
    python = getattr(sys, "_base_executable", None) or sys.executable
    return [python, "-I", "-S", "-B", "-X", "utf8", str(RUNNER)]


def standard_library() -> list[str]:
    """Folders that a program may read: Python's own modules and the time zones."""
    return [path for path in dict.fromkeys([*_own_modules(), ZONEINFO]) if Path(path).is_dir()]


def hidden() -> list[str]:
    """Folders within the standard library's that hold what somebody installed."""
    return [f"{folder}/{name}" for folder in _own_modules() for name in ("site-packages", "dist-packages")]


def _own_modules() -> list[str]:
    # In a virtual environment the paths as they are would lead to what is installed there.
    base = {"base": sys.base_prefix, "installed_base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    return [
        sysconfig.get_path(name, vars={**base, "installed_platbase": sys.base_exec_prefix})
        for name in ("stdlib", "platstdlib")
    ]
