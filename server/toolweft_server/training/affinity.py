"""Which tools are used together: counted on the training split only, sparse, and shrunk.

`A_uv = C_uv / (sqrt(C_uu C_vv) + kappa)`, where C_uv counts the usage sets that hold both tools and C_uu those that
hold u. Without kappa two tools seen once, together, would be as close as tools can be. Compressed rows in numpy; no
N x N matrix is ever made. What the graph does to codes is the quantisers' business.

N tools, E edges (each once, u < v).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolweft_server.training.errors import TrainingError

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tools that were used for one request: a gold set, or what one execution called."""

    tools: tuple[str, ...]
    """Ids; order and repetition do not count."""
    split: Split
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AffinityConfig:
    kappa: float = 2.0
    """Shrinkage, in usage sets: a pair seen once and only together gets 1 / (1 + kappa)."""
    largest_set: int = 50
    """Sets of more tools say nothing about any two of them and cost their square: left out, and counted."""

    def __post_init__(self) -> None:
        if not (self.kappa > 0 and math.isfinite(self.kappa)):
            raise TrainingError(f"kappa must be above 0, not {self.kappa}: without it chance pairs look certain")
        if self.largest_set < 2:
            raise TrainingError(f"largest_set must be at least 2, not {self.largest_set}")


@dataclass(frozen=True, slots=True, eq=False)
class Affinity:
    """A symmetric sparse matrix with an empty diagonal, in compressed rows."""

    starts: NDArray[np.int64]  # (N + 1,)
    columns: NDArray[np.int64]  # (2E,), ascending in each row
    weights: NDArray[np.float64]  # (2E,), in (0, 1)
    alone: NDArray[np.int64]  # (N,): C_uu
    unknown: int = 0
    """Mentions of tools that are not in the catalogue."""
    too_large: int = 0
    """Sets left out for their size."""

    def __len__(self) -> int:
        return len(self.alone)

    def neighbours(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tools used together with `row`, and how strongly."""
        part = slice(int(self.starts[row]), int(self.starts[row + 1]))
        return self.columns[part], self.weights[part]

    def edges(self) -> Edges:
        rows = np.repeat(np.arange(len(self)), np.diff(self.starts))
        once = rows < self.columns
        return Edges(
            torch.from_numpy(rows[once]), torch.from_numpy(self.columns[once]), torch.from_numpy(self.weights[once])
        )


class Edges(NamedTuple):
    """Each pair once; sorted by u, then v."""

    u: Tensor  # (E,) int64
    v: Tensor  # (E,) int64, u < v
    weights: Tensor  # (E,) float64

    def sample(self, count: int, generator: torch.Generator) -> Pairs:
        """`count` edges, drawn in proportion to their weight, with replacement; none where there are none.

        The mean of a loss over them estimates `sum A_uv loss / sum A_uv`: the number of tools does not scale it.
        """
        if not len(self.u):
            return Pairs(self.u, self.v)
        sums = self.weights.cumsum(0)
        at = torch.rand(count, generator=generator, dtype=torch.float64) * sums[-1]
        drawn = torch.searchsorted(sums, at, right=True).clamp_max(len(sums) - 1)
        return Pairs(self.u[drawn], self.v[drawn])

    def connected(self, a: Tensor, b: Tensor, tools: int) -> Tensor:
        """Which of the pairs (a, b) are an edge or one and the same tool: boolean, of their shape."""
        keys = self.u * tools + self.v  # ascending, as the edges are sorted
        wanted = torch.minimum(a, b) * tools + torch.maximum(a, b)
        if not len(keys):
            return a == b
        at = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
        return (keys[at] == wanted) | (a == b)


class Pairs(NamedTuple):
    u: Tensor  # (S,)
    v: Tensor  # (S,)


def affinity(config: AffinityConfig, usages: Iterable[Usage], ids: Sequence[str]) -> Affinity:
    """The co-usage of the tools `ids`, from training sets.

    Raises:
        TrainingError: A set of another split, a set with `times` below 1, or an id given twice.

    """
    rows = {each: row for row, each in enumerate(ids)}
    if len(rows) != len(ids):
        raise TrainingError(f"{len(ids) - len(rows)} ids are given twice")
    alone = np.zeros(len(ids), np.int64)
    together: Counter[tuple[int, int]] = Counter()
    unknown = too_large = 0
    for usage in usages:
        if usage.split != "train" or usage.times < 1:
            raise TrainingError(
                f"co-usage is counted on the train split only, times at least 1; got split {usage.split!r}, "
                f"times {usage.times}, tools {usage.tools[:3]!r}"
            )
        unknown += sum(each not in rows for each in usage.tools)
        held = sorted({rows[each] for each in usage.tools if each in rows})
        if len(held) > config.largest_set:
            too_large += 1
            continue
        alone[held] += usage.times
        for pair in itertools.combinations(held, 2):
            together[pair] += usage.times
    return _compressed(config, alone, together, unknown, too_large)


def _compressed(
    config: AffinityConfig, alone: NDArray[np.int64], together: Counter[tuple[int, int]], unknown: int, too_large: int
) -> Affinity:
    pairs = np.array(list(together), np.int64).reshape(-1, 2)
    counts = np.fromiter(together.values(), np.float64, len(together))
    u, v = np.concatenate([pairs, pairs[:, ::-1]]).T
    weights = np.tile(counts, 2) / (np.sqrt(alone[u].astype(np.float64) * alone[v]) + config.kappa)
    order = np.lexsort((v, u))
    starts = np.concatenate([[0], np.bincount(u, minlength=len(alone)).cumsum()]).astype(np.int64)
    return Affinity(starts, v[order], weights[order], alone, unknown, too_large)
