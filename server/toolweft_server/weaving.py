"""Finishes in the background what an index leaves for later: vectors and codes of tools that came a moment ago."""

from __future__ import annotations

import logging

import anyio

from toolweft_server import memory
from toolweft_server.errors import ToolweftError
from toolweft_server.live import LiveCatalog

logger = logging.getLogger(__name__)


class Weaver:
    """Runs beside a `LiveCatalog` until it is cancelled; what it has done by then is kept when it was saved."""

    def __init__(self, live: LiveCatalog) -> None:
        self._live = live

    async def run(self) -> None:
        while True:
            unfinished = self._live.unfinished = anyio.Event()
            try:
                await self.finish()
            except ToolweftError as error:
                logger.warning("the index is not finished: %s", error)
            await unfinished.wait()

    async def finish(self) -> None:
        """Does what is left now, and saves it.

        Raises:
            ToolweftError: The store cannot be used.

        """
        begun = self._live.index.unfinished()
        left, before = await self._live.further(), begun  # a finished index makes ready for the first request
        while left:
            if left >= before and not self._live.unfinished.is_set():
                break  # nothing moves, and nothing came meanwhile: the index has said why
            before, left = left, await self._live.further()
        if begun:
            await self._live.save()
        await self._live.thread(memory.trim)
