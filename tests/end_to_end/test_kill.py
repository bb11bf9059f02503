"""`kill -9` at random points: nothing saved is lost or half written, nothing is left running, the next call works."""

import ast
import ctypes
import os
import random
import signal
import sys
from contextlib import suppress

import anyio
import pytest

import census

UPSTREAM = '''
"""An MCP server for tests, small and real."""

from mcp.server import MCPServer

server = MCPServer("echo")


@server.tool()
def echo(text: str) -> str:
    """Answer the same text."""
    return text


server.run("stdio")
'''

PROGRAM = '''
def kept_{n}(text: str = "hello") -> str:
    """Echo number {n}, with some text to make a torn write visible: {padding}"""
    return tools.echo.echo(text=text) + "{n}"

kept_{n}()
'''

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and adopts orphans, which only Linux offers"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(autouse=True)
def adopt_orphans():
    """Whatever loses its parent becomes a child of this process, where it can be seen; the dead are reaped."""
    PR_SET_CHILD_SUBREAPER = 36  # noqa: N806 - the kernel's name
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    mine = census.children(os.getpid())
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    for pid in census.children(os.getpid()) - mine:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def descendants(pid: int) -> dict[int, str]:
    """Living processes below `pid`, with their command lines. Zombies are dead."""
    return {child: line for child, line in census.descendants(pid).items() if line != "zombie"}


def pids(below: int, word: str) -> list[int]:
    return [pid for pid, command in descendants(below).items() if word in command]


def kill(victims: list[int]) -> bool:
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(victims)


async def started(below: int) -> int:
    """The server's number, once it shows its command line: the new revision opens a connection without a word."""
    with anyio.fail_after(60):
        while not (found := pids(below, "toolweft_catalog.cli")):
            await anyio.sleep(0.02)
    return found[-1]


async def strike(server: int, word: str, delay: float) -> None:
    """Kills the server itself, or the processes below it whose command has that word."""
    await anyio.sleep(delay)
    kill([server] if word == "toolweft_catalog.cli" else pids(server, word))


def wrong(error: BaseException) -> bool:
    """Whether one of our own checks is among what went wrong."""
    if isinstance(error, BaseExceptionGroup):
        return any(wrong(each) for each in error.exceptions)
    return isinstance(error, AssertionError | TimeoutError)


async def gone(before: set[int]) -> None:
    """Waits until no process is left but those from before."""
    with anyio.fail_after(20):
        while left := {pid: c for pid, c in descendants(os.getpid()).items() if pid not in before}:
            await anyio.sleep(0.02)
    assert left == {}


@pytest.mark.soak
async def test_kill_9_at_random_points_loses_nothing_and_leaves_nothing(tmp_path, write_config, over_stdio, soak_runs):
    script = tmp_path / "echo_server.py"
    script.write_text(UPSTREAM, encoding="utf-8")
    config = write_config(mcpServers={"echo": {"command": sys.executable, "args": [str(script)]}}, python={})
    before = set(descendants(os.getpid()))
    dice = random.Random(20260728)
    promised: dict[str, str] = {}
    run, runs = 0, max(10, soak_runs // 50)
    while run < runs:
        killed_server = False
        try:
            async with over_stdio(config, dice.choice(["2026-07-28", "legacy"])) as host:
                server = await started(os.getpid())
                await check(host, promised)
                while run < runs and not killed_server:
                    run += 1
                    word = dice.choice([script.name, "runner.py", "toolweft_catalog.cli"])
                    killed_server = word == "toolweft_catalog.cli"
                    delay = dice.random() * dice.choice([0.01, 0.1, 0.6])
                    with anyio.fail_after(60):
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(strike, server, word, delay)
                            code = PROGRAM.format(n=run, padding="x" * dice.randrange(4000))
                            ran = await host.execute(code)
                            promised |= {each["name"]: ran["status"] for each in ran["saved"]}
                    await check(host, promised)
        except Exception as error:
            # A killed server ends its client in one of many ways. Nothing else may fail.
            if not killed_server or wrong(error):
                raise
        await gone(before)
    async with over_stdio(config, "2026-07-28") as host:
        await check(host, promised)
    await gone(before)
    assert promised


async def check(host, promised) -> None:
    """The next call works, and every function that was promised is there, whole."""
    with anyio.fail_after(60):
        while (ran := await host.execute("tools.echo.echo(text='again')"))["status"] != "ok":
            assert "unknown" not in ran["text"]
            await anyio.sleep(0.05)
        assert ran["value"] == "again"
        listed = {each["name"] for each in (await host.read("toolweft://reusable_functions"))["functions"]}
        for name in promised.keys() - listed:  # of more than a hundred those retire that nobody used for long: no loss
            assert (await host.read(f"toolweft://reusable_functions/{name}"))["state"] == "retired"
        for name in listed:
            card = await host.read(f"toolweft://reusable_functions/{name}")
            ast.parse(card["source"])
            assert card["source"].rstrip().endswith(f'"{name.removeprefix("kept_")}"')
