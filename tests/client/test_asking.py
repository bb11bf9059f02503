"""Questions of a server at the terminal: what is shown, what counts as an answer, and who is asked."""

import io
import sys
from typing import Annotated

import anyio
import pytest
from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult, TextContent
from pydantic import BaseModel

from toolweft_client.asking import Terminal
from toolweft_client.session import Session

DECISION = {
    "type": "object",
    "properties": {"decision": {"type": "string", "title": "Decision", "enum": ["allow once", "refuse"]}},
    "required": ["decision"],
}
ACCOUNT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "share": {"type": "number"},
        "news": {"type": "boolean"},
        "size": {"type": "string", "oneOf": [{"const": "s", "title": "small"}, {"const": "l", "title": "large"}]},
    },
    "required": ["name"],
}


def typing(*lines):
    """A terminal at which these lines are typed, and what it showed."""
    rest, shown = list(lines), io.StringIO()

    async def read():
        return rest.pop(0) if rest else ""

    return Terminal(read=read, out=shown), shown


async def answered(terminal, schema, message="May I?"):
    return await terminal(None, ElicitRequestFormParams(message=message, requested_schema=schema))


@pytest.mark.parametrize(
    ("typed", "content"),
    [
        (["1\n"], {"decision": "allow once"}),
        (["allow once\n"], {"decision": "allow once"}),
        (["7\n", "what\n", "2\n"], {"decision": "refuse"}),
        (["\n"], None),
        ([], None),
        (["0\n", "3\n", "²\n", "1\n"], None),
    ],
)
async def test_a_choice_is_a_number_or_its_words_and_anything_else_declines(typed, content):
    terminal, _ = typing(*typed)
    assert await answered(terminal, DECISION) == (
        ElicitResult(action="decline") if content is None else ElicitResult(action="accept", content=content)
    )


@pytest.mark.parametrize(
    ("typed", "content"),
    [
        (["Ada\n", "36\n", "0.5\n", "y\n", "2\n"], {"name": "Ada", "age": 36, "share": 0.5, "news": True, "size": "l"}),
        (["Ada\n", "x\n", "36\n", "nan\n", "\n", "no\n", "\n"], {"name": "Ada", "age": 36, "news": False}),
        (["\n"], None),
    ],
)
async def test_a_form_is_filled_in_field_by_field_and_what_is_not_required_may_stay_empty(typed, content):
    terminal, _ = typing(*typed)
    assert (await answered(terminal, ACCOUNT)).content == content


async def test_an_address_is_shown_and_confirmed():
    for typed, action in (("y\n", "accept"), ("\n", "decline")):
        terminal, shown = typing(typed)
        params = ElicitRequestURLParams(message="Sign in", url="https://example.org/in", elicitation_id="1")
        assert (await terminal(None, params)).action == action
        assert "https://example.org/in" in shown.getvalue()


async def test_a_servers_words_cannot_move_the_cursor():
    terminal, shown = typing("1\n")
    await answered(terminal, DECISION, "line\n\x1b[2Jgone\u202e")
    assert "line\n[2Jgone\n" in shown.getvalue()
    assert "1  allow once\n" in shown.getvalue()


async def test_questions_come_one_after_another_and_what_else_is_drawn_stops():
    order, first = [], anyio.Event()

    async def read():
        order.append("read")
        await first.wait()
        return "1\n"

    terminal = Terminal(read=read, out=io.StringIO())
    terminal.pause, terminal.resume = (lambda: order.append("pause")), (lambda: order.append("resume"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answered, terminal, DECISION)
        tasks.start_soon(answered, terminal, DECISION)
        await anyio.wait_all_tasks_blocked()
        assert order == ["pause", "read"]
        first.set()
    assert order == ["pause", "read", "resume"] * 2


class Choice(BaseModel):
    decision: str


async def choose() -> Elicit[Choice]:
    return Elicit("May I?", Choice)


async def find_tools(query: str) -> str:
    return "none"


async def execute_code(code: str, choice: Annotated[ElicitationResult[Choice], Resolve(choose)]) -> CallToolResult:
    value = choice.action + (f" {choice.data.decision}" if choice.action == "accept" else "")
    ran = {"id": "ex_1", "status": "ok", "backend": "test", "value": value}
    return CallToolResult(content=[TextContent(type="text", text=value)], structured_content=ran)


async def test_a_session_answers_what_its_server_asks():
    server = MCPServer("asking")
    server.add_tool(find_tools)
    server.add_tool(execute_code)
    terminal, shown = typing("allow once\n")
    async with Session.connect(server, ask=terminal) as session:
        ran = await session.execute_code("1")
    assert ran.value == "accept allow once"
    assert "May I?" in shown.getvalue()


def test_without_a_terminal_nobody_can_be_asked(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert Terminal.if_any() is None
