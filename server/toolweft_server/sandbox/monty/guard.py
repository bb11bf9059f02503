"""The guard: a process beside the server that ends Monty's workers when the server ends, `kill -9` included.

Run by path, never imported: `python -I -S guard.py`, with a pipe as stdin that only the server can write to. A line
`+PID` is a worker, `-PID` is one no more. When the pipe ends, so has the server: every worker that is left gets
SIGKILL. A worker that waits for us ends by itself then; one that is in a program would not notice before it prints,
calls or ends.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def main() -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they reach whole groups: the server's end is what counts
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    workers: dict[int, int | None] = {}
    for line in sys.stdin.buffer:
        if not line.endswith(b"\n"):
            break
        pid = int(line[1:])
        if line.startswith(b"+"):
            workers[pid] = _descriptor(pid)
        elif (descriptor := workers.pop(pid, None)) is not None:
            os.close(descriptor)
    for pid, descriptor in workers.items():
        with suppress(OSError):
            _end(pid, descriptor)


def _descriptor(pid: int) -> int | None:
    """Of the process, where there is such a thing: its number may be another's by the time it is to be ended."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _end(pid: int, descriptor: int | None) -> None:
    if descriptor is None:
        os.kill(pid, _KILL)
    elif sys.platform == "linux":
        signal.pidfd_send_signal(descriptor, _KILL)


if __name__ == "__main__":
    main()
