"""Vectors of all documents of a corpus as they were some steps ago: negatives that cost no encoding.

A batch holds some sixty of thousands of tools, and the ones that a request is mistaken for are seldom among them. An
encoder moves slowly, so what it made of the others a while ago still says which of them are near (Wang et al. 2020,
"Cross-Batch Memory"; Xiong et al. 2021, "ANCE").
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toolweft_server.training.encoder.batches import Batch

DOUBT = 0.95
"""A document nearer to a request than this share of its right one's cosine may be right as well, where right tools are
not all known (de Souza et al. 2024, "NV-Retriever")."""


class Memory:
    """`vectors[i]`, (M, D) of unit length, is of the document of `groups[i]`."""

    def __init__(self, groups: Sequence[int], vectors: Tensor, *, complete: bool) -> None:
        self._row = {group: row for row, group in enumerate(groups)}
        self._vectors = vectors
        self._complete = complete

    def negatives(self, requests: Tensor, batch: Batch, nearest: Tensor) -> Tensor:
        """(Q, M): the cosines of `requests` (Q, D); -inf where a document is right, may be, or is in the batch.

        `nearest` (Q) is the cosine of the nearest right document of each.
        """
        cosines = requests @ self._vectors.T
        out = torch.zeros(cosines.shape, dtype=torch.bool)
        out[:, [self._row[group] for group in batch.groups if group in self._row]] = True
        for at, golds in enumerate(batch.golds):
            out[at, [self._row[group] for group in golds if group in self._row]] = True
        if not self._complete:
            out |= cosines.detach() > DOUBT * nearest[:, None]
        return cosines.masked_fill(out, -math.inf)

    def learn(self, groups: Sequence[int], vectors: Tensor) -> None:
        """Takes newer vectors, (n, D), for `groups`."""
        rows = [(self._row[group], at) for at, group in enumerate(groups) if group in self._row]
        if rows:
            mine, theirs = zip(*rows, strict=True)
            self._vectors = self._vectors.clone()  # the last loss still needs the old ones for its gradient
            self._vectors[list(mine)] = vectors[list(theirs)]
