"""Names: which tool is meant by an identifier, spelled exactly or nearly; and which names come closest to anything.

Names are compared folded: letters and digits only, lower case. They stand in one table sorted by length, so that
"one edit away" is a comparison of three small byte matrices and needs no index of its own. Whether a word of a
request is meant as an identifier at all is `request`'s decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.text import ascii_or_folded

Array: TypeAlias = NDArray[Any]

LONGEST = 120
"""Bytes of the longest folded name that is looked up; a longer one is still found by its words."""

SHORTEST_NEAR = 6
"""Letters from which one edit away still names a tool: shorter words have too many neighbours."""


def fold(name: str) -> bytes:
    """`Create-Issue` -> b"createissue". Equal for all spellings that differ in case, accents and separators."""
    folded = ascii_or_folded(name[: 2 * LONGEST]).casefold()
    return "".join(each for each in folded if each.isalnum()).encode("utf-8", "surrogatepass")


def name_keys(tool_id: str, name: str) -> list[bytes]:
    """What a tool answers to: its own name, its id, and the part of the id after the dot."""
    keys = {fold(name), fold(tool_id), fold(tool_id.partition(".")[2])}
    return sorted(key for key in keys if 0 < len(key) <= LONGEST)


class NameTable(NamedTuple):
    """Distinct folded names, ordered by length and then by bytes, each with the tools that answer to it."""

    blob: Array  # (bytes,) uint8
    first: Array  # (LONGEST + 2,) uint32: number of the first name of each length
    starts: Array  # (names + 1,) uint32: where the owners of each name begin
    owners: Array  # (pairs,) uint32

    @classmethod
    def of(cls, pairs: Iterable[tuple[bytes, int]]) -> NameTable:
        ordered = sorted(pairs, key=lambda pair: (len(pair[0]), pair))
        distinct: dict[bytes, int] = {}
        for key, _ in ordered:
            distinct[key] = distinct.get(key, 0) + 1
        sizes = np.bincount([len(key) for key in distinct], minlength=LONGEST + 1)
        return cls(
            blob=np.frombuffer(b"".join(distinct), np.uint8),
            first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint32),
            starts=np.concatenate([[0], np.cumsum(list(distinct.values()))]).astype(np.uint32),
            owners=np.array([owner for _, owner in ordered], np.uint32),
        )

    def items(self) -> Iterator[tuple[bytes, int]]:
        number = 0
        for length in range(1, LONGEST + 1):
            for row in self._matrix(length):
                key = row.tobytes()
                for owner in self.owners[int(self.starts[number]) : int(self.starts[number + 1])].tolist():
                    yield key, owner
                number += 1

    def exact(self, key: bytes) -> list[int]:
        """The tools whose folded name is `key`."""
        if not 0 < len(key) <= LONGEST:
            return []
        matrix, first = self._matrix(len(key)), int(self.first[len(key)])
        low, high = 0, len(matrix)
        while low < high:
            middle = (low + high) // 2
            if matrix[middle].tobytes() < key:
                low = middle + 1
            else:
                high = middle
        found = low < len(matrix) and matrix[low].tobytes() == key
        return self._owners([first + low]) if found else []

    def near(self, key: bytes) -> list[int]:
        """The tools whose folded name is one insertion, deletion, replacement or swap of neighbours from `key`."""
        if not SHORTEST_NEAR <= len(key) <= LONGEST:
            return []
        found: list[int] = []
        for length in range(len(key) - 1, min(len(key) + 1, LONGEST) + 1):
            rows = _one_edit(self._matrix(length), np.frombuffer(key, np.uint8))
            found += (rows + int(self.first[length])).tolist()
        return self._owners(found)

    def closest(self, key: bytes, count: int, wanted: Array) -> list[tuple[float, int]]:
        """(similarity, tool) of the names among the `wanted` tools that share most pieces of three letters with `key`.

        About `count` of them, unordered: all that are as similar as the last one count too.
        """
        grams = np.unique(_grams(np.frombuffer(b"^" + key[:LONGEST] + b"$", np.uint8)))
        if not len(grams) or not wanted.any():
            return []
        shared = [self._shared(length, grams) for length in range(1, LONGEST + 1)]
        lengths = np.repeat(np.arange(LONGEST + 1), self._counts())
        similarity = np.concatenate(shared) / np.sqrt(len(grams) * lengths)
        similarity[~np.logical_or.reduceat(wanted[self.owners], self.starts[:-1].astype(np.int64))] = 0
        least = np.partition(similarity, -count)[-count] if count < len(similarity) else 0
        best = np.flatnonzero((similarity >= least) & (similarity > 0)).tolist()
        return [(float(similarity[n]), owner) for n in best for owner in self._owners([n]) if wanted[owner]]

    def _shared(self, length: int, grams: Array) -> Array:
        """How many of `grams` each name of one length has."""
        matrix = self._matrix(length)
        if not len(matrix):
            return np.zeros(0, np.int64)
        framed = np.pad(matrix, ((0, 0), (1, 1)), constant_values=((0, 0), (ord("^"), ord("$"))))
        shared: Array = np.isin(_grams(framed), grams).sum(axis=1)
        return shared

    def _matrix(self, length: int) -> Array:
        """Every name of one length, a row each."""
        rows = int(self.first[length + 1]) - int(self.first[length])
        if not rows:
            return self.blob[:0].reshape(0, length)
        start = int(self._counts()[:length] @ np.arange(length))
        return self.blob[start : start + rows * length].reshape(rows, length)

    def _counts(self) -> Array:
        """How many names there are of each length."""
        return self.first[1:].astype(np.int64) - self.first[:-1]

    def _owners(self, names: Iterable[int]) -> list[int]:
        owners: set[int] = set()
        for n in names:
            owners.update(self.owners[int(self.starts[n]) : int(self.starts[n + 1])].tolist())
        return sorted(owners)


def _one_edit(matrix: Array, key: Array) -> Array:
    """Rows one edit from `key`: what both begin with and what both end with leave one place (or a swap) between."""
    # One edit of three or more letters leaves the first as it is, or the last: nearly all rows are out after two looks.
    likely = np.flatnonzero((matrix[:, 0] == key[0]) | (matrix[:, -1] == key[-1]))
    if not len(likely):
        return likely
    matrix = matrix[likely]
    width = min(matrix.shape[1], len(key))
    head = _agreeing(matrix[:, :width] == key[:width])
    tail = _agreeing(matrix[:, ::-1][:, :width] == key[::-1][:width])
    longer = max(matrix.shape[1], len(key))
    close = (head + tail >= longer - 1) & (head < longer)
    if matrix.shape[1] == len(key):
        for row in np.flatnonzero(head + tail == longer - 2):
            at = head[row]
            close[row] = matrix[row, at] == key[at + 1] and matrix[row, at + 1] == key[at]
    found: Array = likely[close]
    return found


def _agreeing(equal: Array) -> Array:
    """How many leading columns of each row are all true."""
    leading: Array = np.where(equal.all(axis=1), equal.shape[1], np.argmin(equal, axis=1))
    return leading


def _grams(characters: Array) -> Array:
    """The pieces of three bytes of each row, as numbers."""
    wide = characters.astype(np.uint32)
    grams: Array = (wide[..., :-2] << 16) | (wide[..., 1:-1] << 8) | wide[..., 2:]
    return grams
