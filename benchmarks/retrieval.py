"""Retrieval quality of the lexical index against plain BM25, on requests whose right tools are known.

    python -m benchmarks.retrieval [--split dev|test] [--sets weft_queries,metatool] [--json FILE]

N@k counts every right tool in the ideal ranking, so a tool that is missed costs. R@5 is the share of right tools among
the first five, COMP@10 the share of requests all of whose right tools are among the first ten. A tool of the same name
and text as a right one is as right. Tune on `dev`; `test` is for reporting, once a release.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmarks import datasets, machine
from benchmarks.datasets import Dataset, Request

from toolweft_catalog.tool import Tool
from toolweft_server.index import text
from toolweft_server.index.lexical import LexicalIndex

DEPTH = 50
"""Tools asked for: enough that ten groups are left after twins are counted once."""

Search = Callable[[str], Sequence[str]]


class Scores(NamedTuple):
    n1: float
    n5: float
    r5: float
    comp10: float


class PlainBM25:
    """BM25 (k1 1.2, b 0.75) over all texts of a tool as one, lower-case words, nothing else: the yardstick."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._ids = [tool.id for tool in tools]
        counted = [Counter(_plain(" ".join(text.fields(tool)))) for tool in tools]
        lengths = np.array([sum(each.values()) for each in counted], np.float32)
        norms = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
        postings: dict[str, list[tuple[int, int]]] = {}
        for doc, words in enumerate(counted):
            for word, times in words.items():
                postings.setdefault(word, []).append((doc, times))
        self._impacts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, pairs in postings.items():
            docs, times = np.array([doc for doc, _ in pairs]), np.array([n for _, n in pairs], np.float32)
            rare = math.log1p((len(tools) - len(pairs) + 0.5) / (len(pairs) + 0.5))
            self._impacts[word] = docs, (rare * 2.2 * times / (times + norms[docs])).astype(np.float32)

    def search(self, query: str) -> Sequence[str]:
        scores = np.zeros(len(self._ids), np.float32)
        for word in _plain(query):
            if word in self._impacts:
                docs, impacts = self._impacts[word]
                scores[docs] += impacts
        best = np.argsort(-scores, kind="stable")[:DEPTH]
        return [self._ids[doc] for doc in best if scores[doc] > 0]


def _plain(words: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", words.lower())


def evaluate(data: Dataset, search: Search) -> tuple[Scores, int]:
    """Mean scores over the requests of a set, and how many there were."""
    each = [score(request, _groups(search(request.text), data.group)) for request in data.requests]
    return Scores(*(float(np.mean(column)) for column in zip(*each, strict=True))), len(each)


def score(request: Request, ranked: Sequence[str]) -> Scores:
    """Scores of one ranking of groups."""
    gains = [1.0 if group in request.gold else 0.0 for group in ranked[:10]]
    return Scores(
        n1=_ndcg(gains, len(request.gold), 1),
        n5=_ndcg(gains, len(request.gold), 5),
        r5=sum(gains[:5]) / len(request.gold),
        comp10=float(sum(gains[:10]) == len(request.gold)),
    )


def _ndcg(gains: Sequence[float], gold: int, k: int) -> float:
    found = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains[:k]))
    return found / sum(1 / math.log2(rank + 2) for rank in range(min(gold, k)))


def _groups(ids: Sequence[str], group: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(group[each] for each in ids))


def measure(name: str, split: datasets.Split) -> list[dict[str, object]]:
    data = datasets.load(name, split)
    if not data.requests:
        return []
    index = LexicalIndex.build(data.tools)
    rivals: dict[str, Search] = {
        "plain BM25": PlainBM25(data.tools).search,
        "lexical": lambda query: [hit.tool for hit in index.search(query, DEPTH).hits],
    }
    rows: list[dict[str, object]] = []
    for system, search in rivals.items():
        scores, requests = evaluate(data, search)
        rows.append({"set": name, "split": split, "tools": len(data.tools), "requests": requests, "system": system})
        rows[-1] |= {key: round(100 * value, 1) for key, value in scores._asdict().items()}
    return rows


def pooled(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The mean over all requests, and the mean over sets, in which each set counts the same."""
    out: list[dict[str, object]] = []
    for name in ("all requests", "all sets"):
        for system in ("plain BM25", "lexical"):
            mine = [row for row in rows if row["system"] == system]
            weights = [float(str(row["requests"])) if name == "all requests" else 1.0 for row in mine]
            out.append({"set": name, "split": mine[0]["split"], "system": system})
            out[-1] |= {"tools": "", "requests": sum(int(str(row["requests"])) for row in mine)}
            for key in Scores._fields:
                out[-1][key] = round(float(np.average([float(str(row[key])) for row in mine], weights=weights)), 1)
    return out


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--split", choices=("dev", "test"), default="dev")
    arguments.add_argument("--sets", default=",".join(datasets.SETS), help="comma-separated")
    arguments.add_argument("--json", type=Path, help="write the rows there too")
    given = arguments.parse_args()
    print(f"split {given.split}; {machine.line()}")
    line = "{set:14} {tools:>7} {requests:>9}  {system:11} {n1:>6} {n5:>6} {r5:>6} {comp10:>8}"
    print(line.format(set="set", tools="tools", requests="requests", system="system", **dict(_HEADS)))
    rows: list[dict[str, object]] = []
    for name in given.sets.split(","):
        measured = measure(name, given.split)
        rows += measured
        for row in measured:
            print(line.format(**row))
        sys.stdout.flush()
    if rows:
        rows += pooled(rows)
        print(*(line.format(**row) for row in rows[-4:]), sep="\n")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


_HEADS = (("n1", "N@1"), ("n5", "N@5"), ("r5", "R@5"), ("comp10", "COMP@10"))

if __name__ == "__main__":
    main()
