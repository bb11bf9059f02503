"""What is taught, read from files and from the store: requests, ToolBench's conversations, and what our own runs did.

Requests are JSON lines with `query`, `gold` and `split`, gzipped or not; those of other splits than `train` are never
read. ToolBench's conversations are a JSON list or JSON lines. Our own runs are traces of the agent, one a file, whose
calls are in the store's ledger.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from toolweft_catalog.catalog import Catalog
from toolweft_catalog.tool import Json
from toolweft_server.store.calls import Key
from toolweft_server.store.store import Store
from toolweft_server.training.align import sources
from toolweft_server.training.align.conversations import Pair
from toolweft_server.training.align.sources import RanCall, Taken
from toolweft_server.training.errors import TrainingError


class Requests(NamedTuple):
    pairs: list[Pair]
    other_splits: int
    """Lines that were left out because they are not for training."""


def requests(path: Path) -> Requests:
    """The requests of training in a file.

    Raises:
        TrainingError: The file cannot be read, or a line is no request; names it.

    """
    pairs, others = [], 0
    for where, row in _lines(path):
        text, gold, split = row.get("query"), row.get("gold"), row.get("split")
        ids = [each for each in gold if isinstance(each, str)] if isinstance(gold, list) else []
        if not isinstance(text, str) or not isinstance(gold, list) or len(ids) != len(gold):
            raise TrainingError(f"{where}: a request has `query`, a text, and `gold`, a list of ids of tools")
        if split not in ("train", "dev", "test"):
            raise TrainingError(f"{where}: `split` is 'train', 'dev' or 'test', not {split!r}; it is never guessed")
        if split == "train":
            pairs.append(Pair(str(row.get("id", where)), text, ids))
        else:
            others += 1
    return Requests(pairs, others)


def asked(store: Store) -> list[Pair]:
    """What was asked of `find_tools`, with the tools that were called then and succeeded, oldest first.

    Requests whose text was not kept are left out.

    Raises:
        TrainingError: There are requests with calls, and none of them has its text.

    """
    gold: dict[int, tuple[str, list[str]]] = {}
    for pair in store.requests.pairs():
        tools = gold.setdefault(pair.request, (pair.query, []))[1]
        if pair.ok and pair.tool not in tools:
            tools.append(pair.tool)
    if gold and not any(query for query, _ in gold.values()):
        raise TrainingError(
            f"the store has {len(gold)} requests that calls followed, and the text of none: texts are not kept unless "
            'the configuration has "index": {"keep_requests": true}; they are kept from then on'
        )
    return [Pair(f"asked:{number}", query, tools) for number, (query, tools) in gold.items() if tools and query]


def toolbench(path: Path, catalog: Catalog) -> Taken:
    """The trajectories of a file of ToolBench's conversations.

    There a tool is called `NAME_for_SERVER`; ids of the catalogue are understood, too, and bare names that only one
    tool has.

    Raises:
        TrainingError: The file cannot be read or is no JSON.

    """
    return sources.of_toolbench([row for _, row in _lines(path)], names_of(catalog))


def traces(paths: Iterable[Path], store: Store) -> Taken:
    """The trajectories of the agent's traces, with the calls that the store's ledger has of them.

    Raises:
        TrainingError: A trace cannot be read.

    """
    runs = []
    for path in paths:
        runs += sources.trace_runs([step for _, step in _lines(path)], lambda execution: _calls(store, execution))
    return sources.of_executions(runs)


def names_of(catalog: Catalog) -> Mapping[str, str]:
    """Tool id by each name that means one tool alone."""
    found: dict[str, set[str]] = {}
    for card in catalog:
        own = card.id.partition(".")[2]
        for name in (card.id, own, f"{own}_for_{card.server}"):
            found.setdefault(name, set()).add(card.id)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}


def _calls(store: Store, execution: str) -> list[RanCall]:
    """None where the ledger has forgotten the execution: then nothing is learned of it."""
    rows, ran = store.calls.of(execution), store.executions.get(execution)
    past = store.calls.past(ran.retry_of if ran else None, not_after=execution).succeeded
    results: dict[int, str] = {}
    for row in rows:
        place = (execution, row["seq"], row["kept"])
        if row["replayed"]:  # its answer is on record where it was really called
            place = past.get(Key(row["tool"], row["args_digest"], row["ordinal"]), ("", 0, "absent"))
        if row["status"] == "ok" and place[2] != "absent":
            results[row["seq"]] = _text(store.calls.result(place[0], place[1]).value)
    return sources.ledger_calls(rows, results)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Json]]]:
    """Where each record stands, and the record: of a JSON list, or of JSON lines. Blank lines are passed over."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TrainingError(f"{str(path)!r} cannot be read: {error}") from error
    if text.lstrip().startswith("["):
        whole = _parsed(text, f"{str(path)!r}")
        records = [(f"{str(path)!r}, record {number}", each) for number, each in enumerate(whole, start=1)]
    else:
        lines = [(f"{str(path)!r}, line {number}", line) for number, line in enumerate(text.splitlines(), start=1)]
        records = [(where, _parsed(line, where)) for where, line in lines if line.strip()]
    for where, record in records:
        if not isinstance(record, dict):
            raise TrainingError(f"{where}: a JSON object is wanted, not {type(record).__name__}")
        yield where, record


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{where}: no JSON: {error}") from None
