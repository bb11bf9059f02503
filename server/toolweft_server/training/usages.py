"""What was used together: from a file, and from the executions in the store.

In a file it is one JSON object a line, `{"tools": ["a.b"], "split": "train", "times": 1}`; requests with their right
tools, `{"query": "…", "gold": ["a.b"], "split": "train"}`, are understood, too. Gzipped or not.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from toolweft_server.store.store import Store
from toolweft_server.training.affinity import Usage
from toolweft_server.training.errors import TrainingError

EXECUTIONS = 100_000
"""The latest so many are looked at."""


def read(path: Path) -> Iterator[Usage]:
    """The usage sets of training; those of other splits are left out, so that one file may hold all. Blank lines too.

    Raises:
        TrainingError: The file cannot be read, or a line is no such object; names it.

    """
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8").splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TrainingError(f"usages cannot be read from {str(path)!r}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            usage = _usage(line, f"{str(path)!r}, line {number}")
            if usage.split == "train":
                yield usage


def executed(store: Store) -> Iterator[Usage]:
    """The tools that succeeded in each execution that ended well; those that the store still holds."""
    for row in store.executions.recent(limit=EXECUTIONS):
        calls = row.result.get("calls", []) if row.status == "ok" and isinstance(row.result, dict) else []
        tools = tuple(dict.fromkeys(call["tool"] for call in calls if call["status"] == "ok"))
        if tools:
            yield Usage(tools, "train")


def _usage(line: str, where: str) -> Usage:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise TrainingError(f"{where}: no JSON: {error}") from None
    row = row if isinstance(row, dict) else {}
    tools, split, times = row.get("tools", row.get("gold")), row.get("split"), row.get("times", 1)
    if not isinstance(tools, list) or not all(isinstance(each, str) for each in tools):
        raise TrainingError(f"{where}: `tools` is a list of ids, not {tools!r}")
    if split not in ("train", "dev", "test"):
        raise TrainingError(f"{where}: `split` is 'train', 'dev' or 'test', not {split!r}; it is never guessed")
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        raise TrainingError(f"{where}: `times` is a whole number of at least 1, not {times!r}")
    return Usage(tuple(tools), split, times)
