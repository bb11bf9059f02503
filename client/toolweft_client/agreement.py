"""How far votes agree, over and above what chance would bring."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Agreement(NamedTuple):
    """Over the subjects with two votes or more; `None` where there is none, or nothing to divide by."""

    subjects: int
    pairs: float | None
    """Share of the pairs of votes on one subject that are equal, averaged over subjects."""
    kappa: float | None
    """Fleiss' kappa: 1 is agreement throughout, 0 what chance brings. `None` when all votes are the same word."""

    @classmethod
    def of(cls, votes: Sequence[Sequence[str]]) -> Agreement:
        several = [Counter(each) for each in votes if len(each) > 1]
        if not several:
            return cls(0, None, None)
        pairs = statistics.mean(
            sum(n * (n - 1) for n in counts.values()) / (counts.total() * (counts.total() - 1)) for counts in several
        )
        every = sum(several, Counter[str]())
        chance = sum((n / every.total()) ** 2 for n in every.values())
        return cls(len(several), round(pairs, 4), round((pairs - chance) / (1 - chance), 4) if chance < 1 else None)

    def __str__(self) -> str:
        if self.pairs is None:
            return "not known: no task has two votes"
        kappa = f"{self.kappa:.2f}" if self.kappa is not None else "none, all votes are the same"
        return f"{100 * self.pairs:.1f} % of pairs of votes, Fleiss' kappa {kappa} ({self.subjects} tasks)"
