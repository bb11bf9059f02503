"""Reports: what is counted, from traces alone, and how it is told."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace

import pytest

from toolweft_catalog import cli
from toolweft_client.account import Writes, account_of, exceeded, writes
from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.commands import report as command
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.rate import Rate, Spread
from toolweft_client.report import Part, curve, figures, resumed
from toolweft_client.session import Session
from toolweft_client.trace import Trace

DESIGN = "```python\norders = shop.list_orders(customer='Ada')\n```"
WRONG = "```python\nshop.list_orders(customer='Ada')[0]['when']\n```"
PROGRAM = "```python\nshop.list_orders(customer='Ada')[0]['id']\n```"


def call(tool="mail.send", digest="a", **more):
    return {"tool": tool, "effect": "write", "status": "ok", "args_digest": digest, "replayed": False} | more


def traced(*events, status="answered", reason=None, budget=Budget(), path=None, spent=None, **setup):  # noqa: B008
    """A trace with these events; one that is a string begins a stage."""
    trace = Trace.to(path) if path else Trace()
    trace.add("task.start", task="t", gen_ai__request__model="m", budget=asdict(budget), setup=setup)
    for event in events:
        if isinstance(event, str):
            trace.enter(event)
        else:
            name, data = event
            trace.add(name, **data)
    if status:
        trace.end(status=status, reason=reason, text="", spent=spent or {})
    trace.close()
    return trace.steps


def ran(execution, *calls, retry_of=None, **more):
    return ("run", {"execution": execution, "retry_of": retry_of, "calls": list(calls), "program": "1"} | more)


async def test_a_run_is_told_from_its_events(server):
    trace = Trace()
    async with Session.connect(server) as session:
        agent = Agent(ScriptedModel([DESIGN, WRONG, PROGRAM]), session)
        await agent.run("orders of Ada?", trace=trace, setup={"mode": "program"})
    run = account_of(trace.steps, name="one")
    assert (run.name, run.task, run.mode, run.model) == ("one", "orders of Ada?", "program", "scripted")
    assert (run.status, run.reason, run.model_calls, run.programs, run.tool_calls) == ("answered", "", 3, 2, 1)
    assert (run.repairs, run.failures, run.exceeded, run.writes) == (1, ("shape",), (), Writes())
    told = [step.data for step in trace.steps if step.event == "llm"]
    assert run.input_tokens == sum(data["gen_ai.usage.input_tokens"] for data in told) > 100
    assert run.output_tokens == sum(data["gen_ai.usage.output_tokens"] for data in told)


def test_a_trace_that_breaks_off_or_says_little_can_be_read():
    assert account_of(traced(status=None)).status == "unfinished"
    bare = Trace()
    bare.add("task.start")
    bare.add("run", calls=[3, {"effect": "write"}], program="def", saved="x")
    bare.add("find", answer={"tools": [1]})
    assert account_of(bare.steps).tool_calls == 1


def test_a_write_made_again_by_a_retry_is_a_duplicate():
    again = traced(ran("e1", call()), ran("e2", call(), retry_of="e1"), ran("e3", call(digest="b"), retry_of="e2"))
    assert writes(again) == Writes(duplicate=("mail.send",))


@pytest.mark.parametrize(
    "second",
    [
        call(replayed=True),
        call(status="refused"),
        call(status="tool"),
        call(effect="read"),
        call(digest="b"),
        call(tool="mail.draft"),
    ],
)
def test_what_is_no_second_write_is_no_duplicate(second):
    assert writes(traced(ran("e1", call()), ran("e2", second, retry_of="e1"))) == Writes()


def test_equal_writes_of_programs_that_are_no_retries_are_their_own():
    assert writes(traced(ran("e1", call()), ran("e2", call()))) == Writes()


def test_a_program_that_asks_twice_is_told_apart_even_when_its_retry_makes_the_second_call():
    twice = Writes(repeated=("mail.send",))
    assert writes(traced(ran("e1", call(), call()))) == twice
    assert writes(traced(ran("e1", call()), ran("e2", call(replayed=True), call(), retry_of="e1"))) == twice


def test_a_write_after_one_without_an_answer_is_doubtful():
    steps = traced(ran("e1", call(status="timeout")), ran("e2", call(), retry_of="e1"))
    assert writes(steps) == Writes(doubtful=("mail.send",))


def test_budgets_that_were_passed_are_found_in_events_and_in_what_is_said():
    assert account_of(traced(*[("llm", {})] * 8)).exceeded == ()
    assert account_of(traced(*[("llm", {})] * 9)).exceeded == ("model_calls",)
    assert account_of(traced(*["repair"] * 4, *["probe"] * 4)).exceeded == ("repairs", "probes")
    assert account_of(traced(spent={"retries": 3, "seconds": 700.0})).exceeded == ("retries", "seconds")
    asked = traced(("approval", {"tools": [], "decision": "allow them"}), spent={"seconds": 700.0})
    assert account_of(asked).exceeded == ()


def test_budgets_of_calls_hold_over_all_programs_and_refused_ones_cost_nothing():
    two = [call(digest=each) for each in "ab"]
    steps = traced(ran("e1", *two, call(status="refused"), call(status="limit")), ran("e2", call(replayed=True)))
    assert exceeded(steps, Budget(tool_calls=1, writes=1)) == ["tool_calls", "writes"]
    assert exceeded(steps, Budget(tool_calls=2, writes=2)) == []
    assert exceeded(traced(ran("e1", call(effect="read"), call(status="tool"))), Budget(writes=0)) == []
    assert account_of(steps).tool_calls == 2


STAGES = {
    "design_tokens": ["design", "scaffold", "plan", "select", "reconstruct"],
    "implement_tokens": ["implement", "direct", "code", "act"],
    "repair_tokens": ["repair", "review"],
}


@pytest.mark.parametrize(("name", "stage"), [(name, stage) for name, stages in STAGES.items() for stage in stages])
def test_a_prompt_longer_than_its_budget_is_found_in_every_mode_its_re_ask_included(name, stage):
    budget = replace(Budget(), **{name: 10})
    fits = [{"text": "s" * 20}, {"text": "u" * 20}]
    assert exceeded(traced(stage, ("llm", {"messages": fits})), budget) == []
    again = [*fits, {"text": "r"}]
    assert exceeded(traced(stage, ("llm", {"messages": again})), budget) == [name]


def test_functions_that_were_shown_used_and_saved_are_named():
    found = {"tools": [{"id": "functions.sum_up", "origin": "library"}, {"id": "mail.send", "origin": "mcp"}]}
    run = account_of(traced(
        ("find", {"answer": found}),
        ran("e1", program="from functions import sum_up\nsum_up(1)\nfunctions.save('x')"),
        ran("e2", program="functions.other("),
        ("library", {"saved": [{"name": "send_all", "version": 1}]}),
    ))  # fmt: skip
    assert (run.offered, run.used, run.saved) == (
        ("functions.sum_up",), ("functions.sum_up",), ("functions.send_all",)
    )  # fmt: skip


def test_rates_are_of_runs_that_ended_and_harm_is_looked_for_in_all():
    harm = [ran("e1", call()), ran("e2", call(), retry_of="e1")]
    runs = [
        account_of(traced(("llm", {}))),
        account_of(traced(("llm", {}), ("llm", {}), status="failed", reason="stuck")),
        account_of(traced(*[("llm", {})] * 9, *harm, status="interrupted")),
    ]
    found = figures(runs)
    assert (found.answered, found.model_calls) == (Rate(1, 2), Spread(1.5, 1.5, 2))
    assert found.statuses == {"answered": 1, "failed": 1, "interrupted": 1}
    assert (found.reasons, found.exceeded, found.duplicate_writes) == ({"stuck": 1}, {"model_calls": 1}, 1)
    assert figures([]).seconds is None


def test_the_curve_follows_runs_in_order_of_time():
    def run(number, **more):
        steps = traced(*[("llm", {})] * (2 if number < 2 else 1), ran("e", **more))
        account = account_of(steps)
        return type(account)(**{name: getattr(account, name) for name in account.__slots__} | {"at": str(number)})

    runs = [
        run(0, saved=[{"name": "f"}]), run(1, saved=[{"name": "f"}, {"name": "g"}]), run(3, program="functions.f()"),
        run(2),
    ]  # fmt: skip
    assert curve(reversed(runs), parts=2) == [
        Part(2, Rate(2, 2), 2.0, 2.0, 2, Rate(0, 2)), Part(4, Rate(4, 4), 1.0, 1.5, 2, Rate(1, 2)),
    ]  # fmt: skip
    assert [each.until for each in curve(runs)] == [1, 2, 3, 4]
    assert curve([]) == []


def test_a_run_that_was_resumed_counts_once():
    first = account_of(traced(ran("e1"), status="interrupted"), name="first")
    killed = account_of(traced(ran("e1"), ("begin", {"execution": "e2"}), status=None), name="killed")
    last = account_of(traced(ran("e1"), ran("e2", retry_of="e1"), ran("e3")), name="last")
    other = account_of(traced(ran("e9"), status="interrupted"), name="other")
    empty = account_of(traced(status="interrupted"), name="empty")
    assert resumed([first, killed, last, other, empty]) == {"first", "killed"}
    lost = [account_of(traced(status="failed", reason=reason), name=reason) for reason in ("model", "stuck")]
    after = [account_of(traced(resumes=name), name=f"after {name}") for name in ("model", "stuck")]
    assert resumed([*lost, *after]) == {"model"}
    twins = [first, account_of(traced(ran("e1"), status="interrupted"), name="twin")]
    assert len(resumed(twins)) == 1


def test_intervals_are_wilsons():
    assert Rate(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert str(Rate(0, 0)) == "none of 0"
    assert str(Rate(1.5, 2)).startswith("1.5/2 = 75.0 % [")


def run(*words):
    return command.run(cli.parser_of("report", command).parse_args([str(each) for each in words]))


def test_the_command_reads_folders_and_files_and_passes_over_what_is_none(tmp_path, capsys):
    (tmp_path / "more").mkdir()
    traced(("llm", {}), path=tmp_path / "more" / "1.jsonl", mode="program")
    traced(("llm", {}), path=tmp_path / "2.jsonl", mode="react", status="failed", reason="stuck")
    for name in ("runs.jsonl", "world.jsonl"):
        (tmp_path / "more" / name).write_text('{"task": 1}\n', encoding="utf-8")
    assert run(tmp_path / "more", tmp_path / "2.jsonl") == 0
    out, err = capsys.readouterr()
    assert "runs.jsonl, line 1: not a step" in err
    assert err.strip().endswith(", and 1 more")
    lines = out.splitlines()
    assert lines[0].startswith("runs ")
    assert "2, begun " in lines[0]
    assert "answered           1/2 = 50.0 % [9.5, 90.5] of those that ended" in lines
    assert "over budget        never" in lines
    assert [line.split()[:3] for line in lines if line.endswith("]") and " m " in line] == [
        ["program", "m", "1"], ["react", "m", "1"],
    ]  # fmt: skip
    assert any(line.startswith("2 ") and "1/2 = 50.0 %" in line for line in lines)


def test_json_holds_the_total_the_groups_the_curve_and_every_run(tmp_path, capsys):
    traced(("llm", {}), ran("e1", call()), path=tmp_path / "1.jsonl", mode="program")
    assert run(tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["total"]["answered"] == {"hits": 1, "of": 1, "interval": [0.2065, 1.0]}
    assert (found["groups"][0]["mode"], found["groups"][0]["model"]) == ("program", "m")
    assert found["curve"][0]["until"] == 1
    assert found["runs"][0]["tool_calls"] == 1
    assert found["runs"][0]["writes"] == {"duplicate": [], "doubtful": [], "repeated": []}


def test_a_write_made_twice_or_a_budget_exceeded_is_exit_code_1(tmp_path, capsys):
    traced(ran("e1", call()), ran("e2", call(), retry_of="e1"), path=tmp_path / "1.jsonl")
    assert run(tmp_path) == 1
    assert "writes made twice  1; after no answer 0" in capsys.readouterr().out
    traced(*[("llm", {})] * 9, path=tmp_path / "2" / "2.jsonl")
    assert run(tmp_path / "2") == 1
    assert "over budget        model_calls 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [("hello\n", ["x.jsonl"], "not a step"), ("", [], "no traces there"), ("", ["nothing"], "no file or folder")],
)
def test_traces_that_are_not_there_are_exit_code_2(tmp_path, monkeypatch, capsys, text, words, said):
    monkeypatch.setattr("toolweft_client.trace.folder", lambda: tmp_path / "none")
    (tmp_path / "x.jsonl").write_text(text, encoding="utf-8")
    assert run(*[tmp_path / each for each in words]) == 2
    assert said in capsys.readouterr().err


def test_the_curve_is_drawn_where_matplotlib_is_there(tmp_path, capsys, monkeypatch):
    traced(("llm", {}), path=tmp_path / "1.jsonl")
    traced(("llm", {}), path=tmp_path / "2.jsonl")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(tmp_path, "--plot", tmp_path / "curve.svg") == 2
    assert "needs matplotlib" in capsys.readouterr().err
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    assert run(tmp_path, "--plot", tmp_path / "curve.svg") == 0
    assert "<svg" in (tmp_path / "curve.svg").read_text(encoding="utf-8")
