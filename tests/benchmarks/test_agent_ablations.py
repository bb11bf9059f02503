"""Ablations and sizes: what a row takes out is really out, and figures are of records."""

import json

import pytest
from benchmarks.agent import ablations, catalogue, sizes
from benchmarks.agent.ablations import Forgetful, FunctionCoder, Functionless, Ran, Unobserved, at_once, general
from benchmarks.agent.gold import GoldCoder, once
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.run import Job, Record, open_bench
from benchmarks.agent.task import Task, operations, play
from mcp import Client

from toolweft_catalog.wire import FoundTool, FoundTools
from toolweft_client.model.base import Message

STUB = '''def find(name: str) -> {"rows": list[dict]}:
    """shop.find: Finds.

    Args:
        name: What.

    Returns:
        Observed so far: {"rows": list[{"id": int}]}
    """
    ...'''


class Told:
    """A session that says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    async def execute_code(self, code: str, **more: object) -> None:
        self.asked.append({"code": code, **more})

    async def stub(self, _tool: str, **_more: object) -> str:
        return STUB

    async def find_tools(self, _query: str, **_more: object) -> FoundTools:
        call = 'find(name: str, *, page: int = …) -> {"rows": list[dict]}'
        tools = [
            FoundTool(id=f"{server}.find", call=f"{server}.{call}", summary="", origin=origin, score=1, why=[])
            for server, origin in (("shop", "mcp"), ("functions", "library"))
        ]
        return FoundTools(tools=tools, total=2, catalogue=2, index="lexical")


@pytest.mark.parametrize("half", ["films", "music"])
def test_a_program_with_parameters_answers_as_the_gold_program_does(half):
    benchmark = RestBench(half)
    for task in [*benchmark.tasks(), *benchmark.others(20)]:
        function = general(task.source)
        found = play(Task(task.id, task.text, function.source), benchmark.worlds())
        right = play(task, benchmark.worlds())
        assert (found.value, found.calls) == (right.value, right.calls)
        assert not any(str(value) in function.source.partition("\n")[0] for value in function.values.values())


def test_tasks_of_one_template_have_one_function():
    tasks = [each for each in RestBench("films").tasks() if each.text.startswith("Who directed the film ")]
    assert len(tasks) > 1
    assert {general(each.source).name for each in tasks} == {"who_directed_the_film"}


def test_further_tasks_are_others():
    benchmark = RestBench("music")
    others = benchmark.others(20)
    assert len(others) == 20
    assert not {each.text for each in others} & {each.text for each in benchmark.tasks()}


async def test_a_coder_of_functions_calls_the_saved_one_with_what_its_signature_asks_for():
    benchmark = RestBench("films")
    coder = FunctionCoder(benchmark.tasks()[0].source, operations(benchmark.worlds()))
    name, _, values = general(benchmark.tasks()[0].source)

    async def reply(prompt: str) -> str:
        return (await coder.complete([Message("user", prompt)], max_tokens=9, stage="design")).text

    assert f"def {name}(" in await reply("films.search_movie(query: str)")
    assert f"functions.{name}" not in await reply(f"functions.{name}(other: str)")
    shown = await reply(f"functions.{name}(given_1: str) -> str")
    assert f"functions.{name}(given_1={values['given_1']!r})" in shown


async def test_what_is_taken_out_is_out():
    told = Told()
    await Forgetful(told).execute_code("1", retry_of="ex_1", seconds=1)
    assert told.asked == [{"code": "1", "seconds": 1}]
    assert "rows" not in await Unobserved(told).stub("shop.find")
    assert "name: What." in await Unobserved(told).stub("shop.find")
    calls = [each.call for each in (await Unobserved(told).find_tools("x")).tools]
    assert calls[0] == "shop.find(name: str, *, page: int = …) -> Any"
    assert [each.id for each in (await Functionless(told).find_tools("x")).tools] == ["shop.find"]


async def test_without_the_ledger_a_repair_writes_twice_and_without_a_design_one_call_will_do(tmp_path):
    benchmark = RestBench("music")
    task = next(each for each in benchmark.tasks() if "create_playlist" in each.source)
    crash = Job(task, "crash_after_write@implement", once("crash_after_write", "implement"))
    async with open_bench(benchmark, tmp_path / "bench") as bench:
        bench.loop = at_once
        clean = await bench.run(Job(task))
        bench.loop, bench.session = None, Forgetful(bench.session)
        twice = await bench.run(crash)
    assert (clean.measures["accuracy"], clean.model_calls) == (True, 1)
    assert twice.duplicates > 0
    assert not twice.measures["accuracy"]


def record(fault: str = "", *, right: bool = True, tokens: int = 100) -> Record:
    measures = {"accuracy": right, "success": True, "path": right}
    return Record("t", fault, [fault], "answered", "", measures, 2, tokens, 9, 1, 1, [], 0 if right else 1, 0, [], 1.0,
                  1.0, "1.jsonl")  # fmt: skip


def test_of_runs_with_a_fault_only_those_count_in_which_it_was_made():
    unmade = record("none@repair")
    unmade.made.clear()
    found = Ran([record(), record(tokens=300)], [record("assert@implement", right=False), unmade]).summary()
    assert (found["clean"]["input_tokens"], found["faulty"]["runs"], found["unmade"]) == (200, 1, 1)
    assert (found["faulty"]["accuracy"]["hits"], found["faulty"]["twice"]) == (0, 1)
    (row,) = ablations.table({"program": found}).splitlines()[2:]
    clean, faulty = "2 | 100 / 100 / 100 % | 2.00 | 200 | 0 / 0", "1 | 100 / 0 / 0 % | 2.00 | 100 | 1 / 0"
    assert row == f"| program | {clean} | {faulty} |"


def test_sizes_tell_how_far_medians_move_and_what_share_one_mode_takes():
    points = [
        sizes.Point(tools, mode, [record(tokens=tokens)])
        for tools, mode, tokens in ((50, "program", 100), (50, "react", 250), (500, "program", 90), (500, "react", 300))
    ]
    text = "\n".join(sizes.lines(points))
    assert "program: -10.0 to +0.0 %" in text
    assert "program / react among 50: 40.0 %" in text
    assert "program / react among 500: 30.0 %" in text


async def test_other_peoples_tools_are_listed_and_do_nothing(tmp_path):
    listed = tmp_path / "catalogue.jsonl"
    listed.write_text(
        json.dumps({"name": "far_away", "description": "Far.", "inputSchema": {"type": "object"}}), encoding="utf-8"
    )
    async with Client(catalogue.serve(listed)) as client:
        assert [each.name for each in (await client.list_tools()).tools] == ["far_away"]
        assert (await client.call_tool("far_away", {})).is_error


def test_every_row_is_another_way_and_the_first_is_the_agents_own():
    names = [each.name for each in ablations.ROWS]
    assert len(set(names)) == len(names) == 11
    assert ablations.ROWS[0][2:] == ("program", None, {}, None, GoldCoder)
    with pytest.raises(SystemExit, match="there is no row 'magic'"):
        ablations.main(["--rows", "magic"])
