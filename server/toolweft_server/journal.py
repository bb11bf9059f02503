"""Writes rows to the store behind the back of whoever has them: in order, many in one transaction.

What the `ledger` records comes in bursts, and most of it nobody waits for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import anyio.to_thread
from sqlalchemy.exc import IntegrityError

from toolweft_server.errors import StoreError
from toolweft_server.store.calls import Rows
from toolweft_server.store.store import Store

logger = logging.getLogger(__name__)

MOMENT = 0.05
"""Seconds after which a program that still runs is on record as running."""
BATCH = 100
"""Rows in one transaction."""
LINGER = 0.02
"""Seconds that rows wait which nobody waits for: a thread that writes takes the interpreter from the answer that is
just being sent, and may keep it for five milliseconds."""


@dataclass(slots=True)
class Noted:
    """What one call of `later` gave to write, and what became of it."""

    rows: Callable[[], Rows]
    written: anyio.Event
    """Set when it was tried; everything in one transaction shares it."""
    error: StoreError | None = None


class Beginning:
    """An execution's first row, which waits a moment: a program that is over by then costs one transaction, not two."""

    def __init__(self, writer: Writer, rows: Callable[[], Rows]) -> None:
        self._writer = writer
        self._rows: Callable[[], Rows] | None = rows
        self._noted: Noted | None = None
        self._timer = asyncio.get_running_loop().call_later(MOMENT, self.write)

    def write(self) -> Noted | None:
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
    """Writes rows in a worker thread, in the order in which they come, those that wait together in one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[list[Noted]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def add(self, rows: Callable[[], Rows]) -> None:
        """Returns when the rows are in the file. `rows` is called in the thread.

        Raises:
            StoreError: They could not be written.

        """
        noted = self.later(rows)
        self._start()
        with anyio.CancelScope(shield=True):
            await noted.written.wait()
        if noted.error is not None:
            raise noted.error

    def later(self, rows: Callable[[], Rows]) -> Noted:
        """The rows will be in the file soon. One that cannot be written leaves an outcome unknown on record."""
        if not self._waiting or len(self._waiting[-1]) >= BATCH:
            self._waiting.append([])
        batch = self._waiting[-1]
        batch.append(Noted(rows, batch[0].written if batch else anyio.Event()))
        if self._task is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._start)
        return batch[-1]

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None and self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def settled(self) -> None:
        self._start()
        if self._task is not None:
            with anyio.CancelScope(shield=True):
                await asyncio.shield(self._task)

    async def _write(self) -> None:
        """Until nothing waits any more."""
        while self._waiting:
            batch = self._waiting.popleft()
            await anyio.to_thread.run_sync(self._put, batch)
            batch[0].written.set()
        self._task = None

    def _put(self, batch: list[Noted]) -> None:
        """One transaction; where something in it cannot be written at all, each by itself."""
        try:
            self._store.calls.write(noted.rows for noted in batch)
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
