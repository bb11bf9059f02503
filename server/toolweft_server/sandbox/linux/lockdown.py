"""The last steps before a program runs: whatever it could still reach is taken away, in an order that matters.

Environment and descriptors, then limits, then capabilities, then Landlock, and seccomp last, which also forbids the
steps themselves. A step that fails ends the process before any program has run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import landlock, libc, seccomp

CHANNEL, FIRST_FREE = 3, 4
NICE = 5


@dataclass(frozen=True, slots=True)
class Walls:
    """What stands around a session in one tier."""

    read: Sequence[str]
    """Folders and files that can be read."""
    work: str | None = None
    """A folder that can be changed; none where its size could not be limited."""
    own_files: bool = False
    """Nothing of the host is within reach of `chmod` and its like."""
    parent: int | None = 0
    """The process to die with, by its number in this namespace, 0 outside of it; `None` where that is sure anyway."""
    threads_only_ours: bool = False
    """The limit on threads counts this process's alone, and not all of the user's."""


def take_descriptors(empty: int, channel: int, stdout: int, stderr: int) -> None:
    """Leaves 0 (`empty`: nothing to read), 1, 2 and 3 open. None of the first three may be given as another."""
    for descriptor, place in ((empty, 0), (stdout, 1), (stderr, 2), (channel, CHANNEL)):
        if descriptor != place:
            os.dup2(descriptor, place, inheritable=False)
    os.closerange(FIRST_FREE, 1 << 16)


def close_in(walls: Walls, rlimits: Mapping[str, tuple[int, int]]) -> None:
    """For a process that found its four descriptors in place, inside walls that somebody else has put up."""
    os.closerange(FIRST_FREE, 1 << 16)
    environment(walls.work or "/")
    lock(walls, rlimits)


def environment(home: str) -> None:
    os.environ.clear()
    os.environ.update(HOME=home, TMPDIR=home, LANG="C.UTF-8", PYTHONUTF8="1")


def limit(rlimits: Mapping[str, tuple[int, int]]) -> None:
    """Soft and hard limits by name, never above what is already in force."""
    import resource

    for name, pair in rlimits.items():
        which = getattr(resource, name)
        ceiling = resource.getrlimit(which)[1]
        soft, hard = (value if ceiling == resource.RLIM_INFINITY else min(value, ceiling) for value in pair)
        resource.setrlimit(which, (soft, hard))


def lock(walls: Walls, rlimits: Mapping[str, tuple[int, int]]) -> None:
    """Everything after the descriptors.

    Raises:
        OSError: A wall could not be put up.

    """
    if not walls.threads_only_ours:
        rlimits = {name: pair for name, pair in rlimits.items() if name != "RLIMIT_NPROC"}
    os.nice(NICE)
    limit(rlimits)
    libc.drop_capabilities()
    if walls.parent is not None:
        libc.die_with_parent(signal.SIGKILL)
        if os.getppid() != walls.parent:  # it died before the kernel knew
            os._exit(70)
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    libc.prctl(libc.PR_SET_DUMPABLE, 0)  # no core, wherever the system would send it, and nobody may trace it
    change = [*([walls.work] if walls.work else []), "/dev/null"]
    if landlock.version():
        landlock.restrict(read=[*walls.read, "/dev/urandom"], change=change)
    elif walls.parent is not None:
        raise OSError(0, "this kernel has no Landlock")
    seccomp.lock(own_files=walls.own_files)
