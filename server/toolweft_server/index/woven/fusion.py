"""One score from several witnesses: what words say, what vectors say, what codes say, what use says.

A convex sum of normalised scores, not of ranks: plain reciprocal-rank fusion loses to its better part where the parts
are of unequal strength (Bruch, Gai, Ingber 2023). Each part is divided by its own best, so that a part which knows
nothing about a request, and gives everything the same little, decides nothing. A tool that a part cannot judge yet
(no vector, no code) gets what the words say, neither more nor less: it must not lose to others for being new.

n tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float32]

UNRELATED = 0.1
"""Cosine of a request and a tool that have nothing to do with one another, as the shipped encoder gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Shares of the parts; the words get what is left. Chosen by `benchmarks/fusion.py`."""

    dense: float = 0.7
    codes: float = 0.0
    use: float = 0.0
    sets: float = 0.0
    """How much a tool gains for what the better ones leave undone. Not a share: it orders anew."""

    def __post_init__(self) -> None:
        if min(self.dense, self.codes, self.use, self.sets) < 0 or self.dense + self.codes > 1:
            raise ValueError(f"weights are shares of one, and these are {self}")


WEIGHTS = Weights()


def by_words(scores: Scores) -> Scores:
    """(n,): BM25F as shares of its best."""
    best = float(scores.max(initial=0.0))
    return scores / np.float32(best) if best > 0 else np.zeros_like(scores)


def by_vectors(cosines: Scores) -> Scores:
    """(n,): cosines as shares of the best one, of what is above `UNRELATED`."""
    above = np.maximum(cosines - np.float32(UNRELATED), 0)
    best = float(above.max(initial=0.0))
    return above / np.float32(best) if best > 0 else np.zeros_like(above)


def fused(weights: Weights, words: Scores, vectors: Scores, known: NDArray[np.bool_]) -> Scores:
    """(n,): the first two parts together. Tools without a vector stand where the words put them."""
    share = np.float32(weights.dense)
    judged: Scores = np.where(known, vectors, words)
    out: Scores = (1 - share) * words + share * judged
    return out
