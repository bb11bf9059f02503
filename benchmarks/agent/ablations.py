"""What each part of the loop is worth: the agent with one part taken out, and other methods, on emulated RestBench.

    python -m benchmarks.agent.ablations [--per 1] [--tasks N] [--rows program,react,...] [--json FILE]

Each row runs all tasks without a fault and, `--per` times, every recoverable fault at every stage. The model is the
gold coder: it measures the loop, never a model, and no figure may stand beside a published one. It makes no mistakes of
its own in `react`, where only tools go wrong. It knows tools that no search has shown, and writes the same program with
a design before it as without: what a design is worth to a real model is not in this table.

The last two rows have a coder that writes functions with parameters and calls a saved one where a prompt shows it. Both
have solved two rounds of other tasks of the same templates before.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple, cast
from unittest import mock

import anyio
from benchmarks import machine
from benchmarks.agent.faults import FAULTS, fenced
from benchmarks.agent.gold import GoldCoder
from benchmarks.agent.plan import jobs
from benchmarks.agent.restbench import FILM_TEMPLATES, MUSIC_TEMPLATES, RestBench
from benchmarks.agent.run import Bench, Job, Record, open_bench, way
from benchmarks.agent.task import operations

from toolweft_catalog.wire import FoundTools
from toolweft_client.agent import Loop, solve
from toolweft_client.budget import Budget
from toolweft_client.rate import Rate
from toolweft_client.session import Session
from toolweft_client.stages import direct as directly
from toolweft_client.stages.answer import Answer, answer
from toolweft_client.stages.discover import discover
from toolweft_client.stages.learn import learn
from toolweft_client.stages.repair import repair, stale
from toolweft_client.stages.run import run
from toolweft_client.stubs import fetch
from toolweft_client.work import Work

RECOVERABLE = ",".join(each.name for each in FAULTS if each.expected == "recovers" and not each.entry)
ROUNDS = 2
"""Of other tasks, before the rows with saved functions: one that writes is active after its second success."""
RUN_SECONDS = 10.0
MEASURES = ("success", "accuracy", "path")


async def at_once(work: Work) -> Answer:
    """The loop without a design: the program is written from the full stubs of all that the search found."""
    await discover(work)
    program = await _written(work)
    while not (attempt := await run(work, program)).ok:
        mended = None if stale(work) else await repair(work, attempt)
        program = mended or await _written(work)
    return answer(work, attempt, learn(work, attempt))


async def _written(work: Work) -> str:
    work.trace.enter("implement")
    tools = list(work.tools)
    await fetch(work, tools)
    return await work.ask("implement", "\n\n".join([directly.text(work, tools), *work.learnt]))


async def direct_first(work: Work) -> Answer:
    """The loop, with the best tool alone tried before every design, whether or not it stands above the others."""

    def best(work: Work) -> str | None:
        return max(work.tools, key=lambda tool: work.tools[tool].score, default=None)

    with mock.patch.object(directly, "obvious", best):
        return await solve(work)


class Through:
    """A session seen through something that takes a part of it away."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class Forgetful(Through):
    """No attempt is known as the retry of another, so nothing that was done is replayed."""

    async def execute_code(self, code: str, *, retry_of: str | None = None, **more: Any) -> Any:
        del retry_of
        return await self._session.execute_code(code, **more)


class Unobserved(Through):
    """Nothing is said of results that were seen. The emulated tools declare none, so nothing at all is."""

    async def find_tools(self, query: str, **more: Any) -> FoundTools:
        found = await self._session.find_tools(query, **more)
        return found.model_copy(
            update={"tools": [each.model_copy(update={"call": _blind(each.call)}) for each in found.tools]}
        )

    async def stub(self, tool: str, **more: Any) -> str:
        text = _RETURNS.sub("", await self._session.stub(tool, **more))
        return re.sub(r"\) -> .*:$", ") -> Any:", text, count=1, flags=re.MULTILINE)


_RETURNS = re.compile(r"\n\s*Returns:\n.*?(?=\n\s*\"\"\"|\n\n)", re.DOTALL)


def _blind(call: str) -> str:
    return f"{call.partition(') -> ')[0].removesuffix(')')}) -> Any"


class Functionless(Through):
    """No saved function is ever found."""

    async def find_tools(self, query: str, **more: Any) -> FoundTools:
        found = await self._session.find_tools(query, **more)
        return found.model_copy(update={"tools": [each for each in found.tools if each.origin != "library"]})


class General(NamedTuple):
    """A gold program as a function with parameters."""

    name: str
    source: str
    """With the line that calls it."""
    values: Mapping[str, Any]


def general(source: str) -> General:
    """The program's values that its task says become parameters; its name is the task without them."""
    tree = ast.parse(source)
    function = next(each for each in tree.body if isinstance(each, ast.FunctionDef))
    text = (ast.get_docstring(function) or "").partition("\n")[0]
    lifting = _Lifting(text)
    function.body = [lifting.visit(each) for each in function.body[1:]]
    said = re.sub(r"[^a-z]+", "_", _without(text, lifting.values).lower()).strip("_")
    function.name = said[:60].rstrip("_")
    function.args.args = [ast.arg(name, ast.Name(type(value).__name__)) for name, value in lifting.values.items()]
    function.body.insert(
        0, ast.Expr(ast.Constant(f"{_without(text, lifting.values)}\n\n    Success: there is a value.\n    "))
    )
    given = [ast.keyword(name, ast.Constant(value)) for name, value in lifting.values.items()]
    tree.body[-1] = ast.Expr(ast.Call(ast.Name(function.name), [], given))
    return General(function.name, ast.unparse(ast.fix_missing_locations(tree)) + "\n", lifting.values)


def _without(text: str, values: Mapping[str, Any]) -> str:
    for value in values.values():
        text = text.replace(repr(value), "…").replace(str(value), "…")
    return text


@dataclass
class _Lifting(ast.NodeTransformer):
    """Names and numbers that stand in the text, as parameters."""

    text: str
    values: dict[str, Any] = field(default_factory=dict)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Keys are the tools' language."""
        node.value = self.visit(node.value)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        named = isinstance(value, str) and value[:1].isupper()
        if not (named or (type(value) is int and value > 9)) or not re.search(rf"\b{re.escape(str(value))}", self.text):
            return node
        name = next((name for name, other in self.values.items() if other == value), f"given_{len(self.values) + 1}")
        self.values[name] = value
        return ast.Name(name, ast.Load())


@dataclass
class FunctionCoder(GoldCoder):
    """Writes the gold program as a function with parameters, and calls the saved one where a prompt shows it."""

    def __post_init__(self) -> None:
        self._general = general(self.source)
        self.source = self._general.source

    def _reply(self, prompt: str, stage: str) -> str:
        if self._mistake is None and (call := self._saved(prompt)):
            self._sent.append(call)
            return fenced(call)
        return super()._reply(prompt, stage)

    def _saved(self, prompt: str) -> str:
        """A call of the saved function with the arguments that its signature asks for; empty where none is shown."""
        name, _, values = self._general
        shown = re.search(rf"\b{name}\(([^)]*)\)", prompt[prompt.find(f"functions.{name}(") :])
        if f"functions.{name}(" not in prompt or shown is None or f"functions.{name}(" in "".join(self._sent):
            return ""
        names = re.findall(r"(\w+):", shown[1])
        if not set(names) <= values.keys():
            return ""
        return f"functions.{name}({', '.join(f'{each}={values[each]!r}' for each in names)})\n"


class Row(NamedTuple):
    name: str
    told: str
    """What is taken out, or what else is done."""
    mode: str = "program"
    loop: Loop | None = None
    without: Mapping[str, int] = {}
    """Budgets that are another."""
    through: type[Through] | None = None
    coder: type[GoldCoder] = GoldCoder


ROWS: Sequence[Row] = (
    Row("program", "the agent's own loop"),
    Row("paper", "the paper's stages, one call each", "paper"),
    Row("codeact", "free turns of code", "codeact"),
    Row("react", "one call as JSON a turn", "react"),
    Row("no scaffold", "no design: the program at once, from the full stubs of all tools found", loop=at_once),
    Row("direct", "the best tool alone is tried before every design", loop=direct_first),
    Row("no repair", "a program that fails is the end", without={"repairs": 0}),
    Row("no ledger", "no attempt is known as a retry", through=Forgetful),
    Row("no observed shapes", "stubs say nothing of results, nothing is run to see them", without={"probes": 0},
        through=Unobserved),
    Row("library", "functions with parameters; two rounds of other tasks before", coder=FunctionCoder),
    Row("no library", "the same, and no saved function is found", through=Functionless, coder=FunctionCoder),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    clean: list[Record]
    faulty: list[Record]

    def summary(self) -> dict[str, Any]:
        """Of the runs with a fault only those in which it was really made."""
        made = [each for each in self.faulty if each.fault in each.made]
        return {
            "clean": _figures(self.clean),
            "faulty": _figures(made),
            "unmade": len(self.faulty) - len(made),
            "wrong": sorted(each.fault for each in made if not each.measures["accuracy"]),
            "over_budget": sum(bool(each.over_budget) for each in [*self.clean, *self.faulty]),
        }


def _figures(records: Sequence[Record]) -> dict[str, Any]:
    if not records:
        return {"runs": 0}
    return {
        "runs": len(records),
        **{name: Rate(sum(each.measures[name] for each in records), len(records)).json() for name in MEASURES},
        "model_calls": round(mean(each.model_calls for each in records), 3),
        "input_tokens": median(each.input_tokens for each in records),
        "twice": sum(each.duplicates for each in records),
        "astray": sum(each.strays for each in records),
    }


async def measure(row: Row, options: argparse.Namespace, folder: Path) -> Ran:
    """Both halves, each with a server and a store of its own."""
    ran = Ran([], [])
    for half, templates in (("films", FILM_TEMPLATES), ("music", MUSIC_TEMPLATES)):
        benchmark = RestBench(half)
        budget = replace(Budget(run_seconds=RUN_SECONDS, model_calls=way(row.mode).model_calls), **row.without)
        async with open_bench(benchmark, folder / half, budget=budget, mode=row.mode) as bench:
            bench.loop, bench.coder = row.loop, row.coder
            if row.coder is FunctionCoder:
                await _each(
                    bench, [Job(task) for task in benchmark.others(ROUNDS * len(templates))], f"{row.name} before"
                )
            if row.through is not None:
                bench.session = cast("Session", row.through(bench.session))
            tasks = list(benchmark.tasks())[: options.tasks]
            known = operations(benchmark.worlds())
            ran.clean.extend(await _each(bench, jobs(tasks, known, "", per=1, seed=0), f"{row.name} {half}"))
            faulty = jobs(tasks, known, RECOVERABLE, per=options.per, seed=options.seed)
            ran.faulty.extend(await _each(bench, faulty, f"{row.name} {half} faults"))
    return ran


async def _each(bench: Bench, wanted: Sequence[Job], label: str) -> list[Record]:
    print(f"{label}: {len(wanted)} runs", file=sys.stderr, flush=True)
    return [await bench.run(job) for job in wanted]


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Without a fault and with one; tokens are medians, model calls means, writes sums."""
    own = ("runs", "success / accuracy / path", "model calls", "input tokens", "writes twice / astray")
    lines = [f"| | {' | '.join((*own, *own))} |", "|---" * (1 + 2 * len(own)) + "|"]
    for name, each in found.items():
        lines.append(f"| {name} | {' | '.join([*_cells(each['clean']), *_cells(each['faulty'])])} |")
    return "\n".join(lines)


def _cells(of: Mapping[str, Any]) -> list[str]:
    if not of["runs"]:
        return ["0", "", "", "", ""]
    shares = " / ".join(f"{100 * of[name]['hits'] / of[name]['of']:.0f}" for name in MEASURES)
    return [
        str(of["runs"]), f"{shares} %", f"{of['model_calls']:.2f}", f"{of['input_tokens']:,.0f}",
        f"{of['twice']} / {of['astray']}",
    ]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent.ablations", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--per", type=int, default=1, help="runs of each fault at each stage, in each half")
    parser.add_argument("--tasks", type=int, help="only the first so many of each half")
    parser.add_argument("--rows", default="", help="names of rows, with commas; all if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file, after every row")
    options = parser.parse_args(argv)
    names = [each.name for each in ROWS]
    asked = [each.strip() for each in options.rows.split(",") if each.strip()] or names
    if unknown := [each for each in asked if each not in names]:
        raise SystemExit(f"there is no row {unknown[0]!r}; there are {', '.join(names)}")
    print(machine.line())
    found: dict[str, dict[str, Any]] = {}
    for row in (each for each in ROWS if each.name in asked):
        with tempfile.TemporaryDirectory() as scratch:
            found[row.name] = {"told": row.told, **anyio.run(measure, row, options, Path(scratch)).summary()}
        if options.json:
            figures = {"machine": machine.describe(), "model": "gold coder (knows the answers)", "rows": found}
            options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print("RestBench, emulated; gold coder: measures the loop, never a model")
    print(table(found))
    for name, each in found.items():
        if each["wrong"]:
            print(f"{name}, wrong after: {', '.join(each['wrong'])}")


if __name__ == "__main__":
    main()
