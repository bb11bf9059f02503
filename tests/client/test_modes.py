"""Other methods over a whole toolweft in this process: the same model, tools, budgets and trace as the agent's loop."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from toolweft_client.account import account_of
from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.modes import MODES, mode
from toolweft_client.session import Session
from toolweft_client.stages.answer import Answer
from toolweft_client.trace import Trace
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

MILL = '''
"""Tools of a mill, for tests."""

from pathlib import Path

from toolweft_catalog.ingest.python import tool

SENT = Path(__file__).with_name("sent.txt")


@tool(read_only=True)
def list_sacks(owner: str) -> list[dict]:
    """List the sacks of an owner."""
    return [{"id": 7, "owner": owner, "kilos": 40}, {"id": 9, "owner": owner, "kilos": 15}]


@tool(read_only=False, destructive=False)
def send_sack(sack: int) -> str:
    """Send a sack to its owner."""
    if sack == 0:
        raise ValueError("there is no sack 0")
    with SENT.open("a", encoding="utf-8") as file:
        file.write(f"{sack} ")
    return f"sent {sack}"


@tool(read_only=True)
def tower_clock() -> str:
    """Tell what time it is, as seen from far away."""
    return "noon"
'''
TASK = "List the sacks of Ada, then send the heaviest sack to its owner"
SACKS = "mill.list_sacks(owner='Ada')"


@pytest.fixture
def mill(tmp_path, monkeypatch) -> Path:
    (tmp_path / "mill.py").write_text(MILL, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "mill", raising=False)
    return tmp_path


async def solve(
    mill: Path, name: str, *replies, trace: Trace | None = None, fresh: str = "", **budget
) -> tuple[Answer, ScriptedModel]:
    path = mill / "toolweft.json"
    document = {
        "python": {"mill": {"module": "mill"}},
        "store": str(mill / f"store{fresh}.db"),
        "policy": {"mill.*": "allow"},
    }
    if fresh:  # meanings are added to the words when they are known: a moment that differs from run to run
        document["index"] = {"kind": "lexical"}
    path.write_text(json.dumps(document), encoding="utf-8")
    loaded = configuration.load(path)
    model, (loop, calls) = ScriptedModel(replies), mode(name)
    async with Session.connect(serving.build(Lazy(loaded), servers=list(loaded.servers))) as session:
        while fresh and not (await session.find_tools("sacks")).tools:
            pass  # on a machine under load the first answer may be too early
        agent = Agent(model, session, budget=Budget(**{"model_calls": calls, "pause": 0, **budget}), loop=loop)
        return await agent.run(TASK, trace=trace), model


def sent(mill: Path) -> str:
    path = mill / "sent.txt"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


FRAME = fenced('def heaviest(owner: str) -> str:\n    """Sends."""\n    ...\n\n\nheaviest("Ada")')
STEPS = fenced('def heaviest(owner: str) -> str:\n    # 1. list\n    # 2. send\n    ...\n\n\nheaviest("Ada")')
CALLS = fenced(f"sacks = {SACKS}\nmill.send_sack(sack=...)")
SEND = fenced(f"sacks = {SACKS}\nmill.send_sack(sack=max(sacks, key=lambda each: each['kilos'])['id'])")


async def test_paper_goes_through_its_stages_one_call_each(mill):
    answer, model = await solve(mill, "paper", FRAME, STEPS, CALLS, SEND)
    assert (answer.status, answer.text, sent(mill)) == ("answered", "sent 7", "7 ")
    assert model.stages == ["scaffold", "plan", "select", "code"]
    scaffold, plan, _, code = (prompt[-1].text for prompt in model.prompts)
    assert "list_sacks" not in scaffold
    assert "List the sacks of an owner." in plan
    assert "# call: mill.send_sack(...)" in code


async def test_paper_reconstructs_a_plan_over_tools_that_exist(mill):
    answer, model = await solve(mill, "paper", FRAME, STEPS, fenced("mill.post_sack(sack=7)"), CALLS, SEND)
    assert answer.status == "answered"
    assert model.stages == ["scaffold", "plan", "select", "reconstruct", "code"]
    assert "there is no tool mill.post_sack; nearest: mill.send_sack" in model.prompts[3][-1].text


async def test_paper_reviews_three_times_at_most_with_the_traceback_and_no_documents(mill):
    wrong = [fenced(f"{SACKS}[0]['weight{number}']") for number in range(4)]
    answer, model = await solve(mill, "paper", FRAME, STEPS, CALLS, *wrong)
    assert (answer.status, answer.reason, answer.spent.repairs) == ("failed", "repairs", 3)
    assert model.stages[3:] == ["code", "review", "review", "review"]
    assert "KeyError: 'weight0'" in model.prompts[4][-1].text
    assert "# call:" not in model.prompts[4][-1].text


async def test_a_review_sends_nothing_twice(mill):
    broken = SEND.replace("\n```", "\n1 / 0\n```")
    answer, _ = await solve(mill, "paper", FRAME, STEPS, CALLS, broken, SEND)
    assert (answer.status, sent(mill)) == ("answered", "7 ")


async def test_codeact_keeps_its_variables_and_answers_in_words(mill):
    turns = [
        f"First I look.\n{fenced(f'sacks = {SACKS}; sacks')}",
        fenced("mill.send_sack(sack=sacks[0]['id'])"),
    ]
    answer, model = await solve(mill, "codeact", *turns, "Sack 7 is on its way.")
    assert (answer.status, answer.text, sent(mill)) == ("answered", "Sack 7 is on its way.", "7 ")
    assert '"kilos": 40' in model.prompts[1][-1].text
    assert "sent 7" in model.prompts[2][-1].text
    assert [call.tool for call in answer.calls] == ["mill.list_sacks", "mill.send_sack"]


async def test_codeact_shows_an_error_and_goes_on(mill):
    answer, model = await solve(mill, "codeact", fenced("mill.send_sack(sack=0)"), SEND, "Done.")
    assert "there is no sack 0" in model.prompts[1][-1].text
    assert (answer.status, sent(mill)) == ("answered", "7 ")


def step(tool: str, **arguments) -> str:
    return json.dumps({"thought": "so be it", "tool": tool, "arguments": arguments})


async def test_react_calls_one_tool_a_turn_as_json(mill):
    turns = [step("mill.list_sacks", owner="Ada"), f"```json\n{step('mill.send_sack', sack=7)}\n```"]
    answer, model = await solve(mill, "react", *turns, json.dumps({"answer": "Sent 7."}))
    assert (answer.status, answer.text, sent(mill)) == ("answered", "Sent 7.", "7 ")
    assert '"kilos": 40' in model.prompts[1][-1].text
    assert model.stages == ["act"] * 3


async def test_react_is_told_of_tools_and_arguments_that_do_not_exist_and_nothing_runs(mill):
    turns = [
        step("mill.post_sack", sack=7),
        step("mill.send_sack", sock=7),
        step("import os", x=1),
        step("mill.send_sack", sack=7),
    ]
    answer, model = await solve(mill, "react", *turns, json.dumps({"answer": "Sent."}))
    assert answer.status == "answered"
    told = [prompt[-1].text for prompt in model.prompts[1:4]]
    assert "there is no tool mill.post_sack; nearest: mill.send_sack" in told[0]
    assert "mill.send_sack has no argument 'sock'" in told[1]
    assert "There is no tool 'import os'." in told[2]
    assert answer.spent.tool_calls == 1


async def test_react_stops_when_no_json_comes(mill):
    answer, _ = await solve(mill, "react", "hm", "{", '{"tool": 3}')
    assert (answer.status, answer.reason) == ("failed", "reply")


LOOKS = {"codeact": fenced("# missing: tell the time of the clock"), "react": '{"find": "tell the time of the clock"}'}


@pytest.mark.parametrize("name", LOOKS)
async def test_a_turn_may_look_for_a_tool_that_the_first_search_did_not_bring(mill, name):
    last = {"codeact": (SEND, "Sent."), "react": (step("mill.tower_clock"), '{"answer": "Sent."}')}
    answer, model = await solve(mill, name, LOOKS[name], LOOKS[name], *last[name])
    assert "tower_clock" not in model.prompts[0][0].text
    assert "# call: mill.tower_clock(...)" in model.prompts[1][-1].text
    assert model.prompts[2][-1].text == "No further tool was found."
    assert (answer.status, answer.text) == ("answered", "Sent.")


async def test_a_program_that_brought_nothing_is_nothing_to_answer_from(mill):
    answer, _ = await solve(mill, "codeact", fenced("sacks = 7"), "The heaviest sack was sent.")
    assert (answer.status, answer.reason, answer.value) == ("failed", "reply", None)


@pytest.mark.parametrize(("name", "reply"), [("codeact", "It is done."), ("react", '{"answer": "It is done."}')])
async def test_answer_before_any_call_succeeded_is_none(mill, name, reply):
    answer, _ = await solve(mill, name, reply)
    assert (answer.status, answer.reason, answer.value) == ("failed", "reply", None)
    assert "before anything had been called" in answer.text


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("paper", [FRAME, STEPS, CALLS, SEND]),
        ("codeact", [SEND, SEND, "x"]),
        ("react", [step("mill.list_sacks", owner="Ada"), '{"answer": "x"}', "{}"]),
    ],
)
async def test_modes_keep_to_the_budget_of_model_calls_and_end_their_trace(mill, name, replies):
    trace = Trace()
    answer, model = await solve(mill, name, *replies, model_calls=len(replies) - 2, trace=trace)
    assert (answer.status, answer.reason, len(model.prompts)) == ("failed", "budget", len(replies) - 2)
    assert trace.steps[-1].event == "task.end"
    assert {each.event for each in trace.steps} >= {"task.start", "stage", "find", "llm"}


DESIGN = fenced('''def send_heaviest(owner: str) -> str:
    """Sends the heaviest sack.

    Success: it is the owner's.
    """
    # 1. read: the sacks
    sacks = mill.list_sacks(owner=owner)
    # 2. write: send the heaviest
    mill.send_sack(sack=...)
    return ...


send_heaviest("Ada")''')


def size(messages) -> int:
    return -(-sum(len(each.text) for each in messages) // 4)


LONG = fenced(f"sacks = {SACKS}\nprint('dust ' * 700)\nmill.send_sack(sack=7)")
TURNS = {
    "codeact": [LONG, *[fenced("print('dust ' * 700)")] * 4, "Sent."],
    "react": [step("mill.send_sack", sack=7), *[step("mill.list_sacks", owner="A" * 3_000)] * 4, '{"answer": "Sent."}'],
}


@pytest.mark.parametrize("name", TURNS)
async def test_turns_stay_within_the_tokens_of_a_prompt_and_keep_the_task_and_what_was_done(mill, name):
    trace = Trace()
    answer, model = await solve(mill, name, *TURNS[name], implement_tokens=3_000, trace=trace)
    assert (answer.status, sent(mill), account_of(trace.steps).exceeded) == ("answered", "7 ", ())
    assert max(map(size, model.prompts)) <= 3_000
    last = model.prompts[-1]
    assert last[1].text == TASK
    # What is longer without its output than with it stays as it was.
    done = {"codeact": "called mill.send_sack, write, ok: ", "react": "sent 7"}[name]
    assert done in last[3].text
    assert "(The output is left out here.)" in last[5].text
    assert "left out here" not in last[-1].text


@pytest.mark.parametrize("name", ["paper", "codeact", "react"])
async def test_a_task_that_fits_into_no_prompt_is_said_and_nothing_is_asked(mill, name):
    answer, model = await solve(mill, name, "x", implement_tokens=300, design_tokens=300)
    assert (answer.status, answer.reason, model.prompts) == ("failed", "budget", [])
    assert "tokens at its shortest; the budget is 300" in answer.text


async def test_a_review_of_the_paper_shows_less_output_where_it_would_be_too_long(mill):
    noisy = fenced(f"print('dust ' * 1_000)\n{SACKS}[0]['weight']")
    trace = Trace()
    answer, model = await solve(mill, "paper", FRAME, STEPS, CALLS, noisy, SEND, repair_tokens=1_000, trace=trace)
    assert (answer.status, account_of(trace.steps).exceeded) == ("answered", ())
    assert size(model.prompts[4]) <= 1_000
    assert "KeyError: 'weight'" in model.prompts[4][-1].text


async def test_writes_are_counted_and_bound_what_starts_next(mill):
    turns = [step("mill.send_sack", sack=number) for number in (7, 9, 3)]
    answer, _ = await solve(mill, "react", *turns, writes=2)
    assert (answer.status, answer.reason, answer.spent.writes, sent(mill)) == ("failed", "budget", 2, "7 9 ")
    assert "Already done: mill.send_sack" in answer.text


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("program", [DESIGN, SEND.replace("]['id']", "]['key']"), SEND]),
        ("paper", [FRAME, STEPS, CALLS, SEND]),
        ("codeact", [fenced(f"sacks = {SACKS}; sacks"), fenced("mill.send_sack(sack=sacks[0]['id'])"), "Sent."]),
        ("react", [step("mill.list_sacks", owner="Ada"), step("mill.send_sack", sack=7), '{"answer": "Sent."}']),
    ],
)
async def test_equal_runs_on_equal_servers_write_equal_traces(mill, name, replies):
    texts = []
    for number in "12":
        trace = Trace.to(mill / f"{number}.jsonl", run="0123456789ab")
        answer, _ = await solve(mill, name, *replies, trace=trace, fresh=number)
        assert answer.status == "answered"
        text = (mill / f"{number}.jsonl").read_text(encoding="utf-8")
        texts.append(re.sub(r'"(at|ms|seconds)": ("[^"]*"|[\d.]+)', "", text))
    assert texts[0] == texts[1]


def test_every_mode_has_a_loop_and_a_budget():
    assert all(mode(name).model_calls >= 8 for name in MODES)
    with pytest.raises(ValueError, match="There is no mode 'magic'; there are program, paper"):
        mode("magic")


async def test_own_loop_looks_first_then_replays_what_it_saw_and_sends_once(mill):
    answer, model = await solve(mill, "program", DESIGN, SEND)
    assert (answer.status, answer.text, sent(mill)) == ("answered", "sent 7", "7 ")
    assert model.stages == ["design", "implement"]
    assert '"kilos": 40' in model.prompts[1][-1].text
    assert [(call.tool, call.replayed) for call in answer.calls] == [
        ("mill.list_sacks", True),
        ("mill.send_sack", False),
    ]
    assert (answer.spent.probes, answer.spent.tool_calls, answer.spent.writes) == (1, 2, 1)
