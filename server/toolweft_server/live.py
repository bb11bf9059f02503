"""`LiveCatalog`: the catalogue and the index of this moment, kept current while the server runs.

Reads come from an immutable pair (catalogue, index) that is replaced as a whole, so a search never waits for a
change. Changes come from three sides: manifests that we read, upstreams that say their tools changed, and other
processes that write to the same store. When manifests are read again is decided in `tending`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import anyio
import anyio.abc

from toolweft_catalog.catalog import Card, Catalog, Delta, card
from toolweft_catalog.tool import Tool
from toolweft_server.errors import UpstreamError
from toolweft_server.index.base import ToolIndex
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

    @property
    def note(self) -> str | None:
        """What whoever searches should know: a part that cannot be used, and what answers instead."""
        ...

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
        self.contested: frozenset[str] = frozenset()
        """Servers of ours whose manifest in the store is another configuration's, by an entry that says otherwise."""
        self._held: dict[str, Sequence[Tool]] = {}
        """Our own tools of contested servers. In memory: writing them would only take the place back and forth."""
        self.troubled = anyio.Event()
        """Set when something is in `unread` or `contested` that was not, so that `tending` looks at once."""
        self.unfinished = anyio.Event()
        """Set when the index has left something for `weaving` to do."""
        self._quiet = anyio.Event()
        self._quiet.set()

    @property
    def catalog(self) -> Catalog:
        return self._now.catalog

    @property
    def index(self) -> ToolIndex:
        return self._now.index

    @property
    def note(self) -> str | None:
        """What whoever searches should know of the index."""
        return self._kind.note

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
        stored = self._ours(())
        index = self._kind.open(stored)
        functions = self._library()
        return Snapshot(_with(stored, functions), index.updated(functions, ()) if functions else index)

    def _ours(self, before: Iterable[Card]) -> Catalog:
        """What the store holds of our entries. `before` still stands for those that another configuration replaced.

        Not shown: servers that only other configurations on this store know, as nobody here could call them, and
        tools read by another entry of the same name, which may be another server.
        """
        stored = self.store.manifests.catalog()
        others = {
            status.server
            for status in self.store.manifests.status()
            if not status.entry_digest.startswith(INGESTED) and self.entries.get(status.server) != status.entry_digest
        }
        self.contested = frozenset(others.intersection(self.entries))
        held = [tool for name in self.contested for tool in self._held.get(name, ())]
        if not others:
            return stored
        cards = [entry for entry in stored if entry.server not in others]
        cards += [entry for entry in before if entry.server in self.contested and not self._held.get(entry.server)]
        return _with(Catalog(cards, self.store.manifests.loader()), held)

    async def tools(self, ids: Sequence[str]) -> Sequence[Tool]:
        return await self.look(self.held, ids) if ids else []

    def held(self, ids: Sequence[str]) -> Sequence[Tool]:
        """Whole tools; ids that the catalogue of this moment lacks are left out. Blocks."""
        catalog = self.catalog
        present = [each for each in ids if each in catalog]
        return catalog.tools(present) if present else []

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

    async def read(self, names: Sequence[str], *, announced: bool = True) -> None:
        """Reads the manifests of these servers and takes over what changed. A broken one costs itself alone.

        Unless `announced`, nobody waits for it: what was known is good enough meanwhile.
        """
        if announced:
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
                    self._stop_reading([name] if announced else ())
        finally:
            self._stop_reading(names if announced else ())

    async def _keep(self, name: str, answer: Manifest | UpstreamError) -> None:
        if isinstance(answer, UpstreamError):
            known = self.unread.get(name)
            self.unread[name] = answer.message
            self.troubled.set()
            if known != answer.message:
                await self.thread(self.store.manifests.failed, name, str(answer))
            return
        write = partial(
            self.store.manifests.write, problems=answer.problems, instructions=answer.instructions,
            protocol=answer.protocol,
        )  # fmt: skip
        await self.thread(write, name, self.entries.get(name, ""), answer.tools)
        self.unread.pop(name, None)

    async def hold(self) -> None:
        """Reads our own tools of contested servers that we do not hold yet, without taking the store's place."""
        for name in sorted(self.contested - self._held.keys() - self.reading - self.unread.keys()):
            answer = await self.gateway.manifest(name)
            tools = () if isinstance(answer, UpstreamError) else answer.tools
            ids = await self.look(self.store.manifests.ids, name)
            own = {ids[tool.name]: tool for tool in reversed(tools) if tool.name in ids}
            self._held[name] = [replace(tool, id=given) for given, tool in own.items()]
            await self.reload()

    async def further(self) -> int:
        """Finishes some of what the index left for later; how much is left. Searches go on over the old snapshot."""
        index = self.index
        further = await self.look(index.further)
        async with self._changing:
            if self._now.index is index:  # else what was paid for is kept, and the next round finds it
                self._snapshot = replace(self._now, index=further)
        return self.index.unfinished()

    async def exchange(self, change: Callable[[ToolIndex], ToolIndex]) -> None:
        """Puts another index of the same tools in the place of this moment's. `change` must be quick."""
        async with self._changing:
            self._snapshot = replace(self._now, index=change(self._now.index))

    async def save(self) -> None:
        """Saves the index as it is now. A folder that cannot be written costs time at the next start."""
        async with self._changing:
            await self.thread(self._save, self.index, self._library())

    def let_go(self) -> None:
        """Forgets what is held: the next `hold` reads it anew."""
        self._held.clear()

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
            self._snapshot, delta = await self.thread(self._difference, old)
        if self.contested - self._held.keys():
            self.troubled.set()
        if self.index.unfinished():
            self.unfinished.set()
        if delta:
            for listener in self.on_change:
                listener(delta)
        return delta

    def _difference(self, old: Snapshot) -> tuple[Snapshot, Delta]:
        own = [entry for entry in old.catalog if entry.server in self.entries]
        stored, functions = self._ours(own), self._library()
        catalog = _with(stored, functions)
        delta = old.catalog.delta(catalog)
        if not delta:
            # The same cards may stand for texts that lie elsewhere now: held here, and no more in the store.
            return Snapshot(catalog, old.index) if self.contested else old, delta
        renewed = (*delta.added, *delta.changed)
        index = old.index.updated(catalog.tools(renewed) if renewed else (), (*delta.removed, *delta.changed))
        if any(not each.startswith("functions.") for each in (*renewed, *delta.removed)):
            self._save(index, functions)
        return Snapshot(catalog, index), delta

    def _save(self, index: ToolIndex, functions: Sequence[Tool]) -> None:
        """Without our own functions: they are read from the library at every start."""
        self._kind.save(index.updated((), [tool.id for tool in functions]) if functions else index)


def _with(stored: Catalog, functions: Sequence[Tool]) -> Catalog:
    if not functions:
        return stored
    own = {tool.id: tool for tool in functions}

    def load(ids: Sequence[str]) -> Sequence[Tool]:
        fetched = iter(stored.tools([each for each in ids if each not in own]))
        return [own[each] if each in own else next(fetched) for each in ids]

    return Catalog([*stored, *(card(tool) for tool in functions)], load)
