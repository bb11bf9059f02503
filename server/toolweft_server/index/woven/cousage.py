"""`CoUsage`: which tools succeed together in one execution, for whole sets. Sparse, shrunk, decayed, of capped degree.

`A_uv = C_uv / (sqrt(C_uu C_vv) + kappa)` as in training, where C counts executions, each weighted by its age: without
kappa two tools seen once, together, would be as close as tools can be. A utility that is used with everything has a
large C_uu and so weak ties. Training counts gold sets of the train split with torch beside it (`training.affinity`);
this counts a person's own executions, at run time.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

KAPPA = 2.0
HALF_LIFE = 45 * 86_400.0
LARGEST_SET = 20
"""An execution that used more tools says nothing about any two of them."""
MOST_PARTNERS = 8
"""Kept for each tool: what a set is completed with is among the closest."""
FEWEST = 2
"""Executions in which a pair was seen before it counts: one program is an accident, or an attack."""


class Together(NamedTuple):
    """The tools that succeeded within one execution."""

    owner: str
    program: str
    """Which program it was: equal for equal code. Running one again shows nothing new."""
    tools: frozenset[str]
    at: float


class Partner(NamedTuple):
    tool: str
    weight: float


@dataclass(frozen=True, slots=True)
class CoUsage:
    """An immutable snapshot, made by `together`."""

    near: Mapping[str, tuple[Partner, ...]]
    executions: int

    def partners(self, tool: str) -> tuple[Partner, ...]:
        """The tools used together with `tool`, closest first; equals by id. Empty for one never seen."""
        return self.near.get(tool, ())


def together(executions: Iterable[Together], now: float, *, kappa: float = KAPPA) -> CoUsage:
    """Counts. An execution says something once a day, for its owner and program, however often it ran."""
    once = {(each.owner, each.program, int(each.at // 86_400)): each for each in sorted(executions, key=_by_time)}
    alone: defaultdict[str, float] = defaultdict(float)
    pairs: defaultdict[tuple[str, str], float] = defaultdict(float)
    programs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for each in once.values():
        if not 1 <= len(each.tools) <= LARGEST_SET:
            continue
        fresh = 0.5 ** (max(now - each.at, 0.0) / HALF_LIFE)
        for tool in each.tools:
            alone[tool] += fresh
        for pair in itertools.combinations(sorted(each.tools), 2):
            pairs[pair] += fresh
            programs[pair].add(each.program)
    near: defaultdict[str, list[Partner]] = defaultdict(list)
    for (a, b), count in pairs.items():
        if len(programs[a, b]) >= FEWEST:
            weight = count / (math.sqrt(alone[a] * alone[b]) + kappa)
            near[a].append(Partner(b, weight))
            near[b].append(Partner(a, weight))
    return CoUsage({tool: _closest(found) for tool, found in near.items()}, len(once))


def _closest(found: Iterable[Partner]) -> tuple[Partner, ...]:
    return tuple(heapq.nsmallest(MOST_PARTNERS, found, key=lambda each: (-each.weight, each.tool)))


def _by_time(each: Together) -> tuple[float, str, str]:
    return each.at, each.owner, each.program
