"""A copy of the standard library as a root folder, for where nothing can be mounted (root in a container)."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

_LEFT_OUT = shutil.ignore_patterns("site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "*.a")


_KEPT = 7 * 86_400
_HALF = ".half"
"""Ends the names of copies that are being made: whatever of them is not locked was left by a process that died."""


def plant(folder: str, paths: Sequence[tuple[str, str]]) -> None:
    """Copies `paths`, as they are outside and inside, below `folder`, readable for everybody; once for all time.

    The folder is held by a lock as long as this process lives; copies that nobody used for a week are removed.

    Raises:
        OSError: Something could not be copied, or the folder is not ours.

    """
    home = os.path.dirname(folder)
    os.makedirs(home, mode=0o700, exist_ok=True)
    if not os.path.lexists(folder):
        _make(folder, paths)
    found = os.lstat(folder)
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise OSError(errno.EPERM, f"{folder} was not made by us; remove it")
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH)
    os.utime(folder)
    _sweep(home)


def _make(folder: str, paths: Sequence[tuple[str, str]]) -> None:
    new, lock = _begin(folder)
    try:
        _copy(new, paths)
        with suppress(OSError):  # somebody else was first: theirs is as good
            os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        os.close(lock)


def _begin(folder: str) -> tuple[str, int]:
    """A folder beside, and a descriptor whose lock goes when this process does."""
    while True:
        new = tempfile.mkdtemp(suffix=_HALF, prefix=os.path.basename(folder) + "-", dir=os.path.dirname(folder))
        with suppress(FileNotFoundError):  # a sweep came before the lock
            lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if _lock(lock) and os.path.exists(new):
                return new, lock
            os.close(lock)


def _sweep(home: str) -> None:
    """Removes what nobody holds: half copies at once, whole ones after a week without use."""
    for name in os.listdir(home):
        if not name.startswith("root-"):
            continue
        with suppress(OSError):
            path = os.path.join(home, name)
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            is_old = name.endswith(_HALF) or time.time() - os.fstat(lock).st_mtime > _KEPT
            if is_old and _lock(lock):
                shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _copy(folder: str, paths: Sequence[tuple[str, str]]) -> None:
    os.umask(0o022)
    os.chmod(folder, 0o755)
    for outside, inside in paths:
        target = folder + inside
        if inside.startswith("/dev/"):
            _device(outside, target)
        elif os.path.isdir(outside):
            # What packages call tests may be part of them; of the standard library it is not.
            ignore = _LEFT_OUT if outside == inside else None
            shutil.copytree(outside, target, symlinks=False, ignore=ignore, dirs_exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(outside, target)
    os.makedirs(folder + "/tmp", exist_ok=True)


def _device(outside: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with suppress(OSError):  # a container may forbid it: what is needed of it is open before the root changes
        os.mknod(target, 0o666 | stat.S_IFCHR, os.stat(outside).st_rdev)
        os.chmod(target, 0o666)


def enter(folder: str) -> None:
    """Makes the copy the root. Needs CAP_SYS_CHROOT, which no session keeps."""
    os.chroot(folder)
    os.chdir("/")


def become(user: int) -> None:
    """Lets go of uid 0; the caller drops what rights are left of it."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
