"""Tokens (o200k_base) of what a host's model sees: the surface, and `find_tools` replies on weft_queries dev."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import datasets, machine

from toolweft_catalog.catalog import Catalog
from toolweft_catalog.shape import Shape
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import IndexName
from toolweft_server.index.base import Matches
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.tools import find_tools, surface


def count(text: str) -> int:
    import bpe_openai

    return len(bpe_openai.get_encoding("o200k_base").encode(text))


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def of_surface() -> dict[str, int]:
    """Names, titles, descriptions, input schemas and instructions together; output schemas apart."""
    seen = ("name", "title", "description", "inputSchema")
    inputs = sum(count(compact({key: tool[key] for key in seen})) for tool in surface.TOOLS)
    return {
        "surface": inputs + count(surface.instructions([f"example-server-{n}" for n in range(20)])),
        "output_schemas": sum(count(compact(tool["outputSchema"])) for tool in surface.TOOLS),
    }


class Offline:
    """`find_tools.Finding` over a catalogue in memory: nothing but the search and the rendering."""

    index_name: IndexName = "lexical"

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._catalog, self._index = Catalog.of(tools), LexicalIndex.build(tools)

    async def search(self, query: str, limit: int, *, server: str | None) -> Matches:
        return self._index.search(query, limit, server=server)

    async def tools(self, ids: Sequence[str]) -> Sequence[Tool]:
        return self._catalog.tools(ids)

    async def shapes(self, _tools: Sequence[Tool]) -> Mapping[str, Shape]:
        return {}

    def size(self) -> int:
        return len(self._catalog)

    def servers(self) -> Sequence[str]:
        return self._catalog.servers

    async def settled(self) -> str | None:
        return None

    async def revived(self, _names: Sequence[str]) -> str | None:
        return None

    async def asked(self, query: str, shown: Sequence[str]) -> None: ...


async def of_replies() -> dict[str, Any]:
    data = datasets.load("weft_queries", "dev")
    server = Offline(data.tools)
    found = [
        count((await find_tools.find_tools(find_tools.Arguments(query=each.text), server)).text)
        for each in data.requests
    ]
    return {
        "replies": len(found), "mean": round(statistics.mean(found), 1), "median": statistics.median(found),
        "p95": sorted(found)[int(len(found) * 0.95)], "max": max(found), "catalogue": server.size(),
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    print(machine.line())
    found = {**of_surface(), "find_tools": asyncio.run(of_replies())}
    for name, value in found.items():
        print(f"{name}: {value}")
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": machine.describe(), "tokens": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
