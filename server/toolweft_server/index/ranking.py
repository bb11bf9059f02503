"""How much a term counts: the dials, and what follows from all live tools of an index together.

Everything here is arithmetic on `segments`; `lexical` adds it up for a request. An index is few segments with few
dead tools: `compacted` keeps it so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index import segments
from toolweft_server.index.segments import Segment

Array: TypeAlias = NDArray[Any]

MOST_SEGMENTS = 8
"""Segments from which an update merges the small ones: a search visits each."""

MOST_DEAD = 0.25
"""Share of dead tools from which an update rewrites everything: they cost memory and time."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The dials of the formula. Tuned once on the `dev` requests of six public sets together; see `docs/index.md`."""

    weights: tuple[float, ...] = (2.0, 1.5, 1.0, 1.0, 0.5, 0.35)
    """How much one use of a term counts, for each of `text.Fields`."""
    lengths: tuple[float, ...] = (0.7, 0.7, 0.7, 0.4, 0.4, 0.7)
    """BM25's b for each field: 0 ignores how long a field is, 1 divides by it."""
    saturation: float = 1.2
    """BM25's k1."""
    stop_weight: float = 0.1
    """What is left of the weight of a term that is a stop word."""
    repeat: float = 0.5
    """How much a term that the request repeats gains: a factor of 1 + repeat · ln(times)."""
    floor: float = 0.3
    """A tool matches when its score is at least this share of the best one's."""


RANKING = Ranking()


class Part(NamedTuple):
    """A segment inside one snapshot: which of its tools are live, and what follows from all of them."""

    segment: Segment
    live: Array  # (n,) bool
    uses: Array  # (terms,) uint32: live tools that have the term
    impacts: Array  # (postings,) float32: the saturated weight of a term in a tool; 0 when the tool is dead


def compacted(held: list[tuple[Segment, Array]]) -> list[tuple[Segment, Array]]:
    """Few segments and few dead tools, without rewriting the large segment for every small change."""
    sizes = [len(segment) for segment, _ in held]
    if not held or sum(int(live.sum()) for _, live in held) < (1 - MOST_DEAD) * sum(sizes):
        chosen = list(range(len(held)))
    elif len(held) > MOST_SEGMENTS:
        largest = sizes.index(max(sizes))
        small = [n for n in range(len(held)) if n != largest]
        chosen = small if 4 * sum(sizes[n] for n in small) < sizes[largest] else list(range(len(held)))
    else:
        return held
    if not chosen:
        return held
    merged = segments.merge([held[n] for n in chosen])
    kept = [each for n, each in enumerate(held) if n not in chosen]
    return [*kept, (merged, np.ones(len(merged), np.bool_))]


def weighed(held: Sequence[tuple[Segment, Array]], ranking: Ranking) -> list[Part]:
    """Computes what depends on all live tools together: the averages, and with them every impact."""
    size = sum(int(live.sum()) for _, live in held)
    total = sum((segment.lengths[:, live].sum(axis=1, dtype=np.int64) for segment, live in held), start=np.int64(0))
    average = np.maximum(total / max(size, 1), 1e-9) * np.ones(segments.FIELDS)
    parts = []
    for segment, live in held:
        uses = _uses(segment, live)
        parts.append(Part(segment, live, uses, _impacts(segment, live, average, ranking)))
    return parts


def _uses(segment: Segment, live: Array) -> Array:
    """How many live tools have each term."""
    if live.all():
        return segments.sizes(segment.starts).astype(np.uint32)
    terms = np.repeat(np.arange(len(segment.vocabulary)), segments.sizes(segment.starts))
    return np.bincount(terms[live[segment.docs]], minlength=len(segment.vocabulary)).astype(np.uint32)


def _impacts(segment: Segment, live: Array, average: Array, ranking: Ranking) -> Array:
    """BM25F: weighted counts (their logarithm), each divided by how long its field is, added up, then saturated."""
    impacts = np.zeros(len(segment.docs), np.float32)
    for field, (weight, b) in enumerate(zip(ranking.weights, ranking.lengths, strict=True)):
        longer = np.maximum(segment.lengths[field], 1) / average[field]
        scale = np.where(live, weight / (1 - b + b * longer), 0).astype(np.float32)
        used = np.flatnonzero(segment.counts[field])
        # Each further use says less: a text that repeats its words is not about them that much more.
        impacts[used] += np.log2(1 + segment.counts[field][used].astype(np.float32)) * scale[segment.docs[used]]
    return impacts / (np.float32(ranking.saturation) + impacts)
