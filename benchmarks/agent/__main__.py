"""`python -m benchmarks.agent NAME`: tasks through the real server, sandbox and ledger, with the gold coder as model.

    python -m benchmarks.agent restbench                    all tasks of both halves, no fault
    python -m benchmarks.agent restbench-music --faults each --per 10
    python -m benchmarks.agent apibank --checkout FOLDER    a folder that holds upstream's api-bank

The gold coder knows the answers: what is measured is the loop, the server and the sandbox, never a model. `--faults
each` makes every fault at every stage it can happen at, `--per` times; `--faults 0.3` makes one in that share of the
replies; `--faults unknown_tool@design` just that.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import anyio
from benchmarks import machine
from benchmarks.agent import report
from benchmarks.agent.faults import BY_NAME, EXPENSIVE, FAULTS, Fault, Stage, has_writes, sites
from benchmarks.agent.gold import at_rate, never, once
from benchmarks.agent.run import Job, Record, open_bench, run_all
from benchmarks.agent.task import Benchmark, Task, operations
from benchmarks.agent.world import Now

from toolweft_client.agent import Loop
from toolweft_client.budget import Budget

NAMES = ("restbench", "restbench-films", "restbench-music", "apibank", "apibank-tasks")
FEW = 3
"""Runs of a fault that costs seconds each."""


def benchmarks(name: str, checkout: str) -> list[Benchmark]:
    from benchmarks.agent.restbench import RestBench

    if name.startswith("restbench"):
        return [RestBench(half) for half in ("films", "music") if name in ("restbench", f"restbench-{half}")]
    if not checkout:
        raise SystemExit(
            f"{name} needs --checkout FOLDER: the folder of upstream's repository, which is not ours to carry"
        )
    from benchmarks.agent.apibank import ApiBank

    return [ApiBank(Path(checkout), whole=name == "apibank-tasks")]


def jobs(benchmark: Benchmark, tasks: Sequence[Task], faults: str, *, per: int, seed: int) -> list[Job]:
    """
    Raises:
        SystemExit: `faults` names none.

    """
    if not faults:
        return [Job(task) for task in tasks]
    known, rng = operations(benchmark.worlds()), Random(seed)
    if faults.replace(".", "", 1).isdigit():
        names = [each.name for each in FAULTS if each.name not in EXPENSIVE and each.expected == "recovers"]
        return [Job(task, draw=at_rate(float(faults), names, Random(seed + n)), seed=n) for n, task in enumerate(tasks)]
    wanted = dict(_pairs(faults))
    writing = [task for task in tasks if has_writes(task.source, known)]
    made: list[Job] = []
    for label, (fault, stage) in wanted.items():
        fitting = writing if fault.writes_only else list(tasks)
        many = min(per, FEW) if fault.name in EXPENSIVE else per
        for n, task in enumerate(rng.sample(fitting, min(many, len(fitting)))):
            made.append(_job(task, label, fault, stage, known, seed + n))
    return made


def _pairs(faults: str) -> Iterator[tuple[str, tuple[Fault, Stage]]]:
    every = [(f"{each.name}@{stage}", (each, stage)) for each in FAULTS for stage in each.stages]
    chosen = [pair for pair in every if faults == "each" or {pair[0], pair[1][0].name} & set(faults.split(","))]
    if not chosen:
        raise SystemExit(f"there is no fault {faults!r}; there are each, a rate, or some of {', '.join(BY_NAME)}")
    yield from chosen


def _job(task: Task, label: str, fault: Fault, stage: Stage, known: dict[str, object], seed: int) -> Job:
    if stage != "run":
        return Job(task, label, once(fault.name, stage), seed=seed)
    found = [each.tool for each in sites(ast.parse(task.source), known)]  # type: ignore[arg-type]
    if fault.writes_only:
        found = [each for each in found if known[each].effect != "read"]  # type: ignore[attr-defined]
    return Job(task, label, never, Now(0, task.id, Random(seed).choice(found), fault.trouble), seed)


def loop(mode: str) -> Loop | None:
    """`toolcoder` is the agent's own; any other is `toolweft_client.modes.MODE`'s `solve`.

    Raises:
        SystemExit: There is no such mode.

    """
    if mode == "toolcoder":
        return None
    try:
        found: Loop = importlib.import_module(f"toolweft_client.modes.{mode}").solve
    except (ImportError, AttributeError) as error:
        raise SystemExit(f"there is no mode {mode!r}: {error}") from error
    return found


def shown(number: int, of: int, record: Record) -> None:
    if sys.stderr.isatty() or number % 50 == 0 or number == of:
        print(f"\r{number}/{of} {record.task} {record.status}   ", end="" if sys.stderr.isatty() else "\n",
              file=sys.stderr, flush=True)  # fmt: skip


async def measure(benchmark: Benchmark, options: argparse.Namespace, folder: Path) -> list[Record]:
    tasks = list(benchmark.tasks())[: options.tasks]
    wanted = jobs(benchmark, tasks, options.faults, per=options.per, seed=options.seed)
    budget = Budget(run_seconds=options.run_seconds)
    async with open_bench(benchmark, folder / benchmark.name, checkout=options.checkout, budget=budget,
                          loop=loop(options.mode), strict=options.strict) as bench:  # fmt: skip
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
    parser.add_argument("--mode", default="toolcoder", help="another way to solve tasks, of toolweft_client.modes")
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
