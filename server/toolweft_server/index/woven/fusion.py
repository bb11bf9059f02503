"""One score from several witnesses: what words say, what vectors, codes, use and known requests say.

A weighted sum on fixed scales, the same for every request. Dividing each part by its own best score, as is usual,
throws away how much a part knows: a request that shares only common words with its tools has a low best BM25F, and
should be judged by its vector; one full of rare words has a high one. No normalised mix with one share did as well on
the `dev` sets together: the share that is best for a set runs from 0 to a half. Reciprocal ranks lose to their better
part where parts are of unequal strength (Bruch, Gai, Ingber 2023).

A tool that a part cannot judge yet stands where the words put it: it must not lose, nor win, for being new.

n tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What one unit of each part is worth. Chosen by `benchmarks/fusion.py`; of use and examples by hand, on `dev`."""

    words: float = 1 / 45
    """Of BM25F, which reaches 10 to 40 for a request that says what it wants."""
    dense: float = 1.0
    """Of the cosine."""
    codes: float = 0.0
    """Of log P of the first digit. Nothing, as long as it has not been shown to help on every set."""
    use: float = 0.1
    """Of what past use says, in [0, 1)."""
    examples: float = 0.8
    """Of how near the nearest example is, in [0, 1]. Counts among matching tools with examples (`Asked.shared_out`)."""
    sets: float = 1.0
    """Whether whole sets are sought: 0 or 1."""

    def __post_init__(self) -> None:
        if min(self.words, self.dense, self.codes, self.use, self.examples, self.sets) < 0:
            raise ValueError(f"weights are at least 0, and these are {self}")


WEIGHTS = Weights()


def fused(weights: Weights, words: Scores, cosines: Scores, known: NDArray[np.bool_]) -> Scores:
    """(n,): the first two parts together; `known` says which tools have a vector."""
    by_words = np.float32(weights.words) * words
    by_vector = np.float32(weights.dense) * cosines
    if not known.all():
        best = float(words.max(initial=0.0))
        like = np.float32(float(by_vector.max(initial=0.0)) / best) * words if best > 0 else np.zeros_like(words)
        by_vector = np.where(known, by_vector, like)
    out: Scores = by_words + by_vector
    return out
