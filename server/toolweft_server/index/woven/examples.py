"""`Examples`: requests that are known to want a tool, for tools that training has seen often.

A tool is one vector, and what people ask of it is not one point: among tools that were asked for again and again, the
nearest of those requests says more than the tool's own text (a nearest neighbour, as Khandelwal et al. 2020 do it for
language models). Requests are compared after whitening: what they all have in common would else drown what tells them
apart. Tools are told by what they say, wherever they are served from; a changed text has no examples.

Tools with examples that match anyway share out among themselves the scores that they have without. So each tool that
training has not seen keeps its score and its place, and nothing is found, or not found, because of examples.

T tools, R examples, N rows of a catalogue, C tools that may be meant, d numbers of a vector, E of an example.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import ExamplesError
from toolweft_server.index.woven import packed
from toolweft_server.index.woven.packed import Arrays
from toolweft_server.index.woven.seen import Seen

Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]

KIND = packed.Kind("examples", ExamplesError)

LEAST = 0.3
"""Whitened cosine from which an example says anything."""
LEVELS = np.array([0.4528, 1.5104], np.float32)
EDGE = np.float32(0.9816)
"""What two bits keep of a number: its sign, and on which side of the edge it lies, in standard deviations. The best
four levels for a normal distribution (Max 1960)."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Immutable; threads may share it."""

    centre: Floats  # (d,)
    whitening: Floats  # (d, E)
    tools: NDArray[np.uint64]  # (T,), ascending: `copy` of the tools' records
    starts: Rows  # (T + 1,)
    bits: NDArray[np.uint8]  # (R, 2, E / 8): signs, then sizes; those of a tool together

    @classmethod
    def load(cls, folder: Path, *, encoder: str | None = None) -> Examples:
        """The examples in `folder`, for the vectors of the encoder with this digest, when it is given.

        Raises:
            ExamplesError: Missing, cut, damaged, of another format, or made for another encoder.

        """
        return KIND.load(folder, lambda found: cls.of(found.arrays), encoder=encoder)

    @classmethod
    def shipped(cls, *, encoder: str | None = None) -> Examples:
        """The examples that come with the package.

        Raises:
            ExamplesError: The installation is not whole, or holds another encoder.

        """
        return cls.load(KIND.shipped(), encoder=encoder)

    @classmethod
    def of(cls, arrays: Arrays) -> Examples:
        """From named arrays, as the file holds them; half precision is widened.

        Raises:
            KeyError: An array is missing.
            ValueError: Shapes that do not fit together, or a number that is none.

        """
        found = cls(
            _typed(arrays, "centre", np.floating).astype(np.float32),
            _typed(arrays, "whitening", np.floating).astype(np.float32),
            _typed(arrays, "tools", np.uint64),
            _typed(arrays, "starts", np.int64),
            _typed(arrays, "bits", np.uint8),
        )
        _check(found)
        return found

    @classmethod
    def none(cls, size: int) -> Examples:
        """For vectors of `size` numbers; no tool has any."""
        nothing = np.zeros((size, 0), np.float32)
        return cls(
            nothing.sum(1), nothing, np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros((0, 2, 0), np.uint8)
        )

    def over(self, copies: NDArray[np.uint64]) -> Asked:
        """Those of a catalogue's tools, whose records say `copy` (N,)."""
        at = np.searchsorted(self.tools, copies).clip(max=max(len(self.tools) - 1, 0))
        known = self.tools[at] == copies if len(self.tools) else np.zeros(len(copies), np.bool_)
        place = np.full(len(copies), -1, np.int64)
        mine, place[known] = np.unique(at[known], return_inverse=True)
        rows = [np.arange(self.starts[n], self.starts[n + 1]) for n in mine.tolist()]
        bits = self.bits[np.concatenate([*rows, np.zeros(0, np.int64)])]
        return Asked(self, place, np.cumsum([0, *map(len, rows)])[:-1], bits)


@dataclass(frozen=True, eq=False)
class Asked:
    """The examples of the tools of one catalogue. Immutable; threads may share it."""

    examples: Examples
    place: Rows
    """(N,): which of the tools with examples each row is; -1 for all others."""
    starts: Rows
    bits: NDArray[np.uint8]

    @cached_property
    def _vectors(self) -> Floats:
        return unpacked(self.bits)

    def scores(self, request: Floats) -> Floats:
        """(N,) in [0, 1]: how near the nearest example of each row is to a unit vector (d,); 0 where there is none."""
        out = np.zeros(len(self.place), np.float32)
        if len(self.starts):
            # Adds up row by row: a product of matrices differs in the last bits with what else is in the catalogue.
            cosines = np.einsum(
                "re,e->r", self._vectors, whitened(request[None], self.examples.centre, self.examples.whitening)[0]
            )
            best = np.maximum.reduceat(cosines, self.starts)
            there = self.place >= 0
            out[there] = np.clip((best[self.place[there]] - LEAST) / (1 - LEAST), 0, 1)
        return out

    def shared_out(self, seen: Seen, request: Floats, weight: float) -> Seen:
        """With other scores for those that match and have examples: theirs, the best one for the most `weight`ed sum.

        Equals by id. All others keep their scores.
        """
        mine = np.flatnonzero(seen.worth & (self.place[seen.rows] >= 0))
        if len(mine) < 2:
            return seen
        had = seen.fused[mine]
        wanted = (had + np.float32(weight) * self.scores(request)[seen.rows[mine]]).tolist()
        names = [seen.ids[at] for at in mine.tolist()]
        order = sorted(range(len(mine)), key=lambda at: (-wanted[at], names[at]))
        fused = seen.fused.copy()
        fused[mine[order]] = np.sort(had)[::-1]
        raised = frozenset(name for name, was, now in zip(names, had, fused[mine], strict=True) if now > was)
        return replace(seen, fused=fused, raised=raised)


def whitened(vectors: Floats, centre: NDArray[np.floating], whitening: NDArray[np.floating]) -> Floats:
    """(n, d) -> (n, E), unit length."""
    return _unit((vectors - np.asarray(centre, np.float32)) @ np.asarray(whitening, np.float32))


def packed_bits(vectors: Floats) -> NDArray[np.uint8]:
    """(n, E) -> (n, 2, E / 8)."""
    spread = np.sqrt((vectors * vectors).mean(1, keepdims=True))
    return np.packbits(np.stack([vectors >= 0, np.abs(vectors) >= EDGE * spread], 1), axis=2)


def unpacked(bits: NDArray[np.uint8]) -> Floats:
    """(n, 2, E / 8) -> (n, E), unit length."""
    signs, sizes = np.unpackbits(bits, axis=2).transpose(1, 0, 2)
    return _unit(np.where(signs, np.float32(1), np.float32(-1)) * LEVELS[sizes])


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))
    return unit


def _typed(arrays: Arrays, name: str, kind: type[np.generic]) -> NDArray[Any]:
    if not np.issubdtype((array := arrays[name]).dtype, kind):
        raise ValueError(f"the array {name!r} holds {array.dtype}, and {kind.__name__} is wanted")
    return np.atleast_1d(array)


def _check(found: Examples) -> None:
    """Raises:
    ValueError: What does not fit together, or a number that is none.

    """
    size, wide = len(found.centre), found.whitening.shape[-1]
    shapes: dict[str, tuple[NDArray[Any], tuple[int, ...]]] = {
        "centre": (found.centre, (size,)),
        "whitening": (found.whitening, (size, wide)),
        "tools": (found.tools, (len(found.tools),)),
        "starts": (found.starts, (len(found.tools) + 1,)),
        "bits": (found.bits, (len(found.bits), 2, wide // 8)),
    }
    for name, (array, wanted) in shapes.items():
        if array.shape != wanted:
            raise ValueError(f"the array {name!r} is of shape {array.shape}, and {wanted} is wanted")
        if not np.isfinite(array).all():
            raise ValueError(f"the array {name!r} holds NaN or infinity")
    if wide % 8:
        raise ValueError(f"examples have a multiple of 8 numbers, not {wide}")
    if (found.tools[1:] <= found.tools[:-1]).any() or (found.tools[:1] == 0).any():
        raise ValueError("the array 'tools' does not ascend from above 0")
    starts = found.starts
    if starts[0] != 0 or starts[-1] != len(found.bits) or (starts[1:] <= starts[:-1]).any():
        raise ValueError(f"the array 'starts' does not lead from 0 to {len(found.bits)}, each tool with an example")
