"""`Session` against real MCP servers: in-process, over stdio, and several that are not what they should be."""

from __future__ import annotations

import sys

import pytest
from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent

from toolweft_catalog.wire import FunctionCard
from toolweft_client.errors import SessionError
from toolweft_client.session import Session, own_server


async def test_found_tools_and_executions_are_typed(server):
    async with Session.connect(server) as session:
        found = await session.find_tools("cancel an order", limit=2)
        ran = await session.execute_code("tools.mail.send(to='Ada', text='x')")
    assert found.tools[0].id == "shop.cancel_order"
    assert (ran.status, ran.value, ran.calls[0].tool) == ("ok", "mail.send done", "mail.send")


async def test_failing_program_is_an_execution_and_no_exception(server):
    async with Session.connect(server) as session:
        ran = await session.execute_code("1 / 0")
    assert ran.status == "error"
    assert ran.error is not None
    assert ran.error.type == "ZeroDivisionError"


async def test_stub_leaves_out_the_counts(server):
    async with Session.connect(server) as session:
        assert (await session.stub("mail.send")).startswith("def mail.send(to: str")


async def test_waiting_program_is_attached_to_again_until_it_ends(server, shop):
    shop.waits = 3
    async with Session.connect(server) as session:
        ran = await session.execute_code("'done'")
    assert (ran.status, ran.value) == ("ok", "done")
    assert shop.programs[0]["retry_of"] == "ex_slow"


async def test_saved_function_is_read_as_a_card(server):
    async with Session.connect(server) as session:
        card = await session.function("early")
    assert isinstance(card, FunctionCard)
    assert (card.name, card.version) == ("early", 2)


async def test_server_without_the_two_tools_is_refused_with_what_it_offers():
    other = MCPServer("other")

    @other.tool()
    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(SessionError, match="other offers add but not find_tools and execute_code"):
        async with Session.connect(other):
            pass


def pretender(result: CallToolResult) -> MCPServer:
    server = MCPServer("pretender")

    @server.tool()
    def find_tools(query: str, limit: int) -> CallToolResult:
        return result

    @server.tool()
    def execute_code(code: str, retry_of: str | None = None) -> CallToolResult:
        return result

    return server


TEXT = [TextContent(type="text", text="hello")]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (CallToolResult(content=TEXT), "without structured content: 'hello'"),
        (CallToolResult(content=TEXT, is_error=True), "without structured content: 'hello'"),
        (CallToolResult(content=TEXT, structured_content={"x": 1}), "something else than Execution: id"),
        (
            CallToolResult(content=TEXT, structured_content={"id": 3, "status": "sleepy", "backend": "x"}),
            "Execution: id",
        ),
    ],
)
async def test_answer_of_another_shape_is_a_clear_error(result, said):
    async with Session.connect(pretender(result)) as session:
        with pytest.raises(SessionError, match=said):
            await session.execute_code("1")
        with pytest.raises(SessionError, match="find_tools"):
            await session.find_tools("x")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("toolweft serve", "no URL; write a command as a list"),
        ([], "empty list"),
        (["/no/such/program"], "/no/such/program: FileNotFoundError"),
        ([sys.executable, "-c", "import sys; sys.exit('no configuration at all')"], "no configuration at all"),
        ("http://127.0.0.1:9/mcp", "ConnectError"),
    ],
)
async def test_target_that_cannot_be_reached_is_named_with_its_cause(target, said):
    with pytest.raises(SessionError, match=said):
        async with Session.connect(target):
            pass


async def test_server_that_says_nothing_is_given_up_in_time():
    silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with pytest.raises(SessionError, match=r"did not answer within 0.5 seconds"):
        async with Session.connect(silent, seconds=0.5):
            pass


async def test_what_the_block_raises_comes_out_unwrapped(server):
    with pytest.raises(KeyError, match="mine"):
        async with Session.connect(server):
            raise KeyError("mine")


async def test_server_that_dies_is_quoted(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(
        "import os, sys\n"
        "from mcp.server import MCPServer\n"
        "server = MCPServer('dying')\n"
        "@server.tool()\n"
        "def find_tools(query: str) -> str: return 'x'\n"
        "@server.tool()\n"
        "def execute_code(code: str) -> str:\n"
        "    print('out of memory', file=sys.stderr, flush=True)\n"
        "    os._exit(1)\n"
        "server.run('stdio')\n",
        encoding="utf-8",
    )
    async with Session.connect([sys.executable, str(script)]) as session:
        with pytest.raises(SessionError, match=r"(?s)execute_code: .*out of memory"):
            await session.execute_code("1")


def test_own_server_is_started_by_this_python(tmp_path):
    assert own_server(tmp_path)[:4] == [sys.executable, "-m", "toolweft_catalog.cli", "serve"]
    assert own_server(tmp_path)[4:] == ["--config", str(tmp_path)]
    assert own_server() == [sys.executable, "-m", "toolweft_catalog.cli", "serve"]
