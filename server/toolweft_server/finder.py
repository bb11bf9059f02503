"""`Finder`: one request's view of the running server, for `tools.find_tools`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial

import anyio

from toolweft_catalog import shape
from toolweft_catalog.shape import Shape
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import IndexName
from toolweft_server.errors import ToolweftError
from toolweft_server.index.base import Matches
from toolweft_server.live import LiveCatalog
from toolweft_server.serving import Asker
from toolweft_server.store.store import Store

logger = logging.getLogger(__name__)

NOTING = 1.0
"""Seconds that an answer waits at most for its request to be noted: a locked store delays nobody."""


class Finder:
    """One request's view of the app: `tools.find_tools.Finding`."""

    def __init__(
        self, live: LiveCatalog, store: Store, asker: Asker, *, patience: float, noting: anyio.CapacityLimiter
    ) -> None:
        """`patience` is how long in seconds to wait for tools being read. `noting` limits the threads that note."""
        self._live, self._store, self._asker = live, store, asker
        self._patience, self._noting = patience, noting
        self.index_name: IndexName = live.index.name

    async def search(self, query: str, limit: int, *, server: str | None) -> Matches:
        return await self._live.search(query, limit, server=server)

    async def tools(self, ids: Sequence[str]) -> Sequence[Tool]:
        return await self._live.tools(ids)

    async def shapes(self, tools: Sequence[Tool]) -> Mapping[str, Shape]:
        unknown = [tool.digest for tool in tools if tool.output is None]
        texts = await self._live.look(self._store.shapes.get, unknown) if unknown else {}
        return {key: shape.from_json(json.loads(text)) for key, text in texts.items()}

    def size(self) -> int:
        return len(self._live.catalog)

    def servers(self) -> Sequence[str]:
        return self._live.catalog.servers

    async def settled(self) -> str | None:
        reading = await self._live.settled(self._patience)
        notes = [f"Still being read: {', '.join(reading)}; ask again soon."] if reading else []
        broken = sorted(self._live.unread)
        notes += [f"Not reachable: {', '.join(broken)} (toolweft doctor says why)."] if broken else []
        notes += [self._live.note] if self._live.note else []
        if left := self._live.index.unfinished():
            notes.append(f"{left} of {len(self._live.index)} tools are new: for some seconds only their words count.")
        return " ".join(notes) or None

    async def asked(self, query: str, shown: Sequence[str]) -> None:
        try:
            store = self._store.requests
            note = partial(store.asked, self._asker.owner, self._asker.connection, query, list(shown))
            with anyio.move_on_after(NOTING):
                await anyio.to_thread.run_sync(note, limiter=self._noting, abandon_on_cancel=True)
        except ToolweftError as error:
            logger.warning("the request was not noted: %s", error)
