"""The leash: a small parent for one upstream process that takes the whole family with it when we go.

Run by path, never imported by the process it watches: `python -I -S leash.py FD -- command args…`, with the
upstream's environment and working directory. stdin, stdout and stderr pass straight through. `FD` is our end of a
lifeline whose other end only the server holds: it ends when the server does, `kill -9` included.

*Covered*: the server ends in any way, the upstream ends and leaves children behind, the leash gets SIGTERM. Then
the group, every descendant and every process of the session get SIGTERM, a short grace, SIGKILL. On Linux that holds
for descendants that left the group, too (they are re-parented to the leash), and `kill -9` of the leash itself
ends the upstream. *Not covered*: `kill -9` of leash and server at one moment, for the upstream's children; on macOS a
descendant that left the group and whose parent is gone; Windows, where `stdio` starts upstreams without a leash.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, NoReturn

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL: the upstream has had its two seconds of closed stdin before."""

ROUNDS = 200
"""Of SIGKILL, ten milliseconds apart: only a process that the kernel cannot end outlives them."""

_SUBREAPER, _DEATH_SIGNAL = 36, 1
_CANNOT_START = 127


class Process(NamedTuple):
    pid: int
    parent: int
    group: int
    session: int


def main(arguments: list[str]) -> int:
    """Starts the upstream and stays with it. Returns its exit status as a shell would tell it."""
    # The lowest free number, so that the upstream's own descriptors start where a program expects them.
    lifeline = os.dup(int(arguments[0]))
    os.close(int(arguments[0]))
    wake = _listen_for_signals()
    _prctl(_SUBREAPER, 1)
    upstream = _start(arguments[2:], lifeline)
    _let_go_of_standard_streams()
    ended: dict[int, int] = {}
    _watch(upstream, lifeline, wake, ended)
    _end(upstream, ended)
    status = ended.get(upstream, 0)
    return 128 - status if status < 0 else status


def _listen_for_signals() -> int:
    """A descriptor that becomes readable when a child ended or somebody asks us to end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in _signals():
        signal.signal(number, lambda *_: None)
    return reader


def _signals() -> list[signal.Signals]:
    return [signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def _start(command: list[str], lifeline: int) -> int:
    leash = os.getpid()
    # None may arrive while the child still has our handlers: it would be lost on the child and count as ours.
    signal.pthread_sigmask(signal.SIG_SETMASK, _signals())
    child = os.fork()
    if child == 0:
        _become(command, leash, lifeline)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # Both sides do it, so that the group exists whichever runs first.
    with suppress(OSError):
        os.setpgid(child, child)
    return child


def _become(command: list[str], leash: int, lifeline: int) -> NoReturn:
    """In the child: its own group, ends when the leash does, then the command. `lifeline` closes on exec."""
    try:
        os.setpgid(0, 0)
        _prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != leash:
            os._exit(_CANNOT_START)
        # Python ignores the last two, and ignored signals stay ignored across exec, as the mask does.
        for number in (*_signals(), signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(command[0], command)  # noqa: S606  (no shell is the point)
    except OSError as error:
        os.write(lifeline, f"{error.errno} {error.strerror}\n".encode())
    finally:
        os._exit(_CANNOT_START)


def _let_go_of_standard_streams() -> None:
    """The upstream alone holds its pipes: their other ends must see it go."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def _watch(upstream: int, lifeline: int, wake: int, ended: dict[int, int]) -> None:
    """Waits until the upstream has ended or must end."""
    poller = select.poll()
    poller.register(lifeline, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while upstream not in _reap(ended):
        ready = {fd for fd, _ in poller.poll()}
        if lifeline in ready or (wake in ready and set(os.read(wake, 4096)) - {signal.SIGCHLD}):
            return


def _reap(ended: dict[int, int]) -> dict[int, int]:
    """Collects the exit codes of whoever ended, adopted grandchildren included."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def _end(upstream: int, ended: dict[int, int]) -> None:
    """Ends the upstream's whole family, bounded in time."""
    deadline = time.monotonic() + GRACE
    _signal(family(upstream), signal.SIGTERM)
    while family(upstream) and time.monotonic() < deadline:
        time.sleep(0.01)
        _reap(ended)
    for _ in range(ROUNDS):
        if not (left := family(upstream)):
            break
        _signal(left, signal.SIGKILL)
        time.sleep(0.01)
        _reap(ended)
    _reap(ended)


def _signal(processes: list[Process], number: signal.Signals) -> None:
    for each in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each.pid, number)


def family(upstream: int) -> list[Process]:
    """Living processes that descend from this one, or share the upstream's group or this one's session."""
    me = os.getpid()
    everyone = list(processes())
    children: dict[int, list[Process]] = {}
    for each in everyone:
        children.setdefault(each.parent, []).append(each)
    found = {each.pid: each for each in everyone if each.group == upstream or each.session == me}
    waiting = [me]
    while waiting:
        for each in children.get(waiting.pop(), ()):
            found[each.pid] = each
            waiting.append(each.pid)
    found.pop(me, None)
    return list(found.values())


def end_session(leash: int) -> None:
    """For the server, when the leash itself was killed: ends whom it left behind in its session, on Linux."""
    _signal([each for each in processes() if each.session == leash], signal.SIGKILL)


def processes() -> Iterator[Process]:
    """Every living process that can be seen. A zombie is not living."""
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  (pathlib costs start-up)
    except OSError:
        names = []
    if not names:
        yield from _asked_of_ps()
    for name in names:
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The name of the program, in parentheses, may hold anything: count from the last one.
                state, parent, group, session = file.read().rpartition(b")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if state not in b"ZX":
            yield Process(int(name), int(parent), int(group), int(session))


def _asked_of_ps() -> Iterator[Process]:
    """Where there is no /proc. Sessions cannot be asked for portably: no process is in one."""
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="ascii") as table:
        for line in table.stdout or ():
            pid, parent, group, state = line.split()[:4]
            # Nobody but `ps` is in our own group.
            if not state.startswith("Z") and int(group) != os.getpgrp():
                yield Process(int(pid), int(parent), int(group), 0)


def _prctl(option: int, value: int) -> None:
    """Best effort: elsewhere than on Linux the group is all that can be had."""
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
