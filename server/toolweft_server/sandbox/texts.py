"""Texts from a program, made fit to be shown: what is kept of them and what is escaped.

Nothing that a program prints may move a terminal's cursor, recolour it or forge a line of a log.
"""

from __future__ import annotations

import errno
import re
import signal

from toolweft_server.sandbox.limits import KIB, MIB, Limits

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_BREAK = re.compile(r"[\t\n]")


def clean(text: str) -> str:
    """The text with control characters other than tab and newline written as escapes, directional overrides too."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text.replace("\r\n", "\n"))


def line(text: str) -> str:
    """The text as part of one line: a name with a line break in it could forge the next line of a log."""
    return _BREAK.sub(lambda match: f"\\x{ord(match[0]):02x}", clean(text))


def size(count: int) -> str:
    """`262144` -> `256 KiB`: a size as `Limits` documents it."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def seconds(count: float) -> str:
    """`900.0` -> `15 min`, `0.5` -> `0.5 s`."""
    return f"{count / 60:g} min" if count >= 120 and count % 60 == 0 else f"{count:g} s"


def signal_name(number: int) -> str:
    """`11` -> `SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def limit_hit(limits: Limits, error: str, message: str) -> str | None:
    """The limit behind an error of Python's, `name=value`; `None` where it is none of ours."""
    if error == "MemoryError":
        return f"memory={size(limits.memory)}"
    if error == "RuntimeError" and "can't start new thread" in message:
        return f"threads={limits.threads}"
    number = message.partition("]")[0] if error == "OSError" else ""
    return {
        f"[Errno {errno.ENOSPC}": f"disk={size(limits.disk)} or inodes={limits.inodes}",
        f"[Errno {errno.EMFILE}": f"open_files={limits.open_files}",
        f"[Errno {errno.EFBIG}": f"file_size={size(limits.file_size)}",
    }.get(number)
