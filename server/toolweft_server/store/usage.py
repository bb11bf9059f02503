"""What is kept of use so that the index can learn: vectors of requests, digests of what was called, sets, trials.

Requests and the calls that followed are `requests`'; this stands beside them. It never holds a text: a request is its
vector (float16) and a salted hash, a program a salted hash. Everything learned is computed from these rows, so that
forgetting rows is all there is to a rollback.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, insert, select, update

from toolweft_server.errors import StoreError
from toolweft_server.store.database import Database
from toolweft_server.store.requests import Vector
from toolweft_server.store.schema import (
    call_digest,
    interleaved,
    request,
    request_call,
    request_vector,
    salt,
    together,
    trial,
)

Vectors = NDArray[np.float32]


class Followed(NamedTuple):
    """A call that followed a request whose vector is known."""

    request: int
    hash: str
    row: int
    """Where the vector is in the matrix that comes with it."""
    owner: str
    shown: tuple[str, ...]
    """The tools that the request was answered with."""
    tool: str
    digest: str
    """The tool as it was when it was called."""
    ok: bool
    at: float


class Executed(NamedTuple):
    owner: str
    program: str
    tools: frozenset[str]
    at: float


class Answered(NamedTuple):
    """An interleaved answer, and which tools were executed and succeeded after it."""

    request: int
    shown: tuple[str, ...]
    challenger: frozenset[str]
    worked: frozenset[str]


class Trial(NamedTuple):
    name: str
    since: float
    ended: float | None
    verdict: str | None


class Forgotten(NamedTuple):
    requests: int
    calls: int
    executions: int
    trials: int


class Uses:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._salt: bytes | None = None

    def salt(self) -> bytes:
        """What makes hashes this store's own; made when it is first asked for."""
        if self._salt is None:
            with self._database.write() as db:
                self._salt = _salt(db)
        return self._salt

    def hash(self, text: str) -> str:
        """32 hex digits, equal for texts that differ in case and space alone; meaningless in any other store."""
        plain = " ".join(text.casefold().split())
        return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), key=self.salt(), digest_size=16).hexdigest()

    def vector(self, query: str, encoder: str, vector: Vectors) -> Vector:
        """What `Requests.asked` keeps of a request's vector.

        Raises:
            StoreError: The vector is not one of finite numbers.

        """
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise StoreError("the vector of a request is no row of finite numbers. It was not kept.")
        return Vector(self.hash(query), encoder, vector.astype("<f2").tobytes())

    def called(self, owner: str, connection: str, digests: Mapping[str, str], at: float) -> None:
        """Notes what the tools (id -> digest) were that `Requests.called` has just noted with the same `at`."""
        noted = (
            select(request_call.c.id, request_call.c.tool)
            .join(request, request.c.id == request_call.c.request)
            .where(request.c.owner == owner, request.c.connection == connection, request_call.c.at == at)
        )
        with self._database.write() as db:
            rows = [{"call": row.id, "digest": digests[row.tool]} for row in db.execute(noted) if row.tool in digests]
            known = set(
                db.execute(
                    select(call_digest.c.call).where(call_digest.c.call.in_([r["call"] for r in rows]))
                ).scalars()
            )
            if rows := [row for row in rows if row["call"] not in known]:
                db.execute(insert(call_digest), rows)

    def executed(self, owner: str, code: str, tools: Sequence[str], at: float | None = None) -> None:
        """Notes the tools that succeeded within one execution; fewer than two say nothing together."""
        if len(held := sorted(set(tools))) < 2:
            return
        row = {"owner": owner, "program": self.hash(code), "tools": json.dumps(held), "at": at or time.time()}
        with self._database.write() as db:
            db.execute(insert(together).values(row))

    def followed(self, encoder: str, size: int, since: float = 0.0) -> tuple[list[Followed], Vectors]:
        """The calls after requests whose vectors are of this encoder, oldest first; the vectors (R, size).

        A vector of another length is damaged and left out with its calls.
        """
        query = (
            select(
                request.c.id, request_vector.c.hash, request.c.owner, request.c.shown, request_call.c.tool,
                call_digest.c.digest, request_call.c.ok, request_call.c.at, request_vector.c.vector,
            )
            .join(request_call, request_call.c.request == request.c.id)
            .join(request_vector, request_vector.c.request == request.c.id)
            .join(call_digest, call_digest.c.call == request_call.c.id)
            .where(request_vector.c.encoder == encoder, request_call.c.at >= since)
            .order_by(request_call.c.id)
        )  # fmt: skip
        rows: dict[str, int] = {}
        vectors: list[NDArray[np.float16]] = []
        calls: list[Followed] = []
        with self._database.read() as db:
            for each in db.execute(query):
                if len(each.vector) != 2 * size:
                    continue
                if each.hash not in rows:
                    rows[each.hash] = len(vectors)
                    vectors.append(np.frombuffer(each.vector, "<f2"))
                shown = tuple(json.loads(each.shown))
                calls.append(
                    Followed(
                        each.id, each.hash, rows[each.hash], each.owner, shown, each.tool, each.digest, each.ok, each.at
                    )
                )
        matrix = np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, size), np.float32)
        return calls, matrix

    def encoders(self) -> dict[str, int]:
        """Encoder -> the numbers in its vectors, for those that requests are kept of; the latest first."""
        query = select(request_vector.c.encoder, request_vector.c.vector).order_by(request_vector.c.request.desc())
        with self._database.read() as db:
            found: dict[str, int] = {}
            for each in db.execute(query):
                found.setdefault(each.encoder, len(each.vector) // 2)
        return found

    def together(self, since: float = 0.0) -> list[Executed]:
        query = select(together).where(together.c.at >= since).order_by(together.c.id)
        with self._database.read() as db:
            return [Executed(r.owner, r.program, frozenset(json.loads(r.tools)), r.at) for r in db.execute(query)]

    def mixed(self, number: int, name: str, shown: Sequence[str], challenger: Sequence[str]) -> None:
        """Notes that a request was answered with two rankings mixed, in the trial `name`, which begins if it is new."""
        with self._database.write() as db:
            if db.execute(select(trial.c.name).where(trial.c.name == name)).first() is None:
                db.execute(insert(trial).values(name=name, since=time.time()))
            row = {"shown": json.dumps(list(shown)), "challenger": json.dumps(sorted(challenger))}
            db.execute(insert(interleaved).values(request=number, trial=name, **row))

    def answered(self, name: str) -> list[Answered]:
        """The interleaved answers of a trial, oldest first, with what was executed after each."""
        answers = select(interleaved).where(interleaved.c.trial == name).order_by(interleaved.c.request)
        calls = (
            select(request_call.c.request, request_call.c.tool)
            .join(interleaved, interleaved.c.request == request_call.c.request)
            .where(interleaved.c.trial == name, request_call.c.ok)
        )
        worked: dict[int, set[str]] = {}
        with self._database.read() as db:
            for row in db.execute(calls):
                worked.setdefault(row.request, set()).add(row.tool)
            return [
                Answered(
                    row.request, tuple(json.loads(row.shown)), frozenset(json.loads(row.challenger)),
                    frozenset(worked.get(row.request, ())),
                )
                for row in db.execute(answers)
            ]  # fmt: skip

    def trials(self) -> list[Trial]:
        with self._database.read() as db:
            return [Trial(*row) for row in db.execute(select(trial).order_by(trial.c.since))]

    def ended(self, name: str, verdict: str, at: float | None = None) -> None:
        """The trial is over, once and for all: its verdict stands until it is forgotten."""
        with self._database.write() as db:
            still = update(trial).where(trial.c.name == name, trial.c.ended.is_(None))
            db.execute(still.values(ended=at or time.time(), verdict=verdict))

    def learned(self, since: float = 0.0) -> Forgotten:
        """What `forget` would delete."""
        with self._database.read() as db:
            return Forgotten(
                *(
                    int(db.execute(select(func.count()).where(column >= since)).scalar_one())
                    for column in (request.c.at, request_call.c.at, together.c.at, trial.c.since)
                )
            )

    def forget(self, since: float = 0.0) -> Forgotten:
        """Deletes what would be learned from since a moment: requests, calls after them, sets and trials."""
        with self._database.write() as db:
            calls = db.execute(delete(request_call).where(request_call.c.at >= since)).rowcount
            requests = db.execute(delete(request).where(request.c.at >= since)).rowcount
            executions = db.execute(delete(together).where(together.c.at >= since)).rowcount
            trials = db.execute(delete(trial).where(trial.c.since >= since)).rowcount
            _tidy(db)
        return Forgotten(requests, calls, executions, trials)

    def purge(self, before: float) -> None:
        """Deletes what is left of requests that are gone, and executions before a moment."""
        with self._database.write() as db:
            db.execute(delete(together).where(together.c.at < before))
            _tidy(db)


def _tidy(db: Connection) -> None:
    """Deletes rows beside requests, calls and trials that are no longer there."""
    db.execute(delete(request_call).where(request_call.c.request.not_in(select(request.c.id))))
    db.execute(delete(request_vector).where(request_vector.c.request.not_in(select(request.c.id))))
    db.execute(delete(call_digest).where(call_digest.c.call.not_in(select(request_call.c.id))))
    gone = interleaved.c.request.not_in(select(request.c.id)) | interleaved.c.trial.not_in(select(trial.c.name))
    db.execute(delete(interleaved).where(gone))


def _salt(db: Connection) -> bytes:
    found = db.execute(select(salt.c.value).where(salt.c.name == "texts")).scalar()
    if found is None:
        found = os.urandom(32)
        db.execute(insert(salt).values(name="texts", value=found))
    return bytes(found)
