"""Executions: what was run, what came of it, and the outputs too big for an answer. Kept for a week or 200 MB."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update

from toolweft_server.errors import StoreError
from toolweft_server.scrub import Scrubber
from toolweft_server.store import schema
from toolweft_server.store.database import Database
from toolweft_server.store.schema import call_end, execution, output

DAYS = 7.0
BYTES = 200_000_000
RUNNING = "running"
"""The status of an execution without an end: it runs, or its server died."""

_TEXTUAL = ("text/", "application/json", "application/xml", "application/x-ndjson")


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    id: str
    owner: str
    connection: str
    session: str | None
    code: str
    retry_of: str | None
    status: str
    result: Any
    """What `finish` was given, scrubbed; `None` before."""
    started_at: float
    finished_at: float | None


class Output(NamedTuple):
    name: str
    mime: str
    size: int


class Purged(NamedTuple):
    executions: int
    bytes: int


class Executions:
    def __init__(self, database: Database, scrub: Scrubber) -> None:
        self._database, self._scrub = database, scrub

    def start(
        self,
        id: str,  # noqa: A002 — the word for it everywhere else
        owner: str,
        connection: str,
        session: str | None,
        code: str,
        retry_of: str | None = None,
    ) -> None:
        """Notes that an execution begins. Ids are the caller's and unique."""
        with self._database.write() as db:
            for table, row in self.beginning(id, owner, connection, session, code, retry_of):
                db.execute(insert(table).values(row))

    def beginning(
        self,
        id: str,  # noqa: A002 — the same
        owner: str,
        connection: str,
        session: str | None,
        code: str,
        retry_of: str | None = None,
    ) -> list[tuple[Table, dict[str, Any]]]:
        """What `start` writes, for whoever writes it together with something else."""
        row = {
            "id": id, "owner": owner, "connection": connection, "session": session, "code": self._scrub.text(code),
            "retry_of": retry_of, "status": RUNNING, "started_at": time.time(), "size": len(code),
        }  # fmt: skip
        return [(execution, row)]

    def finish(
        self,
        id: str,  # noqa: A002 — the same
        status: str,
        result: Mapping[str, Any] | None = None,
        beginning: Callable[[], list[tuple[Table, dict[str, Any]]]] | None = None,
    ) -> None:
        """Notes how it ended; `result` is JSON (the wire's `Execution`). `beginning` is written with it, when it was
        not before.
        """
        if beginning is not None:
            with self._database.write() as db:
                for table, row in self.whole(beginning, status, result):
                    db.execute(insert(table), [row])
            return
        text = self._text(result)
        values = {"status": status, "result": text, "finished_at": time.time()}
        with self._database.write() as db:
            size = execution.c.size + len(text or "")
            done = db.execute(update(execution).where(execution.c.id == id).values(size=size, **values))
            if not done.rowcount:
                raise StoreError(f"nothing is on record of the execution {id}: its beginning could not be written.")

    def whole(
        self,
        beginning: Callable[[], list[tuple[Table, dict[str, Any]]]],
        status: str,
        result: Mapping[str, Any] | None = None,
    ) -> list[tuple[Table, dict[str, Any]]]:
        """Beginning and end as one row."""
        ((table, row),) = beginning()
        text = self._text(result)
        end = {"status": status, "result": text, "finished_at": time.time(), "size": row["size"] + len(text or "")}
        return [(table, row | end)]

    def _text(self, result: Mapping[str, Any] | None) -> str | None:
        return None if result is None else json.dumps(self._scrub.json(dict(result)), ensure_ascii=True)

    def get(self, id: str, owner: str | None = None) -> ExecutionRow | None:  # noqa: A002
        """One execution; `None` when there is none, or it is another owner's."""
        query = select(execution).where(execution.c.id == id)
        query = query if owner is None else query.where(execution.c.owner == owner)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        return None if row is None else _row(row)

    def recent(self, owner: str | None = None, limit: int = 50) -> list[ExecutionRow]:
        """The latest executions, newest first."""
        query = select(execution).order_by(execution.c.started_at.desc(), execution.c.id).limit(limit)
        query = query if owner is None else query.where(execution.c.owner == owner)
        with self._database.read() as db:
            return [_row(row) for row in db.execute(query)]

    def keep(self, id: str, name: str, data: bytes | str, *, mime: str = "text/plain") -> Output:  # noqa: A002
        """Keeps an output (`stdout`, `value`, `files/…`) under its name, instead of an earlier one. Scrubs texts."""
        if isinstance(data, str):
            data = data.encode("utf-8", "backslashreplace")
        if mime.startswith(_TEXTUAL):
            data = self._scrub.text(data.decode("utf-8", "backslashreplace")).encode("utf-8", "backslashreplace")
        key = (output.c.execution == id) & (output.c.name == name)
        with self._database.write() as db:
            db.execute(delete(output).where(key))
            db.execute(insert(output).values(execution=id, name=name, mime=mime, size=len(data), data=data))
        return Output(name, mime, len(data))

    def outputs(self, id: str) -> tuple[Output, ...]:  # noqa: A002
        columns = (output.c.name, output.c.mime, output.c.size)
        with self._database.read() as db:
            rows = db.execute(select(*columns).where(output.c.execution == id).order_by(output.c.name)).all()
        return tuple(Output(*row) for row in rows)

    def output(self, id: str, name: str) -> tuple[str, bytes] | None:  # noqa: A002
        """(mime, bytes) of a kept output."""
        query = select(output.c.mime, output.c.data).where(output.c.execution == id, output.c.name == name)
        with self._database.read() as db:
            row = db.execute(query).one_or_none()
        return None if row is None else (row.mime, bytes(row.data))

    def purge(self, *, days: float = DAYS, keep_bytes: int = BYTES, now: float | None = None) -> Purged:
        """Deletes executions older than `days`, then the oldest ended ones until `keep_bytes` hold the rest.

        Their outputs and ledgers go with them. One that is still running goes by age alone.
        """
        moment = now or time.time()
        with self._database.write() as db:
            sizes = _sizes(db)
            rows = db.execute(select(execution.c.id, execution.c.started_at, execution.c.status)).all()
            rows = sorted(rows, key=lambda row: (-row.started_at, row.id))
            total, gone = 0, []
            for row in rows:
                total += sizes.get(row.id, 0)
                too_old = row.started_at < moment - days * 86_400
                if too_old or (total > keep_bytes and row.status != RUNNING):
                    gone.append(row.id)
                    total -= sizes.get(row.id, 0)
            for each in gone:
                _delete(db, each)
        if gone:
            self._database.shrink()
        return Purged(len(gone), sum(sizes.get(each, 0) for each in gone))


def _sizes(db: Connection) -> dict[str, int]:
    sizes = {row.id: int(row.size) for row in db.execute(select(execution.c.id, execution.c.size))}
    for table in (output, call_end):
        for row in db.execute(select(table.c.execution, func.sum(table.c.size)).group_by(table.c.execution)):
            sizes[row[0]] = sizes.get(row[0], 0) + int(row[1] or 0)
    begun = schema.call_start.c
    arguments = select(begun.execution, func.sum(func.length(begun.arguments))).group_by(begun.execution)
    for row in db.execute(arguments):
        sizes[row[0]] = sizes.get(row[0], 0) + int(row[1] or 0)
    return sizes


def _delete(db: Connection, each: str) -> None:
    for table in (output, schema.call_start, call_end, schema.call_blob):
        db.execute(delete(table).where(table.c.execution == each))
    db.execute(delete(execution).where(execution.c.id == each))


def _row(row: Row[Any]) -> ExecutionRow:
    held = row._mapping  # noqa: SLF001 — the documented way to a row's names
    values = {key: held[key] for key in ExecutionRow.__dataclass_fields__}
    return ExecutionRow(**{**values, "result": None if row.result is None else json.loads(row.result)})
