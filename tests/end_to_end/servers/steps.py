"""An MCP server that reports steps, and one that hangs; what happened to it lies in the folder of its argument."""

import os
import sys
from pathlib import Path

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

FOLDER = Path(sys.argv[1])
server = MCPServer("steps")
print("this is no protocol")


@server.tool()
async def climb(steps: int, context: Context) -> str:
    """Report every step on the way up."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
    return "up"


@server.tool()
async def hang() -> None:
    """Wait to be cancelled."""
    (FOLDER / "hanging").write_text(str(os.getpid()), encoding="utf-8")
    try:
        await anyio.sleep_forever()
    finally:
        (FOLDER / "cancelled").write_text("", encoding="utf-8")


server.run("stdio")
