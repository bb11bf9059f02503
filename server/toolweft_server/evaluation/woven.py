"""The woven index as systems: as it serves, and its codes alone, which either name tools or judge those of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolweft_catalog.tool import Tool
from toolweft_server.errors import EncoderError
from toolweft_server.evaluation.systems import Part, Progress, best, silent
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.index import WovenIndex

DRAFTS = 100
"""Tools of the mix of words and vectors that codes judge."""


def built(tools: Sequence[Tool], engine: Engine, *, progress: Progress = silent) -> WovenIndex:
    """The index of these tools as it is when the work in the background is done.

    Raises:
        EncoderError: The encoder cannot be used: words alone would be measured.

    """
    index = WovenIndex.build(tools, engine)
    while left := index.unfinished():
        progress("tools woven", len(index) - left, len(index))
        index = index.further()
    if engine.failure:
        raise EncoderError(engine.failure)
    return index


class Generated:
    """The codes themselves name the tools, from the likeliest first digit on (`Heads.generate`)."""

    name = "generate"

    def __init__(self, index: WovenIndex) -> None:
        self._index = index

    def rank(self, queries: Sequence[str], depth: int) -> list[list[str]]:
        engine, ids = self._index.engine, self._index.ids
        ranked: list[list[str]] = []
        for query in queries:
            vector = engine.request(query)
            rows = [] if vector is None else engine.heads.generate(vector, self._index.woven, depth).rows.tolist()
            ranked.append([ids[row] for row in rows])
        return ranked


class Verified:
    """The first `DRAFTS` tools of another part, in the order of what their codes say (`Heads.verify`)."""

    name = "codes"

    def __init__(self, index: WovenIndex, drafts: Part) -> None:
        self._index, self._drafts = index, drafts
        self._row = {tool: row for row, tool in enumerate(index.ids)}

    def rank(self, queries: Sequence[str], depth: int) -> list[list[str]]:
        return [self._ranked(query)[:depth] for query in queries]

    def _ranked(self, query: str) -> list[str]:
        scores = self._drafts.scores([query])[0]
        found = [self._drafts.ids[at] for at in best(scores, DRAFTS) if scores[at] > 0]
        vector = self._index.engine.request(query)
        if vector is None:
            return found
        rows = np.array([self._row[tool] for tool in found], np.int64)
        likely = self._index.engine.heads.verify(vector, self._index.woven, rows).sum(axis=1)
        return [found[at] for at in np.argsort(-likely, kind="stable")]
