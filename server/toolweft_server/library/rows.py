"""The library's rows, inside a transaction that `store` holds: events are added, the rest is read.

An event and the fold up to it are written together. A number given twice violates a constraint: `store` starts over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, insert, select, update

from toolweft_catalog.wire import FunctionState
from toolweft_server.library.admit import is_family
from toolweft_server.library.function import Event, Function, Life, Standing, fold
from toolweft_server.store import schema

OFFERED: frozenset[FunctionState] = frozenset({"active"})
"""States in which a function may be called."""

Held = tuple[int, Life]
"""The number of the latest event, and what all of them lead to."""


def append(db: Connection, name: str, held: Held | None, event: Event) -> Held:
    """Adds an event and the fold up to it. Taking a number twice violates a constraint."""
    seq, life = held or (0, Life())
    detail = json.dumps(dict(event.detail), ensure_ascii=True)
    db.execute(
        insert(schema.function_event).values(
            name=name, seq=seq + 1, kind=event.kind, version=event.version, at=event.at, detail=detail
        )
    )
    life = fold([event], life)
    standing = json.dumps(life.to_json())
    if held is None:
        db.execute(insert(schema.function).values(name=name, seq=seq + 1, standing=standing))
    else:
        head = schema.function
        db.execute(update(head).where(head.c.name == name).values(seq=seq + 1, standing=standing))
    return seq + 1, life


def lives(db: Connection, name: str | None = None, *, family: bool = False) -> dict[str, Held]:
    """Functions by name: one, all of its family, or all there are; removed ones too."""
    head = schema.function
    query = select(head).order_by(head.c.name)
    if name is not None:
        query = query.where(head.c.name.startswith(name, autoescape=True) if family else head.c.name == name)
    return {
        row.name: (row.seq, Life.from_json(json.loads(row.standing)))
        for row in db.execute(query)
        if not family or is_family(row.name, name or "")
    }


def functions(db: Connection, names: Iterable[str]) -> dict[str, list[Function]]:
    """All versions of some functions, oldest first."""
    wanted = list(names)
    known = {n: held for each in wanted for n, held in lives(db, each).items()}
    kept = schema.function_version
    query = select(kept).where(kept.c.name.in_(wanted)).order_by(kept.c.name, kept.c.version)
    found: dict[str, list[Function]] = {}
    for row in db.execute(query):
        standing = known[row.name][1].versions[row.version]
        found.setdefault(row.name, []).append(_function(row.name, row.version, row.body, standing))
    return found


def newest(db: Connection) -> list[Function]:
    kept = schema.function_version
    chosen = {name: _chosen(life.versions) for name, (_, life) in lives(db).items() if life.versions}
    rows = db.execute(select(kept).order_by(kept.c.name)).all()
    return [
        _function(row.name, row.version, row.body, chosen[row.name][1])
        for row in rows
        if row.version == chosen[row.name][0]
    ]


def _chosen(versions: Mapping[int, Standing]) -> tuple[int, Standing]:
    offered = [each for each in versions.items() if each[1].state in OFFERED]
    return max(offered or versions.items(), key=lambda each: each[0])


def pins(db: Connection, names: Iterable[str], *, offered: bool = True) -> dict[str, int]:
    """The version that each of these functions is pinned to now: the newest one, or the newest one offered."""
    found = functions(db, names)
    fit = {name: [e.version for e in held if e.state in OFFERED or not offered] for name, held in found.items()}
    return {name: held[-1] for name, held in fit.items() if held}


def _function(name: str, version: int, body: str, standing: Standing) -> Function:
    held = json.loads(body)
    return Function(
        name=name, version=version, state=standing.state, uses=standing.uses, failures=standing.failures, **held
    )
