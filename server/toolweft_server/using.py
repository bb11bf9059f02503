"""`Using`: the running server learns from use: what it keeps, when it learns from that, and how the index hears of it.

A request leaves its vector and a salted hash, a call the digest of its tool, a program the set of tools that
succeeded in it. From all of that, whichever process wrote it, `index.woven.usage` and `cousage` make a snapshot, and
the index of this moment is replaced by one that has it. `find_tools` waits for nothing here, a program that calls tools
for `NOTING` at most, and a store that is locked or damaged costs a warning. Whether use is any good is tried out on
real requests: `trial`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import anyio
import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import ToolweftError
from toolweft_server.index.base import Matches, ToolIndex
from toolweft_server.index.settings import IndexEntry
from toolweft_server.index.woven import cousage, usage
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.evidence import evidence_of
from toolweft_server.index.woven.index import Use, WovenIndex
from toolweft_server.journal import Behind, Noted
from toolweft_server.live import LiveCatalog
from toolweft_server.store.requests import Asked
from toolweft_server.store.solved import Placed
from toolweft_server.store.store import Store
from toolweft_server.trial import Mix, Trial

logger = logging.getLogger(__name__)

LINGER = 0.25
"""Seconds until a request is noted, unless somebody needs it before: who asks again at once is not slowed by it."""
NOTING = 1.0
"""Seconds that anybody waits for requests to be noted, however long the store is locked."""
MOST_WAITING = 1_000
"""Requests that wait for the store at most; those that come then are not noted."""
EVERY = 60.0
"""Seconds between looks for new evidence, of this process or another one; one look counts rows."""
MOST_CALLS = 10_000
"""Latest calls that are learned from."""
KEPT = 90 * 24 * 3600.0
"""Seconds that requests, the calls after them and sets of tools are kept for learning; they hold no results."""


class Called(NamedTuple):
    """One call of a program."""

    tool: str
    digest: str
    ok: bool


class _Answer(NamedTuple):
    """An answer; `asked` has the request's text, whatever may be kept of that."""

    asked: Asked
    mix: Mix | None


class Using:
    """Nothing is kept nor learned where the configuration forbids it.

    Used on one event loop, apart from what blocks: searches run in several threads, notes are taken in one.
    """

    every = EVERY

    def __init__(self, live: LiveCatalog, store: Store, settings: IndexEntry) -> None:
        self._live, self._store, self._settings = live, store, settings
        self._trial = Trial(store.uses)
        self._behind: Behind[_Answer] = Behind(self._note, LINGER)
        """Notes requests after their answers: no answer waits for the store."""
        self._learning = anyio.Lock()
        """Held while one snapshot is made, so that an older one never replaces it."""
        self._seen: tuple[int, ...] | None = None
        """How the evidence stood that was learned from; None when it must be read again."""
        self._centre: tuple[str, NDArray[np.float32]] | None = None
        """What requests have in common under the encoder of that digest; 24 texts are encoded for it, once."""
        self._without: tuple[ToolIndex, ToolIndex] | None = None
        """An index, and the same without use: the other side of the trial."""

    @property
    def keeps_texts(self) -> bool:
        """Whether what people wrote may be kept as they wrote it."""
        return self._settings.keep_requests

    def placed(self, text: str) -> Placed | None:
        """Where a text lies for the encoder of this moment; `None` without one. Blocks."""
        index = self._live.index
        if not isinstance(index, WovenIndex) or (vector := index.engine.request(text)) is None:
            return None
        return Placed(index.engine.encoder.digest, vector)

    # ---- a request ---------------------------------------------------------------------------------------------

    def search(self, query: str, limit: int, *, server: str | None = None) -> tuple[Matches, Mix | None]:
        """Ranks; while a trial runs, some answers are mixed of two rankings, which costs a second search. Blocks."""
        index = self._live.index
        found, champion = index.search(query, limit, server=server), self._champion(index, query)
        if champion is None:
            return found, None
        return self._trial.mixed(query, found, champion.search(query, limit, server=server), limit)

    def _champion(self, index: ToolIndex, query: str) -> ToolIndex | None:
        """The same index without use, when this request is for the trial; it begins when something was learned."""
        if not isinstance(index, WovenIndex) or not _counts(index) or not self._trial.wanted(query):
            return None
        known = self._without
        if known is None or known[0] is not index:  # two threads may both make one, and either will do
            known = self._without = index, index.used(_nothing(index.engine))
        return known[1]

    def asked(self, owner: str, connection: str, query: str, shown: Sequence[str], mix: Mix | None) -> None:
        """Will note a request and what it was answered with. Losing it is no failure."""
        if not (self._settings.learn or self._settings.keep_requests):
            return
        if len(self._behind) >= MOST_WAITING:
            logger.warning("a request was not noted: %d others wait for the store", len(self._behind))
            return
        if mix is not None and mix.alike >= len(shown):
            mix = None
        if mix is not None:
            self._trial.count()
        self._behind.later(_Answer(Asked(owner, connection, query, shown, time.time()), mix))

    def _note(self, batch: list[Noted[_Answer]]) -> None:
        try:
            if self._settings.learn:
                self._store.uses.salt()  # where the store is locked, this waits, and the rows do not one by one
            rows = [self._row(each.item.asked) for each in batch]
            numbers = self._store.requests.asked(rows)
        except ToolweftError as error:
            logger.warning("%d requests were not noted: %s", len(batch), error)
            return
        for number, row, each in zip(numbers, rows, batch, strict=True):
            if each.item.mix is not None and row.vector is not None:
                with _costing_a_warning():
                    self._trial.note(number, row.shown, each.item.mix)

    def _row(self, asked: Asked) -> Asked:
        """What is kept of it."""
        row = asked if self._settings.keep_requests else asked._replace(query="")
        index = self._live.index
        if self._settings.learn and isinstance(index, WovenIndex):
            with _costing_a_warning():
                vector = index.engine.request(asked.query)  # known since the search
                if vector is not None:
                    row = row._replace(vector=self._store.uses.vector(asked.query, index.engine.encoder.digest, vector))
        return row

    async def settled(self) -> None:
        """Returns when everything about the requests so far is kept, or was refused, or `NOTING` is over."""
        with anyio.move_on_after(NOTING, shield=True):  # who is cancelled has something to note, too
            await self._behind.settled()

    async def aclose(self) -> None:
        """Takes down what waits, or says how much was lost."""
        await self.settled()
        if lost := self._behind.drop():
            logger.warning("%d requests were not noted: the store stayed locked until the end", lost)

    # ---- the calls that follow ---------------------------------------------------------------------------------

    def called(self, owner: str, connection: str, code: str, calls: Sequence[Called]) -> None:
        """Notes the calls of one program. Blocking.

        Raises:
            StoreError: They are not noted, or not all.

        """
        now, learn, noted = time.time(), self._settings.learn, 0
        if learn or self._settings.keep_requests:
            noted = self._store.requests.called(owner, connection, [(each.tool, each.ok) for each in calls], now)
        if learn and noted:
            self._store.uses.called(owner, connection, {each.tool: each.digest for each in calls}, now)
        if learn:
            self._store.uses.executed(owner, code, [each.tool for each in calls if each.ok], now)

    # ---- learning ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Learns at once, and then whenever there is evidence that was not there, until it is cancelled.

        A pass reads at most `MOST_CALLS` calls and the sets of `KEPT` seconds, in a thread: a second of one core and
        30 MB for 10,000 calls, an eighth of that for 1,000; then nothing for `every` seconds.
        """
        while self._settings.learn:
            try:
                if isinstance(self._live.index, WovenIndex) and await self._live.look(self._stands) != self._seen:
                    await self.learn()
            except Exception as error:  # noqa: BLE001  (learning never ends a server that answers)
                logger.warning("nothing was learned from use this time: %s", error)
            await anyio.sleep(self.every)

    def _stands(self) -> tuple[int, ...]:
        """Differs when evidence came or was forgotten."""
        held = self._store.uses.learned()
        return *self._store.requests.evident(), held.executions, held.trials

    async def learn(self) -> None:
        """Learns from all that is kept, and puts an index in place that knows it.

        Raises:
            StoreError: It cannot be read. What was known stays.

        """
        async with self._learning:
            await self.settled()  # where requests never cease, the next pass has what this one lacks
            index = self._live.index
            if not self._settings.learn or not isinstance(index, WovenIndex):
                return
            use = await self._live.look(self._pass, index.engine)
            if use is None or (_empty(use) and _empty(index.use)):
                return
            await self._live.exchange(lambda now: now.used(use) if isinstance(now, WovenIndex) else now)

    def _pass(self, engine: Engine) -> Use | None:
        """As `_learned`; remembers what it has seen, unless that changed while it was read."""
        before = self._stands()
        use = self._learned(engine)
        self._seen = before if self._stands() == before else None
        return use

    def _learned(self, engine: Engine) -> Use | None:
        """What the store teaches; None when that cannot be said now."""
        encoder, now = engine.encoder, time.time()
        if self._trial.judge(encoder.digest) == "worse":
            return _nothing(engine)
        since = max(now - KEPT, self._store.requests.since(MOST_CALLS))
        calls, vectors = self._store.uses.followed(encoder.digest, encoder.size, since)
        sets = cousage.together((cousage.Together(*each) for each in self._store.uses.together(now - KEPT)), now)
        if not calls:
            return Use(usage.nothing(encoder.size), sets)
        centre = self._centre_of(engine)
        if centre is None or not np.isfinite(vectors).all():
            logger.warning("nothing was learned from %d calls: their requests' vectors cannot be used", len(calls))
            return None
        return Use(usage.learn(evidence_of(calls), vectors, centre, now), sets)

    def _centre_of(self, engine: Engine) -> NDArray[np.float32] | None:
        if self._centre is None or self._centre[0] != engine.encoder.digest:
            if (typical := engine.encode(usage.TYPICAL)) is None:
                return None
            self._centre = engine.encoder.digest, typical.mean(0).astype(np.float32)
        return self._centre[1]

    # ---- for people --------------------------------------------------------------------------------------------

    def notes(self) -> list[str]:
        """A sentence on what people should know of learning from use."""
        if not self._settings.learn:
            return ["Nothing is learned from use: the configuration says so (index.learn)."]
        return [self._trial.note_for_people] if self._trial.note_for_people else []


@contextmanager
def _costing_a_warning() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  (learning never ends a server that answers)
        logger.warning("nothing will be learned from this request: %s", error)


def _counts(index: WovenIndex) -> bool:
    """Whether use has a say in the ranks."""
    return bool((index.weights.use and index.use.usage.served) or (index.weights.sets and index.use.cousage.near))


def _empty(use: Use) -> bool:
    return not (use.usage.served or use.usage.used or use.cousage.near)


def _nothing(engine: Engine) -> Use:
    return Use(usage.nothing(engine.encoder.size), cousage.CoUsage({}, 0))
