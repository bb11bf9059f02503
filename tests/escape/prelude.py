"""What every hostile program may use. Its source stands before the program's own, so it imports nothing of ours.

A program is a function. What it returns, when that is true, is what it reached: the sandbox is open there. An
`OSError`, `MemoryError`, `ImportError` or `ToolError` is a refusal; so is a return of nothing. Every other exception
is a mistake in the program and fails the test, so that no misspelt name passes for a wall.
"""

import errno
import os
import platform

HOST: dict = {}
"""What the battery planted outside: `folder`, `secret`, `victim`, ports, sockets, `parent`, `home`, `source`."""

REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EAFNOSUPPORT})
"""Errors that say no. Any other one, `EINVAL` say, means that the kernel looked at the arguments: it was reached."""

NUMBERS = {
    # name: (x86_64, aarch64), None where the machine has no such call
    "accept4": (288, 242), "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "capget": (125, 90),
    "capset": (126, 91), "chroot": (161, 51), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "close_range": (436, 436),
    "delete_module": (176, 106), "execve": (59, 221), "execveat": (322, 281), "fanotify_init": (300, 262),
    "fchmodat2": (452, 452), "finit_module": (313, 273), "fork": (57, None), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "inotify_add_watch": (254, 27), "inotify_init1": (294, 26), "io_setup": (206, 0),
    "io_uring_setup": (425, 425), "ioperm": (173, None), "iopl": (172, None), "ioprio_set": (251, 30),
    "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219), "listmount": (458, 458),
    "lookup_dcookie": (212, 18), "memfd_create": (319, 279), "memfd_secret": (447, 447), "migrate_pages": (256, 238),
    "mknodat": (259, 33), "modify_ldt": (154, None), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180), "msgget": (68, 186),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428), "openat2": (437, 437),
    "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "prctl": (157, 167), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "reboot": (169, 142), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "seccomp": (317, 277), "semget": (64, 190), "set_mempolicy": (238, 237), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170), "shmat": (30, 196),
    "shmctl": (31, 195), "shmget": (29, 194), "statmount": (457, 457), "statx": (332, 291), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "tgkill": (234, 131), "tkill": (200, 130), "umount2": (166, 39),
    "unshare": (272, 97), "userfaultfd": (323, 282), "vhangup": (153, 58),
}  # fmt: skip


def syscall(name, *arguments):
    """The bare system call. Its result; `OSError` when it fails."""
    import ctypes

    number = NUMBERS[name][platform.machine() == "aarch64"]
    if number is None:
        raise OSError(errno.ENOSYS, f"no {name} on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def surface(name, *arguments):
    """Whether a system call can be reached at all: any answer but a refusal."""
    try:
        result = syscall(name, *arguments)
    except OSError as error:
        if error.errno in REFUSALS:
            raise
        return f"{name} answers {errno.errorcode.get(error.errno, error.errno)}"
    return f"{name} gives {result}"


def attempt(program):
    """The verdict on one program: `OPEN: …`, `refused: …`, or `broken: …`."""
    from tools import ToolError

    try:
        reached = program()
    except (OSError, MemoryError, ImportError, ToolError) as error:
        return f"refused: {type(error).__name__}: {error}"[:300]
    except BaseException as error:  # noqa: BLE001  (a program that is wrong must not pass for one that was stopped)
        return f"broken: {type(error).__name__}: {error}"[:300]
    return f"OPEN: {str(reached)[:300]}" if reached else "refused: nothing was reached"
