"""The work directory: files that were handed in before a run, and those that it left.

Out go regular files only, new or changed, within the cap. In: a program of the session may have left links, and its
threads may still move folders about, so a path is walked folder by folder, no link is followed, and a file is always
a new one.
"""

from __future__ import annotations

import base64
import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

CHUNK = 512 * 1024
MAX_FILES = 100
MAX_DEPTH = 8

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_NAME = re.compile(r"([^/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,200}(/|$))+")
"""Names that the server takes: its half of the rule is `frames.is_file_name`."""
_UNWRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT})

Seen = dict[str, tuple[int, int, int]]
"""Name to (inode, size, time of change) as of the last run."""


class Files:
    """Knows the work directory and what of it the server has been given."""

    def __init__(self, folder: str | None) -> None:
        """`folder` is absolute; `None` where programs have no work directory."""
        self._folder = folder
        self._seen: Seen = {}
        self._putting: tuple[str, int] | None = None
        self._failed: dict[str, Any] | None = None

    def put(self, name: str, data: str) -> None:
        """Writes the next piece (base64) of a file. After a failure nothing more, until `handed_in` has told it."""
        if self._failed is not None:
            return
        try:
            if self._putting is None or self._putting[0] != name:
                self._put_end()
                self._putting = name, self._create(name)
            view = memoryview(base64.b64decode(data))
            while view:
                view = view[os.write(self._putting[1], view) :]
        except OSError as error:
            reason = error.strerror or str(error)
            self._failed = _failure("FileNotWritten", f"the file {name!r} could not be handed in: {reason}")
        except _NoWorkDirectoryError:
            self._failed = _failure(
                "NoWorkDirectory",
                f"the file {name!r} cannot be handed in: programs of this backend have no work directory",
                "Write the content into the code, or let a tool give it. Backends with one are `namespaces` "
                "and `bwrap` on Linux, and `e2b`; `toolweft doctor sandbox` says what this machine lacks for them.",
            )  # fmt: skip

    def handed_in(self) -> dict[str, Any] | None:
        """All pieces before a run are there: `None`, or the error that the run ends with."""
        self._put_end()
        failed, self._failed = self._failed, None
        return failed

    def _put_end(self) -> None:
        if self._putting is None:
            return
        (name, fd), self._putting = self._putting, None
        with suppress(OSError):
            info = os.fstat(fd)
            # A second in the past: a program that writes in the same tick of the clock changes it all the same.
            os.utime(fd, ns=(info.st_mtime_ns, info.st_mtime_ns - 10**9))
        info = os.fstat(fd)
        os.close(fd)
        self._seen[name] = (info.st_ino, info.st_size, info.st_mtime_ns)

    def _create(self, name: str) -> int:
        """A new file of that name, open for writing, with the folders above it."""
        *folders, last = name.split("/")
        if self._folder is None:
            raise _NoWorkDirectoryError
        try:
            at = os.open(self._folder, _FOLDER)
        except OSError as error:
            raise _NoWorkDirectoryError from error
        try:
            for n, folder in enumerate(folders):
                try:
                    os.mkdir(folder, 0o700, dir_fd=at)
                except FileExistsError:
                    pass
                except OSError as error:
                    raise _NoWorkDirectoryError if n == 0 and error.errno in _UNWRITABLE else error from None
                below = os.open(folder, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=at)
            return os.open(last, _NEW, 0o600, dir_fd=at)
        except OSError as error:
            raise _NoWorkDirectoryError if not folders and error.errno in _UNWRITABLE else error from None
        finally:
            os.close(at)

    def changed(self, cap: int) -> Iterator[tuple[str, str] | str]:
        """`(name, base64 chunk)` pairs; a plain string says what was left out, and why."""
        found = sorted(self._walk(self._folder, "", 0)) if self._folder is not None else []
        self._seen = {name: self._seen.get(name, (0, 0, 0)) for name, _ in found}
        left, count = cap, 0
        for name, mark in found:
            if self._seen[name] == mark:
                continue
            self._seen[name] = mark
            if not _NAME.fullmatch(name):
                yield f"files: {ascii(name)[:120]} stays, because of its name"
                continue
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
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:  # a thread of the program has taken it away again
                continue
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


class _NoWorkDirectoryError(Exception):
    pass


def _failure(kind: str, message: str, hint: str | None = None) -> dict[str, Any]:
    """As `report` tells what a program raised."""
    return {"type": kind, "message": message, "line": None, "frames": [], "locals": {}, "hint": hint}
