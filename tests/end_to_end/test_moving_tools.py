"""A server that renames a tool while a task runs: the agent is told, and shown what has come in its place."""

import sys

import pytest

from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

SKY = """
import sys

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

bus, name, reads, tells = InMemorySubscriptionBus(), "weather", "reads" in sys.argv, "tells" in sys.argv
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def tools(_context, _params):
    told = ToolAnnotations(read_only_hint=True) if reads else None
    text = "Tell what the sky over a city looks like."
    return ListToolsResult(tools=[Tool(name=name, description=text, input_schema=schema, annotations=told)])


async def call(_context, params):
    global name
    if params.name == "forecast" == name:
        return CallToolResult(content=[TextContent(type="text", text=f"rain over {params.arguments['city']}")])
    if name == "weather":
        name = "forecast"
        if tells:
            await bus.publish(ToolsListChanged())
    text = f"Unknown tool: {params.name}"
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


async def main():
    server = Server("sky", version="1", on_list_tools=tools, on_call_tool=call,
                    on_subscriptions_listen=ListenHandler(bus))
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


anyio.run(main)
"""


def fenced(code):
    return f"```python\n{code}\n```"


def program(tool):
    return fenced(f'def look(city: str):\n    """Looks up."""\n    # 1. read\n    sky_now = sky.{tool}(city=city)\n'
                  f'    return sky_now\n\n\nlook("Oslo")')  # fmt: skip


OLD, NEW = program("weather"), program("forecast")


@pytest.mark.parametrize("announced", ["tells", "says nothing"])
@pytest.mark.parametrize(
    ("effect", "replies", "stage"), [("unknown", [OLD, OLD, NEW], "repair"), ("reads", [OLD, NEW], "implement")]
)
async def test_a_tool_that_has_another_name_by_now_is_named_in_the_next_prompt(
    write_config, tmp_path, effect, replies, stage, announced
):
    (tmp_path / "sky.py").write_text(SKY, encoding="utf-8")
    sky = {"command": sys.executable, "args": [str(tmp_path / "sky.py"), effect, announced]}
    loaded = configuration.load(write_config(mcpServers={"sky": sky}, policy={"sky.*": "allow"}))
    model = ScriptedModel(replies)
    async with Session.connect(serving.build(Lazy(loaded), servers=["sky"])) as session:
        answer = await Agent(model, session, budget=Budget(pause=0)).run("Look at the sky over Oslo, then tell me")
    assert (answer.status, answer.value) == ("answered", "rain over Oslo")
    told = model.prompts[-1][-1].text
    assert "- there is no tool sky.weather any more; nearest: sky.forecast" in told
    assert "# call: sky.forecast(...)\ndef forecast(" in told
    assert "def weather(" not in told
    assert answer.spent.repairs == (stage == "repair")
