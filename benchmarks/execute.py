"""`execute_code` from the inside: start, a run in a live session, what a tool call costs, calls side by side.

Not through MCP: `Sessions.run` is what is timed, with the sandbox that the server uses. Ratios are against the start
of a bare interpreter on the same machine at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import machine

from toolweft_catalog.call import Result
from toolweft_catalog.tool import Json
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Outcome, Program, SavedSource
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.pool import Sessions

CALLS = 200
"""Tool calls in one program: enough that the run around them does not show."""


class Tools:
    """Two tools: one that answers at once, one that takes 200 ms."""

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:  # noqa: ARG002
        if tool == "bench.slow":
            await asyncio.sleep(0.2)
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


async def measure(repeat: int) -> dict[str, dict[str, float]]:
    host = Tools()

    def runner(sessions: Sessions, code: str, *, session: str | None) -> Callable[[], Awaitable[Outcome]]:
        async def once() -> Outcome:
            ran = await sessions.run(Program("bench", code, ("bench",)), host, owner="bench", session=session)
            assert ran.outcome.status == "ok", ran.outcome.error
            return ran.outcome

        return once

    async def bare() -> None:
        subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)  # noqa: ASYNC221  (nothing else waits)

    figures = {"interpreter": await timed(repeat, bare)}
    async with Sessions(UnsafeProcess(), Limits(), warm=0) as cold:
        figures["cold"] = await timed(repeat, runner(cold, "1 + 1", session=None))
    async with Sessions(UnsafeProcess(), Limits(), warm=1) as warm:
        figures["warm"] = await _warm(repeat, warm, runner(warm, "1 + 1", session=None))
        live = runner(warm, "1 + 1", session="s")
        await live()
        figures["live"] = await timed(repeat * 5, live)
        calls = await timed(repeat, runner(warm, f"for n in range({CALLS}): bench.echo(n)", session="s"))
        direct = await timed(repeat, lambda: _direct(host))
        figures["per_call"] = {key: round((calls[key] - direct[key]) / CALLS, 4) for key in calls}
        slow = runner(warm, "parallel(bench.slow, range(5))", session="s")
        figures["five_of_200_ms"] = await timed(5, slow)
    return figures


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
    parser.add_argument("-n", "--repeat", type=int, default=20)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.repeat))
    print(machine.line())
    base = figures["interpreter"]["p50"]
    for name, each in figures.items():
        ratio = f"{each['p50'] / base:7.2f} × python -c pass"
        print(f"{name:<16} p50 {each['p50']:9.3f} ms   p95 {each['p95']:9.3f} ms   {ratio}")
    if options.json:
        told = {"machine": machine.describe(), "figures": figures}
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
