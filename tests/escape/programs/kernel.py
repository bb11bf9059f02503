"""The kernel's surface: calls that no program of the standard library needs, made by number."""

import errno
import os

from escape.attack import closed_here, ends
from escape.prelude import surface, syscall


def unshare_the_user_namespace():
    return surface("unshare", 0x10000000)


def unshare_the_mounts():
    return syscall("unshare", 0x00020000) == 0


def unshare_the_network():
    return syscall("unshare", 0x40000000) == 0


def join_a_namespace():
    return syscall("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0) == 0


def keep_its_name_on_a_shared_page():
    return os.memfd_create("shared")


def clear_the_signal_of_the_parents_death():
    return surface("prctl", 1, 0, 0, 0, 0)


def become_dumpable():
    return surface("prctl", 4, 1, 0, 0, 0)


def let_anybody_trace_it():
    return surface("prctl", 0x59616D61, -1, 0, 0, 0)


def keep_capabilities():
    return surface("prctl", 8, 1, 0, 0, 0)


@closed_here("root may be without that right")
def raise_an_ambient_capability():
    return surface("prctl", 47, 2, 21, 0, 0)


def adopt_orphans():
    return surface("prctl", 36, 1, 0, 0, 0)


@closed_here("root may be without that right")
def move_its_own_memory_map():
    return surface("prctl", 35, 1, 0, 0, 0)


@ends("value", "crashed")
@closed_here("kernels are rarely built with the calls of x32")
def call_by_the_numbers_of_x32():
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(0x40000000 | 39)) < 0:
        raise OSError(ctypes.get_errno(), "x32")
    return "x32 calls work"


@ends("value", "crashed")
@closed_here("the kernel may have no calls for 32-bit programs, and other machines have no such instruction")
def interrupt_as_a_32_bit_program():
    import ctypes
    import mmap
    import platform

    if platform.machine() != "x86_64":
        raise OSError(errno.ENOSYS, "another machine")
    # mov eax, 20 (getpid); int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    if result < 0:
        raise OSError(-result, "int 0x80")
    return f"32-bit calls work: {result}"


CLOSED = {
    **dict.fromkeys(("delete_module", "finit_module", "init_module"), "a kernel may be built without modules"),
    **dict.fromkeys(("ioperm", "iopl"), "a kernel, or a machine, may be without ports"),
    "kexec_load": "a kernel may be built without it",
}
SURFACE = {
    "acct": (b"/toolweft/absent",),
    "add_key": (b"user", b"x", b"y", 1, -3),
    "bpf": (0, 0, 0),
    "clock_settime": (0, 0),
    "delete_module": (b"toolweft", 0),
    "fanotify_init": (0, 0),
    "finit_module": (0, b"", 0),
    "init_module": (0, 0, b""),
    "inotify_init1": (0,),
    "io_setup": (1, 0),
    "ioperm": (0x80, 1, 1),
    "iopl": (0,),
    "kexec_load": (0, 0, 0, 0),
    "keyctl": (0, -3, 1),
    "memfd_create": (b"x", 0),
    "memfd_secret": (0,),
    "migrate_pages": (0, 0, 0, 0),
    "mknodat": (-100, b"node", 0o10600, 0),
    "modify_ldt": (0, 0, 0),
    "move_pages": (0, 0, 0, 0, 0, 0),
    "mq_open": (b"toolweft", 0, 0, 0),
    "msgget": (0x746F6F6C, 0),
    "perf_event_open": (0, 0, -1, -1, 0),
    "personality": (0x0040000,),
    "process_madvise": (-1, 0, 0, 0, 0),
    "reboot": (0, 0, 0, 0),
    "request_key": (b"user", b"x", 0, -3),
    "seccomp": (2, 0, 0),
    "semget": (0x746F6F6C, 1, 0),
    "set_mempolicy": (0, 0, 0),
    "setdomainname": (0, -1),
    "sethostname": (0, -1),
    "setns": (0, 0),
    "settimeofday": (0, 0),
    "shmget": (0x746F6F6C, 4096, 0),
    "swapoff": (b"toolweft",),
    "swapon": (b"toolweft", 0),
    "syslog": (10, 0, 0),
    "userfaultfd": (0,),
}
