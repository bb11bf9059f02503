"""`Behind` writes to the store behind the back of whoever has something to write: in order, many things at once.

What the `ledger` records, and what `using` notes, comes in bursts, and most of it nobody waits for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy.exc import IntegrityError

from toolweft_server.errors import StoreError
from toolweft_server.store.calls import Rows
from toolweft_server.store.store import Store

logger = logging.getLogger(__name__)
T = TypeVar("T")

MOMENT = 0.05
"""Seconds after which a program that still runs is on record as running."""
BATCH = 100
"""Things written at once."""
LINGER = 0.02
"""Seconds that they wait, if nobody waits for them: a thread that writes takes the interpreter from the answer that is
just being sent, and may keep it for five milliseconds."""


@dataclass(slots=True)
class Noted(Generic[T]):
    """What one call of `later` gave to write, and what became of it."""

    item: T
    tried: anyio.Event = field(default_factory=anyio.Event)
    error: StoreError | None = None


class Behind(Generic[T]):
    """Has one worker thread at a time write what came, in the order in which it came. Used on one event loop."""

    def __init__(self, write: Callable[[list[Noted[T]]], None], linger: float = LINGER) -> None:
        """`write` takes those that wait together, blocks as long as it must, and says in `Noted.error` what failed.

        `linger` is how long in seconds things wait which nobody waits for.
        """
        self._write, self._linger = write, linger
        self._waiting: deque[Noted[T]] = deque()
        self._last: Noted[T] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def later(self, item: T) -> Noted[T]:
        """It will be written soon."""
        noted = self._last = Noted(item)
        self._waiting.append(noted)
        if self._task is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger, self.start)
        return noted

    def start(self) -> None:
        """What waits waits no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def settled(self) -> None:
        """Returns when everything so far was tried."""
        self.start()
        if self._last is not None:
            await self._last.tried.wait()

    def drop(self) -> int:
        """Forgets what waits; how many that are."""
        dropped = len(self._waiting)
        while self._waiting:
            self._waiting.popleft().tried.set()
        return dropped

    async def _run(self) -> None:
        """Until nothing waits any more."""
        try:
            while self._waiting:
                await self._try([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
        finally:
            self._task = None

    async def _try(self, batch: list[Noted[T]]) -> None:
        try:
            await anyio.to_thread.run_sync(self._write, batch)
        except Exception as error:  # whatever it is, what comes after it is written
            logger.exception("%d things could not be written", len(batch))
            for noted in batch:
                noted.error = StoreError(f"it could not be written: {error!r}")
        finally:
            for noted in batch:
                noted.tried.set()


class Beginning:
    """An execution's first row, which waits a moment: a program that is over by then costs one transaction, not two."""

    def __init__(self, writer: Writer, rows: Callable[[], Rows]) -> None:
        self._writer = writer
        self._rows: Callable[[], Rows] | None = rows
        self._noted: Noted[Callable[[], Rows]] | None = None
        self._timer = asyncio.get_running_loop().call_later(MOMENT, self.write)

    def write(self) -> Noted[Callable[[], Rows]] | None:
        """It will be in the file soon."""
        if self._rows is not None:
            self._noted = self._writer.later(self._rows)
            self.taken()
        return self._noted

    def taken(self) -> Callable[[], Rows] | None:
        self._timer.cancel()
        rows, self._rows = self._rows, None
        return rows


class Writer:
    """Writes rows, those that wait together in one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._behind = Behind(self._put)

    async def add(self, rows: Callable[[], Rows]) -> None:
        """Returns when the rows are in the file. `rows` is called in the thread.

        Raises:
            StoreError: They could not be written.

        """
        noted = self.later(rows)
        self._behind.start()
        with anyio.CancelScope(shield=True):
            await noted.tried.wait()
        if noted.error is not None:
            raise noted.error

    def later(self, rows: Callable[[], Rows]) -> Noted[Callable[[], Rows]]:
        """The rows will be in the file soon. One that cannot be written leaves an outcome unknown on record."""
        return self._behind.later(rows)

    async def settled(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._behind.settled()

    def _put(self, batch: list[Noted[Callable[[], Rows]]]) -> None:
        """One transaction; where something in it cannot be written at all, each by itself."""
        try:
            self._store.calls.write(noted.item for noted in batch)
        except StoreError as error:
            for noted in batch:
                noted.error = error
        except Exception as error:
            if len(batch) == 1 and isinstance(error, IntegrityError):
                batch[0].error = StoreError("a call was noted twice: an execution id is in use by two recorders.")
                return
            if len(batch) == 1:
                logger.exception("a call cannot be put on record")
                batch[0].error = StoreError(f"the record of calls cannot be written: {error!r}")
                return
            for noted in batch:
                self._put([noted])
