"""What a task costs as the catalogue grows: the same tasks among 50, 500 and 5,000 tools, beside `react`.

    python -m benchmarks.agent.sizes [--tasks 40] [--sizes 50,500,5000] [--modes program,react] [--json FILE]

Tasks and their tools are those of emulated RestBench; the others are real tools from all servers of `weft_queries`,
listed by one real server (`catalogue`). Searched, checked and run by the real server; no faults. The model is the gold
coder, strict: a tool that no search has shown is unknown to it, and it asks for one as a model must. It says less than
a model would, in both modes. Every row has a store of its own, in which results of no tool have been seen.

`react` is the plain method: every tool that the search found, in full, and all turns so far, in each turn; it looks for
further tools itself. Tokens are four characters each. Where the catalogue is smaller than the world's own tools, it is
these alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import anyio
from benchmarks import machine
from benchmarks.agent import catalogue
from benchmarks.agent.live import settled
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.run import ROOT, Job, Record, open_bench, way

from toolweft_client.budget import Budget
from toolweft_client.rate import Rate

HALVES = ("films", "music")
RUN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Point:
    """One mode in one catalogue."""

    tools: int
    mode: str
    records: Sequence[Record]

    def summary(self) -> dict[str, Any]:
        return {
            "tools": self.tools, "mode": self.mode,
            "accuracy": Rate(sum(each.measures["accuracy"] for each in self.records), len(self.records)).json(),
            "model_calls": {"median": median(each.model_calls for each in self.records),
                            "mean": round(mean(each.model_calls for each in self.records), 3)},
            "input_tokens": {"median": median(each.input_tokens for each in self.records),
                             "mean": round(mean(each.input_tokens for each in self.records), 1),
                             "most": max(each.input_tokens for each in self.records)},
            "tools_shown": round(mean(each.found for each in self.records), 4),
        }  # fmt: skip


async def measure(half: str, tools: int, modes: Sequence[str], tasks: int | None, folder: Path) -> list[Point]:
    """`modes` one after the other, each from a copy of the same store, in which the catalogue has just been read."""
    benchmark = RestBench(half)
    beside = _beside(tools - sum(len(world.operations()) for world in benchmark.worlds()), folder)
    wanted = [Job(task) for task in list(benchmark.tasks())[:tasks]]
    async with open_bench(benchmark, folder / "read", beside=beside) as bench:
        await settled(bench.session)
    points: list[Point] = []
    for mode in modes:
        shutil.copytree(folder / "read", folder / mode, ignore=shutil.ignore_patterns("traces", "*.json*"))
        budget = Budget(run_seconds=RUN_SECONDS, model_calls=way(mode).model_calls)
        async with open_bench(benchmark, folder / mode, beside=beside, budget=budget, mode=mode, strict=True) as bench:
            await settled(bench.session)
            records = [await bench.run(job) for job in wanted]
        points.append(Point(tools, mode, records))
        print(f"{half} among {tools} tools, {mode}: {len(records)} runs", file=sys.stderr, flush=True)
    return points


def _beside(many: int, folder: Path) -> dict[str, Any]:
    """The server of so many other tools, as the configuration has it; none where none are wanted."""
    folder.mkdir(parents=True)
    if many <= 0:
        return {}
    listed = folder / "catalogue.jsonl"
    catalogue.write(listed, many)
    python_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"others": {"command": sys.executable, "args": ["-m", "benchmarks.agent.catalogue", str(listed)],
                       "env": {"PYTHONPATH": python_path}}}  # fmt: skip


def lines(points: Sequence[Point]) -> list[str]:
    """A table, and under it how far each mode's median moves, and `program` as a share of `react`."""
    head = (
        "tools",
        "mode",
        "accuracy",
        "model calls, median (mean)",
        "input tokens, median (mean)",
        "gold tools shown",
    )
    found = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in (point.summary() for point in points):
        calls, tokens = each["model_calls"], each["input_tokens"]
        found.append(
            f"| {each['tools']:,} | {each['mode']} | {each['accuracy']['hits']}/{each['accuracy']['of']} "
            f"| {calls['median']:g} ({calls['mean']:.2f}) | {tokens['median']:,.0f} ({tokens['mean']:,.0f}) "
            f"| {100 * each['tools_shown']:.0f} % |"
        )
    middle = {(each.tools, each.mode): median(one.input_tokens for one in each.records) for each in points}
    for mode in dict.fromkeys(each.mode for each in points):
        own = [tokens for (_, name), tokens in middle.items() if name == mode]
        found.append(f"{mode}: {100 * (min(own) / own[0] - 1):+.1f} to {100 * (max(own) / own[0] - 1):+.1f} % "
                     "of the smallest catalogue's median")  # fmt: skip
    both = [size for size, mode in middle if mode == "program" and (size, "react") in middle]
    shares = {size: 100 * middle[size, "program"] / middle[size, "react"] for size in both}
    return [*found, *(f"program / react among {size:,}: {share:.1f} %" for size, share in shares.items())]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent.sizes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--tasks", type=int, help="only the first so many of each half")
    parser.add_argument("--sizes", default="50,500,5000", help="tools in the catalogue, with commas")
    parser.add_argument("--modes", default="program,react", help="with commas")
    parser.add_argument("--json", type=Path, help="write the figures to this file, after every size")
    options = parser.parse_args(argv)
    print(machine.line())
    found: dict[str, list[Point]] = {half: [] for half in HALVES}
    for size in map(int, options.sizes.split(",")):
        for half in HALVES:
            with tempfile.TemporaryDirectory() as scratch:
                wanted = (half, size, options.modes.split(","), options.tasks, Path(scratch) / half)
                found[half] += anyio.run(measure, *wanted)
        if options.json:
            figures = {half: [each.summary() for each in points] for half, points in found.items()}
            whole = {"machine": machine.describe(), "model": "gold coder, strict", **figures}
            options.json.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    print("RestBench, emulated; gold coder, strict: measures the loop, never a model")
    for half, points in found.items():
        print(f"\n{half}, {len(points[0].records)} tasks")
        print("\n".join(lines(points)))


if __name__ == "__main__":
    main()
