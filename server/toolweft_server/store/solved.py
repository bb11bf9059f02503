"""Tasks with the program that solved them: worked examples for whoever has a task like it.

A task is a person's words: rows are made only where the configuration keeps texts of requests, are shown to their owner
alone, and go with those texts (`Requests.erase`). Which of them are alike, and whether their tools are still what they
were, is `toolweft_server.solved`'s.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select, update

from toolweft_catalog.tool import digest
from toolweft_server.scrub import Scrubber
from toolweft_server.store.database import Database
from toolweft_server.store.schema import solved

CAP = 200
"""Tasks kept of one owner; beyond it those go that were kept or chosen longest ago."""

Vector = NDArray[np.float32]


class Placed(NamedTuple):
    """Where a text lies under an encoder."""

    encoder: str
    vector: Vector
    """(d,)"""


class SolvedTask(NamedTuple):
    hash: str
    task: str
    program: str
    tools: Mapping[str, str]
    """Ids of the tools it called, each with its digest then."""
    functions: Sequence[str]
    """Saved functions that it called."""
    placed: Placed | None
    uses: int = 0
    """How often it was chosen as an example."""


class SolvedTasks:
    def __init__(self, database: Database, scrub: Scrubber) -> None:
        self._database, self._scrub = database, scrub

    def keep(
        self, owner: str, task: str, program: str, *, tools: Mapping[str, str], functions: Sequence[str],
        execution: str, placed: Placed | None,
    ) -> None:  # fmt: skip
        """Keeps a task and its program, in place of an earlier program for it."""
        row = {
            "owner": owner, "hash": _hash(task), "task": self._scrub.text(task), "program": program,
            "tools": json.dumps(dict(tools)), "functions": json.dumps(sorted(functions)), "execution": execution,
            "encoder": placed.encoder if placed else None, "uses": 0, "last": time.time(),
            "vector": placed.vector.astype("<f2").tobytes() if placed else None,
        }  # fmt: skip
        mine = solved.c.owner == owner
        with self._database.write() as db:
            db.execute(delete(solved).where(mine, solved.c.hash == row["hash"]))
            db.execute(insert(solved).values(row))
            rest = select(solved.c.hash).where(mine).order_by(solved.c.last.desc(), solved.c.hash).offset(CAP)
            old = [each.hash for each in db.execute(rest)]
            db.execute(delete(solved).where(mine, solved.c.hash.in_(old)))

    def of(self, owner: str) -> list[SolvedTask]:
        """All of one owner, the latest kept or chosen first."""
        query = select(solved).where(solved.c.owner == owner).order_by(solved.c.last.desc(), solved.c.hash)
        with self._database.read() as db:
            return [
                SolvedTask(
                    row.hash, row.task, row.program, json.loads(row.tools), json.loads(row.functions),
                    Placed(row.encoder, np.frombuffer(row.vector, "<f2").astype(np.float32)) if row.vector else None,
                    row.uses,
                )
                for row in db.execute(query)
            ]  # fmt: skip

    def chosen(self, owner: str, hashes: Sequence[str]) -> None:
        """Counts that these were given as examples."""
        some = solved.c.owner == owner, solved.c.hash.in_(hashes)
        with self._database.write() as db:
            db.execute(update(solved).where(*some).values(uses=solved.c.uses + 1, last=time.time()))

    def retried(self, execution: str) -> None:
        """Drops what another attempt follows: it was not the end of its task."""
        mine = solved.c.execution == execution
        with self._database.read() as db:
            if db.execute(select(solved.c.hash).where(mine)).first() is None:
                return
        with self._database.write() as db:
            db.execute(delete(solved).where(mine))


def _hash(task: str) -> str:
    return digest(" ".join(task.casefold().split()))
