"""What each tier stops and what not, in words for people; `docs/sandbox.md` and `toolweft doctor sandbox` show it.

This is the claim. Whether it holds on a machine is found out by `self_check`, never read off here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tier:
    name: str
    summary: str
    stops: tuple[str, ...]
    leaves: tuple[str, ...]
    """What it does not stop, or takes from programs."""
    remedy: str
    """What a person can do where this tier is refused."""


_FILES = "Your files: programs have a file tree of their own, with the standard library and nothing of yours"
_SYSCALLS = (
    "Sockets of any kind, other programs, forks and new processes: the system calls for them are refused",
    "Most of the kernel: only the system calls that Python needs pass a filter",
)
_LIMITS = "Memory, processor time and open files: the kernel enforces limits on the one process"
_DISK = "A full disk and floods of threads: the work directory is memory of a fixed size, threads are counted"
_KERNEL = "Bugs in the kernel and side channels; use `e2b` for code that is hostile beyond doubt"
_TOOLS = "What an allowed tool does with allowed arguments: that is the policy's business"
_NO_WORK = "Programs have no work directory: no files in or out, and `tempfile` fails"
_USERNS = (
    "Allow unprivileged user namespaces. On Ubuntu 24.04 and later an AppArmor profile for this Python grants "
    "`userns,` to it alone; in Docker, `--security-opt seccomp=…` with a profile that allows unshare and mount"
)

TIERS: Mapping[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            "namespaces",
            "Linux namespaces, Landlock and seccomp around one process",
            (
                _FILES,
                "The network, abstract sockets included: there is none in its namespace",
                "Other processes: none can be seen or signalled, and there is no /proc",
                *_SYSCALLS,
                _LIMITS,
                _DISK,
            ),
            (_KERNEL, _TOOLS),
            _USERNS,
        ),
        Tier(
            "bwrap",
            "bubblewrap around the same process, Landlock and seccomp inside",
            (
                _FILES,
                "The network and other processes: bubblewrap gives programs namespaces of their own",
                *_SYSCALLS,
                _LIMITS,
                _DISK,
            ),
            (
                _KERNEL, _TOOLS, "A fault in the installed bubblewrap",
                "Where the server runs as root, the number of threads: only memory bounds it",
            ),
            "Install bubblewrap (`apt install bubblewrap`, `dnf install bubblewrap`); where it cannot make namespaces "
            "either, its own AppArmor profile or the container's settings refuse them",
        ),
        Tier(
            "chroot",
            "Landlock, seccomp and a file tree of its own, for root in a container",
            (_FILES, *_SYSCALLS, "Signals to other processes and their memory", _LIMITS),
            (_KERNEL, _TOOLS, _NO_WORK, "The number of threads: only memory bounds it"),
            "It needs root with CAP_SYS_CHROOT (Docker grants it) and Landlock (Linux 5.13 or later, among the active "
            "security modules)",
        ),
        Tier(
            "landlock",
            "Landlock and seccomp, for any user",
            (
                "The content of your files: reading anything but the standard library is refused, writing at all",
                *_SYSCALLS,
                "Signals to other processes and their memory",
                _LIMITS,
            ),
            (
                "Probing: whether a path exists, and its size and dates, can be found out",
                "The number of threads: only memory bounds it",
                _KERNEL, _TOOLS, _NO_WORK,
            ),
            "It needs Landlock: Linux 5.13 or later, with `landlock` among the active security modules",
        ),
        Tier(
            "seatbelt",
            "macOS's own sandbox around the same process",
            (
                "Your files, but the standard library and the work directory",
                "The network",
                "Other programs: starting them is refused",
            ),
            (
                "Memory: macOS does not enforce the limit on it",
                "Seeing other processes: there are no namespaces on macOS",
                _KERNEL, _TOOLS,
            ),
            "It needs macOS with `sandbox-exec`, and a server that is not inside another sandbox",
        ),
        Tier(
            "monty",
            "an interpreter of a part of Python, with no way out of it",
            (
                "Files, the network, processes and the environment: the language has none of them",
                "Crashes, endless loops, memory and output: a worker process is ended alone, and with the server",
            ),
            (
                "Much of Python is missing: inheritance, generators, most of the standard library, packages",
                _NO_WORK,
                "A fault in the interpreter: of its worker, Linux limits time, memory and files, other systems nothing",
                _TOOLS,
            ),
            "`pip install 'toolweft[monty]'`",
        ),
        Tier(
            "e2b",
            "a small virtual machine in E2B's cloud; tools and credentials stay here",
            (
                "Everything of this machine: programs run elsewhere, without internet access",
                "Bugs in the kernel of this machine",
            ),
            (
                "What the program, its prints and its tools' answers say passes through E2B's machines",
                "It costs money, and time on the way",
                _TOOLS,
            ),
            "`pip install 'toolweft[e2b]'`, an E2B key in the environment, and `\"sandbox\": {\"backend\": \"e2b\"}`",
        ),
        Tier(
            "unsafe-process",
            "a child process with your own rights",
            ("Crashes, endless loops, floods of output: the child is ended alone",),
            (
                "Your files, the network, other programs: a program can do what you can",
                "Disk and the number of processes: only single files and single processes are limited",
                _TOOLS,
            ),
            "It runs on Linux and macOS, and only when the configuration names it",
        ),
    )
}  # fmt: skip
"""By name, strongest first on each platform."""
