"""What tools have been seen to return, by the tool's digest: a changed tool starts over. `shape` gives it meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import insert, select, update

from toolweft_server.store.database import Database
from toolweft_server.store.schema import shape


class Shapes:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, digests: Iterable[str]) -> dict[str, str]:
        """The stored shapes, as JSON text; digests nothing is known of are left out."""
        return self._database.values(shape.c.digest, shape.c.body, list(dict.fromkeys(digests)))

    def merge(self, digest: str, observed: str, merge: Callable[[str, str], str]) -> str:
        """Refines a shape by `merge(stored, observed)`, or keeps `observed` as the first. Returns what is stored now.

        One transaction: two processes that learn at once lose nothing. Writes only what changes.
        """
        held = self.get([digest]).get(digest)
        if held is not None and merge(held, observed) == held:
            return held
        with self._database.write() as connection:
            held = connection.execute(select(shape.c.body).where(shape.c.digest == digest)).scalar()
            if held is None:
                connection.execute(insert(shape).values(digest=digest, body=observed))
                return observed
            merged = merge(held, observed)
            if merged != held:
                connection.execute(update(shape).where(shape.c.digest == digest).values(body=merged))
            return merged
