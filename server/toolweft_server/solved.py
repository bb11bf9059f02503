"""`Solved`: programs that ended well for a task that was named are worked examples for tasks like it.

Kept is a program that stands alone (no earlier ones of its session), whose calls all succeeded, that lets no error pass
in silence and holds no secret; and only where the configuration keeps texts of requests, since a task is a person's
words. Offered are at most `MOST` of the same owner, those most like the task, whose tools are what they were then and
whose functions are still offered. Nothing of it is ever run: an example is text for a prompt.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from toolweft_catalog.wire import CallRecord
from toolweft_server.errors import ToolweftError
from toolweft_server.executions import Request
from toolweft_server.index.text import STOP_WORDS, terms
from toolweft_server.library.replay import swallows
from toolweft_server.library.store import FunctionStore
from toolweft_server.live import LiveCatalog
from toolweft_server.store.solved import Placed, SolvedTask
from toolweft_server.store.store import Store
from toolweft_server.using import Using

logger = logging.getLogger(__name__)

MOST = 2
"""Examples for one task: further ones cost more of a prompt than they give."""
LONGEST = 20_000
"""Characters of a program that is kept."""
ALIKE = 0.5
"""Least cosine of two tasks under the encoder."""
OVERLAP = 0.4
"""Least cosine of two tasks as sets of words, where there is no encoder."""


class Solved:
    def __init__(self, live: LiveCatalog, store: Store, library: FunctionStore, using: Using) -> None:
        self._live, self._store, self._library, self._using = live, store, library, using

    async def keep(
        self, execution: str, request: Request, calls: Sequence[CallRecord], used: Iterable[tuple[str, int]]
    ) -> None:
        """Keeps a clean program as the end of its task. Losing it is no failure."""
        functions = sorted({name for name, _ in used})
        clean = (calls or functions) and all(call.status == "ok" for call in calls)
        code = request.code
        if not (request.task and self._using.keeps_texts and clean and len(code) <= LONGEST):
            return
        try:
            if self._store.scrub.find(code) or swallows(code):
                return
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # it ran in a newer Python than ours
        cards = {call.tool: self._live.catalog.get(call.tool) for call in calls}
        tools = {tool: card.digest for tool, card in cards.items() if card}
        if len(tools) < len(cards):
            return  # a tool is gone since it was called
        try:
            placed = await self._live.look(partial(self._using.placed, request.task))
            keep = partial(self._store.solved.keep, request.owner, request.task, code)
            await self._live.thread(partial(keep, tools=tools, functions=functions, execution=execution, placed=placed))
        except ToolweftError as error:
            logger.warning("a solved task was not kept: %s", error)

    async def retried(self, request: Request) -> None:
        """Another attempt follows on a program: that one was a probe, or its answer was not good enough."""
        if request.retry_of and self._using.keeps_texts:
            try:
                await self._live.thread(self._store.solved.retried, request.retry_of)
            except ToolweftError as error:
                logger.warning("a solved task was not dropped: %s", error)

    async def examples(self, task: str, *, owner: str) -> str:
        """JSON: `{"examples": [{"task", "program", "tools"}]}`, most alike first; an empty list where there are none.

        Raises:
            StoreError: The store cannot be read.

        """
        found = await self._live.look(partial(self._like, task, owner)) if self._using.keeps_texts else []
        if found:
            try:
                await self._live.thread(self._store.solved.chosen, owner, [each.hash for each in found])
            except ToolweftError as error:
                logger.warning("examples were not counted: %s", error)
        shown = [{"task": each.task, "program": each.program, "tools": sorted(each.tools)} for each in found]
        return json.dumps({"examples": shown}, ensure_ascii=False)

    def _like(self, task: str, owner: str) -> list[SolvedTask]:
        kept = self._store.solved.of(owner)
        if not kept:
            return []
        offered = {each.name for each in self._library.offered()}
        fresh = [each for each in kept if self._current(each.tools) and offered.issuperset(each.functions)]
        scores = [(_likeness(task, self._using.placed(task), each), each) for each in fresh]
        ranked = sorted(scores, key=lambda scored: -scored[0])
        return [each for score, each in ranked[:MOST] if score > 0]

    def _current(self, tools: Mapping[str, str]) -> bool:
        return all(
            (card := self._live.catalog.get(tool)) is not None and card.digest == held for tool, held in tools.items()
        )


def _likeness(task: str, placed: Placed | None, other: SolvedTask) -> float:
    """0 for those that are not alike, else more the more they are."""
    if placed is not None and other.placed is not None and placed.encoder == other.placed.encoder:
        one, two = placed.vector, other.placed.vector
        cosine = float(one @ two) / max(float((one @ one) * (two @ two)) ** 0.5, 1e-9)
        return cosine if cosine >= ALIKE else 0.0
    mine, its = ({*terms(text)} - STOP_WORDS for text in (task, other.task))
    overlap = len(mine & its) / math.sqrt(len(mine) * len(its)) if mine and its else 0.0
    return overlap if overlap >= OVERLAP else 0.0
