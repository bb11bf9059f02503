"""`Lines`: the near side of the numbered lines (see `relay`): what was sent, what came, what must be sent again.

No input or output happens here. Everything that comes is hostile: whatever our relay never says is a violation.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from toolweft_server.sandbox.frames import ViolationError

PIECE = 48 * 1024
"""Bytes of the frame socket in one line; the same in `relay`."""
LINE = 2 * PIECE
"""Characters of the longest line: base64 of a piece, and room."""
DATA = frozenset({"frames", "out", "err"})


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of the runner's frame socket or of one of its outputs."""

    n: int
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Exit:
    """The runner ended: its status, negative for a signal."""

    n: int
    status: int


class Lines:
    """One sandbox's lines, over all its streams."""

    def __init__(self) -> None:
        self.got = 0
        """The last numbered line that came."""
        self.waiting = 0
        """Bytes sent and not yet through to the runner."""
        self.heard = 0
        """The last of our lines that the relay has."""
        self.cpu = 0.0
        """Seconds of processor time that the runner has used, as last told."""
        self.resumed = False
        """Whether the relay answered on the stream of now."""
        self.epoch = 0
        """Which stream it is."""
        self._sent = self._written = 0
        self._kept: deque[tuple[int, bytes]] = deque()
        self._rest = ""

    def begin(self) -> bytes:
        """A new stream: the line that asks for everything that did not come."""
        self.epoch += 1
        self.resumed, self._rest = False, ""
        return _line(t="resume", e=self.epoch, n=self.got)

    def wrap(self, kind: str, data: bytes = b"") -> None:
        """Adds a line to what has to be sent."""
        self._sent += 1
        fields = {"d": base64.b64encode(data).decode("ascii")} if data else {}
        line = _line(n=self._sent, t=kind, **fields)
        self._kept.append((self._sent, line))
        self.waiting += len(line)

    @property
    def unwritten(self) -> bool:
        return self._written < self._sent

    @property
    def unheard(self) -> bool:
        return self.heard < self._sent

    def unsent(self) -> Iterator[bytes]:
        """Takes what the stream of now has not had, one line at a time."""
        while self.resumed and self._written < self._sent:
            self._written += 1
            yield self._kept[self._written - self._kept[0][0]][1]

    def take(self, chunk: str) -> list[Data | Exit]:
        """What new text brought; chunks are split anywhere.

        Raises:
            ViolationError: Our relay never says that.

        """
        *lines, self._rest = (self._rest + chunk).split("\n")
        if len(self._rest) > LINE or any(len(line) > LINE for line in lines):
            raise ViolationError(f"a line of more than {LINE} characters")
        taken = []
        for line in lines:
            if self.resumed:
                message = self._message(_object(line))
                if message is not None:
                    taken.append(message)
            else:
                self._resume(line)
        return taken

    def _resume(self, line: str) -> None:
        """Before its answer the relay says nothing: what comes is a shell's greeting."""
        try:
            answer = _object(line)
        except ViolationError:
            return
        if answer.get("t") == "resumed" and answer.get("e") == self.epoch:
            n = _number(answer, "n")
            if not self._first() - 1 <= n <= self._sent:
                raise ViolationError(f"it resumes after line {n}, of {self._sent}")
            self.resumed, self._written, self.heard = True, n, n

    def _message(self, line: dict[str, Any]) -> Data | Exit | None:
        kind = line.get("t")
        if kind == "ack":
            self._acknowledged(_number(line, "g"), _number(line, "n"))
            return None
        if kind == "cpu":
            self._told(line.get("s"))
            return None
        if not isinstance(kind, str) or kind not in {*DATA, "exit"}:
            raise ViolationError(f"a line of unknown kind {str(kind)[:40]!r}")
        n = _number(line, "n")
        if n != self.got + 1:
            raise ViolationError(f"line {n} after line {self.got}")
        self.got = n
        if kind == "exit":
            status = line.get("s")
            if type(status) is not int or not -64 <= status <= 255:
                raise ViolationError("an exit status that is none")
            return Exit(n, status)
        try:
            return Data(n, kind, base64.b64decode(line.get("d", ""), validate=True))
        except (binascii.Error, ValueError, TypeError) as error:
            raise ViolationError("a line whose data is not base64") from error

    def _acknowledged(self, got: int, done: int) -> None:
        if not self.heard <= got <= self._written or not done <= got:
            raise ViolationError(f"it acknowledges line {got}, of {self._written}")
        self.heard = got
        while self._kept and self._kept[0][0] <= done:
            self.waiting -= len(self._kept.popleft()[1])

    def _told(self, seconds: object) -> None:
        if type(seconds) not in (int, float) or not 0 <= seconds < 1e9:  # type: ignore[operator]
            raise ViolationError("a processor time that is none")
        self.cpu = float(seconds)  # type: ignore[arg-type]

    def _first(self) -> int:
        return self._kept[0][0] if self._kept else self._sent + 1


def acknowledgement(n: int) -> bytes:
    return _line(t="ack", n=n)


def detachment() -> bytes:
    """Asks the relay to end this stream's far command in good order."""
    return _line(t="detach")


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ViolationError(f"a line that is not JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise ViolationError("a line that is not an object")
    return found


def _number(line: dict[str, Any], key: str) -> int:
    n = line.get(key)
    if type(n) is not int or not 0 <= n < 2**53:
        raise ViolationError(f"{key!r} is no line number")
    return n


def _line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
