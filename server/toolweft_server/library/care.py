"""When a function leaves: what its record must show before it is quarantined or retired. Pure; `store` acts on it.

The bars are high on purpose: retiring too early costs more than keeping a weak function for a while. Nothing is
retired before `EARLIEST` uses, and a bound speaks, not the bare rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from toolweft_catalog.wire import FunctionState
from toolweft_server.library.function import Standing

EARLIEST = 5
"""Uses before a function may be retired for what it did."""
STREAK = 3
"""Failures in a row that quarantine a function."""
CAP = 100
"""Active functions above which those that nobody uses retire: choosing among N gets worse with log N."""
PER_TOOLS = 3
"""Active functions for the same set of tools that stay once they are judged; the less useful retire."""
UNUSED = 200
"""Programs that ran since the last use of a function that retires for the cap."""
SHARE = 0.2
"""Part of all programs above which a function counts as chosen for everything."""
COMPARED = 25
"""Programs that must have run before a share of them means something."""
Z = 1.96
"""Two-sided 95 %."""


class Around(NamedTuple):
    """What happened besides one function."""

    programs: int
    """Programs that ended, with it or without."""
    succeeded: int
    uses: int
    """Uses of all functions."""
    failures: int


class Verdict(NamedTuple):
    state: FunctionState
    why: str


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The Wilson score interval of a rate: (lower, upper), (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    rate, square = successes / trials, Z * Z
    middle = (rate + square / (2 * trials)) / (1 + square / trials)
    half = Z * math.sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials)) / (1 + square / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def judge(standing: Standing, around: Around) -> Verdict | None:
    """What the latest failure means for an active function; `None`: it stays."""
    if standing.state != "active":
        return None
    if standing.streak >= STREAK:
        return Verdict("quarantined", f"it failed {standing.streak} times in a row")
    if standing.uses < EARLIEST:
        return None
    good = standing.uses - standing.failures
    without = around.programs - standing.uses
    if without >= EARLIEST:
        # Old programs are purged while uses are counted for ever: the difference is kept within what is possible.
        rate = min(max(around.succeeded - good, 0), without) / without
        if (upper := wilson(good, standing.uses)[1]) < rate:
            told = f"{good} of {standing.uses} uses succeeded, at best {upper:.0%}; programs without it: {rate:.0%}"
            return Verdict("retired", told)
    chosen = around.programs >= COMPARED and standing.uses > SHARE * around.programs
    if chosen and around.uses and standing.failures / standing.uses > around.failures / around.uses:
        share = f"{standing.uses} of {around.programs} programs"
        return Verdict("retired", f"it is chosen for too much ({share}) and fails more often than others do; split it")
    return None


def crowded(active: Mapping[str, float], before: float | None) -> list[str]:
    """Who retires for the cap: of functions with the time of their last use, those unused since `before`.

    `before` is when the last `UNUSED` programs began; `None` while fewer ran. Longest unused first, no more than
    are too many.
    """
    if before is None or len(active) <= CAP:
        return []
    idle = sorted((last, name) for name, last in active.items() if last < before)
    return [name for _, name in idle[: len(active) - CAP]]


def surplus(active: Mapping[str, Standing]) -> list[str]:
    """Who retires of the active functions for the same tools: those below the best `PER_TOOLS` by their lower bound.

    One with fewer than `EARLIEST` uses is not judged yet: it neither retires nor drives out one that has proven itself,
    so there may be more of them for a while.
    """
    judged = {name: each for name, each in active.items() if each.uses >= EARLIEST}
    ranked = sorted((wilson(each.uses - each.failures, each.uses)[0], each.last, name) for name, each in judged.items())
    return [name for _, _, name in ranked[: max(0, len(judged) - PER_TOOLS)]]
