"""A world of its own for a zygote, and one in it for each session: users, mounts, processes, network, names.

Works for root and for an ordinary user. Inside, programs are uid 1000; outside that is the user himself, or nobody
(65534) when the server runs as root: uid 0 is mapped only while the file tree is made, because the interpreter may lie
in a folder that only root may enter.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from . import libc

INSIDE = 1000
NOBODY = 65534
NAME = "sandbox"
"""What programs find as the machine's name."""
ROOT_SIZE = 1 << 20

_WORLD = (
    libc.CLONE_NEWUSER | libc.CLONE_NEWNS | libc.CLONE_NEWPID | libc.CLONE_NEWNET | libc.CLONE_NEWIPC
    | libc.CLONE_NEWUTS | libc.CLONE_NEWCGROUP
)  # fmt: skip
_OF_SESSION = libc.CLONE_NEWUSER | libc.CLONE_NEWPID | libc.CLONE_NEWNS | libc.CLONE_NEWIPC


def enter() -> None:
    """Moves into new namespaces and returns in their first process; the caller's own process waits for it, and ends.

    Raises:
        OSError: The kernel refuses.

    """
    if os.geteuid() == 0:
        os.setgroups([])
    _with_ids(lambda: libc.unshare(_WORLD))
    first = os.fork()
    if first:
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    libc.die_with_parent(signal.SIGKILL)
    libc.call("sethostname", NAME, len(NAME))


def furnish(paths: Sequence[tuple[str, str]], hidden: Sequence[str]) -> None:
    """Leaves a file tree of `paths` alone, read-only, given as they are outside and inside.

    Folders in `hidden` are empty. `/tmp` is there for sessions to put theirs.

    Raises:
        OSError: A step failed; its message names the step.

    """
    os.umask(0o022)
    libc.mount("", "/", "", libc.MS_REC | libc.MS_PRIVATE)
    sources = [(os.open(outside, os.O_PATH | os.O_CLOEXEC), inside) for outside, inside in paths]
    new = "/tmp"  # any folder that every system has; covered, and gone after the pivot
    libc.mount("tmpfs", new, "tmpfs", libc.MS_NOSUID | libc.MS_NODEV, f"size={ROOT_SIZE},mode=0755")
    for source, inside in sources:
        _bind(source, new + inside)
        os.close(source)
    for path in hidden:
        if os.path.isdir(new + path):
            libc.mount("tmpfs", new + path, "tmpfs", libc.MS_RDONLY | libc.MS_NOSUID | libc.MS_NODEV, "size=4096")
    os.makedirs(new + "/tmp", exist_ok=True)
    libc.pivot_root(new)
    libc.mount("", "/", "", libc.MS_REMOUNT | libc.MS_BIND | libc.MS_RDONLY | libc.MS_NOSUID | libc.MS_NODEV)


def _bind(source: int, target: str) -> None:
    place = f"/proc/self/fd/{source}"
    if os.path.isdir(place):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    libc.mount(place, target, "", libc.MS_BIND | libc.MS_REC)
    libc.read_only(target, devices="/dev/" in target)


def become_nobody() -> None:
    """Lets go of uid 0 and of all rights: making a session needs none, since it begins with a user namespace."""
    os.setresgid(INSIDE, INSIDE, INSIDE)
    os.setresuid(INSIDE, INSIDE, INSIDE)
    libc.drop_capabilities()
    libc.prctl(libc.PR_SET_DUMPABLE, 1)  # else the files below would belong to root


def fork_session(proc: int) -> int:
    """Forks a process that is alone in namespaces of its own. `proc` is a descriptor of a mounted /proc.

    Returns its number, as a child of the caller, who must be the first process of its process namespace; 0 in the new
    process, which has every right inside its own world until `lockdown` takes them.

    Raises:
        OSError: The kernel refuses.

    """
    seen, told = os.pipe()
    middle = os.fork()
    if middle:
        os.close(told)
        text = os.read(seen, 4096).decode("utf-8", "replace")
        os.close(seen)
        os.waitpid(middle, 0)  # its child becomes ours: orphans go to the first process
        if not text.isdecimal():
            raise OSError(0, text or "the process that makes a session ended")
        return int(text)
    try:
        os.close(seen)
        libc.unshare(_OF_SESSION)
        for name, text in (
            ("setgroups", "deny"), ("gid_map", f"{INSIDE} {INSIDE} 1"), ("uid_map", f"{INSIDE} {INSIDE} 1"),
        ):  # fmt: skip
            _write(os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc), text)
        session = os.fork()
    except OSError as error:
        os.write(told, str(error).encode())
        os._exit(1)
    if session:
        os.write(told, str(session).encode())
        os._exit(0)
    os.close(told)
    return 0


def own_tmp(*, size: int, files: int) -> None:
    """A fresh, empty, size-limited `/tmp`, from which nothing can be executed."""
    libc.mount("", "/", "", libc.MS_REC | libc.MS_PRIVATE)
    flags = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC
    libc.mount("tmpfs", "/tmp", "tmpfs", flags, f"size={size},nr_inodes={files},mode=0700")  # the sandbox's


def _with_ids(unshare: Callable[[], None]) -> None:
    """Unshares while a helper that stays outside maps our ids: for root two of them, which needs rights out there."""
    pid, uid, gid = os.getpid(), os.geteuid(), os.getegid()
    ready, set_out = os.pipe()
    mapped, say = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(set_out)
        os.close(mapped)
        try:
            if os.read(ready, 1):  # nothing: the process ended before it was ready
                _map(pid, uid, gid)
                os.write(say, b"ok")
        except OSError as error:
            os.write(say, str(error).encode())
        os._exit(0)
    os.close(ready)
    os.close(say)
    try:
        unshare()
        libc.prctl(libc.PR_SET_DUMPABLE, 1)
        os.write(set_out, b"x")
        answer = os.read(mapped, 4096)
    finally:
        os.close(set_out)
        os.close(mapped)
        os.waitpid(helper, 0)
    if answer != b"ok":
        raise OSError(0, f"the ids could not be mapped: {answer.decode('utf-8', 'replace') or 'no answer'}")


def _map(pid: int, uid: int, gid: int) -> None:
    outside = (NOBODY, NOBODY) if uid == 0 else (uid, gid)
    both = "0 0 1\n" if uid == 0 else ""
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"{both}{INSIDE} {outside[0]} 1"),
        ("gid_map", f"{both}{INSIDE} {outside[1]} 1"),
    ):  # fmt: skip
        _write(os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC), text)


def _write(file: int, text: str) -> None:
    try:
        os.write(file, text.encode("ascii"))
    finally:
        os.close(file)
