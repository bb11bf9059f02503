"""`LiveCatalog`: the catalogue and the index of this moment, kept current while the server runs.

Reads come from an immutable pair (catalogue, index) that is replaced as a whole, so a search never waits for a
change. Changes come from three sides: manifests that we read, upstreams that say their tools changed, and other
processes that write to the same store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import anyio
import anyio.abc

from toolweft_catalog.catalog import Catalog, Delta, card
from toolweft_catalog.tool import Tool
from toolweft_server.errors import UpstreamError
from toolweft_server.index.base import Matches, ToolIndex
from toolweft_server.store.manifests import ManifestStatus
from toolweft_server.store.store import Store
from toolweft_server.upstream.base import Manifest
from toolweft_server.upstream.gateway import Gateway

logger = logging.getLogger(__name__)
T = TypeVar("T")

MANIFEST_AGE = 24 * 3600.0
"""Seconds after which a manifest is read again in the background."""
INGESTED = "ingested"
"""Starts the entry digest of catalogues that `toolweft ingest` read from a file: search knows them, no entry does."""
TOGETHER = 1.0
"""Seconds within which manifests are taken over together: at 49,001 tools each taking over costs about one."""
THREADS = 8
"""Worker threads for store and index. Our own limiter: the SDK's stdio and sync handlers use the shared forty."""


class IndexKind(Protocol):
    """How `app` hands over the index that it chose."""

    def open(self, catalog: Catalog) -> ToolIndex:
        """The saved index when it covers exactly this catalogue, else a fresh one, saved. Blocking."""
        ...

    def save(self, index: ToolIndex) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    catalog: Catalog
    index: ToolIndex


class LiveCatalog:
    """Must be opened before use. All methods may be called concurrently on the event loop."""

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        kind: IndexKind,
        *,
        library: Callable[[], Sequence[Tool]],
        entries: Mapping[str, str],
    ) -> None:
        """`entries` are digests of configured entries by name; `library` reads the saved functions as tools."""
        self.store, self.gateway, self._kind = store, gateway, kind
        self._library, self.entries = library, entries
        self._threads = anyio.CapacityLimiter(THREADS)
        self._looking = anyio.CapacityLimiter(THREADS)
        """Threads for searching, so that no search queues behind writes that wait for a locked store."""
        self._changing = anyio.Lock()
        """Held while a new snapshot is made, so that two changes never start from the same old one."""
        self._snapshot: Snapshot | None = None
        self.on_change: list[Callable[[Delta], None]] = []
        self.unread: dict[str, str] = {}
        """Servers whose manifest could not be read, with the reason."""
        self.reading: set[str] = set()
        self._quiet = anyio.Event()
        self._quiet.set()

    @property
    def catalog(self) -> Catalog:
        return self._now.catalog

    @property
    def index(self) -> ToolIndex:
        return self._now.index

    @property
    def _now(self) -> Snapshot:
        assert self._snapshot is not None, "LiveCatalog.open() comes first"
        return self._snapshot

    async def thread(self, work: Callable[..., T], *args: object) -> T:
        """Runs blocking work in one of our own worker threads."""
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=self._threads)

    async def look(self, work: Callable[..., T], *args: object) -> T:
        """Runs blocking work that only reads in a thread which no write ever holds."""
        return await anyio.to_thread.run_sync(partial(work, *args), limiter=self._looking)

    async def open(self) -> None:
        """Loads what the store knows. Reads no upstream."""
        self._snapshot = await self.thread(self._load)

    def _load(self) -> Snapshot:
        stored = self._visible(self.store.manifests.catalog())
        index = self._kind.open(stored)
        functions = self._library()
        return Snapshot(_with(stored, functions), index.updated(functions, ()) if functions else index)

    def _visible(self, stored: Catalog) -> Catalog:
        """Without the servers that only other configurations on this store know: nobody here could call them."""
        known = self.store.manifests.status()
        hidden = {each.server for each in known if not each.entry_digest.startswith(INGESTED)} - set(self.entries)
        if not hidden:
            return stored
        return Catalog((entry for entry in stored if entry.server not in hidden), stored.tools)

    async def tools(self, ids: Sequence[str]) -> Sequence[Tool]:
        catalog = self.catalog
        present = [each for each in ids if each in catalog]
        return await self.look(catalog.tools, present) if present else []

    async def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        return await self.look(partial(self.index.search, server=server), query, limit)

    async def settled(self, patience: float) -> list[str]:
        """Waits at most `patience` seconds for manifests being read; the servers still being read."""
        if self.reading:
            with anyio.move_on_after(patience):
                await self._quiet.wait()
        return sorted(self.reading)

    def due(self, *, now: float | None = None) -> list[str]:
        """Configured servers whose manifest is missing, older than a day, or of another entry."""
        now = time.time() if now is None else now
        known: Mapping[str, ManifestStatus] = {status.server: status for status in self.store.manifests.status()}
        return [
            name
            for name, entry_digest in self.entries.items()
            if (status := known.get(name)) is None
            or status.entry_digest != entry_digest
            or status.fetched_at is None
            or now - status.fetched_at > MANIFEST_AGE
        ]

    async def read(self, names: Sequence[str]) -> None:
        """Reads the manifests of these servers and takes over what changed. A broken one costs itself alone."""
        self.begin(names)
        taken_over = 0.0
        try:
            async for name, answer in self.gateway.manifests(names):
                try:
                    await self._keep(name, answer)
                    last = self.reading <= {name}
                    if last or time.monotonic() - taken_over > TOGETHER:
                        await self.reload()
                        taken_over = time.monotonic()
                finally:
                    self._stop_reading([name])
        finally:
            self._stop_reading(names)

    async def _keep(self, name: str, answer: Manifest | UpstreamError) -> None:
        if isinstance(answer, UpstreamError):
            self.unread[name] = answer.message
            await self.thread(self.store.manifests.failed, name, str(answer))
            return
        self.unread.pop(name, None)
        write = partial(
            self.store.manifests.write, problems=answer.problems, instructions=answer.instructions,
            protocol=answer.protocol,
        )  # fmt: skip
        await self.thread(write, name, self.entries.get(name, ""), answer.tools)

    def begin(self, names: Iterable[str]) -> None:
        """Notes that these are about to be read, so that whoever asks now waits for them."""
        self.reading.update(names)
        if self.reading and self._quiet.is_set():
            self._quiet = anyio.Event()

    def _stop_reading(self, names: Iterable[str]) -> None:
        self.reading.difference_update(names)
        if not self.reading:
            self._quiet.set()

    async def reload(self) -> Delta:
        """Takes over what the store holds now; the difference. Cheap when there is none."""
        async with self._changing:
            old = self._now
            snapshot, delta = await self.thread(self._difference, old)
            if delta:
                self._snapshot = snapshot
        if delta:
            for listener in self.on_change:
                listener(delta)
        return delta

    def _difference(self, old: Snapshot) -> tuple[Snapshot, Delta]:
        stored, functions = self._visible(self.store.manifests.catalog()), self._library()
        catalog = _with(stored, functions)
        delta = old.catalog.delta(catalog)
        if not delta:
            return old, delta
        renewed = (*delta.added, *delta.changed)
        index = old.index.updated(catalog.tools(renewed) if renewed else (), (*delta.removed, *delta.changed))
        if any(not each.startswith("functions.") for each in (*renewed, *delta.removed)):
            self._kind.save(index.updated((), [tool.id for tool in functions]) if functions else index)
        return Snapshot(catalog, index), delta


def _with(stored: Catalog, functions: Sequence[Tool]) -> Catalog:
    if not functions:
        return stored
    own = {tool.id: tool for tool in functions}

    def load(ids: Sequence[str]) -> Sequence[Tool]:
        fetched = iter(stored.tools([each for each in ids if each not in own]))
        return [own[each] if each in own else next(fetched) for each in ids]

    return Catalog([*stored, *(card(tool) for tool in functions)], load)
