"""`Database`: connections, transactions and clear errors. What the tables are is `schema`'s, what they mean the parts'.

Sync and thread-safe: the server calls it from worker threads. One writer at a time: threads queue at a lock, other
processes at the file.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, exc, insert, update

from toolweft_server.errors import StoreError
from toolweft_server.store import schema, sqlite


class Database:
    """An open database.

    Raises:
        StoreError: From every method: what is wrong with the file, and what to do.

    """

    def __init__(self, path: Path, engine: Engine, *, busy_ms: int = sqlite.BUSY_MS) -> None:
        self.path, self._engine, self._patience = path, engine, busy_ms / 1000
        self._file = _identity(path)
        self._writing = threading.Lock()
        """Held by the thread that writes, so that threads wait for each other here and not by polling the file."""
        self._watch: sqlite3.Connection | None = None
        self._watching = threading.Lock()
        """Protects `_watch`, which must stay one connection: `data_version` counts per connection."""

    @classmethod
    def open(cls, path: Path, *, busy_ms: int = sqlite.BUSY_MS) -> Database:
        sqlite.prepare(path)
        self = cls(path, sqlite.engine_for(path, busy_ms=busy_ms), busy_ms=busy_ms)
        try:
            with self.read() as connection:
                found = schema.version_of(connection)
                schema.refuse_newer(found)
            with self._clear_errors():
                sqlite.settle(self._engine, path, fresh=found == 0)
            if found < schema.NEWEST:
                with self.write() as connection:
                    schema.migrate(connection)
        except BaseException:
            self._engine.dispose()
            raise
        return self

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view: all that is read inside is of one moment."""
        self._refuse_lost()
        with self._clear_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    def values(self, key: Column[str], value: Column[str], wanted: Sequence[str]) -> dict[str, str]:
        """What two columns of a table hold, the first one's being among those wanted; of one moment, and quick."""
        self._refuse_lost()
        with self._clear_errors():
            return sqlite.values(self._engine, key, value, wanted)

    @contextlib.contextmanager
    def write(self, *topics: str) -> Iterator[Connection]:
        """A transaction: whole or not at all. `topics` are counted up for whoever polls `Store.changes`."""
        self._refuse_lost()
        with self._clear_errors(), self._turn(), self._engine.connect() as plain:
            connection = plain.execution_options(write=True)
            with connection.begin():
                yield connection
                for name in topics:
                    bump(connection, name)

    @property
    def lost(self) -> StoreError | None:
        """Why the open file is no longer the one at its path, if so. SQLite would write on, into nowhere."""
        if _identity(self.path) == self._file:
            return None
        return StoreError(
            f"the store {str(self.path)!r} was deleted or replaced while it was in use. Nothing was changed; retry: "
            "the file that is there now is opened, or a new one made."
        )

    def _refuse_lost(self) -> None:
        if (lost := self.lost) is not None:
            raise lost

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """One writer at a time. Behind one that waits for a locked file nobody waits longer than that one may."""
        if not self._writing.acquire(timeout=self._patience):
            raise StoreError(
                f"the store {str(self.path)!r} is locked: another write has waited or worked for {self._patience:g} s. "
                "Close what else uses it, then retry."
            )
        try:
            yield
        finally:
            self._writing.release()

    def data_version(self) -> int:
        """Changes whenever another connection, of this process or another, has committed."""
        self._refuse_lost()
        with self._watching, self._clear_errors():
            if self._watch is None:
                self._watch = sqlite.watcher(self.path)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def shrink(self) -> None:
        with self._clear_errors(), self._writing:
            sqlite.shrink(self._engine)

    def close(self) -> None:
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self._engine.dispose()

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except exc.IntegrityError:
            raise
        except exc.DBAPIError as error:
            raise StoreError(sqlite.meaning(error.orig, self.path)) from error
        except sqlite3.Error as error:
            raise StoreError(sqlite.meaning(error, self.path)) from error
        except exc.TimeoutError as error:
            raise StoreError(f"the store {str(self.path)!r} is too busy: no connection came free. Retry.") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one at the same path; `None` when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def bump(connection: Connection, name: str) -> None:
    counted = connection.execute(
        update(schema.topic).where(schema.topic.c.name == name).values(version=schema.topic.c.version + 1)
    )
    if not counted.rowcount:
        connection.execute(insert(schema.topic).values(name=name, version=1))
