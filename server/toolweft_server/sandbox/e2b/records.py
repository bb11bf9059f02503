"""`Records`: which cloud sandboxes this server holds, on disk, so that the next start can end those of a dead one.

One small file for each, readable by the person alone. It has no key and nothing of what ran.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
from pathlib import Path

from toolweft_server.errors import SandboxError

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class Records:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.held: set[str] = set()
        """What this server added, and nobody has ended yet."""

    def add(self, sandbox: str) -> None:
        """Notes a sandbox before its first use.

        Raises:
            SandboxError: It cannot be noted.

        """
        if not _ID.fullmatch(sandbox):
            raise SandboxError(f"E2B gave a sandbox an id that is none: {sandbox[:100]!r}")
        self.held.add(sandbox)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path(sandbox), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(_owner(os.getpid()), file)
        except OSError as error:
            raise SandboxError(
                f"the E2B sandbox could not be noted in {str(self._folder)!r} ({error}): without that it would stay "
                "after a crash. Make the folder writable"
            ) from error

    def remove(self, sandbox: str) -> None:
        self.held.discard(sandbox)
        with contextlib.suppress(OSError):
            self._path(sandbox).unlink()

    def orphans(self) -> list[str]:
        """Sandboxes of servers of this machine that are no more."""
        return [path.stem for path in sorted(self._folder.glob("*.json")) if _is_orphan(path)]

    def _path(self, sandbox: str) -> Path:
        return self._folder / f"{sandbox}.json"


def _is_orphan(path: Path) -> bool:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        pid = int(noted["pid"])
        return bool(noted["host"] == socket.gethostname() and noted != _owner(pid) and _ID.fullmatch(path.stem))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _owner(pid: int) -> dict[str, str | int | None]:
    """Who a process is: its number and, because numbers come back, when it started; `None` for one that is no more."""
    return {"host": socket.gethostname(), "pid": pid, "since": _since(pid)}


def _since(pid: int) -> str | None:
    if sys.platform.startswith("linux"):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[19]
        except OSError:
            return None
    if sys.platform == "win32":
        return "running"  # nothing cheap tells: there the sandbox's own timeout has to do
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (OSError, OverflowError):
        return "running"
    return "running"
