"""`Woven`: the vectors of a catalogue's tools, laid out by their codes, so that a search reads only some of them.

`drafts` adds up what a request makes of each digit of a tool's code, three look-ups a tool instead of a product of
384 numbers, below the likeliest first digits, and reads the vectors of the best alone: additive quantisation with exact
re-ranking (Babenko and Lempitsky 2014). `candidates` reads whole blocks, the tools of one first digit, which stand side
by side in memory. Codes are the nearest ones under a frozen codebook, so a tool has the same code whenever it comes,
and an updated snapshot holds what a rebuilt one holds. Who a row is, is the caller's business, and so is what a code
means.

N tools, M of them with a vector, L levels, K first digits, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.best import least
from toolweft_server.index.woven.residual import Codes, Floats
from toolweft_server.index.woven.trie import END, Trie

FEW = 200
"""Up to so many tools everything is read: a whole scan takes microseconds."""

HALVED_FROM = 20_000
"""Tools from which vectors stand as 16-bit fractions, as the cache keeps them: half the memory, and read in pieces.
Below, everything is scanned, and floats are faster."""
_STEPS = np.float32(32767)
_PIECE = 256
"""Rows turned into floats at a time: they stay in the processor's cache."""

_PREFIXED = 16
"""Times a budget of tools: below so many first digits promises are looked at."""
_TAIL = 0.1
"""Share of tools that may have come or gone before the blocks are laid out anew."""

Rows = NDArray[np.int64]
Kept: TypeAlias = NDArray[np.float32] | NDArray[np.int16]
"""Vectors as they are kept: floats, or steps of 1 / 32767."""


class Candidates(NamedTuple):
    """Tools whose exact dot product with the request is known; in no particular order."""

    rows: Rows  # (C,)
    scores: NDArray[np.float32]  # (C,)


class _Part(NamedTuple):
    """Tools in the order of their codes, and of their rows below each."""

    vectors: Kept  # (n, d)
    digits: NDArray[np.int64]  # (L, n)
    rows: Rows  # (n,): whose each is; END where the tool is gone
    starts: NDArray[np.int64]  # (K + 1,): where the block of each first digit begins


class Woven:
    """An immutable snapshot. Make one with `build`, and the next one with `updated`."""

    def __init__(self, codes: Codes, parts: Sequence[_Part]) -> None:
        self.codes = codes
        """(N, L); a row of `END` where a tool has no vector yet."""
        self._parts = tuple(parts)

    @classmethod
    def build(cls, vectors: Floats, codes: Codes, *, firsts: int) -> Woven:
        """Of N tools' unit vectors and codes; a tool whose code is `END` has no vector yet, and its row is not read.

        Raises:
            ValueError: Vectors and codes that do not fit, or a first digit that is not below `firsts`.

        """
        _check(vectors, codes, firsts)
        return cls(codes, [_part(vectors, codes, np.arange(len(codes)), firsts)])

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(N,): which tools have a vector."""
        known: NDArray[np.bool_] = self.codes[:, 0] != END
        return known

    @cached_property
    def trie(self) -> Trie:
        """The codes that exist. A tool without one stands at the root's `END`."""
        return Trie.build(self.codes)

    @cached_property
    def nodes(self) -> NDArray[np.int32]:
        """(N, L): the node of the trie below which each tool stands on each level; END where it has no code."""
        trie, nodes = self.trie, np.full(self.codes.shape, END, np.int32)
        place = np.empty(len(self), np.int64)
        place[trie.order] = np.arange(len(self))
        low, high = 1, 1 + len(trie.children().digits)
        for level in range(self.codes.shape[1]):
            below = low + np.searchsorted(trie.low[low:high], place[self.known], side="right") - 1
            nodes[self.known, level] = below
            low, high = high, int(trie.first[high]) if high < len(trie.low) else high
        return nodes

    @property
    def firsts(self) -> int:
        return len(self._parts[0].starts) - 1

    def updated(self, kept: Rows, vectors: Floats, codes: Codes) -> Woven:
        """The next snapshot: the tools of the rows `kept`, in this order, then the new ones. An edit is both.

        Raises:
            ValueError: As `build`; or a row kept that is not there, or twice.

        """
        _check(vectors, codes, self.firsts)
        kept = np.asarray(kept, np.int64)
        if len(kept) and (kept.min() < 0 or kept.max() >= len(self) or len(np.unique(kept)) != len(kept)):
            raise ValueError(f"the rows kept are different ones of 0..{len(self) - 1}")
        all_codes = np.concatenate([self.codes[kept], codes]).astype(np.int32)
        now = np.full(len(self) + 1, END, np.int64)  # the last is what END looks up
        now[kept] = np.arange(len(kept))
        main, *tail = (part._replace(rows=now[part.rows]) for part in self._parts)
        fresh = _part(vectors, codes, np.arange(len(kept), len(all_codes)), self.firsts)
        loose = [*tail, fresh]
        moved = sum(len(part.rows) for part in loose) + int((main.rows == END).sum())
        if moved > max(FEW, _TAIL * len(main.rows)):
            return Woven(all_codes, [_merged([main, *loose], all_codes, self.firsts)])
        return Woven(all_codes, [main, _merged(loose, all_codes, self.firsts)])

    def scores(self, request: Floats) -> NDArray[np.float32]:
        """(N,): the exact dot product of every tool with a request (d,); 0 for a tool without a vector."""
        scores = np.zeros(len(self), np.float32)
        found = self._read([(part, 0, len(part.rows)) for part in self._parts], request)
        scores[found.rows] = found.scores
        return scores

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """(len(rows), d): the vectors of these tools; zeros where there is none yet."""
        out = np.zeros((len(rows), self._parts[0].vectors.shape[1]), np.float32)
        for part, places in zip(self._parts, self._places, strict=True):
            at = places[rows]
            out[at != END] = _floats(part.vectors[at[at != END]])
        return out

    def candidates(self, request: Floats, first: Floats, budget: int) -> Candidates:
        """The tools below the best first digits, as many as `budget` allows, but at least those of the best one.

        `first` (K,) says how likely each first digit is. Up to `FEW` tools, or within the budget, nothing is left out.
        """
        if len(self) <= max(FEW, budget):
            return self._read([(part, 0, len(part.rows)) for part in self._parts], request)
        order, below = self._blocks(first)
        runs = _runs(np.sort(order[: max(1, int(np.searchsorted(below, budget, side="right")))]))
        spans = [(part, int(part.starts[low]), int(part.starts[high])) for part in self._parts for low, high in runs]
        return self._read(spans, request)

    def _blocks(self, first: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(K,): the first digits, best first; and how many tools stand below those up to each."""
        order = np.argsort(-np.where(self._sizes > 0, first, -np.inf), kind="stable")
        return order, np.cumsum(self._sizes[order])

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """(K,): tools below each first digit; not a block's length, which counts those that are gone."""
        return np.bincount(self.codes[self.known, 0], minlength=self.firsts)

    def drafts(self, request: Floats, tables: Sequence[Floats], budget: int) -> Candidates:
        """The `budget` tools whose codes promise the largest dot product; all of them, up to `FEW` tools.

        `tables` says for each level (K,) what a digit adds to the promise (`heads.Heads.tables`). Promises are looked
        at below the best first digits alone, so many that `_PREFIXED` times the budget stand there. Who promises as
        much as the last of those that are read is read, too.
        """
        if len(self) <= max(FEW, budget):
            return self._read([(part, 0, len(part.rows)) for part in self._parts], request)
        order, below = self._blocks(np.asarray(tables[0], np.float32))
        runs = _runs(np.sort(order[: 1 + int(np.searchsorted(below, _PREFIXED * budget))]))
        places = [_below(part, runs) for part in self._parts]
        promises = [_promises(part, mine, tables) for part, mine in zip(self._parts, places, strict=True)]
        rows, scores = [], []
        for part, some, best in zip(self._parts, places, _best(promises, budget), strict=True):
            mine = some[best]
            rows.append(part.rows[mine])
            for start in range(0, len(mine), _PIECE):
                piece = part.vectors.take(mine[start : start + _PIECE], axis=0)
                scores.append(_floats(piece) @ np.asarray(request, np.float32))
        return Candidates(np.concatenate(rows), np.concatenate([*scores, np.zeros(0, np.float32)]))

    def _read(self, spans: Sequence[tuple[_Part, int, int]], request: Floats) -> Candidates:
        request = np.asarray(request, np.float32)
        scores = np.empty(sum(high - low for _, low, high in spans), np.float32)
        rows = np.empty(len(scores), np.int64)
        at = 0
        for part, low, high in spans:
            end = at + high - low
            piece = high - low if part.vectors.dtype == np.float32 else _PIECE
            for start in range(low, high, max(1, piece)):
                stop = min(high, start + piece)
                np.dot(_floats(part.vectors[start:stop]), request, out=scores[at + start - low : at + stop - low])
            rows[at:end] = part.rows[low:high]
            at = end
        there = rows != END
        return Candidates(rows, scores) if there.all() else Candidates(rows[there], scores[there])

    @cached_property
    def _places(self) -> tuple[Rows, ...]:
        """For each part: where each tool's vector stands in it, END where it does not."""
        places = []
        for part in self._parts:
            at = np.full(len(self) + 1, END, np.int64)
            at[part.rows] = np.arange(len(part.rows))
            places.append(at[:-1])
        return tuple(places)


def _check(vectors: Floats, codes: Codes, firsts: int) -> None:
    if vectors.ndim != 2 or codes.ndim != 2 or len(vectors) != len(codes) or not codes.shape[1]:
        raise ValueError(f"vectors of shape {vectors.shape} do not fit codes of shape {codes.shape}")
    if len(codes) and (codes[:, 0].max() >= firsts or codes[:, 0].min() < END):
        raise ValueError(f"first digits are 0..{firsts - 1}, not {codes[:, 0].min()}..{codes[:, 0].max()}")


def _part(vectors: Floats, codes: Codes, rows: Rows, firsts: int) -> _Part:
    known = np.flatnonzero(codes[:, 0] != END)
    order = known[_by_code(codes[known], rows[known])]
    digits = np.ascontiguousarray(codes[order].T, np.int64)
    return _Part(_kept(vectors[order], _dtype(len(order))), digits, rows[order], _starts(digits[0], firsts))


def _dtype(tools: int) -> np.dtype[np.float32] | np.dtype[np.int16]:
    return np.dtype(np.float32) if tools < HALVED_FROM else np.dtype(np.int16)


def _kept(vectors: Floats | Kept, dtype: np.dtype[np.float32] | np.dtype[np.int16]) -> Kept:
    """The vectors in that form; steps stay the steps they are, whatever they are turned into in between."""
    if dtype == np.int16 and vectors.dtype != np.int16:
        steps: NDArray[np.int16] = np.rint(np.clip(vectors * _STEPS, -_STEPS, _STEPS)).astype(np.int16)
        return steps
    return vectors if dtype == vectors.dtype else np.ascontiguousarray(_floats(vectors), np.float32)


def _floats(vectors: Floats | Kept) -> NDArray[np.float32]:
    if vectors.dtype != np.int16:
        return np.asarray(vectors, np.float32)
    floats: NDArray[np.float32] = vectors.astype(np.float32)
    floats /= _STEPS
    return floats


def _by_code(codes: Codes, rows: Rows) -> NDArray[np.int64]:
    return np.lexsort((rows, *codes.T[::-1]))


def _below(part: _Part, runs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """The places of a part below runs of first digits."""
    spans = [np.arange(part.starts[low], part.starts[high]) for low, high in runs]
    return np.concatenate([*spans, np.zeros(0, np.int64)])


def _promises(part: _Part, places: NDArray[np.int64], tables: Sequence[Floats]) -> NDArray[np.float32]:
    """(P,): the sum of what each digit of the code at each place adds; -inf where the tool is gone."""
    total = np.zeros(len(places), np.float32)
    for digits, table in zip(part.digits, tables, strict=True):
        total += np.asarray(table, np.float32).take(digits.take(places))
    total[part.rows.take(places) == END] = -np.inf
    return total


def _best(promises: Sequence[NDArray[np.float32]], count: int) -> list[NDArray[np.int64]]:
    """Of each part, the places of those among the `count` best of all; at the edge all that are equal."""
    edge = least(np.concatenate(promises), count)
    return [np.flatnonzero((each >= edge) & (each > -np.inf)) for each in promises]


def _starts(digits: NDArray[np.int64], firsts: int) -> NDArray[np.int64]:
    """(firsts + 1,): where each first digit begins among sorted ones."""
    return np.searchsorted(digits, np.arange(firsts + 1)).astype(np.int64)


def _merged(parts: Sequence[_Part], codes: Codes, firsts: int) -> _Part:
    """One part of the live tools of several, in the order that building anew would give."""
    rows = np.concatenate([part.rows for part in parts])
    live = np.flatnonzero(rows != END)
    order = live[_by_code(codes[rows[live]], rows[live])]
    rows = rows[order]
    vectors = np.empty((len(rows), parts[0].vectors.shape[1]), _dtype(len(rows)))
    begin = 0
    for part in parts:  # each vector is copied once: the matrix is most of an index's memory
        mine = (order >= begin) & (order < begin + len(part.rows))
        vectors[mine] = _kept(part.vectors[order[mine] - begin], vectors.dtype)
        begin += len(part.rows)
    digits = np.ascontiguousarray(codes[rows].T, np.int64)
    return _Part(vectors, digits, rows, _starts(digits[0], firsts))


def _runs(chosen: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Neighbouring blocks as one: [3, 4, 7] -> [(3, 5), (7, 8)]."""
    breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(chosen, breaks)]
