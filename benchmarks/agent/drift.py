"""Tasks of families while the tools change under a library that grows: does it go on as well as it began?

    python -m benchmarks.agent.drift [--tasks 500] [--seed 0] [--json FILE]

The tasks are those of `benchmarks.agent.library`, in equal periods; between two periods one of `CHANGES` befalls the
tools, in a real MCP server that says so to whoever listens. The family coder knows how each program is to be written
now, and takes a saved function whenever one is shown; a part of the programs hold functions that are wrong on purpose.
What became of functions is read from the library's own log. Layer 3: no figure here is about a model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import anyio
from benchmarks import machine
from benchmarks.agent.films import Films
from benchmarks.agent.library import Asked, FamilyCoder, Run, run, tasks
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.run import ROOT, Bench, open_bench
from benchmarks.agent.serve import answer, described
from benchmarks.agent.task import Task, play
from benchmarks.agent.world import Now, Operation, Stage, World
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import ListToolsResult
from sqlalchemy import select

from toolweft_client.rate import Rate
from toolweft_server.library.function import SERVER, Function
from toolweft_server.library.store import FunctionStore
from toolweft_server.store import schema
from toolweft_server.store.store import Store

WRONG = "Wrong on purpose."
"""In the docstring of functions that no program may ever be offered."""
SHARE = 0.06
"""Of tasks whose program holds such a function."""
PATIENCE = 30.0
"""Seconds until a change must have arrived, and until what depends on it must be marked."""
LOOK = 0.05
"""Seconds between looks."""


class Change(NamedTuple):
    """What happens to one tool."""

    what: str
    tool: str
    made: Callable[[Operation], Operation]
    words: Mapping[str, str]
    """In programs: what stood there, and what has to stand there from now on."""
    seen: str = ""
    """What a search shows of the tool afterwards; empty where its description stays the same."""


def _more(each: Operation) -> Operation:
    language = {"type": "string", "description": "Language of the titles."}
    return replace(each, parameters={**each.parameters, "language": language}, optional=each.optional | {"language"})


def _another(each: Operation) -> Operation:
    film = {"film_id": {"type": "integer", "description": "Id of the film."}}
    return replace(each, name="film_people", description="Who acts in one film, and who made it.", parameters=film,
                   run=lambda given: each.run({"movie_id": given["film_id"]}))  # fmt: skip


def _elsewhere(each: Operation) -> Operation:
    def run(given: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(each.run(given))
        found["counts"] = {"seasons": found.pop("number_of_seasons")}
        return found

    return replace(each, run=run)


def _renamed(each: Operation) -> Operation:
    return replace(each, parameters={"person": each.parameters["person_id"]},
                   run=lambda given: each.run({"person_id": given["person"]}))  # fmt: skip


CHANGES: Sequence[Change] = (
    Change("a parameter more", "search_movie", _more, {}, "language"),
    Change("another tool in its place", "movie_credits", _another,
           {"films.movie_credits(movie_id=": "films.film_people(film_id="}, "film_people"),
    Change("a result of another shape, unannounced", "tv_details", _elsewhere,
           {"full['number_of_seasons']": "full['counts']['seasons']"}),
    Change("an argument renamed", "person_movie_credits", _renamed,
           {"films.person_movie_credits(person_id=": "films.person_movie_credits(person="}, "(person:"),
)  # fmt: skip


class Shifting:
    """The films, after the first `period` changes."""

    name = "films"

    def __init__(self) -> None:
        self._films = Films()
        self.period = 0

    def reset(self, task: str) -> None:
        self._films.reset(task)

    def operations(self) -> Sequence[Operation]:
        made = list(self._films.operations())
        for change in CHANGES[: self.period]:
            made = [change.made(each) if each.name == change.tool else each for each in made]
        return made


class Drift(RestBench):
    def __init__(self) -> None:
        super().__init__("films")
        self.world = Shifting()

    def worlds(self) -> Sequence[World]:
        return [self.world]


def now(asked: Asked, period: int) -> Asked:
    """The same task, with the program that is right in that period."""
    family = asked.family
    lines, value = list(family.lines), family.value
    for change in CHANGES[:period]:
        for old, new in change.words.items():
            lines, value = [each.replace(old, new) for each in lines], value.replace(old, new)
    return replace(asked, family=family._replace(lines=lines, value=value))


def wrong(asked: Asked, *, swallows: bool) -> str:
    """A program that answers its own task, with a function that is no good for another one."""
    family = asked.family
    right = replace(asked, family=family._replace(doc=f"{WRONG} {family.doc}")).program(saved=True)
    if not swallows:  # its parameter means nothing
        return right.replace(f"query={family.slot}", f"query={asked.name!r}")
    head, *body = right.partition("\n\n\n")[0].split("\n")
    tried = [f"    {line}" for line in body[1:]]
    end = ["    except Exception:", "        return None"]
    return "\n".join([head, body[0], "    try:", *tried, *end, "", "", asked.call, ""])


# ---- the server ------------------------------------------------------------------------------------------------


async def serve(folder: Path) -> None:
    """The films over stdio. The file `period` in the folder says how many changes there have been."""
    world, bus = Shifting(), InMemorySubscriptionBus()
    stage = Stage(world, folder)

    async def tools(_context: object, _params: object) -> ListToolsResult:
        return ListToolsResult(tools=[described(each) for each in world.operations()])

    async def call(_context: object, params: Any) -> Any:
        return await answer(stage, params.name, params.arguments or {})

    async def watch() -> None:
        nonlocal stage
        while True:
            if (period := _period(folder)) != world.period:
                world.period = period
                stage = Stage(world, folder)
                await bus.publish(ToolsListChanged())
            await anyio.sleep(LOOK)

    world.period = _period(folder)
    listening = ListenHandler(bus)
    server: Server[None] = Server(
        world.name, version="1", on_list_tools=tools, on_call_tool=call, on_subscriptions_listen=listening
    )
    async with stdio_server() as (read, write), anyio.create_task_group() as beside:
        beside.start_soon(watch)
        await server.run(read, write, server.create_initialization_options())
        beside.cancel_scope.cancel()


def _period(folder: Path) -> int:
    path = folder / "period"
    return int(path.read_text(encoding="utf-8") or 0) if path.exists() else 0


# ---- the runs --------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One change, and what became of the functions that depend on its tool."""

    what: str
    announced: bool
    dependents: int
    stale: int
    """Of those, marked before the next task began."""
    again: int
    """Active again in the same version when the period ended: verified anew, or its code ran clean again."""
    repaired: int
    """Followed by a version that was written anew and is active."""
    unverified: int
    """Uses after an announced change of a version that had not been verified since."""
    failures: int
    """Of versions from before the change, in programs after it."""


class Drifted(NamedTuple):
    runs: list[Run]
    steps: list[Step]
    offered_wrong: int
    activated_wrong: int


async def measure(wanted: Sequence[Asked], folder: Path, seed: int) -> Drifted:
    bench_folder, rng = folder / "drift", Random(seed)
    command = {"command": sys.executable, "args": ["-m", "benchmarks.agent.drift", "--serve", str(bench_folder)],
               "env": {"PYTHONPATH": str(ROOT)}}  # fmt: skip
    benchmark, runs, steps, spoilt = Drift(), list[Run](), list[Step](), 0
    size = len(wanted) // (len(CHANGES) + 1)
    async with open_bench(benchmark, bench_folder, distractors={"mcpServers": {"films": command}}) as bench:
        with Store.open(bench_folder / "store.db") as store:
            before: dict[tuple[str, int], int] = {}
            for number, asked in enumerate(wanted):
                if number and number % size == 0 and benchmark.world.period < len(CHANGES):
                    steps = _ended(steps, before, store)
                    step, before = await _change(bench, benchmark.world, store)
                    steps.append(step)
                bad = rng.random() < SHARE
                program = wrong(now(asked, benchmark.world.period), swallows=bool(spoilt % 2)) if bad else ""
                spoilt += bad
                runs.append(await solved(bench, now(asked, benchmark.world.period), number, program))
                if (number + 1) % 50 == 0:
                    print(f"{number + 1}/{len(wanted)}", file=sys.stderr, flush=True)
            steps = _ended(steps, before, store)
            return Drifted(runs, steps, spoilt, _activated(store))


async def solved(bench: Bench, asked: Asked, number: int, spoilt: str) -> Run:
    task = Task(f"drift-{number}", asked.text, asked.program(saved=True))
    gold = play(task, bench.benchmark.worlds())
    Now(number + 1, task.id).write(bench.folder)
    model = FamilyCoder(asked, warm=True, spoilt=spoilt)
    got, told = await run(bench, model, asked.text, number)
    right = got.status == "answered" and got.value == gold.value
    return Run(
        asked.family.name, right, told.model_calls, told.input_tokens, "functions." in got.program
    )  # fmt: skip


async def _change(bench: Bench, world: Shifting, store: Store) -> tuple[Step, dict[tuple[str, int], int]]:
    """The next change, once the server's host knows of it. Also: by dependent function, its latest event till then."""
    change = CHANGES[world.period]
    library = FunctionStore(store)
    held = [each for each in library.active() if f"films.{change.tool}" in each.tools]
    world.period += 1
    draft = bench.folder / "period.new"
    draft.write_text(str(world.period), encoding="utf-8")
    draft.replace(bench.folder / "period")
    if change.seen:
        name = change.made(next(each for each in Films().operations() if each.name == change.tool)).name
        await _until(bench, f"films.{name}", change.seen)
        for _ in range(int(PATIENCE / LOOK)):
            if not await _offered(bench, library, held):
                break
            await anyio.sleep(LOOK)
    else:
        await anyio.sleep(20 * LOOK)  # the server knows it by then; nobody else can
    stale = sum(_state(library, each) == "stale" for each in held)
    marks = {(each.name, each.version): _events(store, each.name)[-1].seq for each in held}
    return Step(change.what, bool(change.seen), len(held), stale, 0, 0, 0, 0), marks


async def _until(bench: Bench, tool: str, seen: str) -> None:
    """
    Raises:
        TimeoutError: The server never told of the change, or its host never read its tools again.

    """
    with anyio.fail_after(PATIENCE):
        while True:
            found = await bench.session.find_tools(tool, limit=1)
            if any(each.id == tool and seen in each.call for each in found.tools):
                return
            await anyio.sleep(LOOK)


async def _offered(bench: Bench, library: FunctionStore, held: Sequence[Function]) -> bool:
    """Whether any is still active, or shown by a search: its index follows the library by a moment."""
    if any(_state(library, each) == "active" for each in held):
        return True
    # One word of its name: two would ask for it, and have it verified anew.
    words = [max(each.name.split("_"), key=len) for each in held]
    shown = [await bench.session.find_tools(word, server=SERVER, limit=20) for word in words]
    return any(tool.id == f"{SERVER}.{each.name}" for each in held for found in shown for tool in found.tools)


def _ended(steps: list[Step], before: Mapping[tuple[str, int], int], store: Store) -> list[Step]:
    """The last step with what became of its functions by now."""
    if not steps:
        return steps
    last, again, repaired, unverified, failures = steps[-1], 0, 0, 0, 0
    for (name, version), mark in before.items():
        later = [each for each in _events(store, name) if each.seq > mark]
        active = [each for each in later if json.loads(each.detail).get("state") == "active"]
        back = next((each.seq for each in active if each.version == version), None)
        uses = [each for each in later if each.version == version and each.kind in ("used", "failed")]
        again += back is not None
        repaired += any(each.version > version for each in active)
        unverified += last.announced * sum(back is None or each.seq < back for each in uses)
        failures += sum(each.kind == "failed" for each in uses)
    return [*steps[:-1], last._replace(again=again, repaired=repaired, unverified=unverified, failures=failures)]


def _state(library: FunctionStore, function: Function) -> str:
    return library.life(function.name).versions[function.version].state


def _events(store: Store, name: str) -> Sequence[Any]:
    event = schema.function_event
    with store.database.read() as db:
        return db.execute(select(event).where(event.c.name == name).order_by(event.c.seq)).all()


def _activated(store: Store) -> int:
    """Versions that are wrong on purpose and were active at any time."""
    library = FunctionStore(store)
    versions = [each for one in library.list() for each in library.versions(one.name) if WRONG in each.source]
    return sum(
        each.version == event["version"] and event.get("state") == "active"
        for each in versions
        for event in library.history(each.name)
    )


# ---- figures ---------------------------------------------------------------------------------------------------


def summary(found: Drifted) -> dict[str, Any]:
    size = max(1, len(found.runs) // (len(CHANGES) + 1))
    parts = [found.runs[at : at + size] for at in range(0, size * (len(CHANGES) + 1), size)]
    return {
        "tasks": len(found.runs),
        "success": str(Rate(sum(each.right for each in found.runs), len(found.runs))),
        "periods": [
            {
                "success": sum(each.right for each in part), "of": len(part),
                "model_calls": round(sum(each.model_calls for each in part) / len(part), 3),
                "reused": round(sum(each.reused for each in part) / len(part), 3),
            }
            for part in parts
        ],
        "changes": [each._asdict() for each in found.steps],
        "answered_wrongly_by_a_saved_function": sum(each.reused and not each.right for each in found.runs),
        "wrong_on_purpose": {"offered": found.offered_wrong, "activated": found.activated_wrong},
    }  # fmt: skip


def text(figures: Mapping[str, Any]) -> str:
    lines = [f"{figures['tasks']} tasks while the tools change; family coder; success {figures['success']}"]
    lines.append("period  success     model calls  by a saved function  what changed before it")
    changes = [None, *figures["changes"]]
    for number, (part, change) in enumerate(zip(figures["periods"], changes, strict=False), 1):
        lines.append(f"{number:<7} {part['success']:>3}/{part['of']:<7} {part['model_calls']:<12.2f} "
                     f"{100 * part['reused']:>5.1f} %              {change['what'] if change else ''}")  # fmt: skip
    lines += [
        f"{each['what']}: {each['dependents']} functions depend on it, {each['stale']} stale before the next task; "
        f"{each['again']} active again, {each['repaired']} repaired; "
        f"{each['unverified']} uses of what was not verified, {each['failures']} failures"
        for each in figures["changes"]
    ]
    bad = figures["wrong_on_purpose"]
    lines.append(f"functions wrong on purpose: {bad['offered']} written, {bad['activated']} ever active")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent.drift", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="new folder for logs and the store; else a temporary one")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        return anyio.run(serve, options.serve)
    print(machine.line())
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        found = anyio.run(measure, tasks(options.tasks, options.seed), folder, options.seed)
    figures = summary(found)
    print(text(figures))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine.describe(), **figures}, indent=1), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
