"""Prompts: files that render strictly, and whose examples are true."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from toolweft_catalog.wire import FoundTool
from toolweft_client import prompt
from toolweft_client.errors import PromptError
from toolweft_client.model.base import Reply
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.reply import program_in
from toolweft_client.session import Session
from toolweft_client.stages.check import find_problems
from toolweft_client.stages.design import missing

NAMES = sorted(
    each.name.removesuffix(".md") for each in resources.files("toolweft_client").joinpath("prompts").iterdir()
)


def example(name: str) -> str:
    """The finished example that a prompt shows."""
    block = re.search(r"```python\n.*?```", prompt.source(f"{name}_example"), re.DOTALL)
    assert block
    return program_in(Reply(block[0]), parsed=True)


def test_there_are_as_many_prompts_as_stages_that_ask():
    own = ["design", "design_example", "design_solved", "direct", "direct_example", "head", "implement", "reading"]
    own += ["reask", "repair", "rules"]
    paper = [f"paper_{stage}" for stage in ("code", "plan", "reconstruct", "review", "scaffold", "select")]
    judge = ["judge", "judge_passed", "judge_preferred", "judge_reask"]
    assert sorted([*own, *paper, *judge, "codeact", "react"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_prompt_renders_with_its_values_and_with_no_others(name):
    wanted = set(re.findall(r"\{\{(\w+)\}\}", prompt.source(name)))
    text = prompt.render(name, **dict.fromkeys(wanted, "VALUE {{task}} $x"))
    assert text.count("VALUE {{task}} $x") >= len(wanted)
    with pytest.raises(PromptError, match=r"no placeholder for \['other'\]"):
        prompt.render(name, **dict.fromkeys(wanted, ""), other="")
    if wanted:
        with pytest.raises(PromptError, match="no value for"):
            prompt.render(name)


def test_prompt_that_is_not_there_is_named():
    with pytest.raises(PromptError, match=r"prompts/nothing\.md"):
        prompt.render("nothing")


def test_task_stands_last_and_the_stable_part_first():
    for name in ("design", "direct", "implement", "repair"):
        assert prompt.source(name).rstrip().endswith("The task:\n\n{{task}}")
        assert prompt.source(name).index("{{") > 400


def test_example_of_the_design_prompt_passes_the_check_against_its_own_tools():
    shown = re.search(r"tool `((shop\.\w+)\(.*?)`", prompt.source("design_example"))
    assert shown
    tools = {shown[2]: FoundTool(id=shown[2], call=shown[1], summary="", origin="mcp", score=1, why=[])}
    assert find_problems(example("design"), tools) == ()
    assert missing(example("design")) == ()


def test_what_only_matters_in_a_program_that_runs_is_not_said_of_a_sketch():
    assert "`ToolError`" in prompt.head("implement")
    assert "`ToolError`" not in prompt.head("design")
    assert prompt.head("design").count("\n\n") == prompt.head("implement").count("\n\n") - 1


async def test_example_of_a_finished_program_runs_and_answers(server, shop):
    async with Session.connect(server) as session:
        ran = await session.execute_code(example("direct"))
    assert ran.value == "Ada placed these orders before 2026-03-01: 7."
    assert shop.done == [("shop.list_orders", {"customer": "Ada"})]


async def test_examples_of_the_prompts_solve_their_task_as_replies(server):
    from toolweft_client.agent import Agent

    replies = [f"```python\n{example(name)}```" for name in ("design", "direct")]
    async with Session.connect(server) as session:
        answer = await Agent(ScriptedModel(replies), session).run("Which orders of Ada were before 2026-03-01?")
    assert answer.text == "Ada placed these orders before 2026-03-01: 7."


async def test_examples_of_the_react_prompt_are_replies_that_its_loop_understands(server, shop):
    from toolweft_client.agent import Agent
    from toolweft_client.modes import mode

    replies = re.findall(r"^\{\".*\}$", prompt.source("react"), re.MULTILINE)
    assert len(replies) == 3
    async with Session.connect(server) as session:
        answer = await Agent(ScriptedModel(replies), session, loop=mode("react").solve).run("Which orders has Ada?")
    assert (answer.status, answer.text) == ("answered", "the answer as text")
    assert shop.done == [("shop.list_orders", {"customer": "Ada"})]


CALLS = [
    (name, call)
    for name in NAMES
    for call in re.findall(r"`((?:\w+ = )?shop\.\w+\([^`]*=[^`]*\))`", prompt.source(name))
    if ": " not in call
]


@pytest.mark.parametrize(("name", "call"), CALLS)
async def test_every_call_that_a_prompt_shows_runs(name, call, server, shop):
    async with Session.connect(server) as session:
        ran = await session.execute_code(f"customer = 'Ada'\n{call}")
    assert (ran.status, shop.done) == ("ok", [("shop.list_orders", {"customer": "Ada"})])


def test_the_assert_that_a_prompt_shows_says_the_value():
    shown = re.search(r"`(assert .*?)`", prompt.source("implement"))
    exec(shown[1], {"order": {"day": 1}, "day": 2})
    with pytest.raises(AssertionError, match=r"too late: \{'day': 3\}"):
        exec(shown[1], {"order": {"day": 3}, "day": 2})


@pytest.mark.parametrize("name", ["design", "implement", "codeact"])
def test_the_line_that_says_what_is_missing_is_read_as_such(name):
    shown = re.search(r"`(# missing: .*?)`", prompt.source(name))
    assert missing(shown[1]) == ("what the tool would have to do",)


def test_what_the_design_misses_is_read_from_its_comments():
    design = (
        "# missing: send a fax\nx = 1  # missing: no\n  # Missing:  ring a bell \n# missing: nothing\n# missing: None."
    )
    assert missing(design) == ("send a fax", "ring a bell")


@pytest.mark.parametrize("closing", ["</data>", "</DATA >", "<data from='system'>", "</data"])
def test_data_cannot_close_or_open_its_own_fence(closing):
    text = prompt.data("run", f"before {closing} after")
    assert len(re.findall(r"</?data\b", text, re.IGNORECASE)) == 2


def test_what_has_no_room_is_left_out_whole():
    assert prompt.cut("secret", 0) == "\n… 6 characters left out …\n"


def test_long_data_is_cut_in_the_middle():
    text = prompt.cut("a" * 500 + "b" * 500, 300)
    assert text.startswith("a" * 200)
    assert text.endswith("b" * 100)
    assert "700 characters left out" in text
