"""What was asked of `find_tools`, and which tools were called afterwards: the pairs that a later index learns from.

A request's text is here only where the configuration allows it (`keep_requests`); else it is empty.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update

from toolweft_server.scrub import Scrubber
from toolweft_server.store.database import Database
from toolweft_server.store.schema import call_digest, interleaved, request, request_call, request_vector, solved

WINDOW = 30 * 60.0
"""Seconds during which a call is taken to follow from a request."""

RECENT = 20
"""Requests looked at for one call."""


class Vector(NamedTuple):
    """What is kept of a request so that something can be learned from it; `Uses.vector` makes it."""

    hash: str
    encoder: str
    values: bytes
    """float16, little endian."""


class Asked(NamedTuple):
    """A request as it was answered."""

    owner: str
    connection: str
    query: str
    """Empty to keep no text."""
    shown: Sequence[str]
    """The ids that it was answered with."""
    at: float
    vector: Vector | None = None


class Pair(NamedTuple):
    """A request and a call that followed it."""

    request: int
    query: str
    """Empty where texts are not kept."""
    tool: str
    shown: bool
    """Whether the answer to the request named the tool."""
    ok: bool
    at: float


class Requests:
    def __init__(self, database: Database, scrub: Scrubber) -> None:
        self._database, self._scrub = database, scrub

    def asked(self, requests: Sequence[Asked]) -> list[int]:
        """Notes some requests in one transaction; their numbers."""
        if not requests:
            return []
        rows = [
            {
                "owner": each.owner, "connection": each.connection, "query": self._scrub.text(each.query),
                "shown": json.dumps(list(each.shown)), "at": each.at,
            }
            for each in requests
        ]  # fmt: skip
        inserting = insert(request).returning(request.c.id, sort_by_parameter_order=True)
        with self._database.write() as db:
            numbers = [int(number) for number in db.execute(inserting, rows).scalars()]
            vectors = [
                {"request": number, "hash": held.hash, "encoder": held.encoder, "vector": held.values}
                for number, each in zip(numbers, requests, strict=True)
                if (held := each.vector) is not None
            ]
            if vectors:
                db.execute(insert(request_vector), vectors)
        return numbers

    def called(self, owner: str, connection: str, calls: Sequence[tuple[str, bool]], at: float | None = None) -> int:
        """Notes calls (tool id, and whether it succeeded) beside the requests that they follow from; how many it noted.

        That is, for each, the latest request of the same owner and connection that showed the tool, else the latest at
        all. Nothing is noted when nothing was asked within `WINDOW`.
        """
        now = at or time.time()
        recent = (
            select(request.c.id, request.c.shown)
            .where(request.c.owner == owner, request.c.connection == connection)
            .where(request.c.at <= now, request.c.at >= now - WINDOW)
            .order_by(request.c.at.desc(), request.c.id.desc())
            .limit(RECENT)
        )
        with self._database.read() as db:
            asked = [(int(row.id), frozenset(json.loads(row.shown))) for row in db.execute(recent)]
        if not asked or not calls:
            return 0
        rows = []
        for tool, ok in calls:
            number, shown = next((each for each in asked if tool in each[1]), asked[0])
            rows.append({"request": number, "tool": tool, "shown": tool in shown, "ok": ok, "at": now})
        with self._database.write() as db:
            db.execute(insert(request_call), rows)
        return len(rows)

    def pairs(self, since: float = 0.0) -> list[Pair]:
        """Every request with a call that followed, oldest first."""
        query = (
            select(
                request.c.id, request.c.query, request_call.c.tool, request_call.c.shown, request_call.c.ok,
                request_call.c.at,
            )
            .join(request_call, request_call.c.request == request.c.id)
            .where(request_call.c.at >= since)
            .order_by(request_call.c.id)
        )  # fmt: skip
        with self._database.read() as db:
            return [Pair(*row) for row in db.execute(query)]

    def evident(self) -> tuple[int, int]:
        """How many calls have all that `uses` learns from (their request's vector, their tool's digest), and the last.

        The three are written one after another: counting calls alone would miss what comes a moment later.
        """
        query = (
            select(func.count(), func.max(request_call.c.id))
            .select_from(request_call)
            .join(call_digest, call_digest.c.call == request_call.c.id)
            .join(request_vector, request_vector.c.request == request_call.c.request)
        )
        with self._database.read() as db:
            count, last = db.execute(query).one()
        return int(count), int(last or 0)

    def since(self, calls: int) -> float:
        """The moment of the `calls`-th call from the end; 0 when there are fewer: where to begin reading the last."""
        query = select(request_call.c.at).order_by(request_call.c.id.desc()).offset(calls - 1).limit(1)
        with self._database.read() as db:
            return float(db.execute(query).scalar() or 0.0)

    def erase(self) -> int:
        """Deletes the texts of all requests, and the tasks that were solved; how many requests had one."""
        texts, tasks = select(request.c.id).where(request.c.query != ""), select(solved.c.hash)
        with self._database.read() as db:
            if all(db.execute(each.limit(1)).first() is None for each in (texts, tasks)):
                return 0
        with self._database.write() as db:
            db.execute(delete(solved))
            erased = db.execute(update(request).where(request.c.query != "").values(query="")).rowcount
        self._database.shrink()  # until a checkpoint the file holds them still
        return erased

    def purge(self, before: float) -> int:
        """Deletes the requests made before a moment, with their calls; how many."""
        with self._database.write() as db:
            old = select(request.c.id).where(request.c.at < before)
            for beside in (request_call, request_vector, interleaved):  # at once: the numbers are given anew
                db.execute(delete(beside).where(beside.c.request.in_(old)))
            return db.execute(delete(request).where(request.c.at < before)).rowcount
