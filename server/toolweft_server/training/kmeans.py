"""k-means with k-means++ seeding: the codebook of one level, or its beginning.

Lloyd's algorithm (Lloyd 1982), seeded after Arthur and Vassilvitskii 2007. An empty cluster takes the point farthest
from its own centre, so that no code is dead while there are points to give it. Distances are ||a||² + ||b||² - 2ab in
blocks; nothing of shape (N, K, d) is ever made.

N points, K clusters, d dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from toolweft_server.training.errors import TrainingError

_BLOCK = 8192


class Nearest(NamedTuple):
    codes: Tensor  # (N,) int64
    squares: Tensor  # (N,): squared distance to it


class Clusters(NamedTuple):
    centres: Tensor  # (K, d)
    codes: Tensor  # (N,)
    distortion: float
    """Mean squared distance of a point to its centre."""
    rounds: int


def squared_distances(points: Tensor, centres: Tensor) -> Tensor:
    """(N, d), (K, d) -> (N, K), differentiable."""
    squares = points.square().sum(1, keepdim=True) + centres.square().sum(1)[None, :] - 2.0 * (points @ centres.T)
    return squares.clamp_min(0.0)


def nearest(points: Tensor, centres: Tensor) -> Nearest:
    """The nearest centre of each point, a block at a time."""
    codes, squares = [], []
    for start in range(0, len(points), _BLOCK):
        least = squared_distances(points[start : start + _BLOCK], centres).min(1)
        codes.append(least.indices)
        squares.append(least.values)
    return Nearest(torch.cat(codes), torch.cat(squares))


def distinct(points: Tensor) -> int:
    """How many different points there are."""
    return int(torch.unique(points, dim=0).shape[0])


def kmeans(points: Tensor, clusters: int, generator: torch.Generator, *, rounds: int = 50) -> Clusters:
    """At most `clusters` clusters, never more than there are different points. Stops when no point moves.

    Raises:
        TrainingError: No points, points that are not finite, or fewer than one cluster.

    """
    if points.ndim != 2 or not len(points):
        raise TrainingError(f"k-means needs at least one point; it got shape {tuple(points.shape)}")
    if clusters < 1 or not bool(torch.isfinite(points).all()):
        raise TrainingError(f"k-means needs finite points and at least one cluster, not {clusters}")
    centres = _seeds(points, min(clusters, distinct(points)), generator)
    found, settled, done = nearest(points, centres), False, 0
    while done < rounds and not settled:
        done += 1
        centres = _means(points, found, centres)
        moved = nearest(points, centres)
        settled = torch.equal(moved.codes, found.codes)
        found = moved
    return Clusters(centres, found.codes, float(found.squares.mean()), done)


def _seeds(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next seed is drawn in proportion to its squared distance to those before."""
    rows = [int(torch.randint(len(points), (1,), generator=generator))]
    squares = points.square().sum(1)
    least = torch.full_like(squares, torch.inf)
    while True:
        seed = rows[-1]
        to_seed = (squares + squares[seed] - 2.0 * (points @ points[seed])).clamp_min(0.0)
        least = torch.minimum(least, to_seed)
        least[seed] = 0.0
        if len(rows) == clusters:
            return points[rows].clone()
        rows.append(_drawn(least, generator))


def _drawn(weights: Tensor, generator: torch.Generator) -> int:
    """A row in proportion to its weight. By cumulated sums: `multinomial` stops at 2**24 rows."""
    sums = weights.double().cumsum(0)
    at = torch.rand((), generator=generator, dtype=torch.float64) * sums[-1]
    return min(int(torch.searchsorted(sums, at, right=True)), len(weights) - 1)


def _means(points: Tensor, found: Nearest, centres: Tensor) -> Tensor:
    counts = torch.bincount(found.codes, minlength=len(centres))
    sums = torch.zeros_like(centres).index_add_(0, found.codes, points)
    means = sums / counts.clamp_min(1)[:, None]
    empty = torch.nonzero(counts == 0)[:, 0]
    if len(empty):
        farthest = found.squares.argsort(descending=True, stable=True)[: len(empty)]
        means[empty[: len(farthest)]] = points[farthest]
    return means
