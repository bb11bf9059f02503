"""`LexicalIndex`: BM25F over what tools say about themselves, and the rule that a tool's own name always wins.

A request's terms are weighed by how rare they are and where they stand; nothing is learned from data and nothing is
understood. An index is a few `segments` with a mask of live tools each; `ranking` weighs them by statistics of all
live tools together, hence ranks and scores are those of an index built anew. `folder` keeps it on disk, `text` cuts,
`request` reads what was asked, `near` looks names up. How it ranks and why: `docs/index.md`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
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
from toolweft_server.index.ranking import RANKING, Part, Ranking, compacted, weighed
from toolweft_server.index.request import Name, Request, read

Array: TypeAlias = NDArray[Any]

NEAREST, NEAREST_LEAST = 5, 0.2
"""How many names are offered when nothing matches, and how similar they are at least."""

COMMON_WORD = 2
"""Tools beyond those of that name that may use `createIssue` or `md5`, before it is a word and no name."""


class Band(NamedTuple):
    """Between which scores the tools lie that a request names in one way; their words decide where."""

    low: float
    high: float


LITERALLY, EXACTLY, NEARLY = Band(0.95, 1.0), Band(0.9, 0.94), Band(0.8, 0.89)
"""By the id as it is written, by a name but for case and separators, by one that is an edit away."""

_NOTHING = 1e-9
_SEVERAL_PARTS = re.compile(r"[^_]_+[^_]|[a-z][A-Z]")


class _Place(NamedTuple):
    part: int
    doc: int


class Evidence(NamedTuple):
    """What words say."""

    scores: Array
    """(n,) float32: the weight of every tool under the request, in the order of `LexicalIndex.places`."""
    named: list[Hit]
    """The tools that the request names, best first."""


class LexicalIndex:
    """An immutable snapshot. Make one with `build` or `load`."""

    name: IndexName = "lexical"

    def __init__(self, parts: Sequence[Part], ranking: Ranking = RANKING) -> None:
        self._parts = tuple(parts)
        self._ranking = ranking
        self._size = sum(int(part.live.sum()) for part in self._parts)

    @classmethod
    def build(cls, tools: Iterable[Tool], *, ranking: Ranking = RANKING) -> LexicalIndex:
        """Reads each tool once and keeps none. Of two tools with one id the later counts."""
        segment = segments.build(tools)
        return cls(weighed([(segment, np.ones(len(segment), np.bool_))], ranking), ranking)

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """The snapshot saved in `folder`. Its arrays stay on disk and come into memory where they are touched.

        Raises:
            IndexFolderError: There is none, it is damaged, or another version wrote it. It can be deleted and built.

        """
        arrays = folders.load(folder, _stamp(RANKING))
        return cls([Part(each.segment, each.live, each.uses, each.impacts) for each in arrays])

    def save(self, folder: Path) -> None:
        held = [folders.Held(*part) for part in self._parts]
        folders.save(folder, held, _stamp(self._ranking), self.fingerprint)

    def __len__(self) -> int:
        return self._size

    def unfinished(self) -> int:
        return 0

    def further(self) -> LexicalIndex:
        return self

    def ids(self) -> list[str]:
        """The ids of every tool, sorted."""
        return [tool_id for tool_id, _ in self.pairs]

    @cached_property
    def fingerprint(self) -> str:
        """Which tools in which state this index covers; equals `fingerprint` of their cards."""
        return _fingerprint(self.pairs)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Id and digest of every tool, sorted."""
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
        return LexicalIndex(weighed(compacted(held), self._ranking), self._ranking)

    def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        request = read(query)
        scores, named = self._scores(request), self._named(query, request.names)
        if server is not None:
            masks = self._masks(server)
            scores = [np.where(mask, score, np.float32(0)) for mask, score in zip(masks, scores, strict=True)]
            named = {place: band for place, band in named.items() if masks[place.part][place.doc]}
        best = max((float(each.max()) for each in scores if len(each)), default=0.0)
        floor = max(best * self._ranking.floor, _NOTHING)
        found = [np.flatnonzero(each >= floor) for each in scores]
        total = sum(map(len, found)) + sum(scores[part][doc] < floor for part, doc in named)
        if not total:
            return Matches([], 0, self._nearest(request, server))
        return Matches(self._best(limit, scores, found, named, best), int(total), [])

    def evidence(self, query: str, *, server: str | None = None) -> Evidence:
        """What the words of a request say about every tool, for who weighs them against something else."""
        request = read(query)
        scores, named = self._scores(request), self._named(query, request.names)
        if server is not None:
            masks = self._masks(server)
            scores = [np.where(mask, score, np.float32(0)) for mask, score in zip(masks, scores, strict=True)]
            named = {place: band for place, band in named.items() if masks[place.part][place.doc]}
        best = max((float(each.max()) for each in scores if len(each)), default=0.0)
        nobody = [np.zeros(0, np.int64) for _ in scores]
        return Evidence(self._live(scores), self._best(len(named), scores, nobody, named, best))

    def _live(self, scores: Sequence[Array]) -> Array:
        """The scores of all live tools in the order of `places`."""
        live = [score[part.live] for part, score in zip(self._parts, scores, strict=True)]
        return np.concatenate([*live, np.zeros(0, np.float32)])

    def terms(self, query: str, tools: Collection[str]) -> dict[str, dict[str, float]]:
        """What each term of the request gives to the score of each of these tools, which is their sum; 0 left out."""
        places = [(at, tool) for at, tool in enumerate(self.places) if tool in tools]
        found: dict[str, dict[str, float]] = {tool: {} for tool in tools}
        for term, times in read(query).terms.items():
            weights = self._live(self._weights({term: times}))
            for at, tool in places:
                if weights[at] > 0:
                    found[tool][term] = float(weights[at])
        return found

    @cached_property
    def places(self) -> list[str]:
        """The id of each tool, in the order of `Evidence.scores`."""
        return [each for part in self._parts for each in itertools.compress(part.segment.ids.all(), part.live)]

    def nearest(self, query: str, *, server: str | None = None) -> list[str]:
        """The ids whose names come closest to a request that matches nothing."""
        return self._nearest(read(query), server)

    def scores(self, query: str) -> Array:
        """(n,) float32: the weight of every tool under the request, in the order of `ids()`; names do not win here."""
        return self.evidence(query).scores[self._order]

    @cached_property
    def _order(self) -> Array:
        """Places of the live tools in the order of their ids."""
        return np.array(sorted(range(len(self.places)), key=self.places.__getitem__), np.int64)

    def _scores(self, request: Request) -> list[Array]:
        """The weight of every tool under the request, a part at a time. Stop words alone match nothing."""
        return self._weights({} if text.STOP_WORDS.issuperset(request.terms) else request.terms)

    def _weights(self, terms: Mapping[str, int]) -> list[Array]:
        """What these terms give to every tool, a part at a time."""
        scores = [np.zeros(len(part.segment), np.float32) for part in self._parts]
        keys = np.array([text.key(term) for term in terms], np.uint64)
        positions = [part.segment.positions(keys) for part in self._parts]
        for n, (term, times) in enumerate(terms.items()):
            places = [int(at[n]) for at in positions]
            users = sum(int(part.uses[at]) for part, at in zip(self._parts, places, strict=True) if at >= 0)
            weight = np.float32(self._weight(term, times, users))
            for part, at, score in zip(self._parts, places, scores, strict=True):
                if at >= 0:
                    span = slice(int(part.segment.starts[at]), int(part.segment.starts[at + 1]))
                    np.add.at(score, part.segment.docs[span], weight * part.impacts[span])
        return scores

    def _weight(self, term: str, times: int, users: int) -> float:
        """How much a term of the request counts, given how many tools use it."""
        rare = math.log1p((len(self) - users + 0.5) / (users + 0.5))
        if term in text.STOP_WORDS:
            return rare * self._ranking.stop_weight
        return rare * (1.0 + self._ranking.repeat * math.log(times))

    def _named(self, query: str, names: Sequence[Name]) -> dict[_Place, Band]:
        """The tools that the request names, and how."""
        found: dict[_Place, Band] = {}
        for name in names:
            exact = self._first(name, near=False)
            found |= {place: LITERALLY if _stands(self._id(place), query) else EXACTLY for place in exact}
            if not exact:
                found |= {place: NEARLY for place in self._first(name, near=True) if place not in found}
        return found

    def _first(self, name: Name, *, near: bool) -> list[_Place]:
        """The tools under the first spelling that any tool answers to."""
        for key in name.keys:
            found = []
            for p, part in enumerate(self._parts):
                table = part.segment.names
                found += [_Place(p, doc) for doc in (table.near(key) if near else table.exact(key)) if part.live[doc]]
            if found and (name.certain or self._meant(name, found)):
                return found
        return []

    def _meant(self, name: Name, found: Sequence[_Place]) -> bool:
        """Whether what may be a name is one: no word that other tools use too, and no `e-mail` for `email`."""
        if name.word is None:
            return any(_SEVERAL_PARTS.search(self._id(place).partition(".")[2]) for place in found)
        keys = np.array([text.key(name.word)], np.uint64)
        places = [(part, int(part.segment.positions(keys)[0])) for part in self._parts]
        return sum(int(part.uses[at]) for part, at in places if at >= 0) <= len(found) + COMMON_WORD

    def _masks(self, server: str) -> list[Array]:
        """Which tools of each part are live and of one server."""
        numbers = [part.segment.server_number(identifier(server)) for part in self._parts]
        return [
            np.zeros_like(part.live) if number is None else part.live & (part.segment.servers == number)
            for part, number in zip(self._parts, numbers, strict=True)
        ]

    def _best(
        self, limit: int, scores: list[Array], found: list[Array], named: dict[_Place, Band], best: float
    ) -> list[Hit]:
        """Names first, then by score, then by id. With names in play the others share what lies below them."""
        hits = []
        for place, band in named.items():
            own = float(scores[place.part][place.doc])
            why: tuple[Why, ...] = ("name", "lexical") if own > 0 else ("name",)
            share = own / best if own > 0 else 0.0
            hits.append(Hit(self._id(place), band.low + (band.high - band.low) * share, why))
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
        masks = [part.live for part in self._parts] if server is None else self._masks(server)
        close = [
            (-similarity, self._id(_Place(p, doc)))
            for p, (part, mask) in enumerate(zip(self._parts, masks, strict=True))
            for similarity, doc in part.segment.names.closest(request.whole, NEAREST, mask)
            if similarity >= NEAREST_LEAST
        ]
        return list(dict.fromkeys(tool for _, tool in sorted(close)))[:NEAREST]

    def _id(self, place: _Place) -> str:
        return self._parts[place.part].segment.ids.at(place.doc)


def fingerprint(cards: Iterable[Card]) -> str:
    """The fingerprint of an index that covers exactly these tools. Linear; 50,000 cards take some 50 ms."""
    return _fingerprint(sorted((card.id, card.digest) for card in cards))


def _fingerprint(pairs: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"{tool_id} {digest}\n" for tool_id, digest in pairs)
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _stands(tool_id: str, query: str) -> bool:
    """Whether the id stands in the request as it is: `api.get_user` and `api.getUser` may be two tools."""
    return tool_id in query and re.search(rf"(?<!\w){re.escape(tool_id)}(?!\w)", query) is not None


def _top(score: Array, docs: Array, count: int) -> list[int]:
    """The `count` best of `docs`, best first; equals in the order of their ids."""
    if count <= 0:
        return []
    if count < len(docs):
        least = np.partition(score[docs], -count)[-count]
        docs = docs[score[docs] >= least]
    best: list[int] = docs[np.argsort(-score[docs], kind="stable")][:count].tolist()
    return best


def _without(part: Part, gone: set[str]) -> Array:
    live = part.live.copy()
    live[[doc for doc, tool_id in enumerate(part.segment.ids.all()) if tool_id in gone]] = False
    return live


def _stamp(ranking: Ranking) -> dict[str, Any]:
    """What must be equal for a saved index to be usable."""
    return {"text": text.VERSION, "fields": list(text.Fields._fields), "ranking": repr(ranking)}
