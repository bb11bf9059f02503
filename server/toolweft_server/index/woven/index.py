"""`WovenIndex`: words, vectors, codes and use together; the index that toolweft serves by default.

The lexical index stands inside and answers alone whatever the rest is not ready for. A new tool is found by its words
at once; its vector and its code follow with `further`, which somebody calls in the background. Rows are tools in the
order in which they got their vectors; nothing that is answered depends on that order. How the parts are weighed:
`fusion`; how a catalogue is laid out: `codes`; what may be asked of an index: `index.base`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolweft_catalog.names import identifier
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import IndexName, Why
from toolweft_server.index import text
from toolweft_server.index.base import Hit, Matches
from toolweft_server.index.lexical import Evidence, LexicalIndex
from toolweft_server.index.request import read
from toolweft_server.index.woven import cousage, document, explained, fusion, sets, usage
from toolweft_server.index.woven.codes import Rows, Woven
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.explain import Explanation
from toolweft_server.index.woven.fusion import WEIGHTS, Scores, Weights
from toolweft_server.index.woven.trie import END

TOGETHER = 512
"""Tools that `further` encodes at a time: a few seconds of one core."""
PRUNED_FROM, BUDGET = 20_000, 3000
"""From so many tools on, only those whose codes promise most are compared, so many."""
DRAFTS = 100
"""Best tools by words that get their exact cosine although their codes promised less."""
SOUGHT = 100
"""Best tools among which whole sets are sought."""
EXACT = 256
"""Best tools whose scores are computed anew, one by one; an answer has at most so many besides the named ones."""
FLOOR = 0.35
"""A tool matches when its score is at least this share of the best one's."""
UNLIKELY = 10.0
"""How far a first digit may fall behind the likeliest, in nats."""
SAID = 0.3
"""Share of the best BM25F from which words count as a match."""
MEANT = 0.3
"""Cosine from which a tool is an answer although it shares no word with the request."""


class Waiting(NamedTuple):
    """A tool without a vector."""

    digest: str
    document: str


class Use(NamedTuple):
    """What was learned from use."""

    usage: usage.Usage
    cousage: cousage.CoUsage


class Seen(NamedTuple):
    """The evidence on the tools that may be meant, for one request."""

    rows: Rows  # (C,)
    words: Scores  # (C,): BM25F
    cosines: Scores  # (C,): 0 for a tool without a vector
    use: Scores  # (C,): how much past use speaks for a tool, in [0, 1)
    fused: Scores  # (C,): in [0, 1], the best one 1


class WovenIndex:
    """An immutable snapshot. Make one with `build` or `open`."""

    name: IndexName = "woven"

    def __init__(
        self,
        engine: Engine,
        lexical: LexicalIndex,
        ids: Sequence[str],
        woven: Woven,
        waiting: Mapping[str, Waiting],
        weights: Weights = WEIGHTS,
        use: Use | None = None,
    ) -> None:
        """`ids` name the rows of `woven`."""
        self.engine, self.lexical, self.woven, self.waiting = engine, lexical, woven, waiting
        self.ids = tuple(ids)
        self.weights = weights
        self.use = use or Use(usage.nothing(engine.encoder.size), cousage.CoUsage({}, 0))

    @classmethod
    def build(cls, tools: Iterable[Tool], engine: Engine, *, weights: Weights = WEIGHTS) -> WovenIndex:
        """Reads each tool once. What the engine has no vector of waits for `further`."""
        return cls.over(LexicalIndex.build(()), lambda _: (), engine, weights=weights).updated(tools, ())

    @classmethod
    def over(
        cls,
        lexical: LexicalIndex,
        load: Callable[[Sequence[str]], Iterable[Tool]],
        engine: Engine,
        *,
        weights: Weights = WEIGHTS,
    ) -> WovenIndex:
        """A woven index over the tools of a lexical one. `load` reads those by id of which no vector is kept."""
        ids, digests = [tool for tool, _ in lexical.pairs], [digest for _, digest in lexical.pairs]
        have = engine.cache.get(digests).have
        missing = [tool for tool, known in zip(ids, have, strict=True) if not known]
        documents = {tool.id: document.text_of(tool) for tool in load(missing)} if missing else {}
        fresh = [Waiting(digest, documents.get(tool, "")) for tool, digest in zip(ids, digests, strict=True)]
        empty = Woven.build(
            np.zeros((0, engine.encoder.size), np.float32),
            np.zeros((0, len(engine.heads.levels)), np.int32),
            firsts=engine.heads.firsts,
        )
        nothing = cls(engine, lexical, (), empty, {}, weights)
        return nothing._with(lexical, fresh, ids, ())

    def save(self, folder: Path) -> None:
        self.lexical.save(folder)
        self.engine.cache.keep([digest for _, digest in self.lexical.pairs])
        self.engine.cache.save()

    def __len__(self) -> int:
        return len(self.lexical)

    def unfinished(self) -> int:
        """How many tools wait for their vector."""
        return 0 if self.engine.failure else len(self.waiting)

    def updated(self, added: Iterable[Tool], removed: Iterable[str]) -> WovenIndex:
        fresh = {tool.id: tool for tool in added}
        lexical = self.lexical.updated(fresh.values(), removed)
        waiting = [Waiting(tool.digest, document.text_of(tool)) for tool in fresh.values()]
        return self._with(lexical, waiting, list(fresh), removed)

    def further(self) -> WovenIndex:
        """The next snapshot: some more tools have a vector and a code. Blocking; some seconds of one core.

        When nothing waits, the encoder is made ready for the first request.
        """
        if not self.waiting:
            self.engine.encode([""])
            return self
        mine = dict(list(self.waiting.items())[:TOGETHER])
        missing = [each for each, have in zip(mine.values(), self._have(mine), strict=True) if not have]
        if missing:
            vectors = self.engine.encode([each.document for each in missing])
            if vectors is None:
                return self
            self.engine.cache.put([each.digest for each in missing], _never_zero(vectors))
        return self._with(self.lexical, list(mine.values()), list(mine), ())

    def _have(self, waiting: Mapping[str, Waiting]) -> NDArray[np.bool_]:
        return self.engine.cache.get([each.digest for each in waiting.values()]).have

    def _with(
        self, lexical: LexicalIndex, fresh: Sequence[Waiting], fresh_ids: Sequence[str], removed: Iterable[str]
    ) -> WovenIndex:
        gone = {*removed, *fresh_ids}
        kept = [row for row, tool in enumerate(self.ids) if tool not in gone]
        got = self.engine.cache.get([each.digest for each in fresh])
        codes = np.full((len(fresh), len(self.engine.heads.levels)), END, np.int32)
        codes[got.have] = self.engine.heads.encode(got.rows[got.have])
        woven = self.woven.updated(np.array(kept, np.int64), got.rows, codes)
        waiting = {tool: each for tool, each in self.waiting.items() if tool not in gone}
        waiting |= {tool: each for tool, each, have in zip(fresh_ids, fresh, got.have, strict=True) if not have}
        ids = (*(self.ids[row] for row in kept), *fresh_ids)
        return WovenIndex(self.engine, lexical, ids, woven, waiting, self.weights, self.use)

    def used(self, use: Use) -> WovenIndex:
        """The same tools with what was learned from use in place of what was known."""
        return WovenIndex(self.engine, self.lexical, self.ids, self.woven, self.waiting, self.weights, use)

    def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        vector = None
        if self.woven.known.any() and not text.STOP_WORDS.issuperset(read(query).terms):
            vector = self.engine.request(query)
        if vector is None:
            return self.lexical.search(query, limit, server=server)
        evidence = self.lexical.evidence(query, server=server)
        seen = self._whole(query, self.seen(evidence, vector, server))
        return self._answer(seen, evidence.named, limit) or Matches([], 0, self.lexical.nearest(query, server=server))

    def explain(self, query: str, limit: int) -> Explanation:
        """Why the first `limit` tools are found, part by part."""
        return explained.explained(self, query, limit)

    def seen(self, evidence: Evidence, vector: NDArray[np.float32], server: str | None = None) -> Seen:
        """What speaks for the tools that may be meant; names are looked at elsewhere."""
        words: Scores = evidence.scores[self._places]
        cosines = self._cosines(vector, words)
        if (mine := self._mask(server)) is not None:
            cosines = np.where(mine, cosines, np.float32(0))
        # Where a vector stands in memory shows in the last bits of a product of matrices, and must not in an answer.
        rows = _top(self._fused(words, cosines, self.woven.known), EXACT)
        exact = (self.woven.vectors(rows).astype(np.float64) * vector).sum(axis=1).astype(np.float32)
        if mine is not None:
            exact[~mine[rows]] = 0
        use = np.zeros(len(rows), np.float32)
        if self.weights.use and self.use.usage.served:
            # Only the first tools by what they say: use reorders them, and brings up nobody from behind.
            pool = usage.pool(self._fused(words[rows], exact, self.woven.known[rows]))
            tools = [(self.ids[row], self._digests[self.ids[row]]) for row in rows[pool].tolist()]
            exact[pool] += self.use.usage.lift(vector, tools, self.woven.vectors(rows[pool]))
            use[pool] = self.use.usage.scores(vector, tools)
        fused = self._fused(words[rows], exact, self.woven.known[rows]) + np.float32(self.weights.use) * use
        fused += np.float32(self.weights.codes) * self._topics(vector, rows)
        share = (fused / max(float(fused.max(initial=0.0)), 1e-9)).astype(np.float32)
        return Seen(rows, words[rows], exact, use, share)

    def _topics(self, vector: NDArray[np.float32], rows: Rows) -> Scores:
        """(C,) from -`UNLIKELY` to 0: log P of each tool's first digit, less that of the likeliest."""
        out = np.zeros(len(rows), np.float32)
        if self.weights.codes:
            firsts = self.woven.codes[rows, 0]
            logits = self.engine.heads.first(vector)
            out[:] = np.maximum(logits - logits[np.unique(self.woven.codes[self.woven.known, 0])].max(), -UNLIKELY)[
                firsts
            ]
            out[firsts == END] = 0
        return out

    def _whole(self, query: str, seen: Seen) -> Seen:
        """Whole sets: the tools that the parts of a request ask for, and those used together with the best ones."""
        if not self.weights.sets or len(seen.rows) < 2:
            return seen
        ids = [self.ids[row] for row in seen.rows.tolist()]
        order = np.array(sorted(range(len(ids)), key=lambda at: (-seen.fused[at], ids[at]))[:SOUGHT], np.int64)
        parts = sets.clauses(query) if sets.several(query) else []
        vectors = self.engine.encode(parts)
        place = {ids[at]: n for n, at in enumerate(order.tolist())}

        def partners(n: int) -> list[tuple[int, float]]:
            found = self.use.cousage.partners(ids[order[n]])
            return [(place[each.tool], each.weight) for each in found if each.tool in place]

        servers = np.unique([ids[at].partition(".")[0] for at in order], return_inverse=True)[1]
        pool = sets.Pool(seen.fused[order], self.woven.vectors(seen.rows[order]), servers)
        if vectors is None or (not len(parts) and not self.use.cousage.near):
            return seen
        again = sets.complete(pool, vectors, partners=partners)
        fused = seen.fused.copy()
        fused[order[again]] = seen.fused[order]  # the scores stay, and who has them changes
        return seen._replace(fused=fused)

    def _fused(self, words: Scores, cosines: Scores, known: NDArray[np.bool_]) -> Scores:
        return fusion.fused(self.weights, words, cosines, known)

    def _cosines(self, vector: NDArray[np.float32], words: Scores) -> Scores:
        """(n,): of all tools, or of those whose codes promise most and the best by words."""
        if len(self.ids) < PRUNED_FROM:
            return self.woven.scores(vector)
        found = self.woven.drafts(vector, self.engine.heads.tables(vector), BUDGET)
        cosines = np.zeros(len(self.ids), np.float32)
        cosines[found.rows] = found.scores
        drafts = _top(words, DRAFTS)
        cosines[drafts] = self.woven.vectors(drafts) @ vector
        return cosines

    def _answer(self, seen: Seen, named: Sequence[Hit], limit: int) -> Matches | None:
        """None when nothing matches."""
        said = seen.words >= max(SAID * float(seen.words.max(initial=0.0)), 1e-9)
        worth = (seen.fused >= FLOOR) & (said | (seen.cosines >= MEANT))
        found = {self.ids[row]: at for at, row in enumerate(seen.rows.tolist()) if worth[at]}
        if not found and not named:
            return None
        scale, taken = (0.8 if named else 1.0), {hit.tool for hit in named}
        hits = [
            Hit(tool, scale * float(seen.fused[at]), _why(seen, at)) for tool, at in found.items() if tool not in taken
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.tool))
        return Matches([*named, *hits][:limit], len(taken | found.keys()), [])

    @cached_property
    def _digests(self) -> dict[str, str]:
        return dict(self.lexical.pairs)

    @cached_property
    def _places(self) -> Rows:
        """(n,): where the lexical index has the score of each row."""
        at = {tool: place for place, tool in enumerate(self.lexical.places)}
        return np.fromiter((at[tool] for tool in self.ids), np.int64, len(self.ids))

    def _mask(self, server: str | None) -> NDArray[np.bool_] | None:
        if server is None:
            return None
        prefix = f"{identifier(server)}."
        return np.fromiter((tool.startswith(prefix) for tool in self.ids), np.bool_, len(self.ids))


def _why(seen: Seen, at: int) -> tuple[Why, ...]:
    said: list[Why] = []
    if seen.words[at] > 0:
        said.append("lexical")
    if seen.cosines[at] >= MEANT:
        said.append("dense")
    if seen.use[at] > 0:
        said.append("use")
    return tuple(said)


def _never_zero(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A tool that says nothing gets a direction of its own that no request has, so that it is never encoded again."""
    silent = ~vectors.any(axis=1)
    if silent.any():
        vectors = vectors.copy()
        vectors[silent, 0] = -1.0
    return vectors


def _top(scores: Scores, count: int) -> Rows:
    """Rows of the best scores above 0, at most `count`."""
    rows = np.argpartition(-scores, count)[:count] if count < len(scores) else np.arange(len(scores))
    out: Rows = rows[scores[rows] > 0]
    return out
