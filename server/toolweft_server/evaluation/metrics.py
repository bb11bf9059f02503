"""What a ranking is worth, a number for each request.

NDCG counts every right tool in the ideal ranking, so a tool that is missed costs. The *released variant* is what the
evaluators published with ToolGen and ToolWeaver compute: it looks for right tools among the first five results alone,
so that misses drop out of the ideal ranking (one of three found, at rank 1: 1.00 there, 0.47 here). It serves to stand
beside papers and for nothing else. A tool of the same name and text as a right one is as right, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.evaluation.data import Request

Array: TypeAlias = NDArray[Any]
Scores: TypeAlias = Mapping[str, Array]
"""Name of a metric -> (requests,) float64, each in [0, 1]."""

NDCG_AT, RECALL_AT, COMP_AT = (1, 3, 5, 10), (1, 3, 5, 10, 50), (3, 5, 10)
RELEASED_AT, RELEASED_CUT = (1, 3, 5), 5
DEEPEST = max(RECALL_AT)


class Judged(NamedTuple):
    """Which places of each ranking hold something right."""

    right: Array
    """(requests, `DEEPEST`) bool; a place counts groups, not tools."""
    golds: Array
    """(requests,) int64: how many groups are right; at least 1."""


def judge(rankings: Sequence[Sequence[str]], requests: Sequence[Request], group: Mapping[str, str]) -> Judged:
    """Looks at each ranking of tool ids with twins counted once. A ranking shorter than `DEEPEST` misses the rest."""
    right = np.zeros((len(requests), DEEPEST), np.bool_)
    for row, (ranking, request) in enumerate(zip(rankings, requests, strict=True)):
        for place, each in enumerate(grouped(ranking, group)[:DEEPEST]):
            right[row, place] = each in request.gold
    return Judged(right, np.array([len(request.gold) for request in requests], np.int64))


def grouped(ranking: Sequence[str], group: Mapping[str, str]) -> list[str]:
    """The groups of a ranking in the order of their best members."""
    return list(dict.fromkeys(group[tool] for tool in ranking))


def score(judged: Judged) -> dict[str, Array]:
    """`N@k`, `R@k`, `COMP@k` (all right tools are among the first k), `hit@1`, `MRR`, and `N@k released`.

    A right tool beyond `DEEPEST` places counts as not found.
    """
    right, golds = judged
    found = np.cumsum(right, axis=1)  # (requests, DEEPEST)
    first = np.where(right.any(axis=1), np.argmax(right, axis=1) + 1.0, np.inf)
    scores = {f"N@{k}": _ndcg(right, golds, k) for k in NDCG_AT}
    scores |= {f"R@{k}": found[:, k - 1] / golds for k in RECALL_AT}
    scores |= {f"COMP@{k}": (found[:, k - 1] == golds).astype(np.float64) for k in COMP_AT}
    scores |= {"hit@1": right[:, 0].astype(np.float64), "MRR": 1.0 / first}
    scores |= {f"N@{k} released": _ndcg(right, found[:, RELEASED_CUT - 1], k) for k in RELEASED_AT}
    return scores


def _ndcg(right: Array, golds: Array, k: int) -> Array:
    """(requests,): the discounted gain of the first k, over that of a ranking that begins with `golds` right tools."""
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(golds, k)]
    gained: Array = right[:, :k] @ discounts
    shares: Array = np.divide(gained, best, out=np.zeros(len(golds)), where=best > 0)
    return shares


NAMES: Sequence[str] = tuple(score(Judged(np.zeros((0, DEEPEST), np.bool_), np.zeros(0, np.int64))))
"""Every metric there is."""
