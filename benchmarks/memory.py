"""Resident memory and readiness of a serving process with 49,001 tools in its store, and `find_tools` over stdio."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from benchmarks import datasets, machine
from benchmarks.handshake import prepare
from mcp import Client, StdioServerParameters

COMMAND = [sys.executable, "-m", "toolweft_catalog.cli"]


def resident(pid: int) -> float:
    """MB that the process holds, from the kernel."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(each) for each in path.read_text(encoding="ascii").split()]


async def measure(tools: int = 49_001, requests: int = 100) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        config = prepare(Path(name), tools)
        await anyio.run_process([*COMMAND, "find", "anything", "--config", str(config)], check=False)
        server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "serve", "--config", str(config)])
        async with Client(server, mode="2026-07-28") as client:
            await client.list_tools()
            pid = children()[-1]
            after_handshake = resident(pid)
            started = time.perf_counter()
            await client.call_tool("find_tools", {"query": "weather forecast"})
            ready = time.perf_counter() - started
            queries = [each.text for each in datasets.load("toolbench", "dev").requests]
            took = []
            for each in (queries * requests)[:requests]:
                started = time.perf_counter()
                await client.call_tool("find_tools", {"query": each})
                took.append((time.perf_counter() - started) * 1000)
            return {
                "after_handshake_mb": round(after_handshake), "serving_mb": round(resident(pid)),
                "ready_again_s": round(ready, 2), "find_tools_over_stdio_p50_ms": round(statistics.median(took), 1),
            }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    print(machine.line())
    found = asyncio.run(measure())
    print(found)
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": machine.describe(), "memory": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
