"""`execute_code`: what isolation costs, from the sandbox alone and through MCP over stdio.

The sandbox is the one that the server would choose on this machine (or `--tier`). Compared in the same run: a bare
interpreter, the SDK's hello-world server called the same way, and tool calls made without a sandbox in between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import machine
from benchmarks.handshake import HELLO
from mcp import Client, StdioServerParameters

from toolweft_catalog.call import Result
from toolweft_catalog.tool import Json
from toolweft_server.config import SandboxEntry, parse
from toolweft_server.parts import sandbox_of
from toolweft_server.sandbox.base import Outcome, Program, SavedSource
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.pool import Sessions

CALLS = 200
"""Tool calls in one program: enough that the run around them does not show."""
WAITING = 20
"""Waiting sessions among which the memory that they share is divided."""
TOOLS = """
def echo(number: int) -> int:
    "Gives the number back."
    return number
"""


class Tools:
    """Two tools: one that answers at once, one that takes 100 ms."""

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:  # noqa: ARG002
        if tool == "bench.slow":
            await asyncio.sleep(0.1)
        return Result(args[0])

    async def describe(self, tool: str) -> str | None:  # noqa: ARG002
        return None

    async def function(self, name: str, version: int | None) -> SavedSource | str:  # noqa: ARG002
        return "none"

    async def save(self, name: str) -> Json:
        return name


async def timed(repeat: int, once: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """Milliseconds: median and 95th percentile."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        await once()
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    return {"p50": round(statistics.median(times), 3), "p95": round(times[int(len(times) * 0.95)], 3)}


async def in_the_sandbox(repeat: int, tier: str) -> dict[str, dict[str, float]]:
    """`Sessions.run` alone."""
    host = Tools()
    config = parse({"sandbox": {"backend": tier}}, path=None, environ={})

    def runner(sessions: Sessions, code: str, *, session: str | None) -> Callable[[], Awaitable[Outcome]]:
        async def once() -> Outcome:
            ran = await sessions.run(Program("bench", code, ("bench",)), host, owner="bench", session=session)
            assert ran.outcome.status == "ok", ran.outcome.error
            return ran.outcome

        return once

    async def bare() -> None:
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)  # noqa: ASYNC221  (nothing else waits)

    async def first_of_all() -> None:
        sandbox = sandbox_of(config)
        async with Sessions(sandbox, Limits(), warm=0) as sessions:
            await runner(sessions, "1 + 1", session=None)()
            await sandbox.aclose()

    await sandbox_of(config).examine()  # the check of once a boot is not what is timed
    figures = {"interpreter": await timed(repeat, bare), "cold first run": await timed(min(repeat, 10), first_of_all)}
    sandbox = sandbox_of(config)
    async with Sessions(sandbox, Limits(), warm=0) as fresh:
        await runner(fresh, "1", session=None)()
        figures["fresh sandbox"] = await timed(repeat, runner(fresh, "1 + 1", session=None))
        figures["fresh runs/s"] = await _rate(runner(fresh, "1 + 1", session=None))
        figures["MiB PSS per waiting session"] = await _memory(sandbox)
    async with Sessions(sandbox, Limits(), warm=1) as warm:
        figures["waiting sandbox"] = await _warm(repeat, warm, runner(warm, "1 + 1", session=None))
        live = runner(warm, "1 + 1", session="s")
        await live()
        figures["live session"] = await timed(repeat * 5, live)
        calls = await timed(repeat, runner(warm, f"for n in range({CALLS}): bench.echo(n)", session="s"))
        direct = await timed(repeat, lambda: _direct(host))
        figures["tool call over a direct one"] = {key: round((calls[key] - direct[key]) / CALLS, 4) for key in calls}
        slow = runner(warm, "parallel(bench.slow, range(8))", session="s")
        figures["8 tools of 100 ms"] = await timed(10, slow)
    await sandbox.aclose()
    return figures


async def through_mcp(repeat: int, tier: str) -> dict[str, dict[str, float]]:
    """The whole server over stdio, beside the SDK's hello world over stdio."""
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tools.py").write_text(TOOLS, encoding="utf-8")
        config = {"store": "s.db", "sandbox": {"backend": tier}, "python": {"mine": {"module": "tools.py"}}}
        (folder / "toolweft.json").write_text(json.dumps(config), encoding="utf-8")
        hello = [sys.executable, "-c", HELLO]
        ours = [sys.executable, "-m", "toolweft_catalog.cli", "serve", "--config", str(folder / "toolweft.json")]
        async with _client(hello) as bare, _client(ours) as client:

            async def execute(code: str, **more: str) -> None:
                done = await client.call_tool("execute_code", {"code": code, **more})
                assert not done.is_error, done.content

            async def greet() -> None:
                await bare.call_tool("hello", {"name": "you"})

            await client.call_tool("find_tools", {"query": "a number back"})  # the server is ready, its sandbox is not
            figures["first execute_code"] = await timed(1, lambda: execute("1 + 1"))
            await greet()
            for _ in range(repeat):  # in turns, so that a noisy moment falls on both
                for key, once in (("SDK hello world", greet), ("1 + 1 in a waiting sandbox", lambda: execute("1 + 1"))):
                    figures.setdefault(key, {})[str(len(figures.get(key, {})))] = (await timed(1, once))["p50"]
                    await asyncio.sleep(0.15)
            figures = {key: each if "p50" in each else _summary(list(each.values())) for key, each in figures.items()}
            many = f"for n in range({CALLS}): mine.echo(n)"
            await execute(many, session="s")
            took = await timed(5, lambda: execute(many, session="s"))
            figures["tool call, policy and record included"] = {k: round(v / CALLS, 4) for k, v in took.items()}
    return figures


def _summary(times: list[float]) -> dict[str, float]:
    times.sort()
    return {"p50": round(statistics.median(times), 3), "p95": round(times[int(len(times) * 0.95)], 3)}


@asynccontextmanager
async def _client(command: list[str]):  # type: ignore[no-untyped-def]  # noqa: ANN202  (the SDK's own type)
    async with Client(StdioServerParameters(command=command[0], args=command[1:])) as client:
        yield client


async def _rate(once: Callable[[], Awaitable[object]], *, runs: int = 200, at_once: int = 4) -> dict[str, float]:
    """Fresh sandboxes a second, four at a time."""
    left = iter(range(runs))

    async def worker() -> None:
        for _ in left:
            await once()

    start = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    rate = round(runs / (time.perf_counter() - start), 1)
    return {"p50": rate, "p95": rate}


async def _memory(sandbox: object) -> dict[str, float]:
    """Proportional set size: what is shared with others counts for its part."""
    opened = [await sandbox.open(Limits()) for _ in range(WAITING)]  # type: ignore[attr-defined]
    await asyncio.sleep(0.3)  # they have loaded what they load ahead
    sizes = [_pss(each.child.pid) for each in opened]
    for each in opened:
        await each.aclose()
    size = round(statistics.mean(sizes) / 1024, 2)
    return {"p50": size, "p95": round(max(sizes) / 1024, 2)}


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


async def _warm(repeat: int, sessions: Sessions, once: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """Each run finds a waiting child, and the time to make the next one is not counted."""
    times = []
    for _ in range(repeat):
        await sessions.prepare()
        await asyncio.sleep(0.15)  # the child imports what programs use most
        times.append((await timed(1, once))["p50"])
        await asyncio.sleep(0.3)  # the refill has come and gone
    times.sort()
    return {"p50": round(statistics.median(times), 3), "p95": round(times[int(len(times) * 0.95)], 3)}


async def _direct(host: Tools) -> None:
    for n in range(CALLS):
        await host.call("bench.echo", [n], {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("-n", "--repeat", type=int, default=30)
    parser.add_argument("--tier", default="auto", help="a backend's name; auto is what the server would choose")
    options = parser.parse_args()
    SandboxEntry(backend=options.tier)
    figures = asyncio.run(in_the_sandbox(options.repeat, options.tier))
    figures |= asyncio.run(through_mcp(options.repeat, options.tier))
    more = figures["1 + 1 in a waiting sandbox"]["p50"] - figures["SDK hello world"]["p50"]
    print(machine.line())
    base = figures["interpreter"]["p50"]
    for name, each in figures.items():
        ratio = "" if "/s" in name or "MiB" in name else f"{each['p50'] / base:7.2f} × python -c pass"
        print(f"{name:<38} p50 {each['p50']:9.3f}   p95 {each['p95']:9.3f}   {ratio}")
    print(f"1 + 1 in a waiting sandbox over the SDK's own call: {more:.2f} ms (p50)")
    if options.json:
        told = {"machine": machine.describe(), "figures": figures}
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
