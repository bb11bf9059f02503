"""Lists of tools stay true while servers come and go, files are edited, and configurations share a store."""

import json
import sys

import anyio
import pytest

from toolweft_server import live
from toolweft_server.tending import Tender

SERVER = '''
from mcp.server import MCPServer

server = MCPServer("late")


@server.tool()
def greet() -> str:
    """Greet a person."""
    return "hello"


server.run("stdio")
'''


def module(**functions: str) -> str:
    return "\n".join(
        f'def {name}() -> str:\n    """{text}"""\n    return {text!r}\n' for name, text in functions.items()
    )


async def until_found(host, name):
    with anyio.fail_after(30):
        while name not in [tool["id"] for tool in (await host.find(name.partition(".")[2]))["tools"]]:
            await anyio.sleep(0.02)


async def ids(host, server):
    return sorted(tool["id"] for tool in (await host.find("say", server=server))["tools"])


@pytest.fixture
def configure(tmp_path):
    """Writes a configuration of its own name on the store that all share."""

    def write(name, **parts):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"store": str(tmp_path / "shared.db"), **parts}), encoding="utf-8")
        return path

    return write


async def test_a_server_that_was_down_at_start_is_found_when_it_comes_up(
    write_config, in_process, tmp_path, monkeypatch
):
    monkeypatch.setattr(Tender, "retries", (0.05,))
    late = {"command": sys.executable, "args": [str(tmp_path / "late.py")]}
    async with in_process(write_config(mcpServers={"late": late})) as host:
        assert "Not reachable: late" in (await host.find("greet"))["text"]
        (tmp_path / "late.py").write_text(SERVER, encoding="utf-8")
        await until_found(host, "late.greet")
        assert "Not reachable" not in (await host.find("greet"))["text"]


async def test_an_old_list_is_read_again_while_the_server_runs(configure, in_process, tmp_path, monkeypatch):
    spec = tmp_path / "api.json"
    spec.write_text(document("first"), encoding="utf-8")
    monkeypatch.setattr(Tender, "every", 0.05)
    monkeypatch.setattr(live, "MANIFEST_AGE", 0.0)
    config = configure("one", openapi={"api": {"spec": str(spec), "base_url": "http://127.0.0.1:9"}})
    async with in_process(config) as host:
        await until_found(host, "api.first")
        spec.write_text(document("second"), encoding="utf-8")
        await until_found(host, "api.second")


def document(operation):
    paths = {"/x": {"get": {"operationId": operation, "summary": f"Say {operation}", "responses": {}}}}
    return json.dumps({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": paths})


async def test_an_edited_document_is_read_again_at_the_next_start(configure, in_process, tmp_path):
    spec = tmp_path / "api.json"
    config = configure("one", openapi={"api": {"spec": "api.json", "base_url": "http://127.0.0.1:9"}})
    for operation in ("first", "second"):
        spec.write_text(document(operation), encoding="utf-8")
        async with in_process(config) as host:
            assert await ids(host, "api") == [f"api.{operation}"]


@pytest.mark.parametrize("named", ["box.py", "box", "pack.box"])
async def test_an_edited_module_is_read_again_at_the_next_start(configure, over_stdio, tmp_path, named, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").write_text("", encoding="utf-8")
    config = configure("one", python={"box": {"module": named}})
    for function in ("first", "other"):
        for place in ("box.py", "pack/box.py"):
            (tmp_path / place).write_text(module(**{function: "say it"}), encoding="utf-8")
        async with over_stdio(config, "auto") as host:
            assert await ids(host, "box") == [f"box.{function}"]


async def test_servers_of_one_name_in_two_configurations_do_not_replace_each_other(configure, in_process, tmp_path):
    (tmp_path / "a.py").write_text(module(both="say a", only_a="say it"), encoding="utf-8")
    (tmp_path / "b.py").write_text(module(both="say b", only_b="say it"), encoding="utf-8")
    one = configure("one", python={"git": {"module": "a.py"}})
    two = configure("two", python={"git": {"module": "b.py"}})
    async with in_process(one) as first:
        assert await ids(first, "git") == ["git.both", "git.only_a"]
        async with in_process(two) as second:
            assert await ids(second, "git") == ["git.both", "git.only_b"]
            # A function saved by the second is what the first takes over last, and so it has seen the rest.
            saved = await second.execute('def keep() -> str:\n    """Say b."""\n    return tools.git.both()\n\nkeep()')
            assert saved["saved"], saved
            await until_found(first, "functions.keep")
            assert await ids(first, "git") == ["git.both", "git.only_a"]
            assert (await first.execute("git.only_a(), git.both()"))["value"] == ["say it", "say a"]
            with anyio.fail_after(20):
                while "say a" not in (await first.find("git.both", detail="full", server="git"))["text"]:
                    await anyio.sleep(0.02)
            assert await ids(second, "git") == ["git.both", "git.only_b"]


RESTLESS = '''
import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool

bus, names, asked = InMemorySubscriptionBus(), ["first"], 0


async def tools(_context, _params):
    """The second time it is asked, it changes while it answers: what it says is of before."""
    global asked
    asked += 1
    listed = [Tool(name=name, description=f"Say {name}.", input_schema={"type": "object"}) for name in names]
    if asked == 2:
        names.append("third")
        await bus.publish(ToolsListChanged())
        await anyio.sleep(0.2)
    return ListToolsResult(tools=listed)


async def call(_context, params):
    names.append("second")
    await bus.publish(ToolsListChanged())
    return CallToolResult(content=[TextContent(type="text", text="said")])


async def main():
    server = Server(
        "restless", version="1", on_list_tools=tools, on_call_tool=call, on_subscriptions_listen=ListenHandler(bus)
    )
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


anyio.run(main)
'''


async def test_a_server_that_changes_while_it_lists_its_tools_is_read_once_more(write_config, in_process, tmp_path):
    (tmp_path / "restless.py").write_text(RESTLESS, encoding="utf-8")
    restless = {"command": sys.executable, "args": [str(tmp_path / "restless.py")]}
    async with in_process(write_config(mcpServers={"restless": restless})) as host:
        await until_found(host, "restless.first")
        assert (await host.execute("restless.first()"))["status"] == "ok"
        await until_found(host, "restless.third")
        assert await ids(host, "restless") == ["restless.first", "restless.second", "restless.third"]
