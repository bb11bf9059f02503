"""Catalogues with requests whose right tools are known, read from a folder and checked once, here.

A folder holds `tools.jsonl` and `queries.jsonl`, each plain or with `.gz` behind. A tool is `id`, `name`, and where it
has them `description`, `server`, `server_description`, `category`, `parameters`, `output`, `dup_group`. A request is
`id`, `query`, `gold` (ids of tools), and where it has them `kind`, `style`, `tier`, `split`, `gold_unseen`. How a data
set is cut into what was known and what is new is the business of `splits`.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from toolweft_catalog import names
from toolweft_catalog.tool import EMPTY_SCHEMA, Tool
from toolweft_server.evaluation.errors import DataError

Seen: TypeAlias = Literal["seen", "some", "unseen"]
"""Whether the right tools of a request are the answer to some request of the split `train`: all, some or none."""

Facet: TypeAlias = Literal["style", "kind", "tier", "seen"]
"""What a request can be sorted by."""

FACETS: Sequence[Facet] = get_args(Facet)

_SEEN: Mapping[str, Seen] = {"none": "seen", "some": "some", "all": "unseen"}


@dataclass(frozen=True, slots=True)
class Request:
    id: str
    text: str
    gold: frozenset[str]
    """Groups of tools that have the same name and text: any member of a group is as right as the others."""
    tools: frozenset[str] = frozenset()
    """The ids of the right tools themselves."""
    split: str = ""
    """Empty in data that is not split: such a request is in every split."""
    kind: str = ""
    style: str = ""
    tier: str = ""
    seen: Seen = "unseen"


@dataclass(frozen=True, slots=True)
class Dataset:
    name: str
    tools: Sequence[Tool]
    group: Mapping[str, str]
    """Tool id -> its group."""
    category: Mapping[str, str]
    """Tool id -> what its source files it under; empty where it says nothing."""
    requests: Sequence[Request]

    def only(self, *, split: str | None = None, kind: str | None = None, style: str | None = None) -> Dataset:
        """The requests that are of these; None is any.

        Raises:
            DataError: None is; says which there are.

        """
        left = self.requests
        for field, wanted in (("split", split), ("kind", kind), ("style", style)):
            if wanted is None:
                continue
            kept = [each for each in left if getattr(each, field) in (wanted, "" if field == "split" else wanted)]
            if not kept:
                there = Counter(getattr(each, field) or "(none)" for each in left)
                counts = ", ".join(f"{name} {count}" for name, count in sorted(there.items()))
                raise DataError(f"{self.name}: no request has {field} {wanted!r}; there are {counts}")
            left = kept
        return replace(self, requests=left)


class Catalogue(NamedTuple):
    """The tools of a folder."""

    tools: list[Tool]
    ids: dict[str, str]
    """Id in the file -> tool id, which is an identifier of Python: `server.tool`."""
    group: dict[str, str]
    category: dict[str, str]


def read(folder: Path) -> Dataset:
    """Everything in a folder; the name of the set is the folder's.

    Raises:
        DataError: A file is missing or damaged, a line is no tool or no request, a right tool is not in the catalogue.

    """
    catalogue = catalogue_of(folder)
    path = _file(folder, "queries")
    rows = [_request(path, line, row, catalogue) for line, row in _rows(path)]
    if not rows:
        raise DataError(f"{path}: there are no requests in it")
    trained = frozenset().union(*(request.gold for request, told in rows if request.split == "train"))
    requests = [request if told else replace(request, seen=_seen(request.gold, trained)) for request, told in rows]
    return Dataset(folder.name, catalogue.tools, catalogue.group, catalogue.category, requests)


def catalogue_of(folder: Path) -> Catalogue:
    """The tools alone.

    Raises:
        DataError: The file is missing, damaged or empty, or a line is no tool.

    """
    path = _file(folder, "tools")
    rows = [(line, _checked(path, line, row)) for line, row in _rows(path)]
    if not rows:
        raise DataError(f"{path}: the catalogue is empty")
    lines: dict[str, int] = {}
    for line, row in rows:
        if row["id"] in lines:
            raise DataError(f"{path}, line {line}: the id {row['id']!r} is that of line {lines[row['id']]}, too")
        lines[row["id"]] = line
    ids = _ids(folder.name, [row for _, row in rows])
    tools = [_tool(row, ids[row["id"]], row.get("server") or folder.name) for _, row in rows]
    group = {ids[row["id"]]: row.get("dup_group") or _group(row) for _, row in rows}
    category = {ids[row["id"]]: str(row.get("category") or "") for _, row in rows}
    return Catalogue(tools, ids, group, category)


def stream(folder: Path, limit: int | None = None) -> Iterator[Tool]:
    """The first `limit` tools alone, read one at a time.

    Raises:
        DataError: As `catalogue_of`.

    """
    path = _file(folder, "tools")
    ids = _ids(folder.name, (_checked(path, line, row) for line, row in _rows(path)))
    for _, row in itertools.islice(_rows(path), limit):
        yield _tool(row, ids[row["id"]], row.get("server") or folder.name)


def _seen(gold: frozenset[str], trained: frozenset[str]) -> Seen:
    known = len(gold & trained)
    return "seen" if known == len(gold) else "some" if known else "unseen"


def _request(path: Path, line: int, row: dict[str, Any], catalogue: Catalogue) -> tuple[Request, bool]:
    """The request, and whether it says itself that its tools are seen or unseen."""
    text, gold = row.get("query"), row.get("gold")
    if not isinstance(text, str):
        raise DataError(f"{path}, line {line}: a request needs a text `query`, not {text!r}")
    if not isinstance(gold, list) or not gold:
        raise DataError(f"{path}, line {line}: `gold` must name at least one tool in a list, not be {gold!r}")
    unknown = [each for each in gold if not isinstance(each, str) or each not in catalogue.ids]
    if unknown:
        raise DataError(f"{path}, line {line}: the right tool {unknown[0]!r} is not in the catalogue beside it")
    tools = frozenset(catalogue.ids[each] for each in gold)
    told = row.get("gold_unseen")
    request = Request(
        id=str(row.get("id") or line),
        text=text,
        gold=frozenset(catalogue.group[each] for each in tools),
        tools=tools,
        split=str(row.get("split") or ""),
        kind=str(row.get("kind") or ("single" if len(tools) == 1 else "multi")),
        style=str(row.get("style") or ""),
        tier=str(row.get("tier") or ""),
        seen=_SEEN.get(told, "unseen") if isinstance(told, str) else "unseen",
    )
    return request, told in _SEEN


def _checked(path: Path, line: int, row: dict[str, Any]) -> dict[str, Any]:
    for field in ("id", "name"):
        if not isinstance(row.get(field), str) or not row[field]:
            raise DataError(f"{path}, line {line}: a tool needs a text `{field}`, not {row.get(field)!r}")
    for field in ("parameters", "output"):
        if not isinstance(row.get(field) or {}, dict):
            raise DataError(f"{path}, line {line}: `{field}` must be a JSON Schema object or null")
    for field in ("description", "server", "server_description"):
        if not isinstance(row.get(field) or "", str):
            raise DataError(f"{path}, line {line}: `{field}` must be a text or null, not {row[field]!r}")
    return row


def _ids(name: str, rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Row id -> tool id. A few rows share server and name; the row id keeps them apart."""
    seen: set[tuple[str, str]] = set()
    pairs: dict[str, tuple[str, str]] = {}
    for row in rows:
        pair = (row.get("server") or name, row["name"])
        pairs[row["id"]] = pair if pair not in seen else (pair[0], row["id"])
        seen.add(pairs[row["id"]])
    given = names.assign(pairs.values(), {})
    return {row_id: given[pair] for row_id, pair in pairs.items()}


def _tool(row: dict[str, Any], tool_id: str, server: str) -> Tool:
    return Tool(
        id=tool_id,
        name=row["name"],
        server=server,
        description=row.get("description") or "",
        parameters=row.get("parameters") or EMPTY_SCHEMA,
        output=row.get("output"),
        server_description=row.get("server_description") or "",
    )


def _group(row: dict[str, Any]) -> str:
    """Tools of the same name and description are twins, where the data does not say so itself."""
    text = json.dumps([row["name"], row.get("description") or ""])
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12]


def _file(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.jsonl.gz", f"{stem}.jsonl"):
        if (folder / name).is_file():
            return folder / name
    what = "has no" if folder.is_dir() else "is no folder; it should hold"
    raise DataError(f"{folder} {what} {stem}.jsonl or {stem}.jsonl.gz")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line that is not blank."""
    opener = gzip.open if path.suffix == ".gz" else open
    line = 0
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for line, text in enumerate(lines, start=1):
                if text.strip():
                    yield line, _object(path, line, text)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read after line {line}: {error}") from error


def _object(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}, line {line}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {line}: a JSON object is needed, not {text.strip()[:40]!r}")
    return row
