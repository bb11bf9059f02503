"""`python -m benchmarks.agent.catalogue FILE`: tools of other people's servers, listed over stdio and of no use.

They stand beside the tools that a task needs, so that a search has something to choose from. FILE is JSON Lines, one
tool each as MCP lists it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import anyio
from benchmarks import datasets
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool

from toolweft_catalog import names


def write(path: Path, many: int, *, seed: int = 0) -> None:
    """So many tools of all servers that `weft_queries` has; with the same seed, fewer are a part of more."""
    every = list(datasets.stream("weft_queries"))
    chosen = Random(seed).sample(every, len(every))
    if many > len(chosen):
        raise SystemExit(f"weft_queries has {len(chosen)} tools, not {many}")
    path.write_text("\n".join(json.dumps(each) for each in _listed(chosen[:many])), encoding="utf-8")


def _listed(chosen: list[Any]) -> Iterator[dict[str, Any]]:
    """Named with their own server, whose part in the configuration they have here lost."""
    taken: set[str] = set()
    for tool in chosen:
        name = names.identifier(f"{tool.server.rsplit('/', 1)[-1]} {tool.name}")[:120]
        while name in taken:
            name += "_"
        taken.add(name)
        yield {"name": name, "description": tool.description, "inputSchema": dict(tool.parameters)}


def serve(path: Path) -> Server[None]:
    lines = path.read_text(encoding="utf-8").splitlines()
    listed = ListToolsResult(tools=[Tool.model_validate_json(line) for line in lines])

    async def tools(_context: object, _params: object) -> ListToolsResult:
        return listed

    async def call(_context: object, params: Any) -> CallToolResult:
        text = TextContent(type="text", text=f"{params.name} is not connected to anything")
        return CallToolResult(content=[text], is_error=True)

    return Server("others", version="1", on_list_tools=tools, on_call_tool=call)


async def main(path: str) -> None:
    server = serve(Path(path))
    async with stdio_server() as (read, write_):
        await server.run(read, write_, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
