"""The list of system calls that a program may make, as a filter that the kernel runs.

Assembled by hand (classic BPF, `man 2 seccomp`), so that nothing but Python is needed. Everything not listed is
refused with EPERM. No sockets but a connected pair, no new processes, no execution, no signals to others, no
namespaces, keys, traces, kernel modules; ioctl, prctl and fcntl by what they ask for. Once set it cannot be undone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from . import libc

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _GREATER_EQUAL, _SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCH = 0, 4
_X32 = 0x40000000
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_THREAD = 0x00010000
_SHARED_DESCRIPTORS = 0x00000400
_NAMESPACES = 0x7E020000
_TRUNCATE, _ACCESS = 0x200, 3
"""Flags of `open`. An access mode of three is neither reading nor writing, so no right of Landlock is asked for it."""

# Names by number, x86_64 and aarch64; a call that an architecture lacks stands with -1.
_ALWAYS = {
    "read": (0, 63), "write": (1, 64), "open": (2, -1), "close": (3, 57), "stat": (4, -1), "fstat": (5, 80),
    "lstat": (6, -1), "poll": (7, -1), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65), "writev": (20, 66),
    "access": (21, -1), "pipe": (22, -1), "select": (23, -1), "sched_yield": (24, 124), "mremap": (25, 216),
    "msync": (26, 227), "madvise": (28, 233), "dup": (32, 23), "dup2": (33, -1), "pause": (34, -1),
    "nanosleep": (35, 101), "getitimer": (36, 102), "alarm": (37, -1), "setitimer": (38, 103), "getpid": (39, 172),
    "sendfile": (40, 71), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "shutdown": (48, 210), "getsockname": (51, 204), "getpeername": (52, 205),
    "exit": (60, 93), "wait4": (61, 260), "uname": (63, 160), "flock": (73, 32), "fsync": (74, 82),
    "fdatasync": (75, 83), "ftruncate": (77, 46), "getdents": (78, -1), "getcwd": (79, 17),
    "chdir": (80, 49), "fchdir": (81, 50), "rename": (82, -1), "mkdir": (83, -1), "rmdir": (84, -1),
    "creat": (85, -1), "unlink": (87, -1), "symlink": (88, -1), "readlink": (89, -1), "umask": (95, 166),
    "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179),
    "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "getppid": (110, 173), "getpgrp": (111, -1), "getgroups": (115, 158), "getresuid": (118, 148),
    "getresgid": (120, 150), "getpgid": (121, 155), "getsid": (124, 156), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "statfs": (137, 43),
    "fstatfs": (138, 44), "getpriority": (140, 141), "sched_getparam": (143, 121), "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126), "sched_rr_get_interval": (148, 127),
    "gettid": (186, 178), "time": (201, -1), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "getdents64": (217, 61), "set_tid_address": (218, 96), "restart_syscall": (219, 128), "fadvise64": (221, 223),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "epoll_wait": (232, -1), "epoll_ctl": (233, 21), "waitid": (247, 95), "openat": (257, 56), "mkdirat": (258, 34),
    "newfstatat": (262, 79), "unlinkat": (263, 35), "renameat": (264, 38), "symlinkat": (266, 36),
    "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72), "ppoll": (271, 73),
    "set_robust_list": (273, 99), "get_robust_list": (274, 100), "sync_file_range": (277, 84),
    "epoll_pwait": (281, 22), "timerfd_create": (283, 85), "fallocate": (285, 47), "timerfd_settime": (286, 86),
    "timerfd_gettime": (287, 87), "eventfd2": (290, 19), "epoll_create1": (291, 20), "dup3": (292, 24),
    "pipe2": (293, 59), "preadv": (295, 69), "pwritev": (296, 70), "getcpu": (309, 168), "renameat2": (316, 276),
    "getrandom": (318, 278), "membarrier": (324, 283), "copy_file_range": (326, 285), "preadv2": (327, 286),
    "pwritev2": (328, 287), "statx": (332, 291), "rseq": (334, 293),
    "faccessat2": (439, 439), "epoll_pwait2": (441, 441),
}  # fmt: skip
_OWN_FILES = {
    "truncate": (76, 45), "link": (86, -1), "linkat": (265, 37),
    "chmod": (90, -1), "fchmod": (91, 52), "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1),
    "fchmodat": (268, 53), "utimensat": (280, 88), "fchmodat2": (452, 452),
}  # fmt: skip
"""Only where no files but the sandbox's can be reached: Landlock covers none of these, or not in every version."""
_UNSUPPORTED = {
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "getxattr": (191, 8), "lgetxattr": (192, 9),
    "fgetxattr": (193, 10), "listxattr": (194, 11), "llistxattr": (195, 12), "flistxattr": (196, 13),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
"""`shutil` copies extended attributes where it can, and takes "not supported" for an answer, not "not permitted"."""

_TERMINAL_GET, _NONBLOCKING, _CLOSE_ON_EXEC, _NO_CLOSE_ON_EXEC, _READABLE = 0x5401, 0x5421, 0x5451, 0x5450, 0x541B
_IOCTLS = (_TERMINAL_GET, _NONBLOCKING, _CLOSE_ON_EXEC, _NO_CLOSE_ON_EXEC, _READABLE)
_PRCTLS = (2, 3, 15, 16, 21, 23, 39)
"""Reads (parent-death signal, dumpable, seccomp, bounding set, no_new_privs) and the thread's name."""
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
"""Duplicate, flags, locks, pipe size. Not the owner of a descriptor: it is sent signals."""
_CLOSE_RANGES = (0, 4)
"""Close, or close at execution. Not a table of its own: each thread would have as many descriptors as all may have."""

_SOCKET_FACTS = (3, 4, 7, 8, 30, 38, 39)
"""Type, error, buffers, whether it listens, protocol, family. Not who is at the other end."""

supported = libc.MACHINE in _AUDIT


def assemble(*, pid: int, own_files: bool, machine: str = libc.MACHINE) -> bytes:
    """The filter, eight bytes an instruction. `pid` is the only process that signals may go to."""
    arch = list(_AUDIT).index(machine)
    code = [
        _jump(_LOAD, _ARCH), _jump(_EQUAL, _AUDIT[machine], 1, 0), _jump(_RETURN, _KILL),
        _jump(_LOAD, _NUMBER),
    ]  # fmt: skip
    if machine == "x86_64":
        code += [_jump(_GREATER_EQUAL, _X32, 0, 1), _jump(_RETURN, _KILL)]
    if not own_files:
        code += _when((2, -1)[arch], _truncates_nothing(1))
        code += _when((257, 56)[arch], _truncates_nothing(2))
    for numbers in (_ALWAYS | _OWN_FILES if own_files else _ALWAYS).values():
        code += _when(numbers[arch], [_jump(_RETURN, _ALLOW)])
    for numbers in _UNSUPPORTED.values():
        code += _when(numbers[arch], [_jump(_RETURN, _ERRNO | errno.ENOTSUP)])
    code += _when((435, 435)[arch], [_jump(_RETURN, _ERRNO | errno.ENOSYS)])  # clone3: its flags are out of our sight
    code += _when((56, 220)[arch], _threads_only())
    code += _when((62, 129)[arch], _one_of(0, (pid,)))  # kill
    code += _when((234, 131)[arch], _one_of(0, (pid,)))  # tgkill
    code += _when((302, 261)[arch], _one_of(0, (0,)))  # prlimit64: our own, which the hard limits bind
    code += _when((16, 29)[arch], _one_of(1, _IOCTLS))
    code += _when((157, 167)[arch], _one_of(0, _PRCTLS))
    code += _when((72, 25)[arch], _one_of(1, _FCNTLS))
    code += _when((53, 199)[arch], _stream_pair())
    code += _when((55, 209)[arch], _one_of(2, _SOCKET_FACTS))
    code += _when((436, 436)[arch], _one_of(2, _CLOSE_RANGES))
    code.append(_jump(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(code)


def install(program: bytes) -> None:
    """
    Raises:
        OSError: The kernel has no filters, or `no_new_privs` is not set.

    """
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    set_mode_filter = 1
    libc.syscall("seccomp", libc.SECCOMP, set_mode_filter, 0, ctypes.create_string_buffer(header, len(header)))


def _jump(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _when(number: int, body: list[bytes]) -> list[bytes]:
    """The body for one system call. It must return on every path: the number is not loaded again after it."""
    return [] if number < 0 else [_jump(_EQUAL, number, 0, len(body)), *body]


def _low(argument: int) -> bytes:
    return _jump(_LOAD, 16 + 8 * argument)


def _one_of(argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Allowed when the argument's low half is one of the values: all of these arguments are ints to the kernel."""
    code = [_low(argument)]
    code += [_jump(_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return [*code, _jump(_RETURN, _ERRNO | errno.EPERM), _jump(_RETURN, _ALLOW)]


def _truncates_nothing(argument: int) -> list[bytes]:
    """`open` that cannot empty a file: Landlock knows of that from its third version on (Linux 6.2)."""
    refused = (_TRUNCATE, _ACCESS, _TRUNCATE | _ACCESS)
    code = [_low(argument), _jump(_AND, _TRUNCATE | _ACCESS)]
    code += [_jump(_EQUAL, value, len(refused) - index, 0) for index, value in enumerate(refused)]
    return [*code, _jump(_RETURN, _ALLOW), _jump(_RETURN, _ERRNO | errno.EPERM)]


def _threads_only() -> list[bytes]:
    """`clone` for a thread of this process, with the same descriptors, in no new namespace."""
    thread = _THREAD | _SHARED_DESCRIPTORS
    return [
        _low(0), _jump(_AND, thread | _NAMESPACES), _jump(_EQUAL, thread, 1, 0),
        _jump(_RETURN, _ERRNO | errno.EPERM), _jump(_RETURN, _ALLOW),
    ]  # fmt: skip


def _stream_pair() -> list[bytes]:
    """`socketpair` of unix streams, which asyncio needs; a datagram pair could be pointed at any unix address."""
    af_unix, stream, kind = 1, 1, 0xF
    return [
        _low(0), _jump(_EQUAL, af_unix, 0, 3), _low(1), _jump(_AND, kind), _jump(_EQUAL, stream, 1, 0),
        _jump(_RETURN, _ERRNO | errno.EPERM), _jump(_RETURN, _ALLOW),
    ]  # fmt: skip


def lock(*, own_files: bool) -> None:
    """Refuses everything that is not listed, from now on, to this process and its threads."""
    install(assemble(pid=os.getpid(), own_files=own_files))
