"""Tools that a person always allows: bound to who said so and to what the tool was when they did."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from toolweft_server.store.database import Database
from toolweft_server.store.schema import approval


class Approval(NamedTuple):
    owner: str
    tool: str
    digest: str
    """The tool as it was: name, schema, description. Another digest is another tool, which asks again."""
    at: float


class Approvals:
    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, owner: str, tool: str, digest: str) -> None:
        with self._database.write() as db:
            db.execute(delete(approval).where(approval.c.owner == owner, approval.c.tool == tool))
            db.execute(insert(approval).values(owner=owner, tool=tool, digest=digest, at=time.time()))

    def holds(self, owner: str, tool: str, digest: str) -> bool:
        query = select(approval.c.digest).where(approval.c.owner == owner, approval.c.tool == tool)
        with self._database.read() as db:
            return bool(db.execute(query).scalar() == digest)

    def list(self) -> list[Approval]:
        """All, of every owner, by tool."""
        query = select(approval.c.owner, approval.c.tool, approval.c.digest, approval.c.at)
        with self._database.read() as db:
            return [Approval(*row) for row in db.execute(query.order_by(approval.c.tool, approval.c.owner))]

    def forget(self, tool: str) -> int:
        """Whoever allowed it: how many approvals were removed."""
        with self._database.write() as db:
            return db.execute(delete(approval).where(approval.c.tool == tool)).rowcount
