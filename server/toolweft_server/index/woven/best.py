"""The best of many scores without sorting them, which a search in a large catalogue would wait for."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]

_APART = 32
"""Of the scores, one in so many is looked at to guess where the best begin."""
_MARGIN = 32
"""How many more of those are let through than the guess needs."""


def least(scores: Scores, count: int) -> float:
    """The `count`-th largest score; -inf where there are not so many."""
    if count >= len(scores):
        return -np.inf
    if count <= 0:
        return np.inf
    among = scores[::_APART]
    if (through := count // _APART + _MARGIN) < len(among):
        # Where enough are as good as the guess, the one that is sought is among them, and they are few.
        high = scores[scores >= np.partition(among, -through)[-through]]
        scores = high if len(high) >= count else scores
    return float(np.partition(scores, -count)[-count])


def top(scores: Scores, count: int, key: Callable[[int], str]) -> Rows:
    """Rows of the best scores above 0, at most `count`; of equals at the edge those whose `key` is least."""
    edge = max(least(scores, count), 0.0)
    better: Rows = np.flatnonzero(scores > edge)
    if edge == 0:
        return better
    equal = np.flatnonzero(scores == edge).tolist()
    if len(equal) > (room := count - len(better)):
        equal = heapq.nsmallest(room, equal, key=key)
    return np.sort(np.concatenate([better, np.array(equal, np.int64)]))
