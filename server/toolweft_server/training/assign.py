"""Who owns which code, decided once and the same every time: no batch, no chance, no order of arrival.

`shared` gives every tool its nearest code, and tools that are alike share one: the default, because a tool then has the
same code whenever it comes. `unique` is for a language model that must name exactly one tool: below its own prefix
each tool gets the nearest code that is free. What cannot be told apart (equal vectors, or more tools below a prefix
than it has codes) is told apart by a suffix digit, which means nothing else. Tools that have a code keep it.

N tools, L levels, K codes a level, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven import residual
from toolweft_server.index.woven.residual import Codebook, Codes, Floats
from toolweft_server.index.woven.trie import END, Trie
from toolweft_server.training.errors import TrainingError


class Assigned(NamedTuple):
    """The codes of N tools."""

    codes: Codes  # (N, L) int32
    suffix: NDArray[np.int32]  # (N,): 0 for none, else 1, 2, … among the tools of one code

    @property
    def paths(self) -> NDArray[np.int32]:
        """(N, L) where no tool has a suffix, else (N, L + 1): what a trie is built of."""
        if not self.suffix.any():
            return self.codes
        last = np.where(self.suffix > 0, self.suffix, END).astype(np.int32)
        return np.concatenate([self.codes, last[:, None]], 1)

    @property
    def trie(self) -> Trie:
        return Trie.build(self.paths)


class Owned(NamedTuple):
    """Tools that have their codes already."""

    latent: Floats  # (M, d)
    assigned: Assigned


def shared(latent: Floats, codebook: Codebook) -> Assigned:
    """The nearest code of each tool (N, d); tools may share one.

    Raises:
        ValueError: Shapes that do not fit, or a vector that is not finite.

    """
    return Assigned(residual.encode(latent, codebook), np.zeros(len(latent), np.int32))


def unique(latent: Floats, codebook: Codebook, owned: Owned | None = None) -> Assigned:
    """A code and suffix for each tool (N, d) that no other tool has, beside those of `owned`, who keep theirs.

    Below one prefix the tools that fit best choose first; tools with equal vectors share the code of the first of them.

    Raises:
        ValueError: Shapes that do not fit, or a vector that is not finite.
        TrainingError: `owned` itself holds one code twice.

    """
    taken = _Taken(owned)
    codes = residual.encode(latent, codebook)
    suffix = np.zeros(len(codes), np.int32)
    first, kinds = _kinds(latent)
    for prefix, rows in _by_prefix(codes[first]):
        left = latent[first[rows]] - residual.decode(codes[first[rows]][:, :-1], codebook)
        squares = residual.distances(left, codebook[-1])
        free = taken.free(prefix, len(codebook[-1]))
        for at in np.argsort(squares.min(1), kind="stable"):
            row = first[rows[at]]
            known = taken.code_of(latent[row])
            if known is not None and known[:-1] == prefix:
                codes[row, -1] = known[-1]
            elif free.any():
                codes[row, -1] = np.where(free, squares[at], np.inf).argmin()
            free[codes[row, -1]] = False
    codes = codes[first][kinds]
    for row in np.argsort(kinds, kind="stable"):
        suffix[row] = taken.number(codes[row])
    assigned = Assigned(codes, suffix)
    require_unique(assigned, owned)
    return assigned


def require_unique(assigned: Assigned, owned: Owned | None = None) -> None:
    """Raises:
    TrainingError: Two tools have one code and one suffix; the first such code is named.

    """
    everyone = np.concatenate([assigned.codes, assigned.suffix[:, None]], 1)
    if owned is not None:
        theirs = np.concatenate([owned.assigned.codes, owned.assigned.suffix[:, None]], 1)
        everyone = np.concatenate([theirs, everyone])
    rows, counts = np.unique(everyone, axis=0, return_counts=True)
    if (counts > 1).any():
        row = rows[int(counts.argmax())].tolist()
        raise TrainingError(f"{int(counts.max())} tools have the code {row[:-1]} with suffix {row[-1]}")


class _Taken:
    """Which codes are somebody's, and how often."""

    def __init__(self, owned: Owned | None) -> None:
        self._next: dict[tuple[int, ...], int] = {}
        self._last: dict[tuple[int, ...], set[int]] = {}
        self._vectors: dict[bytes, tuple[int, ...]] = {}
        if owned is not None:
            require_unique(owned.assigned)
            for vector, code, suffix in zip(owned.latent, owned.assigned.codes, owned.assigned.suffix, strict=True):
                digits = tuple(code.tolist())
                self._vectors.setdefault(_key(vector), digits)
                # A suffix is never given twice, even when the tool between was removed.
                self._next[digits] = max(self._next.get(digits, 0), int(suffix) + 1)
                self._last.setdefault(digits[:-1], set()).add(digits[-1])

    def free(self, prefix: tuple[int, ...], size: int) -> NDArray[np.bool_]:
        """(K,): which last digits nobody has below `prefix`."""
        free = np.ones(size, bool)
        free[list(self._last.get(prefix, ()))] = False
        return free

    def code_of(self, vector: Floats) -> tuple[int, ...] | None:
        return self._vectors.get(_key(vector))

    def number(self, code: Codes) -> int:
        """The next suffix of a code: the counter is the code's, not the tool's."""
        digits = tuple(code.tolist())
        suffix = self._next.get(digits, 0)
        self._next[digits] = suffix + 1
        return suffix


def _key(vector: Floats) -> bytes:
    return (np.asarray(vector, np.float64) + 0.0).tobytes()  # -0.0 is 0.0


def _kinds(latent: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each different vector (U,), and which of these each row equals (N,)."""
    rows: dict[bytes, int] = {}
    first: list[int] = []
    kinds = np.empty(len(latent), np.int64)
    for row, vector in enumerate(latent):
        kinds[row] = rows.setdefault(_key(vector), len(rows))
        if len(rows) > len(first):
            first.append(row)
    return np.array(first, np.int64), kinds


def _by_prefix(codes: Codes) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64]]]:
    """The rows that share all digits but the last, prefix by prefix."""
    if not len(codes):
        return
    trie = Trie.build(codes[:, :-1])
    for node in range(len(trie.low)):
        if trie.first[node] == trie.first[node + 1]:
            rows = np.sort(trie.tools(node)).astype(np.int64)
            yield tuple(codes[rows[0], :-1].tolist()), rows
