"""The traces that a command is given: files, folders, or those of the state folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from toolweft_client import trace
from toolweft_client.errors import TraceError, UsageError
from toolweft_client.trace import Step


class Read(NamedTuple):
    path: Path
    steps: list[Step]


def read_all(given: Sequence[Path]) -> Iterator[Read]:
    """One trace after the other, so that no more than one is held. Nothing given means the folder of `toolweft ask`.

    What lies in a folder and is no trace is told on stderr and passed over: benchmarks keep other files beside theirs.

    Raises:
        UsageError: A name that is neither a file nor a folder.
        TraceError: A file that was named and is no trace.

    """
    for each in given or [trace.folder()]:
        if each.is_file():
            yield Read(each, trace.read(each))
        elif each.is_dir() or not given:
            yield from _inside(each)
        else:
            raise UsageError(f"There is no file or folder {str(each)!r}.")


def _inside(folder: Path) -> Iterator[Read]:
    others: list[TraceError] = []
    for path in sorted(folder.glob("*.jsonl")):
        try:
            steps = trace.read(path)
        except TraceError as error:
            others.append(error)
            continue
        yield Read(path, steps)
    if others:
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        print(f"passed over: {others[0]}{more}", file=sys.stderr)
