"""How good codes are, in numbers; drawing them is the report's business.

N tools, L levels, K codes a level, E co-usage edges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.residual import Codebook, Codes, Floats
from toolweft_server.training.affinity import Affinity


class Level(NamedTuple):
    """One level of the codes. Shares are of all tools, 0 to 1."""

    usage: NDArray[np.int64]  # (K,): tools with each code of this level
    perplexity: float
    """exp of the entropy of usage: how many codes are in use, had they been used evenly."""
    dead: int
    """Codes that no tool has."""
    collision_rate: float
    """Tools that share their digits down to this level with another tool."""
    largest_bucket: int
    distortion: float
    """Mean squared distance of a latent vector to what the levels down to this one say of it."""
    neighbours_together: float
    """Weight of the co-usage edges whose tools have the same digits down to this level; NaN without edges."""
    chance_together: float
    """The same for any two tools: what co-usage must beat."""


class Diagnostics(NamedTuple):
    tools: int
    edges: int
    levels: tuple[Level, ...]


def diagnose(latent: Floats, codes: Codes, codebook: Codebook, affinity: Affinity | None = None) -> Diagnostics:
    """The numbers of `codes` (N, L) for the vectors (N, d) they stand for.

    Raises:
        ValueError: Shapes that do not fit together.

    """
    if len(latent) != len(codes) or codes.shape[1] != len(codebook):
        raise ValueError(f"{latent.shape} vectors, {codes.shape} codes and {len(codebook)} levels do not fit together")
    edges = affinity.edges() if affinity is not None else None
    left = latent.astype(np.float64)
    levels = []
    for level, codewords in enumerate(codebook):
        left = left - codewords[codes[:, level]]
        usage = np.bincount(codes[:, level], minlength=len(codewords))
        group, sizes = _groups(codes[:, : level + 1])
        together = float("nan")
        if edges is not None and len(edges.u):
            same = group[edges.u.numpy()] == group[edges.v.numpy()]
            together = float((edges.weights.numpy() * same).sum() / edges.weights.numpy().sum())
        levels.append(
            Level(
                usage,
                perplexity(usage),
                int((usage == 0).sum()),
                float(sizes[sizes > 1].sum() / max(1, len(codes))),
                int(sizes.max(initial=0)),
                float((left * left).sum(1).mean()) if len(left) else 0.0,
                together,
                _chance(sizes),
            )
        )
    return Diagnostics(len(codes), 0 if edges is None else len(edges.u), tuple(levels))


def perplexity(usage: NDArray[np.int64]) -> float:
    """The exponential of the entropy of counts; 0 when there are none."""
    if not usage.sum():
        return 0.0
    shares = usage[usage > 0] / usage.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _groups(prefixes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which group of equal rows each row is in (N,), and how large the groups are."""
    if not len(prefixes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    _, group, sizes = np.unique(prefixes, axis=0, return_inverse=True, return_counts=True)
    return group.reshape(-1), sizes


def _chance(sizes: NDArray[np.int64]) -> float:
    tools = int(sizes.sum())
    return float((sizes * (sizes - 1)).sum() / (tools * (tools - 1))) if tools > 1 else float("nan")
