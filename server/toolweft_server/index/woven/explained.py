"""`explained`: what each part of a woven index says of the tools that it finds for a request, in numbers that add up.

Ranks and scores are those of `search`; the rest reads again what search read. Slower than a search by far: tools below
each prefix are described by their names. Nothing is counted here that search does not count; what has no weight is
shown all the same, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index import lexical, text
from toolweft_server.index.base import Hit
from toolweft_server.index.woven import code, fusion
from toolweft_server.index.woven.explain import Evidence, Explanation, Step, Term, describing, spread

if TYPE_CHECKING:
    from toolweft_server.index.woven.index import WovenIndex

_NAMED = {"exact": 0.9, "near": 0.8}
"""What a name alone gives to the score (`LexicalIndex`); the words behind it give up to 0.1 more."""
_NOTHING = 1e-6


def explained(index: WovenIndex, query: str, limit: int) -> Explanation:
    """The evidence for the first `limit` tools, best first."""
    matches = index.search(query, limit)
    vector = index.engine.request(query)
    tools = [hit.tool for hit in matches.hits]
    said = _Said(index, query, vector, tools)
    found = tuple(said.evidence(hit) for hit in matches.hits)
    notes = _notes(index, tools, alone=vector is None or said.shares is None)
    return Explanation(query, index.name, found, notes)


class _Said:
    """Everything that is looked up once for all tools of an answer."""

    def __init__(self, index: WovenIndex, query: str, vector: NDArray[np.float32] | None, tools: Sequence[str]) -> None:
        self._index, self._vector = index, vector
        wanted = set(tools)
        words = index.lexical.evidence(query)
        shares = fusion.by_words(words.scores)
        self._words = {
            tool: float(share) for tool, share in zip(index.lexical.places, shares, strict=True) if tool in wanted
        }
        self._terms = index.lexical.terms(query, wanted)
        self._spelled = _spelled(query)
        self._rows = {tool: row for row, tool in enumerate(index.ids) if tool in wanted and index.woven.known[row]}
        self._digests = {tool: digest for tool, digest in index.lexical.pairs if tool in wanted}
        self._names = spread(index.ids) if self._rows else {}
        self.shares = None if vector is None or not index.woven.known.any() else _shares(index, words, vector)
        """Tool -> part -> what it gave before names and sets; None when words alone rank."""

    def evidence(self, hit: Hit) -> Evidence:
        index, tool = self._index, hit.tool
        name, shares = self._added(hit)
        row, dense, score = self._rows.get(tool), None, None
        if row is not None and self._vector is not None:
            at = np.array([row], np.int64)
            dense = float(index.woven.vectors(at)[0].astype(np.float64) @ self._vector)
            score = float(index.engine.heads.verify(self._vector, index.woven, at).sum())
        used = index.use.usage.used.get(self._key(tool))
        return Evidence(
            tool=tool,
            score=hit.score,
            name=name,
            lexical=self._words.get(tool),
            terms=tuple(
                Term(self._spelled.get(term, term), weight)
                for term, weight in sorted(self._terms[tool].items(), key=lambda each: (-each[1], each[0]))
            ),
            dense=dense,
            code=() if row is None else self._path(row),
            code_score=score,
            used=used.weight if used else 0.0,
            use=self._use(tool),
            shares=shares,
        )

    def _added(self, hit: Hit) -> tuple[str | None, Mapping[str, float]]:
        """How the request names the tool, if it does; and what each part gave to its score."""
        if "name" in hit.why:
            own = 0.1 * self._words.get(hit.tool, 0.0)
            name = min(_NAMED, key=lambda each: abs(hit.score - own - _NAMED[each]))
            return name, {"name": _NAMED[name], "lexical": hit.score - _NAMED[name]}
        if self.shares is None or hit.tool not in self.shares:
            return None, {"lexical": hit.score}
        shares = dict(self.shares[hit.tool])
        rest = hit.score - sum(shares.values())
        return None, shares if abs(rest) < _NOTHING else {**shares, "sets": rest}

    def _key(self, tool: str) -> tuple[str, str]:
        return tool, self._digests.get(tool, "")

    def _use(self, tool: str) -> float:
        if self._vector is None:
            return 0.0
        return float(self._index.use.usage.scores(self._vector, [self._key(tool)])[0])

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


def _shares(index: WovenIndex, words: lexical.Evidence, vector: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """What words, vectors and use gave to each tool's score, as `WovenIndex.seen` adds them up."""
    seen = index.seen(words, vector)
    known = index.woven.known[seen.rows]
    by_words, by_vectors = fusion.by_words(seen.words), fusion.by_vectors(seen.cosines)
    dense = np.where(known, np.float32(index.weights.dense), np.float32(0))
    parts = {"lexical": (1 - dense) * by_words, "dense": dense * by_vectors, "use": index.weights.use * seen.use}
    best = max(float(np.sum(list(parts.values()), axis=0).max(initial=0.0)), 1e-9)
    scale = (0.8 if words.named else 1.0) / best
    return {
        index.ids[row]: {part: scale * float(each[at]) for part, each in parts.items()}
        for at, row in enumerate(seen.rows.tolist())
    }


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
    off = [part for part in ("dense", "codes", "use", "sets") if not getattr(weights, part)]
    if off:
        notes.append(f"Without weight, shown where known but not counted: {', '.join(off)}.")
    if weights.use and not index.use.usage.used:
        notes.append("Nothing was learned from use yet.")
    return tuple(notes)
