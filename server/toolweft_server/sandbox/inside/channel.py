"""The frame socket as the child sees it: one reader thread, any number of threads that ask.

The reader also is the watchdog: when the server is gone it ends the process and its group at once. What a frame may
be is written down in the server's `frames`; here nothing is checked, because the server is trusted.
"""

from __future__ import annotations

import os
import queue
import signal
import struct
import threading
from _thread import allocate_lock
from collections.abc import Callable
from itertools import count
from os import _exit, read, write
from typing import Any, Protocol

from .interrupt import Interrupt
from .values import decode, encode

EXIT_CHANNEL = 71
"""The channel is closed or broken: only a program that closes descriptors gets here."""

_HEADER = struct.Struct(">I")
_CANCELLED = {"ok": False, "e": {"kind": "cancelled", "message": "the program ended before the answer came"}}

Reply = dict[str, Any]


class Replies(Protocol):
    """Where a run is answered."""

    forked: bool

    def open(self) -> None: ...

    def send(self, text: str) -> None: ...

    def close(self, last: str) -> None: ...


class Unheard:
    """Answers that nobody waits for."""

    forked = False

    def open(self) -> None:
        pass

    def send(self, text: str) -> None:
        text.encode("utf-8", "replace")

    close = send


class Channel:
    """`requests` by the threads of a program, `runs` (and the files handed in before them) for the main thread."""

    def __init__(self, fd: int, interrupt: Interrupt) -> None:
        self._fd, self._interrupt = fd, interrupt
        self.runs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._waiting: dict[int, Callable[[Reply], None]] = {}
        self._ids = count(1)
        self._writing = threading.Lock()
        self._open = threading.Event()
        self.forked = False
        os.register_at_fork(after_in_child=self._after_fork)

    def start(self) -> None:
        threading.Thread(target=self._read, name="channel", daemon=True).start()

    def send(self, text: str) -> None:
        """Writes one frame, given as JSON text."""
        if self.forked:
            return
        body = text.encode("utf-8", "replace")
        with self._interrupt.shield(), self._writing:
            self._write(_HEADER.pack(len(body)) + body)

    def open(self) -> None:
        """Requests may be sent from now on."""
        self._open.set()

    def close(self, last: str) -> None:
        """Sends the run's last frame. Threads left over may ask again in the next run only."""
        if self.forked:
            return
        body = last.encode("utf-8", "replace")
        with self._interrupt.shield(), self._writing:
            self._open.clear()
            self._write(_HEADER.pack(len(body)) + body)
        for c in list(self._waiting):
            if deliver := self._waiting.pop(c, None):
                deliver(_CANCELLED)

    def request(self, text: str) -> Reply:
        """Sends a request (JSON text that lacks only its id) and waits for the reply."""
        answer: list[Reply] = []
        latch = allocate_lock()
        latch.acquire()

        def deliver(reply: Reply) -> None:
            answer.append(reply)
            latch.release()

        c = self.post(text, deliver)
        try:
            latch.acquire()
        finally:
            self._waiting.pop(c, None)
        return answer[0]

    def post(self, text: str, deliver: Callable[[Reply], None]) -> int:
        """Sends a request; `deliver` gets the reply on the reader's thread."""
        if self.forked:
            raise RuntimeError("tools can be called from the program's own process only, not from a forked one")
        c = next(self._ids)
        body = f'{{"c":{c},{text[1:]}'.encode("utf-8", "replace")
        frame = _HEADER.pack(len(body)) + body
        while True:
            self._open.wait()
            with self._interrupt.shield(), self._writing:
                if self._open.is_set():
                    self._waiting[c] = deliver
                    self._write(frame)
                    return c

    def forget(self, c: int) -> None:
        self._waiting.pop(c, None)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[write(self._fd, view) :]
        except OSError:
            _exit(EXIT_CHANNEL)

    def _read(self) -> None:
        """Takes frames until the server is gone, then takes everything down."""
        buffer = bytearray()
        try:
            while data := read(self._fd, 1 << 18):
                buffer += data
                while len(buffer) >= 4:
                    end = 4 + _HEADER.unpack_from(buffer)[0]
                    if len(buffer) < end:
                        break
                    self._take(decode(buffer[4:end].decode("utf-8")))
                    del buffer[:end]
        finally:
            if not self.forked:
                if os.getpgrp() == os.getpid():
                    os.killpg(0, signal.SIGKILL)
                _exit(EXIT_CHANNEL)

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["kind"] in ("run", "put"):
            self.runs.put(frame)
        elif deliver := self._waiting.pop(frame["c"], None):
            deliver(frame)  # never raises: a reply nobody waits for any more is dropped

    def _after_fork(self) -> None:
        self.forked = True
        self._writing = threading.Lock()


def frame(kind: str, **fields: Any) -> str:
    """A frame's JSON text."""
    return encode({"kind": kind, **fields})
