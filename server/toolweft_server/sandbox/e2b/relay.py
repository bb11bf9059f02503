"""The far side of a link: it owns the runner, and speaks with the server in numbered lines. Never imported here.

`python3 relay.zip start|attach SETTINGS`, standard library only. `start` unpacks the archive and forks a keeper, which
starts the runner and listens on a socket file. Both then shuttle between their own stdin and stdout and that socket,
so that a lost connection or a pause costs a shuttle, never the program: the next `attach` takes over. (E2B lets one
reattach to a running command as well, but a stream that was open in a pause can block its output for a quarter of an
hour; a new command has streams of its own.)

A line is one ASCII JSON object. Numbered ones (`n`) arrive in order and exactly once: each side keeps what it sent
until the other has acknowledged it, and sends it again after a `resume`.

Server to relay: `resume{e, n}`, `ack{n}`, `detach`, and numbered `in{d}`, `int`, `stop`, `go`, `ping`.
Relay to server: `resumed{e, n}`, `ack{g, n}` (got, and done with), `cpu{s}`, and numbered `frames{d}`, `out{d}`,
`err{d}`, `exit{s}`. `d` is base64; the bytes in `in` and `frames` are the runner's frame socket, cut anywhere.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import deque
from pathlib import Path
from typing import Any, NoReturn

PIECE = 48 * 1024
"""Bytes in a line: 64 KiB of base64, which any proxy on the way takes."""
WINDOW = 4 * 1024 * 1024
"""Bytes that may wait for the server's acknowledgement; then the program waits, too."""
LINGER = 300.0
"""Seconds for which the exit status of a runner is kept for a server that has not heard of it."""
LOOK = 0.25
"""Seconds between two looks at the runner's processor time, and what of it is worth a line."""
CLOSED = 1.0
"""Seconds that a runner may outlive its frame socket."""

SIGNALS = {"int": signal.SIGINT, "stop": signal.SIGSTOP, "go": signal.SIGCONT}
SOCKET = "relay"
LOG = "log"


def start(settings: dict[str, Any]) -> None:
    """Forks the keeper. Its descriptors are its own, so that the command that started it can end without it."""
    if requirements := settings.pop("requirements", ()):
        settings["packages"], settings["modules"] = packages(requirements)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(SOCKET)
    listener.listen(4)
    if os.fork():
        listener.close()
        return
    os.setsid()
    null, log = os.open(os.devnull, os.O_RDWR), os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for fd, onto in ((null, 0), (null, 1), (log, 2)):
        os.dup2(fd, onto)
    try:
        Keeper(listener, settings).serve()
    finally:
        sys.stderr.flush()
        os._exit(0)


def packages(requirements: list[str]) -> tuple[str, list[str]]:
    """The folder of this machine's Python that has what programs may import, and the modules of what they ask for.

    Ends with the names that it lacks.
    """
    from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

    folders, missing, found = [], [], set()
    for each in requirements:
        name = re.split(r"[^\w.-]", each.strip(), maxsplit=1)[0]
        try:
            one = distribution(name)
            folders.append(str(one.locate_file("")))
            found.add(one.metadata["Name"])
        except (PackageNotFoundError, ValueError):
            missing.append(name)
    if missing:
        sys.exit(f"the template does not have {', '.join(missing)} (`sandbox.packages`): choose one that does")
    tops = packages_distributions().items()
    return folders[0], sorted(
        top for top, names in tops if top.isidentifier() and top[0] != "_" and found.intersection(names)
    )


def shuttle() -> NoReturn:
    """Carries bytes between this command's streams and the keeper until one side is through."""
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(SOCKET)
        link.sendall(json.dumps({"t": "pid", "pid": os.getpid()}).encode() + b"\n")
    except OSError as error:
        sys.exit(f"the runner is gone: {error}")

    def inward() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(0, 1 << 18):
                link.sendall(data)
            link.shutdown(socket.SHUT_WR)

    threading.Thread(target=inward, daemon=True).start()
    with contextlib.suppress(OSError):
        while data := link.recv(1 << 18):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
    with contextlib.suppress(OSError):
        os.write(2, Path(LOG).read_bytes()[-2000:])
    os._exit(0)


class Keeper:
    """Runner on one side, at most one shuttle on the other."""

    def __init__(self, listener: socket.socket, settings: dict[str, Any]) -> None:
        self.listener = listener
        self.link: socket.socket | None = None
        self.shuttle = 0
        self.resumed = False
        self.received = bytearray()
        self.outgoing = bytearray()
        self.sent = self.got = self.done = 0
        self.acked = (0, 0)
        self.unacked: deque[tuple[int, bytes]] = deque()
        self.waiting = 0
        self.inbound: deque[tuple[int, memoryview]] = deque()
        self.told = 0.0
        self.stopped = False
        self.ended: float | None = None
        self.closed: float | None = None
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.channel, theirs = socket.socketpair()
        out, out_child = os.pipe()
        err, err_child = os.pipe()
        self.outputs = {out: "out", err: "err"}
        work = Path("work").resolve()
        (work / ".tmp").mkdir(parents=True)
        # Nothing of this machine's own environment; the settings of libraries that are read once are forgotten again.
        libraries = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment = {
            "HOME": str(work), "TMPDIR": str(work / ".tmp"), "LANG": "C.UTF-8", "PYTHONUTF8": "1",
            **libraries,
        }  # fmt: skip
        told = json.dumps({**settings, "fd": theirs.fileno(), "parent": os.getpid(), "forget": list(libraries)})
        self.child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-X", "utf8", str(Path("code/runner.py").resolve()), told],
            stdin=subprocess.DEVNULL, stdout=out_child, stderr=err_child, pass_fds=[theirs.fileno()],
            cwd=work, env=environment, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        os.close(out_child)
        os.close(err_child)
        self.channel.setblocking(False)
        for fd in self.outputs:
            os.set_blocking(fd, False)

    def serve(self) -> None:
        while not self._over():
            readable, writable, _ = select.select(self._sources(), self._sinks(), [], self._patience())
            if self.woken in readable:
                os.read(self.woken, 4096)
            if self.listener in readable:
                self._accept()
            if self.link in readable:
                self._hear()
            if self.channel in writable or self.inbound:
                self._feed()
            for fd in [fd for fd in self.outputs if fd in readable]:
                self._read_output(fd)
            if self.channel in readable:
                self._read_channel()
            self._look_at_child()
            self._acknowledge()
            self._tell_processor_time()
            if self.link in writable or self.outgoing:
                self._speak()
        with contextlib.suppress(OSError):
            os.killpg(self.child.pid, signal.SIGKILL)

    def _over(self) -> bool:
        if self.ended is None:
            return False
        return (not self.unacked and not self.outgoing) or time.monotonic() - self.ended > LINGER

    def _sources(self) -> list[Any]:
        sources: list[Any] = [self.listener, self.woken]
        if self.link is not None:
            sources.append(self.link)
        if self.waiting < WINDOW and self.ended is None:
            sources += self.outputs
            if self.closed is None:
                sources.append(self.channel)
        return sources

    def _sinks(self) -> list[Any]:
        sinks: list[Any] = []
        if self.link is not None and self.outgoing:
            sinks.append(self.link)
        if self.inbound and self.closed is None:
            sinks.append(self.channel)
        return sinks

    def _patience(self) -> float | None:
        if self.ended is not None:
            return LINGER
        if self.closed is not None:
            return CLOSED
        return None if self.stopped else LOOK

    def _accept(self) -> None:
        """A new shuttle replaces the old one, which may hang on a connection that leads nowhere."""
        link, _ = self.listener.accept()
        if self.shuttle:
            with contextlib.suppress(OSError):
                os.kill(self.shuttle, signal.SIGKILL)
        self._drop()
        link.setblocking(False)
        self.link = link

    def _drop(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link, self.shuttle, self.resumed = None, 0, False
        self.received.clear()
        self.outgoing.clear()

    def _hear(self) -> None:
        assert self.link is not None
        try:
            data = self.link.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
            return
        self.received += data
        *lines, rest = self.received.split(b"\n")
        self.received = rest
        for line in lines:
            with contextlib.suppress(ValueError):  # half a line, from a stream that broke
                self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        kind = line["t"]
        if kind == "pid":
            self.shuttle = line["pid"]
        elif kind == "ack":
            self._forget(line["n"])
        elif kind == "detach":
            self._drop()
        elif kind == "resume":
            self._forget(line["n"])
            self.resumed = True
            self.acked = (0, 0)
            self.outgoing = bytearray(_line(t="resumed", e=line["e"], n=self.got))
            for _, kept in self.unacked:
                self.outgoing += kept
        elif line["n"] == self.got + 1:
            self.got = line["n"]
            self.inbound.append((self.got, memoryview(base64.b64decode(line.get("d", "")))))
            if kind in SIGNALS and self.child.poll() is None:
                self.stopped = kind == "stop"
                to = os.kill if kind == "int" else os.killpg
                to(self.child.pid, SIGNALS[kind])

    def _forget(self, n: int) -> None:
        while self.unacked and self.unacked[0][0] <= n:
            self.waiting -= len(self.unacked.popleft()[1])

    def _feed(self) -> None:
        while self.inbound:
            n, data = self.inbound[0]
            try:
                while data and self.closed is None:
                    data = data[self.channel.send(data) :]
            except BlockingIOError:
                self.inbound[0] = (n, data)
                return
            except OSError:
                self.closed = time.monotonic()
            self.inbound.popleft()
            self.done = n

    def _read_output(self, fd: int) -> bool:
        try:
            data = os.read(fd, PIECE)
        except BlockingIOError:
            return False
        if not data:
            os.close(fd)
            del self.outputs[fd]
            return False
        self._emit(self.outputs[fd], d=base64.b64encode(data).decode())
        return True

    def _drain_outputs(self) -> None:
        """What was written before a frame is in the pipes now: two pipes' worth at most, or a flood never ends."""
        for fd in list(self.outputs):
            for _ in range(4):
                if not self._read_output(fd):
                    break

    def _read_channel(self) -> bool:
        try:
            data = self.channel.recv(PIECE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = self.closed or time.monotonic()
            return False
        self._drain_outputs()
        self._emit("frames", d=base64.b64encode(data).decode())
        return True

    def _look_at_child(self) -> None:
        if self.ended is not None:
            return
        if (status := self.child.poll()) is None:
            if self.closed is not None and time.monotonic() - self.closed > CLOSED:
                self.child.kill()
            return
        while self._read_channel():
            pass
        self._drain_outputs()
        self.ended = time.monotonic()
        self._emit("exit", s=status)

    def _emit(self, kind: str, **fields: Any) -> None:
        self.sent += 1
        line = _line(n=self.sent, t=kind, **fields)
        self.unacked.append((self.sent, line))
        self.waiting += len(line)
        if self.resumed:
            self.outgoing += line

    def _acknowledge(self) -> None:
        if self.resumed and self.acked != (self.got, self.done):
            self.acked = (self.got, self.done)
            self.outgoing += _line(t="ack", g=self.got, n=self.done)

    def _tell_processor_time(self) -> None:
        if not self.resumed or self.ended is not None:
            return
        try:
            with open(f"/proc/{self.child.pid}/stat", "rb", buffering=0) as file:
                fields = file.read(4096).rpartition(b")")[2].split()
        except OSError:
            return
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if used - self.told >= LOOK:
            self.told = used
            self.outgoing += _line(t="cpu", s=used)

    def _speak(self) -> None:
        if self.link is None:
            return
        try:
            while self.outgoing:
                del self.outgoing[: self.link.send(self.outgoing[: 1 << 18])]
        except BlockingIOError:
            pass
        except OSError:
            self._drop()


def _line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  (this is the machine that nobody has looked at yet)
        sys.exit(f"python3 is {sys.version.split()[0]} here, 3.11 or newer is needed: choose another template")
    home = Path(sys.argv[0]).resolve()
    os.chdir(home.parent)
    if sys.argv[1] == "start":
        with zipfile.ZipFile(home) as archive:
            archive.extractall("code")
        start(json.loads(sys.argv[2]))
    shuttle()
