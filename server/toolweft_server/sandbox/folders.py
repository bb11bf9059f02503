"""Work directories: made, locked while their server lives, and removed whatever a program has put into them."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Folder(NamedTuple):
    path: Path
    lock: int
    """A descriptor. The system lets go of the lock when its server dies, and no number can come back with another
    meaning, as that of a process can, after a restart or in another container."""


def make(base: Path, prefix: str) -> Folder:
    """A new, empty folder that no sweep touches while the descriptor is open.

    Raises:
        OSError: None can be made.

    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        try:
            lock = os.open(path, _FOLDER)
        except FileNotFoundError:  # a sweep came before the lock
            continue
        if _lock(lock) and path.exists():
            return Folder(path, lock)
        os.close(lock)


def sweep(base: Path, prefix: str) -> None:
    """Removes what servers left that died without a chance to. Errors are left to the next sweep."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found += base.glob(f"{prefix}*")
    for path in found:
        with contextlib.suppress(OSError):
            lock = os.open(path, _FOLDER)
            try:
                if os.fstat(lock).st_uid == os.geteuid() and _lock(lock):
                    remove(path)
            finally:
                os.close(lock)


def _lock(folder: int) -> bool:
    import fcntl  # not on Windows, where no child has a folder

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(folder: Path) -> None:
    """Removes it with all that is in it, following no link. Never raises: what resists stays, for the next sweep.

    Folders within are moved up before they are emptied, so that neither the depth of the tree nor the length of a
    path matters: recursion, as in `shutil.rmtree`, fails at a thousand levels.
    """
    try:
        top = os.open(folder, _FOLDER)
    except OSError:
        return
    numbers = itertools.count()
    try:
        while _emptied(top, numbers):
            pass
        folder.rmdir()
    except OSError:
        return
    finally:
        os.close(top)


def _emptied(top: int, numbers: itertools.count[int]) -> bool:
    """Removes what stands in `top`, and moves what stands one level lower up into it; whether anything changed."""
    changed = False
    for name in os.listdir(top):
        try:
            if _unlinked(top, name):
                changed = True
                continue
            _free(top, name)
            inner = os.open(name, _FOLDER, dir_fd=top)
        except OSError:
            continue
        try:
            for child in os.listdir(inner):  # noqa: PTH208  (a descriptor, not a path)
                if not _unlinked(inner, child):
                    _free(inner, child)
                    os.rename(child, f".{os.getpid()}-{next(numbers)}", src_dir_fd=inner, dst_dir_fd=top)
            os.rmdir(name, dir_fd=top)
            changed = True
        except OSError:
            pass
        finally:
            os.close(inner)
    return changed


def _free(folder: int, name: str) -> None:
    """A folder that may not be written can be neither emptied nor moved."""
    if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        os.chmod(name, 0o700, dir_fd=folder)


def _unlinked(folder: int, name: str) -> bool:
    """False for a folder: systems differ in how they refuse."""
    try:
        os.unlink(name, dir_fd=folder)
    except (IsADirectoryError, PermissionError):
        return False
    return True
