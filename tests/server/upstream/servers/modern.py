"""A server of the SDK that speaks the newest protocol. `modern.py NOTES` over stdio, `modern.py - PORT` over HTTP."""

import sys
from pathlib import Path

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

server = MCPServer("modern", instructions="Use it with care.")
NOTES = Path(sys.argv[1]) if len(sys.argv) == 2 else None


def note(line: str) -> None:
    if NOTES is not None:
        NOTES.write_text(line, encoding="utf-8")


@server.tool()
async def numbers(count: int) -> list[int]:
    """Counts."""
    return list(range(count))


@server.tool()
async def wait(ctx: Context) -> str:
    """Waits until it is cancelled."""
    note("waiting")
    try:
        await anyio.sleep_forever()
    finally:
        note("cancelled")


@server.tool()
async def grow(ctx: Context) -> str:
    """Gets another tool."""
    server.add_tool(numbers, name="more_numbers")
    await ctx.notify_tools_changed()
    return "grown"


@server.tool()
async def ask(ctx: Context) -> str | InputRequiredResult:
    """Asks a person."""
    if ctx.input_responses is None:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        request = ElicitRequest(params=ElicitRequestFormParams(message="who?", requested_schema=schema))
        return InputRequiredResult(input_requests={"who": request})
    answer = ctx.input_responses["who"]
    return f"{answer.action}: {(answer.content or {}).get('name')}"


if len(sys.argv) > 2:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
else:
    server.run("stdio")
