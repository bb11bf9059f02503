"""The zygote: a process that has everything loaded and everything taken away, and forks sessions from itself.

It reads one socket, the server's, in messages with descriptors beside them, and never runs a program itself:

    server to zygote   {"open": id, "rlimits": {…}, "disk": bytes, "inodes": count} + [channel, stdout, stderr]
    zygote to server   {"ready": true}, or {"failed": reason} and its end
                       {"opened": id} + [pidfd], or {"refused": id, "why": …}; {"ended": id, "status": n}
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from . import landlock, libc, lockdown, namespaces, preload, seccomp, tree

_inside = importlib.import_module("inside.main")
EXIT_BOOT = 70
_MESSAGE = 1 << 16


class Zygote:
    def __init__(self, given: dict[str, Any]) -> None:
        self._tier: str = given["tier"]
        self._paths = [(outside, inside) for outside, inside in given["paths"]]
        self._hidden: list[str] = given["hidden"]
        self._packages: str | None = given["packages"]
        self._modules: list[str] = given["modules"]
        self._folder: str | None = given["folder"]
        self._control = socket.socket(fileno=given["fd"])
        self._proc = self._pid = self._null = -1
        self._sessions: dict[int, tuple[str, int]] = {}  # pidfd: id, pid

    def prepare(self, parent: int) -> None:
        """Everything that sessions share. Raises `OSError` with the step that failed."""
        libc.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(EXIT_BOOT)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("900")  # when memory ends, the system ends us first
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        preload.load()
        if not seccomp.supported:
            raise OSError(0, f"no system call filter is written for {libc.MACHINE}")
        if self._tier == "namespaces":
            self._proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
            namespaces.enter()
            namespaces.furnish(self._paths, self._hidden)
            namespaces.become_nobody()
            libc.die_with_parent(signal.SIGKILL)  # another user, so it was forgotten
        elif not landlock.version():
            raise OSError(0, "this kernel has no Landlock, or it is switched off")
        elif self._tier == "chroot":
            if os.geteuid() != 0:
                raise OSError(0, "changing the root needs root")
            tree.plant(self._folder or "", self._paths)
            tree.enter(self._folder or "")
        if self._packages:  # now, so that the modules know themselves by the names that sessions find them under
            sys.path.append(self._packages)
            if self._tier == "namespaces":  # where the other walls stand already
                _inside.import_ahead(self._modules)
                self._modules = []  # elsewhere each session does, behind all of its own
        if numpy := sys.modules.get("numpy.random"):  # unlike `random`, it would give every session the same numbers
            os.register_at_fork(after_in_child=numpy.seed)
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        """Until the server closes its end."""
        self._send({"ready": True})
        self._pid = os.getpid()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._control.fileno():
                    message, passed, _, _ = socket.recv_fds(self._control, _MESSAGE, 3)
                    if not message:
                        return
                    opened = self._open(json.loads(message), passed)
                    if opened >= 0:
                        poll.register(opened, select.POLLIN)
                else:
                    poll.unregister(descriptor)
                    self._reap(descriptor)

    def _open(self, asked: dict[str, Any], passed: list[int]) -> int:
        """A new session's pidfd; -1 when there is none."""
        try:
            pid = namespaces.fork_session(self._proc) if self._tier == "namespaces" else os.fork()
            if pid == 0:
                self._session(asked, passed)
        except OSError as error:
            self._send({"refused": asked["open"], "why": str(error)})
            return -1
        finally:
            for descriptor in passed:
                os.close(descriptor)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:  # no descriptor left: this session costs itself alone
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._send({"refused": asked["open"], "why": str(error)})
            return -1
        self._sessions[pidfd] = (asked["open"], pid)
        self._send({"opened": asked["open"]}, [pidfd])
        return pidfd

    def _session(self, asked: dict[str, Any], passed: list[int]) -> None:
        """In the new process, which never returns from here."""
        try:
            lockdown.take_descriptors(self._nothing(), *passed)
            work = self._wall_in(asked)
            _inside.serve(work=work, guarded=True, modules=self._modules)
        except BaseException as error:  # noqa: BLE001  (whatever it is, no program may run)
            with suppress(OSError):
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(EXIT_BOOT)

    def _nothing(self) -> int:
        """An input that is at its end. The zygote's own, which sessions would share, where a container has no other."""
        try:
            return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return self._null

    def _wall_in(self, asked: dict[str, Any]) -> str | None:
        libraries = [inside for _, inside in self._paths]
        if self._tier == "namespaces":
            namespaces.own_tmp(size=asked["disk"], files=asked["inodes"])
            os.chdir("/tmp")
            walls = lockdown.Walls(["/"], "/tmp", own_files=True, parent=None, threads_only_ours=True)
        elif self._tier == "chroot":
            tree.become(namespaces.NOBODY)
            walls = lockdown.Walls(["/"], parent=self._pid)
        else:
            os.chdir("/")
            walls = lockdown.Walls([*libraries, *([self._packages] if self._packages else [])], parent=self._pid)
        lockdown.environment("/tmp")
        lockdown.lock(walls, asked["rlimits"])
        return walls.work

    def _reap(self, pidfd: int) -> None:
        session, pid = self._sessions.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        self._send({"ended": session, "status": os.waitstatus_to_exitcode(status)})

    def _send(self, message: dict[str, Any], passed: list[int] | None = None) -> None:
        socket.send_fds(self._control, [json.dumps(message).encode()], passed or [])


def main(given: dict[str, Any]) -> None:
    zygote = Zygote(given)
    try:
        zygote.prepare(given["parent"])
    except OSError as error:
        zygote._send({"failed": str(error)})  # noqa: SLF001  (same module)
        os._exit(EXIT_BOOT)
    with suppress(OSError):
        zygote.serve()
    os._exit(0)
