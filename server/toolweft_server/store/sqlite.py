"""What is particular to SQLite: how its file is opened, what its pragmas are, what its errors mean in words.

And `values`, which asks the driver because that is quicker. Everything else in this package is portable SQLAlchemy
Core. `database` is the only importer.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Column, Connection, Engine, create_engine, event

from toolweft_server.errors import StoreError

BUSY_MS = 10_000
"""How long a writer waits for another process before it says that the store is locked."""
CHUNK = 500
"""Values in one `IN (…)`: well below SQLite's limit on parameters."""
_WAL_TRIES = 250

_MEANING = {
    "SQLITE_BUSY": "is locked by another process and stayed so for {seconds:g} s. Close what else uses it, then retry",
    "SQLITE_LOCKED": "is locked by another process. Close what else uses it, then retry",
    "SQLITE_READONLY": "is read-only. Give its file and folder write permission, or name another path as `store`",
    "SQLITE_FULL": "cannot grow: its disk is full. Free some space (`toolweft purge` helps), then retry",
    "SQLITE_NOTADB": "is not a toolweft store. It was left as it is; name another path as `store`, or move it away",
    "SQLITE_CORRUPT": "is damaged. It was left as it is; move it away to start afresh, or restore a copy",
    "SQLITE_CANTOPEN": "cannot be opened. Check that its folder exists and may be written, or name another path",
    "SQLITE_PERM": "may not be opened by this user. Change its permissions, or name another path as `store`",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error. Check the disk, then retry",
}


def engine_for(path: Path, *, busy_ms: int = BUSY_MS) -> Engine:
    """An engine over `path`. Opens nothing yet.

    A transaction begins where SQLAlchemy says so, and at once for writing if the connection has the option
    `write`: one that reads first and writes later can fail in a way that no waiting mends.
    """
    # Last in, first out: whoever reads next finds pages that its connection holds already.
    engine = create_engine(
        URL.create("sqlite", database=os.fspath(path)),
        pool_size=8,
        max_overflow=32,
        pool_use_lifo=True,
        connect_args={"timeout": 0},
    )

    @event.listens_for(engine, "connect")
    def _connect(raw: Any, _record: object) -> None:
        raw.isolation_level = None
        raw.execute(f"PRAGMA busy_timeout={int(busy_ms)}")
        raw.execute("PRAGMA synchronous=NORMAL")
        raw.execute("PRAGMA secure_delete=ON")  # builds differ: in some, what was deleted stays readable in the file

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def prepare(path: Path) -> None:
    """Makes sure that there is a file only its owner can read.

    Raises:
        StoreError: The folder or the file cannot be made.

    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise StoreError(f"the store {str(path)!r} is a folder. Name a file as `store`.")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    except OSError as error:
        raise StoreError(
            f"the store {str(path)!r} cannot be opened for writing ({error.strerror or error}). Check that its folder "
            "exists and may be written, or name another path as `store`."
        ) from error


def settle(engine: Engine, path: Path, *, fresh: bool) -> None:
    """Settings that stay with the file; called once its content is known to be ours."""
    if fresh:
        pragma(engine, "auto_vacuum=INCREMENTAL")
    for attempt in range(_WAL_TRIES):
        try:
            pragma(engine, "journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # Two processes that start on a fresh file meet here, and SQLite does not wait in this one case.
            if not is_busy(error) or attempt == _WAL_TRIES - 1:
                raise
            time.sleep(0.02)
    with contextlib.suppress(OSError):
        for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            each.chmod(0o600)


def shrink(engine: Engine) -> None:
    """Gives freed pages back to the disk."""
    connection = engine.raw_connection()
    try:
        # As a plain statement it frees one page a step, and the driver takes one step.
        connection.cursor().executescript("PRAGMA incremental_vacuum")
    finally:
        connection.close()
    pragma(engine, "wal_checkpoint(TRUNCATE)")


def values(engine: Engine, key: Column[str], value: Column[str], wanted: Sequence[str]) -> dict[str, str]:
    """By the driver alone: with the caches cold, as they are after a search, SQLAlchemy takes five times as long."""
    found: dict[str, str] = {}
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("BEGIN")  # ends as the connection goes back
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            marks = ", ".join("?" * len(chunk))
            cursor.execute(f"SELECT {key.name}, {value.name} FROM {key.table} WHERE {key.name} IN ({marks})", chunk)  # noqa: S608
            found.update(cursor.fetchall())
    finally:
        connection.close()
    return found


def pragma(engine: Engine, text: str) -> object:
    """Runs one pragma outside any transaction; the first value it answers."""
    connection = engine.raw_connection()
    try:
        rows = connection.cursor().execute(f"PRAGMA {text}").fetchall()
        return rows[0][0] if rows else None
    finally:
        connection.close()


def watcher(path: Path) -> sqlite3.Connection:
    """A connection for nothing but asking whether others wrote; any thread may use it, one at a time."""
    return sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)


def is_busy(error: BaseException | None) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def meaning(error: BaseException | None, path: Path) -> str:
    """What a driver's error means for the person whose file it is."""
    where = f"the store {str(path)!r}"
    name = getattr(error, "sqlite_errorname", None) or ""
    for known, words in _MEANING.items():
        if name == known or name.startswith(known + "_"):
            return f"{where} {words.format(seconds=BUSY_MS / 1000)}."
    if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
        return f"{where} {_MEANING['SQLITE_CORRUPT']}."
    return f"{where} failed: {error}. Nothing was changed; retry, or run `toolweft doctor`."
