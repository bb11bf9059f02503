"""System calls that Python does not offer. Each raises `OSError` with the call's name."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from contextlib import suppress

MACHINE = platform.machine()

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 24, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

SECCOMP, PIVOT_ROOT = {"x86_64": (317, 155), "aarch64": (277, 41)}.get(MACHINE, (-1, -1))
MOUNT_SETATTR, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 442, 444, 445, 446
"""Newer calls have one number on every architecture."""
AT_RECURSIVE, AT_EMPTY_PATH = 0x8000, 0x1000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4

_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """A function of the C library that returns -1 on failure."""
    result: int = getattr(_libc, name)(*(_argument(each) for each in arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(name: str, number: int, *arguments: object) -> int:
    """A system call that the C library has no function for, or not in every version."""
    result: int = _libc.syscall(ctypes.c_long(number), *(_argument(each) for each in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _argument(value: object) -> object:
    if isinstance(value, str):
        return ctypes.c_char_p(os.fsencode(value))
    return ctypes.c_ulong(value) if isinstance(value, int) else value


def unshare(flags: int) -> None:
    call("unshare", flags)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    try:
        call("mount", source, target, kind, flags, options)
    except OSError as error:
        what = " of ".join(["mount", *filter(None, [source or kind])])
        raise OSError(error.errno, f"{what} at {target}: {os.strerror(error.errno or 0)}") from None


def read_only(path: str, *, devices: bool = False) -> None:
    """Makes a mount and all below it read-only, without set-user-id programs and (unless `devices`) devices.

    A device can still be written there; its mode, owner and times cannot.
    """
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | (0 if devices else MOUNT_ATTR_NODEV)
    given = ctypes.create_string_buffer(struct.pack("=QQQQ", attributes, 0, 0, 0), 32)
    try:
        syscall("mount_setattr", MOUNT_SETATTR, -100, path, AT_RECURSIVE, given, 32)
    except OSError:  # before Linux 5.12; what is below the mount is then hidden with the old root
        kept = os.statvfs(path).f_flag & (MS_NODEV | MS_NOEXEC)  # in a user namespace they cannot be taken away
        mount("", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | (kept if devices else kept | MS_NODEV))


def pivot_root(path: str) -> None:
    """Makes a mount the root, and lets go of the old one."""
    os.chdir(path)
    syscall("pivot_root", PIVOT_ROOT, ".", ".")
    call("umount2", ".", MNT_DETACH)
    os.chdir("/")


def prctl(option: int, value: int, *more: int) -> int:
    return call("prctl", option, value, *(*more, 0, 0, 0)[:3])


def die_with_parent(signal: int) -> None:
    """The kernel sends the signal when the thread that started us ends. Forgotten by fork and by setuid."""
    prctl(PR_SET_PDEATHSIG, signal)


def drop_capabilities() -> None:
    """All of them, for ever: bounding, ambient, inheritable, permitted, effective."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # beyond the last that this kernel has, or we have no right to: then we have none to drop
            break
    with suppress(OSError):  # older than Linux 4.3
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0), 8)
    nothing = ctypes.create_string_buffer(24)
    call("capset", header, nothing)
