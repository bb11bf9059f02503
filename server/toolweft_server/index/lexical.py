"""`LexicalIndex`: BM25F over what tools say about themselves, and the rule that a tool's own name always wins.

A request's terms are weighed by how rare they are and where they stand (`Ranking`); nothing is learned from data and
nothing is understood. An index is a few `segments` with a mask of live tools each; statistics are those of all live
tools together, hence ranks and scores are those of an index built anew. `folder` keeps it on disk, `text` cuts,
`request` reads what was asked, `near` looks names up. How it ranks and why: `docs/index.md`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from toolweft_catalog.catalog import Card
from toolweft_catalog.names import identifier
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import IndexName, Why

from toolweft_server.index import folder as folders
from toolweft_server.index import segments, text
from toolweft_server.index.base import Hit, Matches
from toolweft_server.index.request import Name, Request, read
from toolweft_server.index.segments import Segment

Array: TypeAlias = NDArray[Any]

MOST_SEGMENTS = 8
"""Segments from which an update merges the small ones: a search visits each."""

MOST_DEAD = 0.25
"""Share of dead tools from which an update rewrites everything: they cost memory and time."""

NEAREST = 5
_NEAREST_LEAST = 0.2


@dataclass(frozen=True, slots=True)
class Ranking:
    """The dials of the formula. Tuned once on the `dev` requests of six public sets together; see `docs/index.md`."""

    weights: tuple[float, ...] = (3.0, 1.5, 1.0, 0.5, 0.25, 0.5)
    """How much one use of a term counts, for each of `text.Fields`."""
    lengths: tuple[float, ...] = (0.6, 0.6, 0.6, 0.6, 0.6, 0.6)
    """BM25's b for each field: 0 ignores how long a field is, 1 divides by it."""
    saturation: float = 1.2
    """BM25's k1."""
    stop_weight: float = 0.1
    repeat: float = 0.0
    """How much a term that the request repeats gains."""
    coverage: float = 0.0
    """Exponent of the share of the request's weight that a tool covers: favours many terms over one rare term."""
    floor: float = 0.2
    """A tool matches when its score is at least this share of the best one's."""


RANKING = Ranking()


class _Part(NamedTuple):
    """A segment inside one snapshot: which of its tools are live, and what follows from all of them."""

    segment: Segment
    live: Array  # (n,) bool
    uses: Array  # (terms,) uint32: live tools that have the term
    impacts: Array  # (postings,) float32: the saturated weight of a term in a tool; 0 when the tool is dead


class _Place(NamedTuple):
    part: int
    doc: int


class LexicalIndex:
    """An immutable snapshot. Make one with `build` or `load`."""

    name: IndexName = "lexical"

    def __init__(self, parts: Sequence[_Part], ranking: Ranking = RANKING) -> None:
        self._parts = tuple(parts)
        self._ranking = ranking
        self._size = sum(int(part.live.sum()) for part in self._parts)

    @classmethod
    def build(cls, tools: Iterable[Tool], *, ranking: Ranking = RANKING) -> LexicalIndex:
        """Reads each tool once and keeps none. Of two tools with one id the later counts."""
        segment = segments.build(tools)
        return cls(_weighed([(segment, np.ones(len(segment), np.bool_))], ranking), ranking)

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """The snapshot saved in `folder`. Its arrays stay on disk and come into memory where they are touched.

        Raises:
            IndexFolderError: There is none, it is damaged, or another version wrote it. It can be deleted and built.

        """
        arrays = folders.load(folder, _stamp(RANKING))
        return cls([_Part(each.segment, each.live, each.uses, each.impacts) for each in arrays])

    def save(self, folder: Path) -> None:
        held = [folders.Held(*part) for part in self._parts]
        folders.save(folder, held, _stamp(self._ranking), self.fingerprint)

    def __len__(self) -> int:
        return self._size

    def ids(self) -> list[str]:
        """The ids of every tool, sorted."""
        return [tool_id for tool_id, _ in self._pairs]

    @cached_property
    def fingerprint(self) -> str:
        """Which tools in which state this index covers; equals `fingerprint` of their cards."""
        return _fingerprint(self._pairs)

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        return sorted(
            (tool_id, part.segment.digest(doc))
            for part in self._parts
            for doc, tool_id in enumerate(part.segment.ids.all())
            if part.live[doc]
        )

    def updated(self, added: Iterable[Tool], removed: Iterable[str]) -> LexicalIndex:
        fresh = segments.build(added)
        gone = {*removed, *fresh.ids.all()}
        held = [(part.segment, _without(part, gone)) for part in self._parts]
        held = [(segment, live) for segment, live in held if live.any()]
        if len(fresh):
            held.append((fresh, np.ones(len(fresh), np.bool_)))
        return LexicalIndex(_weighed(_compacted(held), self._ranking), self._ranking)

    def reranked(self, ranking: Ranking) -> LexicalIndex:
        """The same tools under other dials, for tuning."""
        return LexicalIndex(_weighed([(part.segment, part.live) for part in self._parts], ranking), ranking)

    def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        request = read(query)
        scores = self._scores(request)
        named = self._named(request.names)
        if server is not None:
            scores, named = self._of_server(server, scores, named)
        best = max((float(each.max()) for each in scores if len(each)), default=0.0)
        found = [np.flatnonzero(each >= max(best * self._ranking.floor, 1e-9)) for each in scores]
        total = sum(map(len, found)) + sum(scores[p][d] < max(best * self._ranking.floor, 1e-9) for p, d in named)
        if not total:
            return Matches([], 0, self._nearest(request, server))
        return Matches(self._best(limit, scores, found, named, best), int(total), [])

    def _scores(self, request: Request) -> list[Array]:
        """The weight of every tool under the request, a part at a time."""
        ranking = self._ranking
        keys = np.array([text.key(term) for term in request.terms], np.uint64)
        positions = [part.segment.positions(keys) for part in self._parts]
        scores = [np.zeros(len(part.segment), np.float32) for part in self._parts]
        covers = [np.zeros(len(part.segment), np.float32) for part in self._parts]
        whole = 0.0
        meant = any(term not in text.STOP_WORDS for term in request.terms)
        for n, (term, times) in enumerate(request.terms.items()):
            users = sum(int(part.uses[at[n]]) for part, at in zip(self._parts, positions, strict=True) if at[n] >= 0)
            weight = math.log1p((len(self) - users + 0.5) / (users + 0.5))
            weight *= ranking.stop_weight if term in text.STOP_WORDS else 1.0 + ranking.repeat * math.log(times)
            whole += weight
            if not meant or not weight:
                continue
            for part, at, score, cover in zip(self._parts, positions, scores, covers, strict=True):
                if at[n] >= 0:
                    span = slice(int(part.segment.starts[at[n]]), int(part.segment.starts[at[n] + 1]))
                    docs = part.segment.docs[span]
                    score[docs] += np.float32(weight) * part.impacts[span]
                    if ranking.coverage:
                        cover[docs] += np.float32(weight)
        if ranking.coverage:
            scores = [
                s * (c / np.float32(whole or 1.0)) ** np.float32(ranking.coverage)
                for s, c in zip(scores, covers, strict=True)
            ]
        return scores

    def _named(self, names: Sequence[Name]) -> dict[_Place, bool]:
        """The tools that the request names: True when exactly, False when one edit away."""
        found: dict[_Place, bool] = {}
        for name in names:
            exact = self._first(name, near=False)
            found |= dict.fromkeys(exact, True)
            if not exact:
                found |= {place: False for place in self._first(name, near=True) if place not in found}
        return found

    def _first(self, name: Name, *, near: bool) -> list[_Place]:
        """The tools under the first spelling that any tool answers to."""
        for key in name.keys:
            found = []
            for p, part in enumerate(self._parts):
                table = part.segment.names
                found += [_Place(p, doc) for doc in (table.near(key) if near else table.exact(key)) if part.live[doc]]
            found = [place for place in found if name.certain or self._several_parts(place)]
            if found:
                return found
        return []

    def _several_parts(self, place: _Place) -> bool:
        own = self._id(place).rpartition(".")[2].strip("_")
        return "_" in own or len(text.split(own)) > 1

    def _of_server(
        self, server: str, scores: list[Array], named: dict[_Place, bool]
    ) -> tuple[list[Array], dict[_Place, bool]]:
        numbers = [part.segment.server_number(identifier(server)) for part in self._parts]
        masks = [part.segment.servers == (-1 if n is None else n) for part, n in zip(self._parts, numbers, strict=True)]
        return (
            [np.where(mask, score, np.float32(0)) for mask, score in zip(masks, scores, strict=True)],
            {place: exact for place, exact in named.items() if masks[place.part][place.doc]},
        )

    def _best(
        self, limit: int, scores: list[Array], found: list[Array], named: dict[_Place, bool], best: float
    ) -> list[Hit]:
        """Names first, then by score, then by id. With names in play the others share what lies below them."""
        hits = []
        for place, exact in named.items():
            own = float(scores[place.part][place.doc])
            why: tuple[Why, ...] = ("name", "lexical") if own > 0 else ("name",)
            hits.append(Hit(self._id(place), (0.9 if exact else 0.8) + (0.1 * own / best if own > 0 else 0.0), why))
        scale = 0.8 if named else 1.0
        why_lexical: tuple[Why, ...] = ("lexical",)
        for p, (score, docs) in enumerate(zip(scores, found, strict=True)):
            hits += [
                Hit(self._id(_Place(p, doc)), scale * (float(score[doc]) / best), why_lexical)
                for doc in _top(score, docs, limit + len(named))
                if _Place(p, doc) not in named
            ]
        hits.sort(key=lambda hit: (-hit.score, hit.tool))
        return hits[:limit]

    def _nearest(self, request: Request, server: str | None) -> list[str]:
        prefix = "" if server is None else identifier(server) + "."
        count = NEAREST if server is None else 200
        close = [
            (-similarity, self._id(_Place(p, doc)))
            for p, part in enumerate(self._parts)
            for similarity, doc in part.segment.names.closest(request.whole, count)
            if part.live[doc] and similarity >= _NEAREST_LEAST
        ]
        ordered = dict.fromkeys(tool for _, tool in sorted(close) if tool.startswith(prefix))
        return list(ordered)[:NEAREST]

    def _id(self, place: _Place) -> str:
        return self._parts[place.part].segment.ids.at(place.doc)


def fingerprint(cards: Iterable[Card]) -> str:
    """The fingerprint of an index that covers exactly these tools. Linear; 50,000 cards take some 50 ms."""
    return _fingerprint(sorted((card.id, card.digest) for card in cards))


def _fingerprint(pairs: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"{tool_id} {digest}\n" for tool_id, digest in pairs)
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _top(score: Array, docs: Array, count: int) -> list[int]:
    """The `count` best of `docs`, best first; equals in the order of their ids."""
    if count < len(docs):
        least = np.partition(score[docs], -count)[-count]
        docs = docs[score[docs] >= least]
    best: list[int] = docs[np.argsort(-score[docs], kind="stable")][:count].tolist()
    return best


def _without(part: _Part, gone: set[str]) -> Array:
    live = part.live.copy()
    live[[doc for doc, tool_id in enumerate(part.segment.ids.all()) if tool_id in gone]] = False
    return live


def _compacted(held: list[tuple[Segment, Array]]) -> list[tuple[Segment, Array]]:
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


def _weighed(held: Sequence[tuple[Segment, Array]], ranking: Ranking) -> list[_Part]:
    """Computes what depends on all live tools together: the averages, and with them every impact."""
    size = sum(int(live.sum()) for _, live in held)
    total = sum((segment.lengths[:, live].sum(axis=1, dtype=np.int64) for segment, live in held), start=np.int64(0))
    average = np.maximum(total / max(size, 1), 1e-9) * np.ones(segments.FIELDS)
    parts = []
    for segment, live in held:
        terms = np.repeat(np.arange(len(segment.vocabulary)), segments.sizes(segment.starts))
        uses = np.bincount(terms[live[segment.docs]], minlength=len(segment.vocabulary)).astype(np.uint32)
        parts.append(_Part(segment, live, uses, _impacts(segment, live, average, ranking)))
    return parts


def _impacts(segment: Segment, live: Array, average: Array, ranking: Ranking) -> Array:
    """BM25F: weighted counts, each divided by how long its field is, added up, then saturated."""
    impacts = np.zeros(len(segment.docs), np.float32)
    for field, (weight, b) in enumerate(zip(ranking.weights, ranking.lengths, strict=True)):
        scale = np.where(live, weight / (1 - b + b * segment.lengths[field] / average[field]), 0).astype(np.float32)
        used = np.flatnonzero(segment.counts[field])
        impacts[used] += segment.counts[field][used] * scale[segment.docs[used]]
    return impacts / (np.float32(ranking.saturation) + impacts)


def _stamp(ranking: Ranking) -> dict[str, Any]:
    """What must be equal for a saved index to be usable."""
    return {"text": text.VERSION, "fields": list(text.Fields._fields), "ranking": repr(replace(ranking))}
