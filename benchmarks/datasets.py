"""Reads the shared data sets: real and published tool catalogues, with requests whose right tools are known.

The folder is `TOOLWEFT_DATA`, or `shared/data` beside the checkout. Nothing here is part of the product.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolweft_catalog import names
from toolweft_catalog.tool import Tool

SETS = ("weft_queries", "metatool", "toolbench", "sealtools", "bfcl", "apibank", "nestful")
Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Request:
    id: str
    text: str
    gold: frozenset[str]
    """Groups of tools that have the same name and text: any member of a group is as right as the others."""
    kind: str


@dataclass(frozen=True, slots=True)
class Dataset:
    name: str
    tools: Sequence[Tool]
    group: Mapping[str, str]
    """Tool id -> its group."""
    requests: Sequence[Request]


def folder() -> Path:
    """Where the data is.

    Raises:
        SystemExit: It is not there; says which variable to set.

    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = Path(os.environ.get("TOOLWEFT_DATA", default))
    if not found.is_dir():
        raise SystemExit(f"no data sets at {str(found)!r}: set TOOLWEFT_DATA to the folder that holds them")
    return found


def load(name: str, split: Split) -> Dataset:
    rows = list(_rows(folder() / name / "tools.jsonl.gz"))
    ids = _ids(name, rows)
    group = {ids[row["id"]]: row["dup_group"] for row in rows}
    requests = [
        Request(row["id"], row["query"], frozenset(group[ids[each]] for each in row["gold"]), row["kind"])
        for row in _rows(folder() / name / "queries.jsonl.gz")
        if row["split"] == split
    ]
    return Dataset(name, [_tool(row, ids[row["id"]], row["server"] or name) for row in rows], group, requests)


def stream(name: str, limit: int | None = None) -> Iterator[Tool]:
    """The first `limit` tools alone, read one at a time."""
    path = folder() / name / "tools.jsonl.gz"
    ids = _ids(name, _rows(path))
    return (_tool(row, ids[row["id"]], row["server"] or name) for row in itertools.islice(_rows(path), limit))


def requests(name: str, split: Split) -> list[str]:
    return [row["query"] for row in _rows(folder() / name / "queries.jsonl.gz") if row["split"] == split]


def _ids(name: str, rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Row id -> tool id. A few rows share server and name; the row id keeps them apart."""
    seen: set[tuple[str, str]] = set()
    pairs: dict[str, tuple[str, str]] = {}
    for row in rows:
        pair = (row["server"] or name, row["name"])
        pairs[row["id"]] = pair if pair not in seen else (pair[0], row["id"])
        seen.add(pairs[row["id"]])
    given = names.assign(pairs.values(), {})
    return {row_id: given[pair] for row_id, pair in pairs.items()}


def _tool(row: dict[str, Any], tool_id: str, server: str) -> Tool:
    return Tool(
        id=tool_id,
        name=row["name"],
        server=server,
        description=row["description"] or "",
        parameters=row["parameters"] or {"type": "object", "properties": {}},
        output=row["output"],
        server_description=row["server_description"] or "",
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
