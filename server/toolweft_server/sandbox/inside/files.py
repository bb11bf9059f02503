"""Files that a run left in the work directory: regular ones only, new or changed, within the cap."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator

CHUNK = 512 * 1024
MAX_FILES = 100
MAX_DEPTH = 8

Seen = dict[str, tuple[int, int, int]]
"""Name to (inode, size, time of change) as of the last run."""


class Files:
    """Knows the work directory and what of it the server has been given."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._seen: Seen = {}

    def changed(self, cap: int) -> Iterator[tuple[str, str] | str]:
        """`(name, base64 chunk)` pairs; a plain string says what was left out, and why."""
        found = sorted(self._walk(self._folder, "", 0))
        self._seen = {name: self._seen.get(name, (0, 0, 0)) for name, _ in found}
        left, count = cap, 0
        for name, mark in found:
            if self._seen[name] == mark:
                continue
            self._seen[name] = mark
            if count == MAX_FILES:
                yield f"files={MAX_FILES}"
                return
            if mark[1] > left:
                yield f"disk: {name} has {mark[1]} bytes, {left} were left"
                continue
            left, count = left - mark[1], count + 1
            yield from self._read(name, mark[1])

    def _walk(self, folder: str, prefix: str, depth: int) -> Iterator[tuple[str, tuple[int, int, int]]]:
        try:
            entries = list(os.scandir(folder))
        except OSError:
            return
        for entry in entries[: MAX_FILES * 100]:
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(info.st_mode):
                yield prefix + entry.name, (info.st_ino, info.st_size, info.st_mtime_ns)
            elif stat.S_ISDIR(info.st_mode) and depth < MAX_DEPTH and entry.name not in {"__pycache__", ".tmp"}:
                yield from self._walk(entry.path, f"{prefix}{entry.name}/", depth + 1)

    def _read(self, name: str, size: int) -> Iterator[tuple[str, str]]:
        path = f"{self._folder}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        except OSError:
            return
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return
            if size == 0:
                yield name, ""
            while size > 0 and (data := file.read(min(CHUNK, size))):
                size -= len(data)
                yield name, base64.b64encode(data).decode("ascii")
