"""`python -m benchmarks.agent NAME`: tasks through the real server, sandbox and ledger, with the gold coder as model.

    python -m benchmarks.agent restbench                    all tasks of both halves, no fault
    python -m benchmarks.agent restbench-music --faults each --per 10
    python -m benchmarks.agent apibank --checkout FOLDER    a folder that holds upstream's api-bank
    python -m benchmarks.agent bfcl-base --checkout FOLDER  a folder that holds upstream's bfcl_eval
    python -m benchmarks.agent m3tooleval --checkout FOLDER a folder that holds upstream's scripts/eval/m3tooleval

The gold coder knows the answers: what is measured is the loop, the server and the sandbox, never a model. `--faults
each` makes every fault at every stage it can happen at, `--per` times; `--faults 0.3` makes one in that share of the
replies; `--faults unknown_tool@design` just that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
from benchmarks import machine
from benchmarks.agent import report
from benchmarks.agent.plan import jobs
from benchmarks.agent.run import Record, open_bench, run_all, way
from benchmarks.agent.task import Benchmark, Task, operations, play

from toolweft_client.budget import Budget

MODES = ("program", "paper", "codeact", "react")
NAMES = (
    "restbench",
    "restbench-films",
    "restbench-music",
    "apibank",
    "apibank-tasks",
    "bfcl-base",
    "bfcl-long_context",
    "m3tooleval",
)


def benchmarks(name: str, checkout: str) -> list[Benchmark]:
    from benchmarks.agent.restbench import RestBench

    if name.startswith("restbench"):
        return [RestBench(half) for half in ("films", "music") if name in ("restbench", f"restbench-{half}")]
    if not checkout:
        raise SystemExit(
            f"{name} needs --checkout FOLDER: the folder of upstream's repository, which is not ours to carry"
        )
    if name.startswith("bfcl"):
        from benchmarks.agent.bfcl import Bfcl

        return [Bfcl(Path(checkout), name.removeprefix("bfcl-"))]
    if name == "m3tooleval":
        from benchmarks.agent.m3tooleval import M3ToolEval

        return [M3ToolEval(Path(checkout))]
    from benchmarks.agent.apibank import ApiBank

    return [ApiBank(Path(checkout), whole=name == "apibank-tasks")]


def shown(number: int, of: int, record: Record) -> None:
    if sys.stderr.isatty() or number % 50 == 0 or number == of:
        print(f"\r{number}/{of} {record.task} {record.status}   ", end="" if sys.stderr.isatty() else "\n",
              file=sys.stderr, flush=True)  # fmt: skip


def enough(benchmark: Benchmark, tasks: Sequence[Task]) -> Budget:
    """The usual budget, with as many calls and writes as the longest gold program makes, if those are more."""
    usual, played = Budget(), [play(task, benchmark.worlds()).calls for task in tasks]
    writes = [sum(call.effect != "read" for call in calls) for calls in played]
    return replace(
        usual, writes=max([usual.writes, *writes]), tool_calls=max([usual.tool_calls, *map(len, played)])
    )  # fmt: skip


async def measure(benchmark: Benchmark, options: argparse.Namespace, folder: Path) -> list[Record]:
    tasks = list(benchmark.tasks())[: options.tasks]
    known = operations(benchmark.worlds())
    wanted = jobs(tasks, known, options.faults, per=options.per, seed=options.seed)
    budget = replace(
        enough(benchmark, tasks), run_seconds=options.run_seconds, model_calls=way(options.mode).model_calls
    )
    async with open_bench(benchmark, folder / benchmark.name, checkout=options.checkout, budget=budget,
                          mode=options.mode, strict=options.strict) as bench:  # fmt: skip
        return await run_all(bench, wanted, shown)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--checkout", default="", help="folder of upstream's repository")
    parser.add_argument("--tasks", type=int, help="only the first so many")
    parser.add_argument("--faults", default="", help="each, a rate, or names, with or without @stage")
    parser.add_argument("--per", type=int, default=10, help="runs of each fault at each stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", default="program", choices=MODES, help="the way in which tasks are solved")
    parser.add_argument("--strict", action="store_true", help="the coder knows only tools that a search has shown")
    parser.add_argument("--run-seconds", type=float, default=10.0, help="a program's own time")
    parser.add_argument("--folder", type=Path, help="new folder for traces, logs and records; else a temporary one")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    print(machine.line())
    figures: dict[str, object] = {"machine": machine.describe(), "faults": options.faults, "mode": options.mode}
    with tempfile.TemporaryDirectory() as scratch:
        for benchmark in benchmarks(options.name, options.checkout):
            records = anyio.run(measure, benchmark, options, options.folder or Path(scratch))
            print(report.text(benchmark.label, records))
            if benchmark.excluded:
                print(f"{'excluded':<18} {len(benchmark.excluded)}: {', '.join(sorted(benchmark.excluded))}")
            figures[benchmark.name] = {"label": benchmark.label, "model": "gold coder (knows the answers)",
                                       **report.summary(records)}  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
