"""`Store`: everything that toolweft remembers, in parts. Sync and thread-safe; call it from worker threads.

One file holds it all (`docs/store.md`). Each part is a file of this folder; the library keeps its own rows
through `Store.database`.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from sqlalchemy import select

from toolweft_server.errors import StoreError
from toolweft_server.scrub import Scrubber
from toolweft_server.store import schema, sources
from toolweft_server.store.approvals import Approvals
from toolweft_server.store.calls import Calls
from toolweft_server.store.database import Database
from toolweft_server.store.executions import Executions
from toolweft_server.store.manifests import Manifests
from toolweft_server.store.requests import Requests
from toolweft_server.store.shapes import Shapes
from toolweft_server.store.solved import SolvedTasks
from toolweft_server.store.usage import Uses


class Changes(NamedTuple):
    """Counters that grow with each write to a part, by whichever process. Compare two of them."""

    manifests: int = 0
    functions: int = 0


class Store:
    """An open store.

    Raises:
        StoreError: From every method: locked, read-only, full, damaged, newer than the code, or not to be opened;
            the message says which, and what to do. Nothing is lost.

    """

    def __init__(self, database: Database, scrub: Scrubber) -> None:
        self.database, self.scrub = database, scrub
        self.path = database.path
        self.manifests = Manifests(database)
        self.shapes = Shapes(database)
        self.executions = Executions(database, scrub)
        self.calls = Calls(database, scrub)
        self.requests = Requests(database, scrub)
        self.uses = Uses(database)
        self.approvals = Approvals(database)
        self.solved = SolvedTasks(database, scrub)
        self._seen: tuple[int, Changes] | None = None

    @classmethod
    def open(cls, path: Path | str, *, scrub: Scrubber | None = None) -> Store:
        """Opens the store at `path`, making it (and its folder) if needed. `scrub` knows the configured secrets."""
        if "://" in str(path):
            raise StoreError(f"the store {str(path)!r} is a URL; name a file. PostgreSQL is not supported yet.")
        self = cls(Database.open(Path(path).expanduser().absolute()), scrub or Scrubber())
        if not sources.beside(self.path).exists():
            self.manifests.publish()
        return self

    @property
    def lost(self) -> StoreError | None:
        """Why this store can no longer be used: its file was deleted or replaced. Opening it again makes a new one."""
        return self.database.lost

    def changes(self) -> Changes:
        """Where the counters stand. Cheap while nobody writes: made for asking twice a second."""
        version = self.database.data_version()
        if self._seen is None or self._seen[0] != version:
            with self.database.read() as connection:
                rows = connection.execute(select(schema.topic.c.name, schema.topic.c.version)).all()
            counted = {row.name: row.version for row in rows}
            self._seen = version, Changes(counted.get("manifests", 0), counted.get("functions", 0))
        return self._seen[1]

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _v: BaseException | None, _tb: TracebackType | None) -> None:
        self.close()
