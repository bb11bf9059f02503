"""What was used together, from a file: one JSON object a line, `{"tools": ["a.b"], "split": "train", "times": 1}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from toolweft_server.training.affinity import Usage
from toolweft_server.training.errors import TrainingError


def read(path: Path) -> Iterator[Usage]:
    """The usage sets of training; those of other splits are left out, so that one file may hold all. Blank lines too.

    Raises:
        TrainingError: The file cannot be read, or a line is no such object; names it.

    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"usages cannot be read from {str(path)!r}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            usage = _usage(line, f"{str(path)!r}, line {number}")
            if usage.split == "train":
                yield usage


def _usage(line: str, where: str) -> Usage:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise TrainingError(f"{where}: no JSON: {error}") from None
    tools, split, times = (
        (row.get("tools"), row.get("split"), row.get("times", 1)) if isinstance(row, dict) else (None, None, None)
    )
    if not isinstance(tools, list) or not all(isinstance(each, str) for each in tools):
        raise TrainingError(f"{where}: `tools` is a list of ids, not {tools!r}")
    if split not in ("train", "dev", "test"):
        raise TrainingError(f"{where}: `split` is 'train', 'dev' or 'test', not {split!r}; it is never guessed")
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        raise TrainingError(f"{where}: `times` is a whole number of at least 1, not {times!r}")
    return Usage(tuple(tools), split, times)
