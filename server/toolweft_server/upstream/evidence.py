"""What was seen of one connection to an upstream: the material of every diagnosis, and nothing else reads it.

All of it comes from a stranger: it is bounded, one line at a time, without control characters, and without the secret
values of the upstream's own configuration.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

STDERR_KEPT = 64 * 1024
"""Bytes of stderr kept: a traceback with its context, not a log."""

SAMPLES = 5
LINE = 300

MIN_SECRET = 6
"""Shorter values are not scrubbed: they would match half of every text."""

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@dataclass(slots=True)
class Evidence:
    """Filled by the transports while a connection lives, read when it has to be explained."""

    secrets: tuple[str, ...] = ()
    exit_code: int | None = None
    ended_by_itself: bool = False
    """The process was gone before we asked it to go."""
    cannot_start: str = ""
    """What the kernel said about the command."""
    http_status: int | None = None
    """The latest failing one."""
    stray: int = 0
    """Lines on stdout that were no protocol messages."""
    samples: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What had to be mended in answers, one sentence each."""
    _stderr: deque[bytes] = field(default_factory=deque)
    _held: int = 0

    def stderr(self, chunk: bytes) -> None:
        self._stderr.append(chunk[-STDERR_KEPT:])
        self._held += len(self._stderr[-1])
        while self._held > STDERR_KEPT and len(self._stderr) > 1:
            self._held -= len(self._stderr.popleft())

    def dropped(self, line: bytes) -> None:
        """A line on stdout that was no message: counted, and the first few remembered."""
        self.stray += 1
        if len(self.samples) < SAMPLES:
            self.samples.append(self.clean(line[: 4 * LINE].decode("utf-8", "replace")))

    def problem(self, sentence: str) -> None:
        if len(self.problems) < 1000 and sentence not in self.problems:
            self.problems.append(self.clean(sentence))

    def last_words(self, lines: int = 5) -> str:
        """The last lines of stderr, fit to be shown."""
        text = b"".join(self._stderr).decode("utf-8", "replace")
        said = [self.clean(line) for line in _ESCAPES.sub("", text).splitlines() if line.strip()]
        return "\n".join(said[-lines:])

    def clean(self, text: str) -> str:
        """One line without secrets and control characters, cut to a readable length."""
        text = scrub(_ESCAPES.sub("", text), self.secrets)
        line = " ".join(_CONTROL.sub(" ", text).split())
        return line if len(line) <= LINE else line[: LINE - 1] + "…"


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` with `***` for every secret. The longest go first, as one may contain another."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_SECRET:
            text = text.replace(secret, "***")
    return text
