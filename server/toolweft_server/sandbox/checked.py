"""What self-checks found on this machine, kept until the next boot, so that a start need not run them again.

Only findings are kept here; which tiers there are and what they check is not known. A file is trusted when it is this
user's alone; one that is not, or that does not read as what `store` writes, is as good as none.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from toolweft_catalog import __version__
from toolweft_catalog.tool import digest
from toolweft_server.sandbox.base import Finding

KEPT = 16
"""Files kept: one for each configuration and interpreter that was used lately."""
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one tier showed. `ok`: it may be used; findings that only tell something may have failed all the same."""

    ok: bool
    findings: tuple[Finding, ...] = ()

    @property
    def why_not(self) -> str:
        """The failed checks in one line; empty for a tier that may be used."""
        failed = [
            f"{each.check}: {each.detail}" if each.detail else each.check for each in self.findings if not each.passed
        ]
        return "" if self.ok else "; ".join(failed) or "it was not tried"


Verdicts: TypeAlias = Mapping[str, Verdict]
"""Each tier that was tried, by name, in the order of trying."""

_VERDICTS = TypeAdapter(dict[str, Verdict])


def key(configuration: object) -> str:
    """Stands for everything that a verdict depends on; `configuration` is the sandbox's, as JSON data.

    Boot, kernel and confinement of this process are part of it: the same home folder is seen from the host, from
    containers and by root.
    """
    return digest([_boot(), _confinement(), sys.executable, sys.version, __version__, _newest_source(), configuration])


def load(key: str, *, folder: Path | None = None) -> Verdicts | None:
    """What was stored under this key, or `None`. Never fails."""
    try:
        fd = os.open(_file(key, folder), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    with open(fd, "rb") as file:
        if not _is_ours(os.fstat(fd)):
            return None
        try:
            return _VERDICTS.validate_json(file.read(_MOST), strict=True)
        except (OSError, ValidationError):
            return None


def store(key: str, verdicts: Verdicts, *, folder: Path | None = None) -> None:
    """Keeps verdicts, readable for this user alone. A place that cannot be written costs the next start a check."""
    file = _file(key, folder)
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(prefix=".new-", dir=file.parent)  # mode 0600
        try:
            with open(fd, "wb") as new:
                new.write(_VERDICTS.dump_json(dict(verdicts), indent=1))
            Path(name).replace(file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        newest = sorted(file.parent.glob("*.json"), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in newest[KEPT:]:
            old.unlink(missing_ok=True)


def _file(key: str, folder: Path | None) -> Path:
    import platformdirs

    return (folder or Path(platformdirs.user_cache_dir("toolweft", appauthor=False)) / "checked") / f"{key}.json"


def _is_ours(found: os.stat_result) -> bool:
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST:
        return False
    return sys.platform == "win32" or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)


def _newest_source() -> int:
    """Checks of a checkout that is being worked on change without a new version."""
    return max(each.stat().st_mtime_ns for each in Path(__file__).parent.rglob("*.py"))


def _boot() -> str:
    """The name of this boot; where the system gives none, the day."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    if sys.platform == "darwin":
        import ctypes

        text, size = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
        if ctypes.CDLL(None).sysctlbyname(b"kern.bootsessionuuid", text, ctypes.byref(size), None, 0) == 0:
            return text.value.decode("ascii", "replace")
    return time.strftime("%Y-%m-%d")


def _confinement() -> list[str]:
    """What this process itself may do, as far as the system tells."""
    told = [sys.platform, *(str(value) for value in getattr(os, "uname", list)())]
    told += [str(ids()) for ids in (getattr(os, name, None) for name in ("getresuid", "getgroups")) if ids]
    with contextlib.suppress(OSError):
        root = Path("/").stat()
        told += [f"root {root.st_dev}:{root.st_ino}", str(Path("/proc/self/ns/user").readlink())]
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
        told += [line for line in status.splitlines() if line.startswith(("Cap", "NoNewPrivs", "Seccomp"))]
    with contextlib.suppress(OSError):
        told.append(Path("/proc/self/attr/current").read_text(encoding="utf-8", errors="replace"))
    return told
