"""`python -m benchmarks.agent.live NAME --url URL`: a real model at an OpenAI-compatible endpoint, on chosen tasks.

    python -m benchmarks.agent.live restbench-films --pick 7 --seed 1 --list         ids, and nothing of the tasks
    python -m benchmarks.agent.live restbench-films --pick 7 --seed 1 --url http://localhost:8399/v1
    python -m benchmarks.agent.live apibank-tasks --checkout FOLDER --tasks ID,ID --mode react --url …
    python -m benchmarks.agent.live summary                                          the table of all that was kept

Server, sandbox, ledger, budgets and judges are those of `benchmarks.agent`; only the model differs. Every run leaves a
transcript and a record in `live/BENCHMARK-MODE/`, written as it ends. No score is shown while a run goes on, since the
model may be a person who sees this terminal.

A model cannot know in which form a gold program gives its value. So besides the benchmark's own measures there is, for
those that compare values, `told`: the gold value's parts all stand in the answer, whatever its form, and the state that
was left is right.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import anyio
from benchmarks.agent.__main__ import MODES, NAMES, benchmarks, enough
from benchmarks.agent.run import PROGRAMS, ROOT, Bench, Record, failures, open_bench, way
from benchmarks.agent.task import Benchmark, Task, harm, operations, play
from benchmarks.agent.transcripts import Exchange, Kept, transcript, without_paths
from benchmarks.agent.world import Now, read_log

from toolweft_client import trace as traces
from toolweft_client.account import account_of
from toolweft_client.agent import Agent
from toolweft_client.model.base import ChatModel
from toolweft_client.model.spec import open_model
from toolweft_client.rate import Rate, Spread
from toolweft_client.session import Session
from toolweft_client.trace import Trace

KEPT = Path(__file__).with_name("live")
OURS = "restbench"
"""Of other benchmarks no text is kept: their licences ask for more than a transcript can carry."""
ADDED = {"apibank-tasks": "The year is 2023."}
"""What a task does not say and its judge wants. API-Bank's data are of that year, and no user there names it."""
SETTLING = 600
"""Searches until one says of no tool that it is new."""
PATIENCE = 6 * 3600.0
"""Seconds a task may take: a person who writes the replies has more than one thing to do."""


def chosen(tasks: Sequence[Task], many: int, seed: int, without: str = "") -> list[str]:
    """Ids of so many tasks spread over the list, one out of each of as many equal stretches."""
    left = [task.id for task in tasks if not (without and re.search(without, task.text))]
    rng = Random(seed)
    edges = [len(left) * n // many for n in range(many + 1)]
    return [rng.choice(left[low:high]) for low, high in pairwise(edges) if high > low]


async def settled(session: Session) -> None:
    """The tools' meaning is known, not only their words: what comes before that is the start, and is not measured.

    Raises:
        SystemExit: It does not come to that.

    """
    for _ in range(SETTLING):
        note = (await session.find_tools("anything", limit=1)).note
        if "are new" not in (note or ""):
            return
        await anyio.sleep(0.5)
    raise SystemExit("the search did not come to know what the tools mean")


async def solve(bench: Bench, task: Task, model: ChatModel, number: int) -> tuple[Record, str]:
    """One task with this model: what `Bench.run` does with the gold coder, and the transcript."""
    benchmark, kept = bench.benchmark, Kept(model)
    worlds = benchmark.worlds()
    gold = play(task, worlds)
    Now(number, task.id).write(bench.folder)
    path = bench.folder / "traces" / f"{number:05}.jsonl"
    text = "\n".join(filter(None, [task.text, ADDED.get(benchmark.name)]))
    agent = Agent(kept, bench.session, budget=bench.budget, loop=way(bench.mode).solve)
    answer = await agent.run(text, trace=Trace.to(path), setup={"mode": bench.mode})
    calls, steps = read_log(bench.folder, number), traces.read(path)
    value = answer.value if bench.mode in PROGRAMS else _parsed(answer.text)
    answered = answer.status == "answered"
    measures = dict(benchmark.score(task, value, calls, answered=answered))
    if "accuracy" in measures:
        state = benchmark.score(task, gold.value, calls, answered=answered)["accuracy"]
        measures["told"] = state and tells(value, gold.value)
    account, done = account_of(steps), harm(gold.calls, calls)
    wanted = [tool for tool in operations(worlds) if f"{tool}(" in task.source]
    record = Record(
        task.id, "", [], answer.status, answer.reason or "", measures, account.model_calls, account.input_tokens,
        account.output_tokens, account.programs, account.tool_calls, failures(steps), done.duplicates, done.strays,
        list(account.exceeded), shown(wanted, kept.exchanges), account.seconds, path.name,
    )  # fmt: skip
    ours = benchmark.name.startswith(OURS)
    head: dict[str, object] = {"task": task.id, "mode": bench.mode, "model": model.name}
    head |= {"request": " ".join(text.split())} if ours else {}
    head |= {"status": " ".join(filter(None, [answer.status, answer.reason])), **measures}
    head |= {"answer": json.dumps(value, ensure_ascii=False)} if ours else {}
    return record, transcript(head, kept.exchanges, steps, ours=ours)


def shown(wanted: Sequence[str], exchanges: Iterable[Exchange]) -> float:
    """Share of the gold tools in the first prompt that showed any: what the first search found."""
    prompts = ("\n".join(message.text for message in each.messages) for each in exchanges)
    counts = (sum(f"{tool}(" in prompt for tool in wanted) for prompt in prompts)
    return next(filter(None, counts), 0) / len(wanted) if wanted else 1.0


def tells(answer: object, gold: object) -> bool:
    """Whether every part of the gold value stands in the answer; an empty gold value is told by an empty answer."""
    wanted, text = _parts(gold), " | ".join(_parts(answer))
    if not wanted:
        return not text
    return all(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in wanted)


def _parts(value: object) -> list[str]:
    """The leaves, as a reader would see them: keys are names that a program chose."""
    if isinstance(value, Mapping):
        return [part for each in value.values() for part in _parts(each)]
    if isinstance(value, list | tuple):
        return [part for each in value for part in _parts(each)]
    return [f"{value:g}" if isinstance(value, float) else str(value).strip().casefold()]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def run(benchmark: Benchmark, ids: Sequence[str], options: argparse.Namespace, folder: Path) -> None:
    """Every task ends in a transcript and a line of `runs.jsonl`; an interrupted run is gone on with by `--tasks`."""
    tasks = {task.id: task for task in benchmark.tasks()}
    if unknown := [each for each in ids if each not in tasks]:
        raise SystemExit(f"{benchmark.name} has no task {', '.join(unknown)}")
    kept = options.keep / f"{benchmark.name}-{options.mode}"
    kept.mkdir(parents=True, exist_ok=True)
    folders = {"<run>": folder, "<toolweft>": ROOT}
    folders |= {"<checkout>": Path(options.checkout)} if options.checkout else {}
    budget = replace(
        enough(benchmark, list(tasks.values())),
        run_seconds=10.0, seconds=PATIENCE, model_calls=way(options.mode).model_calls,
    )  # fmt: skip
    async with (
        open_model(f"openai:{options.model}", base_url=options.url) as model,
        open_bench(benchmark, folder / "bench", checkout=options.checkout, budget=budget, mode=options.mode) as bench,
    ):
        await settled(bench.session)
        for number, task in enumerate(ids, 1):
            record, text = await solve(bench, tasks[task], model, number)
            name = re.sub(r"[^\w.-]", "_", task)
            (kept / f"{name}.md").write_text(without_paths(text, folders), encoding="utf-8")
            with (kept / "runs.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record.json()) + "\n")
            print(f"{number}/{len(ids)} {task} has ended", file=sys.stderr, flush=True)


def read(*folders: Path) -> dict[tuple[str, str], list[Record]]:
    """What was kept, by benchmark and mode."""
    found: dict[tuple[str, str], list[Record]] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*/runs.jsonl")):
        name, _, mode = path.parent.name.rpartition("-")
        lines = path.read_text(encoding="utf-8").splitlines()
        found.setdefault((name, mode), []).extend(Record(**json.loads(line)) for line in lines)
    return found


def table(found: Mapping[tuple[str, str], Sequence[Record]]) -> str:
    """Markdown: a row for each benchmark and mode, one for each mode, and programs against single calls."""
    lines = [
        "| benchmark | mode | success | told | model calls | input tokens | output tokens | duplicates | strays |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    order = sorted(found, key=lambda each: (MODES.index(each[1]), each[0]))
    lines += [_row(name, mode, found[name, mode]) for name, mode in order]
    by_mode = {mode: of_mode(found, mode) for mode in MODES if of_mode(found, mode)}
    lines += [_row("all", mode, records) for mode, records in by_mode.items()]
    if "program" in by_mode and "react" in by_mode:
        same = {each.task for each in by_mode["react"]} & {each.task for each in by_mode["program"]}
        both = [[each for each in by_mode[mode] if each.task in same] for mode in ("program", "react")]
        pair = [_median(each.input_tokens for each in records) for records in both]
        sums = [sum(each.input_tokens for each in records) for records in both]
        ratio, of_sums = (f"{100 * a / b:.0f} %" if b else "-" for a, b in (pair, sums))
        lines.append(f"\nThe same {len(same)} tasks, input tokens, median: program {pair[0]:g}, react {pair[1]:g}: "
                     f"{ratio}; sum: {of_sums}; told: program {told(both[0])}, react {told(both[1])}.")  # fmt: skip
    return "\n".join(lines)


def of_mode(found: Mapping[tuple[str, str], Sequence[Record]], mode: str) -> list[Record]:
    return [record for (_, each), records in found.items() if each == mode for record in records]


def success(record: Record) -> bool:
    """The benchmark's own first measure."""
    return next(iter(record.measures.values()))


def told(records: Iterable[Record]) -> int:
    """Where nothing but the judge's word exists, that is what was told."""
    return sum(each.measures.get("told", success(each)) for each in records)


def _row(name: str, mode: str, records: Sequence[Record]) -> str:
    cells = [name, mode, str(Rate(sum(map(success, records)), len(records)))]
    cells.append(str(Rate(told(records), len(records))))
    for key in ("model_calls", "input_tokens", "output_tokens"):
        spread = Spread.of([getattr(each, key) for each in records])
        assert spread is not None
        cells.append(f"{spread.median:g} (mean {spread.mean:.4g}, most {spread.most:g})")
    cells += [str(sum(each.duplicates for each in records)), str(sum(each.strays for each in records))]
    return f"| {' | '.join(cells)} |"


def _median(values: Iterable[float]) -> float:
    spread = Spread.of(list(values))
    return spread.median if spread else 0.0


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent.live", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("name", choices=[*(each for each in NAMES if each != "restbench"), "summary"])
    parser.add_argument("--url", default="", help="of an endpoint that speaks chat completions")
    parser.add_argument("--model", default="hand", help="the name that is sent to it")
    parser.add_argument("--mode", default="program", choices=MODES)
    parser.add_argument("--tasks", default="", help="ids, separated by commas")
    parser.add_argument("--pick", type=int, default=0, help="so many tasks, spread over the list")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", default="", help="not those whose request this pattern is found in")
    parser.add_argument("--list", action="store_true", help="print the ids and do nothing")
    parser.add_argument("--checkout", default="", help="folder of upstream's repository")
    parser.add_argument("--keep", type=Path, default=KEPT, help="where transcripts and records go")
    parser.add_argument(
        "--and", dest="more", type=Path, action="append", default=[], help="for summary: and this folder"
    )
    parser.add_argument("--folder", type=Path, help="new folder for traces, logs and the store; else a temporary one")
    options = parser.parse_args(argv)
    if options.name == "summary":
        print(table(read(options.keep, *options.more)))
        return
    (benchmark,) = benchmarks(options.name, options.checkout)
    ids = [each for each in options.tasks.split(",") if each]
    ids = ids or chosen(benchmark.tasks(), options.pick, options.seed, options.without)
    if options.list:
        print(",".join(ids))
        return
    if not options.url or not ids:
        parser.error("needs --url, and --tasks or --pick")
    with tempfile.TemporaryDirectory() as scratch:
        anyio.run(run, benchmark, ids, options, options.folder or Path(scratch))


if __name__ == "__main__":
    main()
