"""The ledger's rows: which calls began, how they ended, what they answered. `ledger` decides what is written and when.

Append-only: a call is a row in `call_start` and, once it has an end, one in `call_end`. A start without an end is a
call whose outcome nobody knows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import Table, and_, insert, select

from toolweft_catalog.call import Blob, Result, Value
from toolweft_server.scrub import Scrubber
from toolweft_server.store.database import Database
from toolweft_server.store.schema import call_blob, call_end, call_start, execution

RESULT = 4 * 1024 * 1024
"""Characters of JSON and bytes of blobs kept of one result: as much as a sandbox frame carries."""

CHAIN = 100
"""Retries of retries that are followed back."""

DONE = "ok"
UNKNOWN = frozenset({"timeout", "unavailable", "cancelled", "broken"})
"""Ends after which nobody knows what the tool did, unless it was never sent. `broken`: our own code failed."""

Kept = Literal["exact", "scrubbed", "absent"]
"""What of a result was kept: all, all but its secrets, or nothing because it was too large."""


class Key(NamedTuple):
    """What makes two calls the same call."""

    tool: str
    arguments: str
    ordinal: int


class Written(NamedTuple):
    """What earlier attempts wrote by one tool with the same arguments."""

    times: int
    arguments: str
    """As JSON, without secrets."""
    unknown: tuple[int, ...]
    """The ordinals of those that began, and whose outcome is not known."""


Answered: TypeAlias = tuple[str, int, Kept]
"""Execution, number and fidelity of the record of a call that succeeded."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier attempts did."""

    succeeded: Mapping[Key, Answered] = field(default_factory=dict)
    """The ordinals leave out calls that failed: what succeeded at the second try is the answer to the first one of the
    next attempt."""
    attempts: Sequence[str] = ()
    """The first one first."""
    writes: Mapping[tuple[str, str], Written] = field(default_factory=dict)
    """By tool and arguments, the calls that took effect, or may have."""


Rows = list[tuple[Table, dict[str, Any]]]


class Calls:
    def __init__(self, database: Database, scrub: Scrubber) -> None:
        self._database, self._scrub = database, scrub

    def write(self, makers: Iterable[Callable[[], Rows]]) -> None:
        """Adds the rows that the makers give, in one transaction.

        Raises:
            IntegrityError: One of them is there already; none was added.

        """
        by_table: dict[Table, list[dict[str, Any]]] = {}
        for make in makers:
            for table, row in make():
                by_table.setdefault(table, []).append(row)
        with self._database.write() as db:
            for table, rows in by_table.items():
                db.execute(insert(table), rows)

    def of(self, execution_id: str) -> list[Mapping[str, Any]]:
        """What is written of an execution, without results: a mapping for each call; `status` is `None` without end."""
        ends = (column for column in call_end.c if column.name not in {"execution", "seq", "result"})
        both = call_start.outerjoin(call_end, _same_call())
        query = select(*call_start.c, *ends).select_from(both).where(call_start.c.execution == execution_id)
        with self._database.read() as db:
            return [dict(row) for row in db.execute(query.order_by(call_start.c.seq)).mappings()]

    def past(self, retry_of: str | None, *, owner: str | None = None, not_after: str = "") -> Past:
        """What the attempts from `retry_of` back to the first one did; with `owner`, as far as they are theirs.

        `not_after` ends a chain that bites its own tail.
        """
        succeeded: dict[Key, Answered] = {}
        done: Counter[tuple[str, str]] = Counter()
        writes: dict[tuple[str, str], Written] = {}
        chain = self._chain(retry_of, owner, not_after)
        for attempt in reversed(chain):
            for row in self.of(attempt):
                same = row["tool"], row["args_digest"]
                unknown = row["status"] is None or (row["status"] in UNKNOWN and row["sent"])
                if row["status"] == DONE and not row["replayed"]:
                    succeeded[Key(*same, done[same])] = attempt, row["seq"], row["kept"]
                    done[same] += 1
                elif not unknown:
                    continue
                if row["effect"] != "read" and not row["replayed"]:
                    before = writes.get(same, Written(0, row["arguments"], ()))
                    again = (row["ordinal"],) if unknown and row["ordinal"] not in before.unknown else ()
                    writes[same] = before._replace(times=before.times + 1, unknown=before.unknown + again)
        return Past(succeeded, tuple(reversed(chain)), writes)

    def answers(self, execution_id: str, *, owner: str | None = None) -> dict[tuple[str, str], list[Answered]]:
        """By tool and arguments, in the order of its calls: what one execution was answered, by itself or its record.

        Calls that did not succeed are left out; with `owner`, everything of anybody else.
        """
        past, found = self.past(execution_id, owner=owner), dict[tuple[str, str], list[Answered]]()
        for row in self.of(execution_id) if execution_id in past.attempts else ():
            if row["status"] == DONE:
                same = row["tool"], row["args_digest"]
                own: Answered = (execution_id, row["seq"], row["kept"])
                if (at := past.succeeded.get(Key(*same, row["ordinal"])) if row["replayed"] else own) is not None:
                    found.setdefault(same, []).append(at)
        return found

    def result(self, execution_id: str, seq: int) -> Result:
        """The recorded value of a call that succeeded, marked as replayed."""
        end = and_(call_end.c.execution == execution_id, call_end.c.seq == seq)
        parts = and_(call_blob.c.execution == execution_id, call_blob.c.seq == seq)
        with self._database.read() as db:
            text = db.execute(select(call_end.c.result).where(end)).scalar_one()
            query = select(call_blob.c.mime, call_blob.c.data).where(parts).order_by(call_blob.c.position)
            blobs = [Blob(row.mime, bytes(row.data)) for row in db.execute(query)]
        return Result(_revive(json.loads(text), blobs), replayed=True)

    def encode(self, value: Value) -> tuple[Kept, str | None, list[Blob]]:
        """How a value is kept: how faithfully, its JSON text, and its blobs apart."""
        blobs: list[Blob] = []
        try:
            plain = _apart(value, blobs)
            scrubbed = self._scrub.json(plain)
            text = json.dumps(scrubbed, ensure_ascii=True, separators=(",", ":"))
        except RecursionError:
            return "absent", None, []
        if len(text) + sum(len(blob.data) for blob in blobs) > RESULT:
            return "absent", None, []
        return ("exact" if scrubbed == plain else "scrubbed"), text, blobs

    def _chain(self, first: str | None, owner: str | None, not_after: str) -> list[str]:
        found: list[str] = []
        while first and first not in found and first != not_after and len(found) < CHAIN:
            with self._database.read() as db:
                query = select(execution.c.owner, execution.c.retry_of).where(execution.c.id == first)
                row = db.execute(query).one_or_none()
            if row is not None and owner is not None and row.owner != owner:
                break
            found.append(first)
            first = row.retry_of if row else None
        return found


_BLOB = "\0blob"
"""The key that stands for a blob; a mapping that really has it is wrapped, so that nothing is mistaken for one."""


def _apart(value: Value, blobs: list[Blob]) -> Any:
    if isinstance(value, Blob):
        blobs.append(value)
        return {_BLOB: len(blobs) - 1}
    if isinstance(value, list):
        return [_apart(each, blobs) for each in value]
    if isinstance(value, dict):
        held = {key: _apart(each, blobs) for key, each in value.items()}
        return {_BLOB: held} if _BLOB in held else held
    return value


def _revive(held: Any, blobs: list[Blob]) -> Value:
    if isinstance(held, list):
        return [_revive(each, blobs) for each in held]
    if isinstance(held, dict):
        if len(held) == 1 and _BLOB in held:
            inner = held[_BLOB]
            return blobs[inner] if isinstance(inner, int) else {k: _revive(v, blobs) for k, v in inner.items()}
        return {key: _revive(each, blobs) for key, each in held.items()}
    return held  # type: ignore[no-any-return]


def _same_call() -> Any:
    return and_(call_start.c.execution == call_end.c.execution, call_start.c.seq == call_end.c.seq)
