"""The library's rows, inside a transaction that `store` holds: events are added, the rest is read.

An event and the fold up to it are written together. A number given twice violates a constraint: `store` starts over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, insert, select, update

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import FunctionState
from toolweft_server.library.admit import is_family
from toolweft_server.library.care import CAP, PER_TOOLS, UNUSED, Around, crowded, surplus
from toolweft_server.library.function import EXAMPLES, MOVES, Event, Function, Life, Standing, fold
from toolweft_server.store import schema

OFFERED: frozenset[FunctionState] = frozenset({"active"})
"""States in which a function is offered, and called by its name."""
BY_NUMBER: frozenset[FunctionState] = OFFERED | {"retired"}
"""States in which one version of it may be called: who pinned what retired goes on with what was verified."""

ENDED = ("ok", "error", "timeout", "limit")
"""Ends of a program that say something about what it used."""

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


def move(
    db: Connection, name: str, held: Held, version: int, path: Iterable[FunctionState], *, why: str = "",
    tools: Mapping[str, str] | None = None,
) -> Held:  # fmt: skip
    """Takes one version through the states of `path`, as far as `MOVES` knows the way; the rest is left out.

    `tools` are the digests that it was verified against now, if they are others than before.
    """
    for state in path:
        if state in MOVES[held[1].versions[version].state]:
            detail: dict[str, Json] = {"state": state} | ({"why": why} if why else {})
            held = append(
                db, name, held, Event("state", version, time.time(), detail | ({"tools": dict(tools)} if tools else {}))
            )
    return held


def around(db: Connection) -> Around:
    """What programs and functions did, for whoever judges one of them."""
    ran = schema.execution
    query = select(ran.c.status, func.count().label("number")).where(ran.c.status.in_(ENDED)).group_by(ran.c.status)
    ended = {row.status: row.number for row in db.execute(query)}
    standings = [each for _, life in lives(db).values() for each in life.versions.values()]
    return Around(
        sum(ended.values()), ended.get("ok", 0),
        sum(each.uses for each in standings), sum(each.failures for each in standings),
    )  # fmt: skip


def retire_idle(db: Connection) -> None:
    """Over the cap, what nobody uses retires."""
    active = {
        name: (held, max(n for n, each in held[1].versions.items() if each.state in OFFERED))
        for name, held in lives(db).items()
        if any(each.state in OFFERED for each in held[1].versions.values())
    }
    if len(active) <= CAP:
        return
    began = schema.execution.c.started_at
    before = db.execute(select(began).order_by(began.desc()).offset(UNUSED - 1).limit(1)).scalar()
    last = {name: held[1].versions[version].last for name, (held, version) in active.items()}
    for name in crowded(last, before):
        held, version = active[name]
        why = f"not used by the last {UNUSED} programs, and more than {CAP} functions are active"
        move(db, name, held, version, ["retired"], why=why)


def retire_surplus(db: Connection) -> None:
    """Of too many functions for the same tools, the least useful retire."""
    groups: dict[frozenset[str], list[str]] = {}
    for each in newest(db):
        if each.state in OFFERED and each.tools:
            groups.setdefault(frozenset(each.tools), []).append(each.name)
    for tools, names in groups.items():
        if len(names) <= PER_TOOLS:
            continue
        known = {name: lives(db, name)[name] for name in names}
        for name in surplus({name: _chosen(life.versions)[1] for name, (_, life) in known.items()}):
            held = known[name]
            listed = ", ".join(sorted(tools))
            why = f"{len(names)} functions do something with {listed}, and this one is less useful than three of them"
            for version in [n for n, each in held[1].versions.items() if each.state in OFFERED]:
                held = move(db, name, held, version, ["retired"], why=why)


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
    if standing.tools is not None:
        held["tools"] = {each: standing.tools.get(each, digest) for each, digest in held["tools"].items()}
    held["examples"] = [*standing.examples, *held["examples"]][:EXAMPLES]
    return Function(
        name=name, version=version, state=standing.state, uses=standing.uses, failures=standing.failures,
        why=standing.why, **held,
    )  # fmt: skip
