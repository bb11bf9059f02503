"""`Trie`: which codes exist, as plain arrays: what may follow a prefix, and which tools stand below it.

Tools are row numbers; who they are is the caller's business. A trie is immutable: a changed catalogue has another
one. Paths may differ in length (a suffix digit for true duplicates): `END` marks where a shorter one stops, and is
a child like any other, so that every tool ends in a leaf of its own path.

N tools, D digits at most, M nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

END = -1
"""The digit after the last: padding in a matrix of paths, the end of a path in a trie."""

ROOT = 0


class Children(NamedTuple):
    """What may follow a node, ascending by digit."""

    digits: NDArray[np.int32]
    nodes: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Trie:
    """Nodes in breadth-first order, the root first; the children of a node stand side by side."""

    digits: NDArray[np.int32]  # (M,): the digit that leads to each node; END for the root
    first: NDArray[np.int32]  # (M + 1,): where the children of each node begin
    low: NDArray[np.int32]  # (M,): the tools below a node are order[low:high]
    high: NDArray[np.int32]  # (M,)
    order: NDArray[np.int32]  # (N,): tools, sorted by path, then by row

    @classmethod
    def build(cls, paths: NDArray[np.integer]) -> Trie:
        """The trie of `paths` (N, D), each row a tool's digits, padded at its end with `END`. N may be 0.

        Raises:
            ValueError: Not a matrix, a digit below `END`, or a digit after `END`.

        """
        _check(paths)
        order = np.lexsort(paths.T[::-1]) if paths.size else np.arange(len(paths))
        rows = paths[order]
        digits, first = [np.array([END])], []
        low, high = [np.array([0])], [np.array([len(rows)])]
        known = 1
        for depth in range(paths.shape[1]):
            starts, ends = _runs(rows, depth)
            # Every node above holds a tool, so its children start at or after the place where it starts itself.
            first.append(known + np.searchsorted(starts, low[-1]))
            digits.append(rows[starts, depth])
            low.append(starts)
            high.append(ends)
            known += len(starts)
        first.append(np.full(len(low[-1]) + 1, known))
        nodes = [np.concatenate(part).astype(np.int32) for part in (digits, first, low, high)]
        return cls(nodes[0], nodes[1], nodes[2], nodes[3], order.astype(np.int32))

    def __len__(self) -> int:
        """How many tools it holds."""
        return len(self.order)

    def children(self, node: int = ROOT) -> Children:
        """What may follow `node`; empty below a leaf."""
        nodes = np.arange(self.first[node], self.first[node + 1], dtype=np.int32)
        return Children(self.digits[nodes], nodes)

    def walk(self, path: Iterable[int], start: int = ROOT) -> int | None:
        """The node that `path` leads to, or None where it leaves the trie."""
        node = start
        for digit in path:
            low, high = int(self.first[node]), int(self.first[node + 1])
            at = low + int(np.searchsorted(self.digits[low:high], digit))
            if at == high or self.digits[at] != digit:
                return None
            node = at
        return node

    def tools(self, node: int = ROOT) -> NDArray[np.int32]:
        """The rows of all tools below `node`."""
        return self.order[self.low[node] : self.high[node]]

    def mask(self, nodes: Sequence[int], size: int) -> NDArray[np.bool_]:
        """(B, size + 1): which digits may follow each node; the last column is `END`.

        Raises:
            ValueError: A digit that does not fit into `size`.

        """
        legal = np.zeros((len(nodes), size + 1), bool)
        for row, node in enumerate(nodes):
            digits = self.children(node).digits
            if len(digits) and int(digits[-1]) >= size:
                raise ValueError(f"digit {int(digits[-1])} does not fit into {size}")
            legal[row, digits] = True  # END is -1: the last column
        return legal

    @cached_property
    def digest(self) -> str:
        """32 hex digits over every path and who stands at it."""
        hashed = hashlib.sha256()
        for part in (self.digits, self.first, self.low, self.high, self.order):
            hashed.update(len(part).to_bytes(8, "little") + part.astype("<i4").tobytes())
        return hashed.hexdigest()[:32]


def _check(paths: NDArray[np.integer]) -> None:
    if paths.ndim != 2 or not np.issubdtype(paths.dtype, np.integer):
        raise ValueError(f"paths are an integer matrix, not {paths.dtype} of shape {paths.shape}")
    if (paths < END).any():
        raise ValueError(f"a digit is at least {END}, and one is {int(paths.min())}")
    if ((paths[:, :-1] == END) & (paths[:, 1:] != END)).any():
        raise ValueError("a path has a digit after its end")


def _runs(rows: NDArray[np.integer], depth: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of rows with one path down to `depth` begins and ends, of sorted rows; nothing follows `END`."""
    if not len(rows):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    head = rows[:, : depth + 1]
    starts = np.flatnonzero(np.append(True, (head[1:] != head[:-1]).any(1)))
    ends = np.append(starts[1:], len(rows))
    going_on = rows[starts, depth - 1] != END if depth else np.ones(len(starts), bool)
    return starts[going_on], ends[going_on]
