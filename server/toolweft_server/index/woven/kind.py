"""`WovenKind`: opens the woven index, and the lexical one where the weights that came with toolweft cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from toolweft_catalog.catalog import Catalog
from toolweft_catalog.tool import Tool
from toolweft_server.errors import ToolweftError
from toolweft_server.index.base import ToolIndex
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.saved import SavedIndex
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.fusion import WEIGHTS
from toolweft_server.index.woven.index import WovenIndex

logger = logging.getLogger(__name__)

_READ = 1000
"""Tools in memory at a time while their texts are made."""


class WovenKind:
    """Blocking; used from worker threads. The encoder's files are read with the first text."""

    def __init__(self, saved: SavedIndex, *, without: Collection[str] = ()) -> None:
        """`without` names parts that do not count: dense, codes, use, examples, sets."""
        self._saved = saved
        self._weights = replace(WEIGHTS, **dict.fromkeys(without, 0.0))
        self._engine: Engine | None = None
        self._failure: str | None = None

    @property
    def note(self) -> str | None:
        """What whoever asks should know: that words alone rank, and why."""
        broken = self._failure or (self._engine.failure if self._engine else None)
        return f"Words alone rank, meaning does not count: {broken}." if broken else None

    def open(self, catalog: Catalog) -> ToolIndex:
        lexical = self._saved.open(catalog)
        assert isinstance(lexical, LexicalIndex)
        try:
            self._engine = self._engine or Engine.shipped(self._saved.folder)
        except ToolweftError as error:
            logger.warning("the woven index cannot be opened, the lexical one answers: %s", error)
            self._failure = str(error)
            return lexical

        def load(ids: Sequence[str]) -> Iterator[Tool]:
            for start in range(0, len(ids), _READ):
                yield from catalog.tools(ids[start : start + _READ])

        return WovenIndex.over(lexical, load, self._engine, weights=self._weights)

    def save(self, index: ToolIndex) -> None:
        self._saved.save(index)
