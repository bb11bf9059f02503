"""How sure a mean is, and whether one system is better than another on the same requests.

Intervals come from the bootstrap: requests are drawn again, with replacement, each set as many as it has (a request
weighs the same whatever its set; which sets there are is not drawn). A difference is drawn in pairs, so that what
makes a request hard for both systems cancels. Percentile intervals; two-sided; deterministic for a seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

RESAMPLES = 2000
LEVEL = 0.95
_BLOCK = 4_000_000
"""Draws held at a time: 32 MB of indices."""


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


class McNemar(NamedTuple):
    """Requests that only one of two systems gets right, and how likely so uneven a number is by chance."""

    won: int
    lost: int
    p: float


def interval(values: Array, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean of (n,) values, n at least 1, and its bootstrap interval."""
    return pooled([values], seed=seed, resamples=resamples, level=level)


def paired(mine: Array, theirs: Array, *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean of `mine - theirs`, both (n,) over the same requests, and its bootstrap interval."""
    return pooled([mine - theirs], seed=seed, resamples=resamples, level=level)


def pooled(sets: Sequence[Array], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean over the requests of all sets together; every set is drawn from by itself.

    Raises:
        ValueError: There is no value.

    """
    values = [np.asarray(each, np.float64) for each in sets if len(each)]
    if not values:
        raise ValueError("an interval needs at least one value")
    generator = np.random.default_rng(seed)
    sums = sum((_sums(each, resamples, generator) for each in values), np.zeros(resamples))
    size = sum(map(len, values))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(sums / size, [tail, 1.0 - tail])
    return Interval(math.fsum(float(each.sum()) for each in values) / size, float(low), float(high))


def _sums(values: Array, resamples: int, generator: np.random.Generator) -> Array:
    """(resamples,): the sum of as many values as there are, drawn with replacement."""
    rows = max(1, _BLOCK // len(values))
    blocks = [
        values[generator.integers(len(values), size=(min(rows, resamples - start), len(values)))].sum(axis=1)
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(blocks)


def mcnemar(mine: Array, theirs: Array) -> McNemar:
    """The exact test, two-sided, on (n,) hits that are 0 or 1."""
    won = int(np.count_nonzero((mine > 0) & (theirs <= 0)))
    lost = int(np.count_nonzero((mine <= 0) & (theirs > 0)))
    return McNemar(won, lost, min(1.0, 2.0 * _at_most(min(won, lost), won + lost)))


def _at_most(k: int, n: int) -> float:
    """The chance of at most k heads in n throws of a fair coin."""
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2.0) for i in range(k + 1)]
    return math.fsum(math.exp(each) for each in logs)
