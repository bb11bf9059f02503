"""Runs tasks through the real server, sandbox and ledger, one after another, and keeps a trace and a record of each.

Every task gets a fresh world, a model of its own and a trace file. What is said of a run comes from that trace and
from the world's own log of calls; the agent's word is not taken for either.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio
from benchmarks.agent.entries import entry
from benchmarks.agent.faults import Entry
from benchmarks.agent.gold import Draw, GoldCoder, never
from benchmarks.agent.task import Benchmark, Played, Task, harm, operations, play
from benchmarks.agent.world import Now, World, read_log

from toolweft_catalog.tool import Json
from toolweft_client import trace as traces
from toolweft_client.account import account_of
from toolweft_client.agent import Agent, Loop, solve
from toolweft_client.budget import Budget
from toolweft_client.session import Session, own_server
from toolweft_client.tape import Tape
from toolweft_client.trace import Step, Trace

ROOT = Path(__file__).resolve().parents[2]
CONNECT = 300.0
"""Seconds for the server's start: benchmarks run beside other work."""
PROGRAMS = ("program", "paper")
"""Modes in which the program's value is the answer; in the others the model says it, as JSON here."""
RESUMED = 3
"""How often a run is resumed whose model or server failed, as a person would; counts are of all of it."""
READY_TRIES = 120
"""Searches until the worlds are known; each waits for them a while itself."""


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one task. Counts are of trace events, but for writes, which are of the world's log."""

    task: str
    fault: str
    """`fault@stage` that was asked for; empty when none."""
    made: list[str]
    """Faults that the coder really made, and the tool's trouble if it befell a call."""
    status: str
    reason: str
    measures: Mapping[str, bool]
    model_calls: int
    input_tokens: int
    output_tokens: int
    programs: int
    tool_calls: int
    failures: list[str]
    """Classes of the failures on the way, in order."""
    duplicates: int
    strays: int
    over_budget: list[str]
    found: float
    """Share of the gold tools that the first design prompt showed."""
    seconds: float
    trace: str

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Job:
    """One run that is wanted."""

    task: Task
    fault: str = ""
    draw: Draw = never
    trouble: Now | None = None
    entry: Entry = ""
    """What is the matter with a saved function for this task; there is none by default."""
    seed: int = 0


@dataclass
class Bench:
    """A benchmark, its server and where its traces go. Made by `open_bench`."""

    benchmark: Benchmark
    session: Session
    folder: Path
    budget: Budget
    connect: Callable[[], Awaitable[Session]]
    """Starts toolweft anew over the same folder, when it was killed."""
    mode: str = "program"
    strict: bool = False
    loop: Loop | None = None
    """Another than the mode's own."""
    coder: type[GoldCoder] = GoldCoder
    _number: int = 0
    _back: str = ""
    """A tool that has another name until the next run begins."""
    _gold: dict[str, Played] = field(default_factory=dict)

    async def run(self, job: Job) -> Record:
        task, worlds = job.task, self.benchmark.worlds()
        if task.id not in self._gold:
            self._gold[task.id] = play(task, worlds)
        gold = self._gold[task.id]
        if self._back:
            Now(self._number + 1, task.id).write(self.folder)
            await _ready(self.session, [self._back])
        self._number += 1
        now = job.trouble or Now(0, task.id)
        Now(self._number, task.id, now.tool, now.trouble).write(self.folder)
        self._back = now.tool if now.trouble == "moved" else ""
        known = operations(worlds)
        model = self.coder(
            task.source, known, gold.calls, gold.value, self.mode, job.draw, Random(job.seed), self.strict,
            relies=bool(job.entry),
        )  # fmt: skip
        path = self.folder / "traces" / f"{self._number:05}.jsonl"
        agent = Agent(model, self.session, budget=self.budget, loop=self.loop or way(self.mode).solve)
        async with entry(job.entry, task, self.session, self.folder / "store.db"):
            answer = await agent.run(task.text, trace=Trace.to(path), setup={"mode": self.mode})
        for _ in range(RESUMED):
            if answer.reason not in ("model", "session"):
                break
            if answer.reason == "session":
                self.session = await self.connect()
                await _ready(self.session, _first_tools(worlds))
            setup: dict[str, Json] = {"mode": self.mode, "resumes": str(path)}
            tape, path = Tape(traces.read(path)), path.with_name(f"{path.stem}-on.jsonl")
            agent = Agent(model, self.session, budget=self.budget, loop=self.loop or way(self.mode).solve)
            answer = await agent.run(task.text, trace=Trace.to(path), tape=tape, setup=setup)
        calls = read_log(self.folder, self._number)
        steps = traces.read(path)
        if (self.folder / f"{self._number}.troubled").exists():
            model.made.append(f"{now.trouble}@run")
        done = harm(gold.calls, calls)
        value = answer.value if self.mode in PROGRAMS else _said(answer.text)
        scored = self.benchmark.score(task, value, calls, answered=answer.status == "answered")
        told = account_of(steps)
        return Record(
            task.id, job.fault, model.made, answer.status, answer.reason or "", scored, told.model_calls,
            told.input_tokens, told.output_tokens, told.programs, told.tool_calls, failures(steps), done.duplicates,
            done.strays, list(told.exceeded), _share(model, task, known), told.seconds, path.name,
        )  # fmt: skip


class Way(NamedTuple):
    solve: Loop
    model_calls: int
    """Of a task, as the mode itself would have it."""


def way(mode: str) -> Way:
    """The agent's own loop is `program`; any other is a module of `toolweft_client.modes`."""
    if mode == "program":
        return Way(solve, Budget().model_calls)
    module = importlib.import_module(f"toolweft_client.modes.{mode}")
    return Way(module.solve, module.MOST_CALLS)


@asynccontextmanager
async def open_bench(
    benchmark: Benchmark,
    folder: Path,
    *,
    checkout: str = "",
    budget: Budget = Budget(),  # noqa: B008
    mode: str = "program",
    strict: bool = False,
    distractors: Mapping[str, Any] | None = None,
    beside: Mapping[str, Any] | None = None,
) -> AsyncIterator[Bench]:
    """Starts toolweft over the benchmark's worlds. `folder` keeps everything, and is new but for a store it may hold.

    `beside` are further servers of the configuration, `distractors` further keys of it.
    """
    (folder / "traces").mkdir(parents=True)
    Now(0, "").write(folder)
    python_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    servers = {
        world.name: {
            "command": sys.executable, "env": {"PYTHONPATH": python_path},
            "args": ["-m", "benchmarks.agent.serve", world.name, str(folder), *filter(None, [checkout])],
        }
        for world in benchmark.worlds()
    }  # fmt: skip
    config = folder / "toolweft.json"
    servers |= beside or {}
    document = {"mcpServers": servers, "store": str(folder / "store.db"), "policy": {"default": "trust"}}
    config.write_text(json.dumps(document | dict(distractors or {})), encoding="utf-8")
    async with AsyncExitStack() as open_:

        async def connect() -> Session:
            return await open_.enter_async_context(Session.connect(own_server(config), seconds=CONNECT))

        session = await connect()
        await _ready(session, _first_tools(benchmark.worlds()))
        yield Bench(benchmark, session, folder, budget, connect, mode, strict)


def _first_tools(worlds: Iterable[World]) -> list[str]:
    return [f"{world.name}.{world.operations()[0].name}" for world in worlds]


async def _ready(session: Session, tools: Sequence[str]) -> None:
    """The worlds have been read: what a server costs that has just been started is not what is measured.

    Raises:
        SystemExit: They could not be.

    """
    note: str | None = ""
    for _ in range(READY_TRIES):
        found = [await session.find_tools(tool, limit=1) for tool in tools]
        if all(tool in [each.id for each in one.tools] for tool, one in zip(tools, found, strict=True)):
            return
        note = found[-1].note
        await anyio.sleep(0.5)
    raise SystemExit(f"toolweft did not come to know {', '.join(tools)}: {note}")


async def run_all(bench: Bench, jobs: Sequence[Job], progress: Callable[[int, int, Record], None]) -> list[Record]:
    """Every run ends in a record; the file grows with each, so that an interrupted benchmark can be read."""
    made: list[Record] = []
    with (bench.folder / "runs.jsonl").open("a", encoding="utf-8") as file:
        for number, job in enumerate(jobs, 1):
            record = await bench.run(job)
            made.append(record)
            file.write(json.dumps(record.json()) + "\n")
            file.flush()
            progress(number, len(jobs), record)
    return made


def failures(steps: Iterable[Step]) -> list[str]:
    """What went wrong on the way: the check's complaints by kind of text, a program's error by its type."""
    found: list[str] = []
    for step in steps:
        problems = step.data.get("problems")
        if step.event == "check" and isinstance(problems, list):
            found += [f"check: {_kind(str(each))}" for each in problems]
        if step.event == "run" and step.data.get("status") != "ok":
            error = step.data.get("error")
            what = str(error.get("type")) if isinstance(error, dict) else ""
            found.append(f"run: {what or step.data.get('status')}")
    return found


def _kind(complaint: str) -> str:
    kinds = {"there is no tool": "unknown tool", "has no argument": "unknown argument", "needs ": "missing argument",
             "not valid Python": "syntax"}  # fmt: skip
    return next((kind for words, kind in kinds.items() if words in complaint), "other")


def _said(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _share(model: GoldCoder, task: Task, known: Mapping[str, Any]) -> float:
    wanted = {tool for tool in known if f"{tool}(" in task.source}
    return len(model.seen & wanted) / len(wanted) if wanted else 1.0
