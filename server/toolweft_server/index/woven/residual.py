"""Vectors -> codes and back, by a codebook: the one implementation that training and run time share.

Everything here is a plain function of arrays, in float64, so that a tool gets the same code alone, in any company,
in any order and in any process. How a codebook comes to be is `toolweft_server.training`'s business, who owns which
code is `training.assign`'s, and how codes are walked is `trie`'s. Residual quantisation: Chen, Guan, Wang 2010.

N vectors, L levels, K codes a level, d dimensions of the latent space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating]
Codes: TypeAlias = NDArray[np.int32]
"""(N, L): which code each vector has on each level, from 0."""

Codebook: TypeAlias = Sequence[Floats]
"""The codewords of each level, (K, d) each; a level with less to tell apart may hold fewer."""

_BLOCK = 4096
"""Vectors at a time: with K = 1024 a block of distances is 32 MB."""


def distances(vectors: Floats, codewords: Floats) -> NDArray[np.float64]:
    """(N, d), (K, d) -> (N, K) squared Euclidean distances, as ||a||² + ||b||² - 2ab and never as (N, K, d)."""
    a, b = vectors.astype(np.float64), codewords.astype(np.float64)
    squares: NDArray[np.float64] = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * (a @ b.T)
    return np.maximum(squares, 0.0)


def encode(vectors: Floats, codebook: Codebook) -> Codes:
    """The nearest code on every level: (N, d) -> (N, L). Of equally near codes the lowest.

    Raises:
        ValueError: Shapes that do not fit, or a vector that is not finite.

    """
    codes = np.empty((len(vectors), len(codebook)), np.int32)
    for rows, block in _blocks(vectors, codebook):
        left = block
        for level, codewords in enumerate(codebook):
            codes[rows, level] = distances(left, codewords).argmin(1)
            left = left - codewords[codes[rows, level]]
    return codes


def decode(codes: Codes, codebook: Codebook) -> NDArray[np.float64]:
    """(N, L') -> (N, d): the sum of the codewords of the first L' <= L levels.

    Raises:
        ValueError: A code outside the codebook, or more levels than it has.

    """
    if codes.ndim != 2 or codes.shape[1] > len(codebook):
        raise ValueError(f"codes of shape {codes.shape} do not fit a codebook of {len(codebook)} levels")
    total = np.zeros((len(codes), codebook[0].shape[1]))
    for level in range(codes.shape[1]):
        digits, size = codes[:, level], len(codebook[level])
        if len(digits) and (digits.min() < 0 or digits.max() >= size):
            raise ValueError(f"level {level} has codes 0..{size - 1}, not {int(digits.min())}..{int(digits.max())}")
        total += codebook[level][digits]
    return total


def _blocks(vectors: Floats, codebook: Codebook) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    shapes = [level.shape for level in codebook]
    if vectors.ndim != 2 or not shapes or any(len(s) != 2 or s[1] != vectors.shape[1] or not s[0] for s in shapes):
        raise ValueError(f"vectors of shape {vectors.shape} do not fit a codebook of shapes {shapes}")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(1))[0])
        raise ValueError(f"vector {row} holds NaN or infinity")
    for start in range(0, len(vectors), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield rows, vectors[rows].astype(np.float64)
