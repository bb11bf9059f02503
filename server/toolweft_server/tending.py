"""Keeps manifests current: reads at once what is due at the start and what servers say has changed, and in a server
that runs for days again what is old, what failed, what others replaced.

`live` reads what it is told to; when is decided here.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence

import anyio
import anyio.abc

from toolweft_catalog.catalog import Delta
from toolweft_catalog.names import identifier
from toolweft_server.errors import ToolweftError
from toolweft_server.live import LiveCatalog

logger = logging.getLogger(__name__)

EVERY = 3600.0
"""Seconds between looks for manifests that are older than `live.MANIFEST_AGE`."""
RETRIES: Sequence[float] = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Seconds until a server that could not be read is tried again; the last one repeats."""
PAUSES: Sequence[float] = (0.2, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds from a reading to the next one of a server that soon says again that its tools changed: the first where they
had changed, the others where they had not, one after the other; the last repeats."""
SOON = 5.0
"""Seconds from a reading on within which what a server says may come of that reading."""
LOOK = 0.25
"""Seconds between looks whether the one server is read that is waited for, while others are being read."""


class Readings:
    """Manifests that somebody may be waiting for."""

    pauses = PAUSES

    def __init__(self, live: LiveCatalog, tasks: anyio.abc.TaskGroup) -> None:
        self._live, self._tasks = live, tasks
        self._once_more: set[str] = set()
        self._last: dict[str, float] = {}
        """When the last reading of each server began, and later ended."""
        self._restless: dict[str, int] = {}
        """How often in a row each server said soon after a reading that its tools changed, and they had not."""
        live.on_change.append(self._true)

    def begin(self, names: Sequence[str]) -> None:
        self._live.begin(names)
        self._note(names)
        self._tasks.start_soon(self._read, names)

    def changed(self, name: str) -> None:
        """A server says that its tools changed. Bursts become one reading, and one more for what is said while it goes
        on: what it brings may be of before. A server that says so each time it is read, while nothing has changed, is
        read less and less often.
        """
        if name in self._once_more:
            return
        if name not in self._live.reading and self._since(name) >= max(SOON, self._pause(name)):
            self._restless.pop(name, None)
            self.begin([name])
        else:
            self._once_more.add(name)
            self._tasks.start_soon(self._read_once_more, name)

    def _true(self, delta: Delta) -> None:
        """What these servers said was so."""
        servers = {each.partition(".")[0] for part in delta for each in part}
        for name in [each for each in self._restless if identifier(each) in servers]:
            del self._restless[name]

    def _note(self, names: Sequence[str]) -> None:
        self._last.update(dict.fromkeys(names, time.monotonic()))

    def _since(self, name: str) -> float:
        return time.monotonic() - self._last.get(name, -math.inf)

    def _pause(self, name: str) -> float:
        return self.pauses[min(self._restless.get(name, 0), len(self.pauses) - 1)]

    async def _read_once_more(self, name: str) -> None:
        while name in self._live.reading:  # and not until all are read: another one may hang
            await self._live.settled(LOOK)
        await anyio.sleep(max(0.0, self._pause(name) - self._since(name)))
        self._restless[name] = self._restless.get(name, 0) + 1
        self._once_more.discard(name)
        self.begin([name])

    async def _read(self, names: Sequence[str]) -> None:
        try:
            await self._live.read(names)
        except ToolweftError as error:
            # What is known already still serves; whoever asks the store next hears of it.
            logger.warning("the tools of the configured servers could not be read: %s", error)
        finally:
            self._note(names)


class Tender:
    """Runs beside a `LiveCatalog` until it is cancelled. A store that is locked or full only delays it."""

    every = EVERY
    retries = RETRIES

    def __init__(self, live: LiveCatalog) -> None:
        self._live = live
        self._tried: dict[str, int] = {}
        """How often each server that cannot be read was tried again, and at what time it is next."""
        self._next: dict[str, float] = {}
        self._look = time.monotonic() + min(self.every, self.retries[-1])
        """The first look is early: a locked store can have spoiled the reading at the start."""

    async def run(self) -> None:
        while True:
            woken = self._live.troubled = anyio.Event()
            try:
                await self._round()
            except ToolweftError as error:
                logger.warning("tools could not be read again: %s", error)
                await anyio.sleep(self.retries[0])
            self._plan()
            wake = min([self._look, *self._next.values()])
            with anyio.move_on_after(max(0.0, wake - time.monotonic())):
                await woken.wait()

    def _plan(self) -> None:
        """Gives each server that cannot be read its next time; forgets those that can."""
        now, unread = time.monotonic(), self._live.unread
        for name in self._next.keys() - unread.keys():
            del self._next[name], self._tried[name]
        for name in unread:
            tried = self._tried.setdefault(name, 0)
            if self._next.setdefault(name, 0.0) <= now:
                self._next[name] = now + self.retries[min(tried, len(self.retries) - 1)]
                self._tried[name] = tried + 1

    async def _round(self) -> None:
        live, now = self._live, time.monotonic()
        again = {name for name, at in self._next.items() if at <= now and name in live.unread}
        if self._look <= now:
            again.update(set(await live.look(live.due)) - live.contested)
            self._look = now + self.every
            live.let_go()
        # Not announced: what is known still serves, and nobody who searches should wait for a server that is down.
        await live.read(sorted(again - live.reading), announced=False)
        await live.hold()
