"""A catalogue of 49,001 tools as it is served: woven in the background, searched, and held in memory.

    python -m benchmarks.large [--keep FOLDER] [--requests 200] [--json FILE]

500 tools are woven alone. Then a server is started on a store with all of ToolBench's tools and asked what is still new
until each has its vector; then requests go to it over stdio, and to another one, started anew. Then searches in this
process, a request's encoding included, beside one exact fp32 scan of as many vectors, and the parts alone; and the
whole call of `find_tools`, this process held on one core, beside a scan there. Last, what pruning by codes costs: R@5
of ToolBench's requests with it and without. One thread of numpy and onnxruntime. With `--keep`, store and vectors stay
there, and a second run weaves nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import anyio
import numpy as np
from benchmarks import datasets, machine
from benchmarks.handshake import prepare
from benchmarks.memory import COMMAND, children, resident
from mcp import Client, StdioServerParameters

from toolweft_server import config as configuration
from toolweft_server import memory
from toolweft_server.app import App
from toolweft_server.evaluation import metrics
from toolweft_server.evaluation.data import Dataset
from toolweft_server.index.woven import index as woven
from toolweft_server.index.woven.engine import REQUESTS, Engine
from toolweft_server.index.woven.index import WovenIndex
from toolweft_server.serving import Asker

LOOK = 2.0
"""Seconds between two looks at what is still new."""
DEEP = 50
ROUNDS = 9
ASKER = Asker("local", "cli", "cli")
PATIENCE = 3600.0


def milliseconds(work: Callable[[Any], object], items: Iterable[Any]) -> list[float]:
    took = []
    for each in items:
        begun = time.perf_counter()
        work(each)
        took.append((time.perf_counter() - begun) * 1000)
    return took


async def served(config: Path, requests: Sequence[str]) -> dict[str, Any]:
    """One life of a server: until everything is woven, and what it takes to answer then."""
    command = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "serve", "--config", str(config)])
    async with Client(command, mode="2026-07-28") as client:
        await client.list_tools()
        pid = children()[-1]
        begun, most = time.perf_counter(), 0.0

        async def find(query: str) -> dict[str, Any]:
            found = (await client.call_tool("find_tools", {"query": query})).structured_content
            assert found is not None
            return found

        note = (await find(requests[0]))["note"]
        first = time.perf_counter() - begun
        with anyio.fail_after(PATIENCE):
            while note:
                print(f"… {note}", file=sys.stderr)
                await anyio.sleep(LOOK)
                note, most = (await find(requests[0]))["note"], max(most, resident(pid))
        ready, took = time.perf_counter() - begun, []
        for each in requests:
            asked = time.perf_counter()
            await find(each)
            took.append((time.perf_counter() - asked) * 1000)
        return {
            "first_answer_s": round(first, 2), "woven_s": round(ready, 1),
            "mb_at_most": round(max(most, resident(pid))), "mb": round(resident(pid)),
            "find_tools_over_stdio_p50_ms": round(float(np.percentile(took, 50)), 1),
        }  # fmt: skip


def few(tools: int) -> float:
    """Seconds until so many are woven from nothing, in this process."""
    cards, begun = datasets.load("toolbench", "dev").tools[:tools], time.perf_counter()
    index = WovenIndex.build(cards, Engine.shipped())
    while index.unfinished():
        index = index.further()
    return round(time.perf_counter() - begun, 1)


def searched(index: WovenIndex, requests: Sequence[str]) -> dict[str, Any]:
    """Milliseconds of a search and of its parts, in turns: one round of each after the other."""
    engine = index.engine
    vectors = np.ascontiguousarray(index.woven.vectors(np.arange(len(index.ids))), np.float32)
    asked = {each: engine.request(each) for each in requests}
    index.search("warm up", 10)
    took: dict[str, list[list[float]]] = {}
    for n in range(1, ROUNDS + 1):
        # Some spaces more are another request to the engine, which keeps the vectors of the last ones.
        fresh = [each + n * " " for each in requests]
        for part, work, items in (
            ("exact scan, fp32", lambda each: vectors @ asked[each], requests),
            ("search", lambda each: index.search(each, 10), fresh),
            ("encoding a request", lambda each: engine.encoder.encode([each]), requests),
            ("words", index.lexical.evidence, requests),
            ("search, requests encoded before", lambda each: index.search(each, 10), fresh[-REQUESTS // 2 :]),
        ):
            took.setdefault(part, []).append(milliseconds(work, items))
    parts = {
        part: {f"p{q}": round(float(np.percentile(np.concatenate(rounds), q)), 2) for q in (50, 95)}
        for part, rounds in took.items()
    }
    return {
        "ms": parts,
        "search to scan, least, median and most of the rounds": _spread(took["search"], took["exact scan, fp32"]),
    }


def _spread(took: Sequence[list[float]], scans: Sequence[list[float]]) -> list[float]:
    """The least, the median and the most of what the rounds' medians are to one another."""
    ratios = [float(np.median(each) / np.median(scan)) for each, scan in zip(took, scans, strict=True)]
    return [round(each, 2) for each in (min(ratios), float(np.median(ratios)), max(ratios))]


def _pin(cores: set[int]) -> None:
    """All threads of this process, and those that they will start, on these cores."""
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


async def called(app: App, requests: Sequence[str]) -> dict[str, Any]:
    """The whole tool call within this process, on one core, one after the other, and a scan there, in turns."""
    index, cores = app.live.index, os.sched_getaffinity(0)
    assert isinstance(index, WovenIndex)
    vectors = np.ascontiguousarray(index.woven.vectors(np.arange(len(index.ids))), np.float32)
    _pin({min(cores)})
    try:
        asked, took, scans = index.engine.encoder.encode(list(requests[:1]))[0], [], []
        for n in range(1, ROUNDS + 1):
            scans.append(milliseconds(lambda _: vectors @ asked, requests))
            took.append([await _call(app, each + (ROUNDS + n) * " ") for each in requests])
    finally:
        _pin(cores)
    return {
        "find_tools in process on one core, p50 in ms": round(float(np.median(np.concatenate(took))), 2),
        "find_tools to scan, least, median and most of the rounds": _spread(took, scans),
        "find_tools to scan, the first round": _spread(took[:1], scans[:1])[0],
    }


async def _call(app: App, query: str) -> float:
    begun = time.perf_counter()
    await app.find_tools({"query": query}, ASKER)
    return (time.perf_counter() - begun) * 1000


def pruned(index: WovenIndex, data: Dataset) -> dict[str, Any]:
    """R@5 and N@5 in percent, with pruning by codes and with an exact scan."""
    known, found = set(data.group), {}
    for name, start in (("pruned", woven.PRUNED_FROM), ("exact", sys.maxsize)):
        old, woven.PRUNED_FROM = woven.PRUNED_FROM, start
        ranks = [
            [hit.tool for hit in index.search(each.text, DEEP).hits if hit.tool in known] for each in data.requests
        ]
        woven.PRUNED_FROM = old
        scores = metrics.score(metrics.judge(ranks, data.requests, data.group))
        found[name] = {each: round(100 * float(np.mean(scores[each])), 2) for each in ("R@5", "N@5")}
    return {"requests": len(data.requests), **found}


async def measure(folder: Path, requests: int) -> dict[str, Any]:
    config = folder / "toolweft.json"
    if not config.exists():
        prepare(folder, 49_001)
    texts = [each.text for each in datasets.load("weft_queries", "dev").requests][:requests]
    found: dict[str, Any] = {"500 tools woven in s": few(500)}
    found |= {"weaving": await served(config, texts), "restarted": await served(config, texts)}
    memory.settle()  # as a server does
    async with App.open(configuration.load(config)) as app:
        assert isinstance(app.live.index, WovenIndex)
        found["tools"] = len(app.live.index)
        found["encoder"] = app.live.index.engine.encoder.digest[:8]
        found |= searched(app.live.index, texts)
        found |= await called(app, texts)
        found["codes"] = {split: pruned(app.live.index, datasets.load("toolbench", split)) for split in ("dev", "test")}
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    print(machine.line())
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(measure(folder, args.requests))
    print(json.dumps(found, indent=1))
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": machine.describe(), "large": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
