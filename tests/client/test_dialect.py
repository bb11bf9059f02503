"""Servers that are none of ours: two tools that take and answer text, whatever they are called."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from types import SimpleNamespace

import pytest
from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent

from toolweft_catalog import cli
from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.errors import SessionError
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.modes import mode
from toolweft_client.session import Session
from toolweft_client.tape import Tape
from toolweft_client.trace import Trace, read

TASK = "How many orders has Ada?"
SHOWN = "orders.of(customer) -> list of dict\n    All orders of a customer, with id and total.\nlookup(name)"
ORDERS = {"Ada": [{"id": 7, "total": 40}, {"id": 9, "total": 15}]}


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


def run_for_real(code: str) -> CallToolResult:
    """What a program prints, its last line included; a traceback where it raises."""
    names = {"orders": SimpleNamespace(of=lambda customer: ORDERS[customer]), "lookup": ORDERS.__getitem__}
    out = io.StringIO()
    lines = code.rstrip().split("\n")
    try:
        with contextlib.redirect_stdout(out):
            exec("\n".join([*lines[:-1], f"print({lines[-1]})"]), names)
    except Exception:  # noqa: BLE001 - whatever a program raises is its answer
        return CallToolResult(content=[TextContent(type="text", text=traceback.format_exc())], is_error=True)
    return CallToolResult(content=[TextContent(type="text", text=out.getvalue())])


def foreign(asked: list[str]) -> MCPServer:
    server = MCPServer("theirs")

    @server.tool()
    def search(query: str) -> str:
        asked.append(query)
        return SHOWN

    @server.tool()
    def execute(program: str, timeout_ms: int = 1_000) -> CallToolResult:
        assert timeout_ms == 1_000
        return run_for_real(program)

    return server


async def solve(*replies, name="program", task=TASK, trace=None, tape=None):
    model, asked, (loop, calls) = ScriptedModel(replies), [], mode(name)
    async with Session.connect(foreign(asked), find="search", execute="execute") as session:
        agent = Agent(model, session, budget=Budget(pause=0, model_calls=calls), loop=loop)
        return await agent.run(task, trace=trace, tape=tape), model, asked


async def test_a_task_is_solved_with_two_tools_of_text_under_other_names():
    design, program = (
        fenced('found = orders.of(customer="Ada")'),
        fenced('found = orders.of(customer="Ada")\nlen(found)'),
    )
    trace = Trace()
    answer, model, asked = await solve(design, program, trace=trace)
    assert (answer.status, answer.text, answer.value) == ("answered", "2", None)
    assert model.stages == ["design", "implement"]
    assert SHOWN in model.prompts[0][-1].text
    assert f"# call: orders.of(...)\n{SHOWN}" in model.prompts[1][-1].text
    assert asked == [TASK, "orders.of", "orders.of"]
    again, _, _ = await solve(tape=Tape(trace.steps))
    assert again.text == "2"


async def test_a_program_that_names_no_tool_of_the_usual_form_is_written_from_the_same_text():
    answer, model, _ = await solve(fenced('found = lookup("Ada")'), fenced('len(lookup("Ada"))'))
    assert (answer.text, model.stages) == ("2", ["design", "implement"])
    assert SHOWN in model.prompts[1][-1].text
    assert "# call:" not in model.prompts[1][-1].text


async def test_a_program_that_fails_is_repaired_from_what_the_server_printed():
    design, wrong, right = (fenced(f'lookup("{name}")') for name in ("Ada", "Eve", "Ada"))
    answer, model, _ = await solve(design, wrong, right)
    assert (answer.status, model.stages) == ("answered", ["design", "implement", "repair"])
    assert "KeyError: 'Eve'" in model.prompts[2][-1].text


@pytest.mark.parametrize("name", ["codeact", "paper"])
async def test_other_methods_see_the_text_too(name):
    one = fenced('len(lookup("Ada"))')
    replies = {"codeact": [one, "Two."], "paper": [one] * 4}[name]
    answer, model, _ = await solve(*replies, name=name)
    assert (answer.status, answer.text) == ("answered", {"codeact": "Two.", "paper": "2"}[name])
    assert any(SHOWN in each.text for prompt in model.prompts for each in prompt)


async def test_a_search_that_refuses_ends_the_run_with_its_words():
    server = foreign([])

    @server.tool()
    def find(needle: str, limit: int) -> CallToolResult:
        assert limit
        return CallToolResult(content=[TextContent(type="text", text="no index yet")], is_error=True)

    async with Session.connect(server, find="find", execute="execute") as session:
        with pytest.raises(SessionError, match="find failed: 'no index yet'"):
            await session.find_tools("orders")


async def test_a_server_whose_arguments_leave_a_choice_is_refused_with_them():
    server = MCPServer("unclear")

    @server.tool()
    def search(left: str, right: str) -> str:
        return left + right

    with pytest.raises(SessionError, match="search takes left, right: none is 'query'"):
        async with Session.connect(server, find="search", execute="search"):
            pass
    with pytest.raises(SessionError, match=r"offers search but not find_tools and execute_code.*--find and --execute"):
        async with Session.connect(server):
            pass


def test_the_command_names_the_two_tools_and_keeps_them_for_a_resumption(tmp_path, capsys):
    script, replies, trace = tmp_path / "theirs.py", tmp_path / "replies.json", tmp_path / "run.jsonl"
    script.write_text(f"import runpy\nrunpy.run_path({__file__!r})['foreign']([]).run('stdio')\n", encoding="utf-8")
    programs = [fenced('lookup("Ada")'), fenced('len(lookup("Ada"))')]
    replies.write_text(json.dumps(programs[:1]), encoding="utf-8")
    command = f'"{sys.executable}" "{script}"' if sys.platform == "win32" else f"{sys.executable} {script}"
    argv = ["ask", TASK, "--server", command, "--find", "search", "--execute", "execute", "--quiet"]
    assert cli.main([*argv, "--model", f"scripted:{replies}", "--trace", str(trace)]) == 1
    assert read(trace)[0].data["setup"]["find"] == "search"
    replies.write_text(json.dumps(programs), encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["resume", str(trace), "--trace", str(tmp_path / "again.jsonl"), "--quiet"]) == 0
    assert capsys.readouterr().out == "2\n"
