"""A drafted function's way into the rows, inside a transaction that `store` holds: where it goes, and in which state.

Where it goes among those of its name is `admit`'s decision; here the whole library is looked at, too: the same code
under another name is that function once more, and so is code that an active function can do already (`alike`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, insert, select

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import FunctionState, SavedFunction
from toolweft_server.library import rows
from toolweft_server.library.admit import Placement, place
from toolweft_server.library.alike import Fit, arguments, fit
from toolweft_server.library.function import Event, EventKind, Function
from toolweft_server.library.proof import Proof
from toolweft_server.store import schema

_FOLDED = frozenset({"name", "version", "state", "uses", "failures", "why"})
"""What is not a version's own: its name, or the fold of events."""


def admit(db: Connection, new: Function, proof: Proof | None, *, alone: bool) -> SavedFunction:
    """Saves a draft. `alone`: under its own name, whatever else has the same code.

    Without a proof it is in the state that it has; with one, it goes on from there as far as the proof carries.

    Raises:
        LibraryError: It cannot have another name, and its own is taken.

    """
    placed = (None if alone else _elsewhere(db, new)) or _placed(db, new)
    function = placed.function
    proven = (new.state if proof is None else proof.state) != "candidate"
    if placed.what != "again" and proven and not alone and (merged := _merged(db, new)) is not None:
        return merged
    held = _record(db, placed, rows.lives(db, function.name).get(function.name))
    standing = held[1].versions[function.version]
    path: Sequence[FunctionState] = ()
    why = ""
    if proof is not None:
        path, why = _way(proof, again=placed.what == "again" and standing.state == "verified")
    elif standing.state == "candidate" and new.state != "candidate":
        path = [new.state]  # a person trusts what only waited for that
    changed = dict(new.tools) if placed.what == "again" and new.tools != function.tools else None
    held = rows.move(db, function.name, held, function.version, path, why=why, tools=changed)
    return SavedFunction(name=function.name, version=function.version, state=held[1].versions[function.version].state)


def same(db: Connection, digest: str) -> list[Function]:
    """The versions with this code, whatever their names, by name and number."""
    kept = schema.function_version
    query = select(kept.c.name, kept.c.version).where(kept.c.digest == digest)
    found = [(row.name, row.version) for row in db.execute(query.order_by(kept.c.name, kept.c.version))]
    held = rows.functions(db, {name for name, _ in found})
    return [each for name, version in found for each in held[name] if each.version == version]


def _merged(db: Connection, new: Function) -> SavedFunction | None:
    """The active function that the new one is an instance of: it is credited with the run, and with its proof."""
    for old in rows.newest(db):
        if old.state not in rows.OFFERED or old.tools != new.tools or old.functions != new.functions:
            continue
        how = fit(old.source, old.name, new.source, new.name)
        if how is None:
            continue
        detail: dict[str, Json] = {"of": new.name, "execution": new.provenance.get("execution", "")}
        if old.effect == "read":  # one that may write is verified anew by the record of one execution alone
            calls = [{**each, "arguments": _given(how, each)} for each in new.examples]
            detail["examples"] = [{**each, "execution": detail["execution"]} for each in calls]
        held = rows.lives(db, old.name)[old.name]
        credit: list[tuple[EventKind, dict[str, Json]]] = [("again", detail), ("used", {})]
        for kind, told in credit:
            held = rows.append(db, old.name, held, Event(kind, old.version, time.time(), told))
        return SavedFunction(name=old.name, version=old.version, state=held[1].versions[old.version].state)
    return None


def _given(how: Fit, example: Mapping[str, Json]) -> dict[str, Json]:
    given = example["arguments"]
    assert isinstance(given, dict), "a call is kept with its arguments by name"
    return arguments(how, given)


def _elsewhere(db: Connection, new: Function) -> Placement | None:
    """The same code under another name. Functions of its own name are `place`'s business."""
    found = [each for each in same(db, new.digest) if each.kind == new.kind]
    if not found or any(each.name == new.name for each in found):
        return None
    return Placement(min(found, key=lambda each: each.state not in rows.OFFERED), "again")


def _placed(db: Connection, new: Function) -> Placement:
    lives = rows.lives(db, new.name, family=True)
    held = rows.functions(db, lives)
    order = sorted(lives, key=lambda name: (len(name), name))
    return place(new, {n: held.get(n, []) for n in order}, {n: lives[n][1].newest for n in order})


def _way(proof: Proof, *, again: bool) -> tuple[Sequence[FunctionState], str]:
    """The states that a proof leads through, and why. `again`: it was verified before, and waits for its second run."""
    if proof.state == "candidate":
        return (), ""
    if proof.state == "verified" and not again:
        return ["verified"], proof.why
    return ["verified", "active"], "it ran clean twice" if proof.state == "verified" else proof.why


def _record(db: Connection, placed: Placement, held: rows.Held | None) -> rows.Held:
    function, what = placed
    if what == "again":
        return rows.append(db, function.name, held, Event("again", function.version, time.time()))
    body = {k: v for k, v in asdict(function).items() if k not in _FOLDED}
    db.execute(
        insert(schema.function_version).values(
            name=function.name,
            version=function.version,
            digest=function.digest,
            body=json.dumps(body, ensure_ascii=True),
        )
    )
    detail: dict[str, Json] = {"state": function.state, "digest": function.digest}
    if "execution" in function.provenance:
        detail["execution"] = function.provenance["execution"]
    if function.why:
        detail["why"] = function.why
    return rows.append(db, function.name, held, Event("admitted", function.version, time.time(), detail))
