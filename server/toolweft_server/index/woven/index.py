"""`WovenIndex`: words, vectors, codes and use together; the index that toolweft serves by default.

The lexical index stands inside and answers alone whatever the rest is not ready for. A new tool is found by its words
at once; its vector and its code follow with `further`, which somebody calls in the background. Rows are tools in the
order in which they got their vectors; nothing that is answered depends on that order. How the parts are weighed:
`fusion`; who gets which place then: `placing`; how a catalogue is laid out: `codes`; what may be asked of an index:
`index.base`.
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
from toolweft_server.index.woven import cousage, document, explained, fusion, placing, producers, sets, traits, usage
from toolweft_server.index.woven.best import least
from toolweft_server.index.woven.codes import Candidates, Rows, Woven
from toolweft_server.index.woven.copies import Copies
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.examples import Asked, Examples
from toolweft_server.index.woven.explain import Explanation
from toolweft_server.index.woven.fusion import WEIGHTS, Scores, Weights
from toolweft_server.index.woven.producers import Producers
from toolweft_server.index.woven.seen import Seen
from toolweft_server.index.woven.traits import Records
from toolweft_server.index.woven.trie import END

TOGETHER = 512
"""Tools that `further` encodes at a time: a few seconds of one core."""
PRUNED_FROM, BUDGET = 20_000, 500
"""From so many tools on, only those whose codes promise most are compared, so many."""
FEW = 8
"""A server has few tools when there are so many times as many in all: their vectors are read one by one."""
DRAFTS = 100
"""Best tools by words that are compared although their codes promised less."""
EXACT = 256
"""Best tools whose scores are computed anew, one by one; an answer has at most so many that are no copies."""
FLOOR = 0.35
"""A tool matches when its score is at least this share of the best one's."""
UNLIKELY = 10.0
"""How far a first digit may fall behind the likeliest, in nats."""
SAID = 0.3
"""Share of the best BM25F from which words count as a match."""
MEANT = 0.3
"""Cosine from which a tool is an answer although it shares no word with the request."""
NEAR = 0.2
"""The same where something else answers: of alike tools the right one may be the second that comes to mind."""


class Waiting(NamedTuple):
    """A tool without a vector."""

    digest: str
    document: str


class Use(NamedTuple):
    """What was learned from use."""

    usage: usage.Usage
    cousage: cousage.CoUsage


class WovenIndex:
    """An immutable snapshot. Make one with `build` or `open`."""

    name: IndexName = "woven"

    def __init__(
        self,
        engine: Engine,
        lexical: LexicalIndex,
        ids: Sequence[str],
        woven: Woven,
        records: Records,
        waiting: Mapping[str, Waiting],
        weights: Weights = WEIGHTS,
        use: Use | None = None,
    ) -> None:
        """`ids` name the rows of `woven` and `records`."""
        self.engine, self.lexical, self.woven, self.records, self.waiting = engine, lexical, woven, records, waiting
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
        """A woven index over the tools of a lexical one. `load` reads those by id of which something is not kept."""
        ids, digests = [tool for tool, _ in lexical.pairs], [digest for _, digest in lexical.pairs]
        kept, place = traits.load(engine.folder, digests), {tool: n for n, tool in enumerate(ids)}
        missing = [ids[n] for n in np.flatnonzero(~(engine.cache.get(digests).have & kept.have)).tolist()]
        documents: dict[str, str] = {}
        for tool in load(missing) if missing else ():
            documents[tool.id] = document.text_of(tool)
            kept.records[place[tool.id]] = traits.of([tool])[0]
        fresh = [Waiting(digest, documents.get(tool, "")) for tool, digest in zip(ids, digests, strict=True)]
        empty = Woven.build(
            np.zeros((0, engine.encoder.size), np.float32),
            np.zeros((0, len(engine.heads.levels)), np.int32),
            firsts=engine.heads.firsts,
        )
        nothing = cls(engine, lexical, (), empty, traits.of(()), {}, weights)
        return nothing._with(lexical, fresh, ids, kept.records, ())

    def save(self, folder: Path) -> None:
        self.lexical.save(folder)
        self.engine.cache.keep([digest for _, digest in self.lexical.pairs])
        self.engine.cache.save()
        if self.engine.folder is not None:
            traits.save(self.engine.folder, [self._digests[tool] for tool in self.ids], self.records)

    def __len__(self) -> int:
        return len(self.lexical)

    def unfinished(self) -> int:
        """How many tools wait for their vector."""
        return 0 if self.engine.failure else len(self.waiting)

    def updated(self, added: Iterable[Tool], removed: Iterable[str]) -> WovenIndex:
        fresh = {tool.id: tool for tool in added}
        lexical = self.lexical.updated(fresh.values(), removed)
        waiting = [Waiting(tool.digest, document.text_of(tool)) for tool in fresh.values()]
        return self._with(lexical, waiting, list(fresh), traits.of(fresh.values()), removed)

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
        rows = np.array([row for row, tool in enumerate(self.ids) if tool in mine], np.int64)
        ids = [self.ids[row] for row in rows.tolist()]
        return self._with(self.lexical, [mine[tool] for tool in ids], ids, self.records[rows], ())

    def _have(self, waiting: Mapping[str, Waiting]) -> NDArray[np.bool_]:
        return self.engine.cache.get([each.digest for each in waiting.values()]).have

    def _with(
        self,
        lexical: LexicalIndex,
        fresh: Sequence[Waiting],
        fresh_ids: Sequence[str],
        records: Records,
        removed: Iterable[str],
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
        records = np.concatenate([self.records[kept], records])
        return WovenIndex(self.engine, lexical, ids, woven, records, waiting, self.weights, self.use)

    def used(self, use: Use) -> WovenIndex:
        """The same tools with what was learned from use in place of what was known."""
        return WovenIndex(
            self.engine, self.lexical, self.ids, self.woven, self.records, self.waiting, self.weights, use
        )

    def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        vector = None
        if self.woven.known.any() and not text.STOP_WORDS.issuperset(read(query).terms):
            vector = self.engine.request(query)
        if vector is None:
            return self.lexical.search(query, limit, server=server)
        evidence = self.lexical.evidence(query, server=server)
        seen = self.placed(query, self.seen(evidence, vector, server), evidence, vector, server)
        return _answer(seen, evidence.named, limit) or Matches([], 0, self.lexical.nearest(query, server=server))

    def explain(self, query: str, limit: int) -> Explanation:
        """Why the first `limit` tools are found, part by part."""
        return explained.explained(self, query, limit)

    def exemplified(self, row: int) -> bool:
        """Whether there are known requests for this tool, and they count."""
        return bool(self._asked.place[row] >= 0)

    def seen(self, evidence: Evidence, vector: NDArray[np.float32], server: str | None = None) -> Seen:
        """What speaks for the tools that may be meant; names are looked at elsewhere."""
        words: Scores = evidence.scores[self._places]
        compared = self._compared(vector, words, server)
        rows = compared.rows
        # Where a vector stands in memory shows in the last bits of a product of matrices, and must not in an answer.
        rows = self._copies.likely(rows, self._fused(words[rows], compared.scores, self.woven.known[rows]), EXACT)
        exact = self._exact(rows, vector)
        ids = [self.ids[row] for row in rows.tolist()]
        use = np.zeros(len(rows), np.float32)
        if self.weights.use and self.use.usage.served:
            # Only the first tools by what they say: use reorders them, and brings up nobody from behind.
            pool = usage.pool(self._fused(words[rows], exact, self.woven.known[rows]))
            tools = [(ids[at], self._digests[ids[at]]) for at in pool.tolist()]
            exact[pool] += self.use.usage.lift(vector, tools, self.woven.vectors(rows[pool]))
            use[pool] = self.use.usage.scores(vector, tools)
        fused = self._fused(words[rows], exact, self.woven.known[rows]) + np.float32(self.weights.use) * use
        fused += np.float32(self.weights.codes) * self._topics(vector, rows)
        share = (fused / max(float(fused.max(initial=0.0)), 1e-9)).astype(np.float32)
        said = words[rows] >= max(SAID * float(words[rows].max(initial=0.0)), 1e-9)
        meant = exact >= (NEAR if bool((said & (share >= FLOOR) | (exact >= MEANT)).any()) else MEANT)
        worth = (share >= FLOOR) & (said | meant)
        seen = Seen(rows=rows, ids=ids, words=words[rows], cosines=exact, use=use, fused=share, worth=worth)
        return self._asked.shared_out(seen, vector, self.weights.examples / max(float(fused.max(initial=0.0)), 1e-9))

    def _exact(self, rows: Rows, vector: NDArray[np.float32]) -> Scores:
        """(C,): cosines that are the same wherever a vector stands in memory: `einsum` adds up row by row."""
        cosines: Scores = np.einsum("cd,d->c", self.woven.vectors(rows), vector)
        return cosines

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

    def placed(
        self,
        query: str,
        seen: Seen,
        evidence: Evidence,
        vector: NDArray[np.float32],
        server: str | None = None,
    ) -> Seen:
        """What was seen, with the places that tools get beside one another."""

        def vectors(places: Rows) -> NDArray[np.float32]:
            return self.woven.vectors(seen.rows[places])

        seen = placing.distinct(seen, query, self.records[seen.rows], vectors, floor=FLOOR)
        if not self.weights.sets:
            return seen
        parts = self.engine.encode(sets.clauses(query) if sets.several(query) else [])
        if parts is not None:
            seen = placing.together(seen, parts, self.use.cousage, vectors)
        return seen if producers.held(query) else self._produced(seen, evidence, vector, server)

    def _produced(self, seen: Seen, evidence: Evidence, vector: NDArray[np.float32], server: str | None) -> Seen:
        """With the tool that gives what the first one requires."""
        named = [hit.tool for hit in evidence.named]
        first = next(iter(named), None) or seen.best()
        if first is None:
            return seen
        used = [self._rows[each.tool] for each in self.use.cousage.partners(first) if each.tool in self._rows]
        rows = self._producers.of(self._rows[first], np.array(used, np.int64))
        if server is not None:
            rows = rows[[self.ids[row].startswith(f"{identifier(server)}.") for row in rows.tolist()]]
        if not len(rows):
            return seen
        cosines = self._exact(rows, vector).tolist()
        row = min(zip(rows.tolist(), cosines, strict=True), key=lambda each: (-each[1], self.ids[each[0]]))[0]
        if self.ids[row] in named:
            return seen
        seen, at = self._beside(seen, row, evidence, vector)
        return placing.last(seen, at, first, len(named))

    def _beside(self, seen: Seen, row: int, evidence: Evidence, vector: NDArray[np.float32]) -> tuple[Seen, int]:
        """With this tool among those that were seen; and where."""
        if row not in (seen_rows := seen.rows.tolist()):
            rows = np.array([row], np.int64)
            words = evidence.scores[self._places[rows]]
            return seen.beside(rows, [self.ids[row]], words, self._exact(rows, vector)), len(seen_rows)
        return seen, seen_rows.index(row)

    def _fused(self, words: Scores, cosines: Scores, known: NDArray[np.bool_]) -> Scores:
        return fusion.fused(self.weights, words, cosines, known)

    def _compared(self, vector: NDArray[np.float32], words: Scores, server: str | None) -> Candidates:
        """Cosines of a server's tools; else of all, or of those whose codes promise most and the best by words."""
        if server is not None:
            rows = self._servers.get(identifier(server), np.zeros(0, np.int64))
            few = len(rows) * FEW < len(self.ids)
            return Candidates(rows, self.woven.vectors(rows) @ vector if few else self.woven.scores(vector)[rows])
        if len(self.ids) < PRUNED_FROM:
            return Candidates(np.arange(len(self.ids)), self.woven.scores(vector))
        cosines = np.zeros(len(self.ids), np.float32)
        found = self.woven.drafts(vector, self.engine.heads.tables(vector), BUDGET)
        cosines[found.rows] = found.scores
        drafts = self._copies.best(words, DRAFTS)  # copies must not crowd others out
        cosines[drafts] = self.woven.vectors(drafts) @ vector
        compared = np.zeros(len(self.ids), np.bool_)
        compared[found.rows] = compared[drafts] = True
        rows = np.flatnonzero(compared)
        return Candidates(rows, cosines[rows])

    @cached_property
    def _digests(self) -> dict[str, str]:
        return dict(self.lexical.pairs)

    @cached_property
    def _places(self) -> Rows:
        """(n,): where the lexical index has the score of each row."""
        at = {tool: place for place, tool in enumerate(self.lexical.places)}
        return np.fromiter((at[tool] for tool in self.ids), np.int64, len(self.ids))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {tool: row for row, tool in enumerate(self.ids)}

    @cached_property
    def _copies(self) -> Copies:
        return Copies(self.records, self.ids)

    @cached_property
    def _asked(self) -> Asked:
        examples = self.engine.examples if self.weights.examples else Examples.none(self.engine.encoder.size)
        return examples.over(self.records["copy"])

    @cached_property
    def _producers(self) -> Producers:
        return Producers(self.records)

    @cached_property
    def _servers(self) -> dict[str, Rows]:
        rows: dict[str, list[int]] = {}
        for row, tool in enumerate(self.ids):
            rows.setdefault(tool.partition(".")[0], []).append(row)
        return {server: np.array(mine, np.int64) for server, mine in rows.items()}


def _answer(seen: Seen, named: Sequence[Hit], limit: int) -> Matches | None:
    """None when nothing matches."""
    worth = np.flatnonzero(seen.worth).tolist()
    if not worth and not named:
        return None
    scale, taken = (0.8 if named else 1.0), {hit.tool for hit in named}
    scores = (seen.fused.astype(np.float64) * scale).tolist()
    others = [at for at in worth if seen.ids[at] not in taken] if taken else worth
    edge = least(seen.fused[others], limit)  # most need not be compared by id
    best = sorted((at for at in others if seen.fused[at] >= edge), key=lambda at: (-scores[at], seen.ids[at]))[:limit]
    hits = [Hit(seen.ids[at], scores[at], _why(seen, at)) for at in best]
    return Matches([*named, *hits][:limit], len(taken) + len(others), [])


def _why(seen: Seen, at: int) -> tuple[Why, ...]:
    said: list[Why] = []
    if seen.words[at] > 0:
        said.append("lexical")
    if seen.cosines[at] >= MEANT:
        said.append("dense")
    if seen.use[at] > 0:
        said.append("use")
    if seen.ids[at] in seen.raised:
        said.append("examples")
    if seen.ids[at] in seen.moved and seen.moved[seen.ids[at]].reason in ("part", "partner", "producer"):
        said.append("sets")
    return tuple(said)


def _never_zero(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A tool that says nothing gets a direction of its own that no request has, so that it is never encoded again."""
    silent = ~vectors.any(axis=1)
    if silent.any():
        vectors = vectors.copy()
        vectors[silent, 0] = -1.0
    return vectors
