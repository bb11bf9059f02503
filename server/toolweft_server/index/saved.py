"""`SavedIndex`: the lexical index in its folder beside the store; made anew when it does not cover the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from toolweft_catalog.catalog import Catalog
from toolweft_catalog.tool import Tool
from toolweft_server.errors import IndexFolderError
from toolweft_server.index.base import ToolIndex
from toolweft_server.index.lexical import LexicalIndex, fingerprint

logger = logging.getLogger(__name__)


class SavedIndex:
    """Blocking; used from worker threads. A folder that cannot be read or written costs time, never an answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def note(self) -> None:
        """Nothing: this index needs no part that could be missing."""

    @classmethod
    def beside(cls, store: Path) -> SavedIndex:
        """The index of a store."""
        return cls(store.with_name(store.name + ".index"))

    def open(self, catalog: Catalog) -> LexicalIndex:
        """The saved index when it covers exactly this catalogue, else a fresh one, saved."""
        saved = self.current(catalog)
        if saved is not None:
            return saved
        fresh = LexicalIndex.build(_each(catalog))
        self.save(fresh)
        # From its files the index is mapped and shared with other processes; as built it would stay in memory.
        return self.current(catalog) or fresh

    def current(self, catalog: Catalog) -> LexicalIndex | None:
        """The saved index, if it covers exactly this catalogue."""
        try:
            index = LexicalIndex.load(self.folder)
        except (IndexFolderError, FileNotFoundError) as error:
            logger.info("the index is built anew: %s", error)
            return None
        return index if index.fingerprint == fingerprint(catalog) else None

    def save(self, index: ToolIndex) -> None:
        try:
            index.save(self.folder)
        except (IndexFolderError, OSError) as error:
            logger.warning("the index is not saved and will be built again at the next start: %s", error)


def _each(catalog: Catalog) -> Iterator[Tool]:
    """Every tool, a thousand in memory at a time."""
    ids = [card.id for card in catalog]
    for start in range(0, len(ids), 1000):
        yield from catalog.tools(ids[start : start + 1000])
