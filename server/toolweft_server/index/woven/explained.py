"""`explained`: what each part of a woven index says of the tools that it finds for a request, in numbers that add up.

Ranks and scores are those of `search`; the rest reads again what search read. Slower than a search by far: tools below
each prefix are described by their names. Nothing is counted here that search does not count; what has no weight is
shown all the same, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index import lexical, text
from toolweft_server.index.base import Hit
from toolweft_server.index.lexical import EXACTLY, LITERALLY, NEARLY
from toolweft_server.index.woven import code, fusion
from toolweft_server.index.woven.explain import Evidence, Explanation, Step, Term, describing, spread
from toolweft_server.index.woven.seen import Reason

if TYPE_CHECKING:
    from toolweft_server.index.woven.index import WovenIndex

_PLACES: Mapping[Reason, str] = {
    "part": "up: it answers a part of the request",
    "partner": "up: used together with {}",
    "producer": "among the last: it gives what {} requires",
    "copy": "back: a copy of {}",
    "near copy": "back: nearly a copy of {}",
    "server": "before its copies: the request names its server",
}
_NOTHING = 1e-6


def explained(index: WovenIndex, query: str, limit: int) -> Explanation:
    """The evidence for the first `limit` tools, best first."""
    matches = index.search(query, limit)
    vector = index.engine.request(query)
    tools = [hit.tool for hit in matches.hits]
    said = _Said(index, query, vector, tools)
    found = tuple(said.evidence(hit) for hit in matches.hits)
    notes = _notes(index, tools, alone=said.alone)
    return Explanation(query, index.name, found, notes)


class _Counted(NamedTuple):
    cosine: float
    """After what use has moved."""
    use: float
    shares: dict[str, float]
    """Part -> what it gave, before names and sets; what use has moved is use's."""


class _Said:
    """Everything that is looked up once for all tools of an answer."""

    def __init__(self, index: WovenIndex, query: str, vector: NDArray[np.float32] | None, tools: Sequence[str]) -> None:
        self._index, self._vector = index, vector
        wanted = set(tools)
        words = index.lexical.evidence(query)
        best = max(float(words.scores.max(initial=0.0)), _NOTHING)
        self._words = {
            tool: float(score) / best
            for tool, score in zip(index.lexical.places, words.scores, strict=True)
            if tool in wanted
        }
        self._terms = index.lexical.terms(query, wanted)
        self._spelled = _spelled(query)
        self._rows = {tool: row for row, tool in enumerate(index.ids) if tool in wanted and index.woven.known[row]}
        self._digests = {tool: digest for tool, digest in index.lexical.pairs if tool in wanted}
        self._names = spread(index.ids) if self._rows else {}
        self.alone = vector is None or not index.woven.known.any()
        """Whether words alone rank."""
        self._counted = {} if vector is None or self.alone else _counted(index, words, vector)
        self._moved = (
            {} if vector is None or self.alone else index.placed(query, index.seen(words, vector), words, vector).moved
        )

    def evidence(self, hit: Hit) -> Evidence:
        index, tool = self._index, hit.tool
        name, shares = self._added(hit)
        row, counted, moved = self._rows.get(tool), self._counted.get(tool), self._moved.get(tool)
        score = dense = None
        if row is not None and self._vector is not None:
            dense = float(index.woven.vectors(np.array([row]))[0] @ self._vector)
            score = float(index.engine.heads.verify(self._vector, index.woven, np.array([row], np.int64)).sum())
        used = index.use.usage.used.get((tool, self._digests.get(tool, "")))
        return Evidence(
            tool=tool,
            score=hit.score,
            name=name,
            lexical=self._words.get(tool),
            terms=tuple(
                Term(self._spelled.get(term, term), weight)
                for term, weight in sorted(self._terms[tool].items(), key=lambda each: (-each[1], each[0]))
            ),
            dense=counted.cosine if counted and row is not None else dense,
            code=() if row is None else self._path(row),
            code_score=score,
            used=used.weight if used else 0.0,
            use=counted.use if counted else 0.0,
            shift=used.shift if used and counted and counted.use else 0.0,
            shares=shares,
            place=None if moved is None else _PLACES[moved.reason].format(moved.of),
        )

    def _added(self, hit: Hit) -> tuple[str | None, Mapping[str, float]]:
        """How the request names the tool, if it does; and what each part gave to its score."""
        if "name" in hit.why:
            alone = next(band.low for band in (LITERALLY, EXACTLY, NEARLY) if hit.score >= band.low)
            return "near" if alone < EXACTLY.low else "exact", {"name": alone, "lexical": hit.score - alone}
        if self.alone:
            return None, {"lexical": hit.score}
        counted, moved = self._counted.get(hit.tool), self._moved.get(hit.tool)
        shares = counted.shares if counted else {}
        rest = hit.score - sum(shares.values())
        by = "copies" if moved and moved.reason in ("copy", "near copy", "server") else "sets"
        return None, shares if abs(rest) < _NOTHING else {**shares, by: rest}

    def _path(self, row: int) -> tuple[Step, ...]:
        woven, ids = self._index.woven, self._index.ids
        steps = []
        for level, (digit, node) in enumerate(zip(woven.codes[row], woven.nodes[row], strict=True)):
            below = [ids[each] for each in woven.trie.tools(int(node))]
            words = describing(below, self._names, len(ids)) if len(below) < len(ids) else ()
            steps.append(Step(code.token(level, int(digit)), words, len(below)))
        return tuple(steps)


def _spelled(query: str) -> dict[str, str]:
    """Term -> the word of the request that it stands for: terms are stems."""
    terms = {word: text.split(word) for word in text.words(query)}
    return {found[0]: word for word, found in terms.items() if len(found) == 1}


def _counted(index: WovenIndex, words: lexical.Evidence, vector: NDArray[np.float32]) -> dict[str, _Counted]:
    """What words, vectors and use gave to each tool that may be meant, as `WovenIndex.seen` adds it up."""
    seen, weights = index.seen(words, vector), index.weights
    known = index.woven.known[seen.rows]
    both = fusion.fused(weights, seen.words, seen.cosines, known)
    by_vector = np.where(known, weights.dense * seen.cosines, 0.0)
    plain = (index.woven.vectors(seen.rows).astype(np.float64) * vector).sum(axis=1)
    moved = np.where(known & (seen.use > 0), weights.dense * (seen.cosines - plain), 0.0)
    used = weights.use * seen.use
    below = 0.8 if words.named else 1.0
    scale = below / max(float((both + used).max(initial=0.0)), 1e-9)
    parts = {"lexical": both - by_vector, "dense": by_vector - moved, "use": used + moved}
    found = {}
    for at, row in enumerate(seen.rows.tolist()):
        shares = {part: scale * float(each[at]) for part, each in parts.items()}
        if abs(change := below * float(seen.fused[at]) - sum(shares.values())) > _NOTHING and index.exemplified(row):
            shares["examples"] = change
        found[index.ids[row]] = _Counted(float(seen.cosines[at]), float(seen.use[at]), shares)
    return found


def _notes(index: WovenIndex, tools: Sequence[str], *, alone: bool) -> tuple[str, ...]:
    """A sentence on each part that is off, missing or not finished."""
    notes = []
    if index.engine.failure:
        notes.append(f"Words alone rank, meaning does not count: {index.engine.failure}.")
    elif alone:
        notes.append("Words alone rank: the request, or every tool, has no vector.")
    if left := index.unfinished():
        new = [tool for tool in tools if tool in index.waiting]
        notes.append(
            f"{left} of {len(index)} tools have no vector yet, and their words alone count"
            + (f"; of these here: {', '.join(new)}." if new else ".")
        )
    weights = index.weights
    off = [part for part in ("dense", "codes", "use", "examples", "sets") if not getattr(weights, part)]
    if off:
        notes.append(f"Without weight, shown where known but not counted: {', '.join(off)}.")
    if weights.examples and index.engine.no_examples:
        notes.append(f"Known requests do not count: {index.engine.no_examples}.")
    if weights.use and not index.use.usage.used:
        notes.append("Nothing was learned from use yet.")
    return tuple(notes)
