"""Upstreams over the servers in `servers/`, stopped after each test, and a bounded wait for outside processes."""

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from toolweft_catalog.call import Call
from toolweft_catalog.tool import Annotations, Tool
from toolweft_server.upstream.leash import processes
from toolweft_server.upstream.mcp import HttpEntry, McpUpstream, StdioEntry

SERVERS = Path(__file__).parent / "servers"


def _command(script: str, *arguments: object, env: dict[str, str] | None = None) -> StdioEntry:
    return StdioEntry(sys.executable, ["-I", str(SERVERS / script), *map(str, arguments)], env or {})


@pytest.fixture
def command() -> Callable[..., StdioEntry]:
    """An entry that runs one of the servers with arguments."""
    return _command


@pytest.fixture
def call() -> Callable[..., Call]:
    """A call of a tool of the odd server: its name, arguments, and what else a tool or a call has."""

    def make(name: str, arguments: dict | None = None, *, output=None, effect=None, server="odd", **options) -> Call:
        annotations = Annotations(read_only=effect == "read")
        tool = Tool(id=f"{server}.{name}", name=name, server=server, output=output, annotations=annotations)
        return Call(tool, arguments or {}, **options)

    return make


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs. A zombie does not."""

    def living(pid: int) -> bool:
        return any(each.pid == pid for each in processes())

    return living


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Polls, bounded, what only an outside process can bring about."""

    async def poll(holds: Callable[[], object], seconds: float = 20) -> None:
        with anyio.fail_after(seconds):
            while not holds():
                await anyio.sleep(0.02)

    return poll


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., McpUpstream]]:
    """Makes an upstream over `odd.py MODE NOTES`, or over any other entry."""
    made = []

    def make(mode: str | StdioEntry | HttpEntry = "good", notes: Path | str = os.devnull, **options) -> McpUpstream:
        entry = _command("odd.py", mode, notes) if isinstance(mode, str) else mode
        made.append(McpUpstream("odd", config=entry, **options))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.aclose()
