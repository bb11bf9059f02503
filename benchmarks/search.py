"""Speed and size of the lexical index: 1,000, 10,000 and 49,001 tools, with the growth between them.

    python -m benchmarks.search [--tools 1000,10000,49001] [--json FILE]

Each size runs in processes of its own: one builds and saves while the tools stream by, one loads and answers, so that
memory is the index's and not the reader's. Requests are those of the `dev` split of the same catalogue.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from benchmarks import datasets, machine

T = TypeVar("T")

CATALOGUE = "toolbench"
LIMIT = 10
_HEAD = (
    "tools",
    "build s",
    "build MiB",
    "save s",
    "files MiB",
    "load ms",
    "p50 ms",
    "p95 ms",
    "update ms",
    "resident MiB",
)


def build(tools: int, folder: Path) -> dict[str, float]:
    """Builds from a stream and saves. Memory is the peak above what the process had before."""
    from toolweft_server.index.lexical import LexicalIndex

    stream = datasets.stream(CATALOGUE, tools)
    before = peak()
    seconds, index = timed(lambda: LexicalIndex.build(stream))
    grown = peak() - before
    saving, _ = timed(lambda: index.save(folder))
    size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    return {"build s": seconds, "build MiB": grown, "save s": saving, "files MiB": size / 2**20}


def answer(tools: int, folder: Path) -> dict[str, float]:
    """Loads and searches, then updates. Memory is what loading and searching added."""
    from toolweft_server.index.lexical import LexicalIndex

    requests = datasets.requests(CATALOGUE, "dev")
    few = list(datasets.stream(CATALOGUE, 20))
    before = resident()
    loading, index = timed(lambda: LexicalIndex.load(folder))
    assert len(index) == tools
    took = [timed(lambda text=text: index.search(text, LIMIT))[0] for text in requests * 3]
    grown = resident() - before
    updating, _ = timed(lambda: index.updated(few, []))
    p50, p95 = (1000 * float(np.percentile(took[len(requests) :], q)) for q in (50, 95))
    return {
        "load ms": 1000 * loading,
        "p50 ms": p50,
        "p95 ms": p95,
        "update ms": 1000 * updating,
        "resident MiB": grown,
    }


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def resident() -> float:
    """MiB that this process holds now, mapped files that it touched included."""
    return _status("VmRSS")


def peak() -> float:
    return _status("VmHWM")


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def measure(tools: int) -> dict[str, float]:
    row: dict[str, float] = {"tools": tools}
    with tempfile.TemporaryDirectory() as folder:
        for step in ("build", "answer"):
            command = [sys.executable, "-m", "benchmarks.search", "--step", step, "--tools", str(tools), "--at", folder]
            row |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", default="1000,10000,49001", help="comma-separated sizes")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--step", choices=("build", "answer"), help=argparse.SUPPRESS)
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step = {"build": build, "answer": answer}[given.step]
        print(json.dumps(step(int(given.tools), given.at)))
        return
    print(f"{CATALOGUE}, limit {LIMIT}; {machine.line()}")
    print(*(f"{name:>12}" for name in _HEAD))
    rows = []
    for size in given.tools.split(","):
        rows.append(measure(int(size)))
        print(f"{rows[-1]['tools']:>12}", *(f"{rows[-1][name]:>12.2f}" for name in _HEAD[1:]), flush=True)
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        ratios = (f"{last[name] / first[name]:.1f}×" if first[name] >= 0.01 else "-" for name in _HEAD)
        print(*(f"{ratio:>12}" for ratio in ratios), "  growth, last to first")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
