"""`Episode`: the catalogue that heads see in one epoch: the tools of some servers, and which codes exist among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolweft_server.index.woven.residual import Codes, Floats
from toolweft_server.index.woven.trie import END

MOST_MEMBERS = 32
"""Of a code's tools, at most so many compete in training: a bucket of true duplicates has nothing to teach."""


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """Tables over all N tools; only the visible ones are part of any. P prefixes on a level, M members at most."""

    visible: Tensor  # (N,) bool
    vectors: Tensor  # (N, d)
    codes: Tensor  # (N, L) int64
    prefixes: list[Tensor]
    """For each level (N,): the prefix above each tool's digit, as a row of `children` and `sums`."""
    children: list[Tensor]
    """For each level (P, K): which digits follow each prefix."""
    branches: list[Tensor]
    """For each level (P,): how many they are."""
    sums: list[Tensor]
    """For each level (P, d) the codewords of each prefix added up; after the levels, those of each shared code."""
    bucket: Tensor  # (N,): which shared code a tool has, END for who has one alone
    members: Tensor  # (shared codes, M): END where there is none

    @classmethod
    def draw(
        cls,
        vectors: Floats,
        codes: Codes,
        servers: NDArray[np.integer],
        levels: Sequence[Tensor],
        share: float,
        generator: torch.Generator,
    ) -> Episode:
        """Hides `share` of the servers, but never all."""
        names, number = np.unique(servers, return_inverse=True)
        order = torch.randperm(len(names), generator=generator).numpy()
        visible = ~np.isin(number, order[: min(int(share * len(names)), len(names) - 1)])
        digits = torch.from_numpy(codes.astype(np.int64))
        prefixes, children, sums = [], [], []
        for level, words in enumerate(levels):
            at, rows = _numbered(codes[:, :level], visible)
            legal = torch.zeros(len(rows), len(words), dtype=torch.bool)
            legal[at[visible], digits[visible, level]] = True
            prefixes.append(at)
            children.append(legal)
            sums.append(_sums(digits[rows, :level], levels))
        bucket, members = _buckets(codes, visible)
        sums.append(_sums(digits[members[:, 0]], levels))
        wide = torch.from_numpy(np.asarray(vectors, np.float32))
        branches = [legal.sum(1) for legal in children]
        return cls(torch.from_numpy(visible), wide, digits, prefixes, children, branches, sums, bucket, members)


def _numbered(prefixes: Codes, visible: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """(N,): a number for each different prefix of the visible tools, 0 for the others; and a tool below each."""
    numbers = np.zeros(len(prefixes), np.int64)
    if not prefixes.shape[1]:
        return torch.from_numpy(numbers), torch.tensor([int(np.flatnonzero(visible)[0])])
    _, first, back = np.unique(prefixes[visible], axis=0, return_index=True, return_inverse=True)
    numbers[visible] = back.reshape(-1)
    return torch.from_numpy(numbers), torch.from_numpy(np.flatnonzero(visible)[first])


def _buckets(codes: Codes, visible: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    rows = np.flatnonzero(visible)
    _, back, counts = np.unique(codes[rows], axis=0, return_inverse=True, return_counts=True)
    back = back.reshape(-1)
    bucket = np.full(len(codes), END, np.int64)
    shared = np.flatnonzero(counts > 1)
    members = np.full((len(shared), MOST_MEMBERS), END, np.int64)
    order = np.argsort(back, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    for number, code in enumerate(shared):
        mine = rows[order[starts[code] : starts[code + 1]]][:MOST_MEMBERS]
        members[number, : len(mine)] = mine
        bucket[mine] = number
    return torch.from_numpy(bucket), torch.from_numpy(members)


def _sums(digits: Tensor, levels: Sequence[Tensor]) -> Tensor:
    total = torch.zeros(len(digits), levels[0].shape[1])
    for level in range(digits.shape[1]):
        total += levels[level][digits[:, level]]
    return total
