"""`FunctionStore`: the saved functions of a store, shared by every process that has it open.

Each change is one transaction that adds the events and the version they speak of, so a crash leaves all of it or
nothing. Two writers at once cannot both give a number: the later one starts over with what the first one left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, delete, exc, select

from toolweft_catalog.tool import Json, Tool
from toolweft_catalog.wire import FunctionCard, FunctionState, SavedFunction
from toolweft_server.errors import LibraryError, StoreError
from toolweft_server.library import admitting, rows
from toolweft_server.library.admit import Used, draft
from toolweft_server.library.care import judge
from toolweft_server.library.extract import Extracted, Rejected
from toolweft_server.library.function import MOVES, Event, Function, Life, fold, normalised
from toolweft_server.library.proof import UNPROVEN, Proof, tightened
from toolweft_server.library.share import Shared, of_card
from toolweft_server.store import schema
from toolweft_server.store.database import bump
from toolweft_server.store.store import Store

TOPIC = "functions"

TRIES = 50
"""Other writers that may come in between before a change gives up."""

_LOUD = frozenset({"admitted", "again", "state", "removed"})
"""Events shown in a history; uses are only counted."""

T = TypeVar("T")


class Admission(NamedTuple):
    """What became of some functions: all that were saved were saved together."""

    saved: tuple[SavedFunction, ...]
    rejected: tuple[Rejected, ...]


class FunctionStore:
    """Sync and thread-safe.

    Raises:
        StoreError: From every method; see `store.store.Store`.

    """

    def __init__(self, store: Store) -> None:
        self._database, self._scrub = store.database, store.scrub

    # ---- changes ----------------------------------------------------------------------------------------------

    def admit(
        self,
        found: Iterable[Extracted],
        *,
        tools: Mapping[str, Tool],
        provenance: Mapping[str, Json] | None = None,
        state: FunctionState = "active",
        proofs: Mapping[str, Proof] | None = None,
        on_purpose: Collection[str] = (),
    ) -> Admission:
        """Saves functions together; one that is refused does not stop the others.

        `tools` holds those of the catalogue that they name. With `proofs`, each begins as a candidate and goes as
        far as its proof carries it, else it is in `state` at once. Code that is here under another name is not saved
        a second time, except under a name given `on_purpose`.
        """
        known = {each: Used(tool.digest, tool.annotations.effect) for each, tool in tools.items()}
        origin = self._origin(provenance or {})

        def drafted(db: Connection, each: Extracted) -> Function:
            proof = None if proofs is None else proofs.get(each.name, UNPROVEN)
            new = draft(
                each, tools=known, functions=rows.pins(db, each.functions), scrub=self._scrub,
                state="candidate" if proof else state, provenance=origin,
            )  # fmt: skip
            return new if proof is None else tightened(new, proof)

        def admitted(db: Connection, each: Extracted) -> SavedFunction:
            new = drafted(db, each)
            proof = None if proofs is None else proofs.get(each.name, UNPROVEN)
            return admitting.admit(db, new, proof, alone=each.name in on_purpose)

        return self._admit_all({each.name: partial(admitted, each=each) for each in found})

    def drafts(self, found: Iterable[Extracted], *, tools: Mapping[str, Tool]) -> dict[str, Function]:
        """The functions as `admit` would save them, without saving; those that it would refuse are left out."""
        known = {each: Used(tool.digest, tool.annotations.effect) for each, tool in tools.items()}
        drafted: dict[str, Function] = {}
        with self._database.read() as db:
            for each in found:
                with suppress(LibraryError):
                    pins = rows.pins(db, each.functions)
                    drafted[each.name] = draft(each, tools=known, functions=pins, scrub=self._scrub)
        return drafted

    def import_(self, shared: Iterable[Shared], *, trust: bool = False) -> Admission:
        """Takes over functions that `share.read` has checked: active if a person trusts them, else candidates.

        Their tools need not be here; one that uses a function which is neither here nor among them is refused.
        """

        def admitted(db: Connection, each: Shared) -> SavedFunction:
            new = draft(
                each.found, tools={name: Used(held, "unknown") for name, held in each.facts.tools.items()},
                functions=rows.pins(db, each.found.functions, offered=False), scrub=self._scrub,
                state="active" if trust else "candidate",
                provenance=self._origin({**each.facts.provenance, "imported": time.time()}),
            )  # fmt: skip
            return admitting.admit(db, new, None, alone=True)

        by_name = {each.found.name: each for each in shared}
        return self._admit_all({name: partial(admitted, each=by_name[name]) for name in _in_order(by_name)})

    def take(self, cards: Sequence[FunctionCard]) -> Admission:
        """Takes over functions as another toolweft sends them: what passes every check becomes a candidate."""
        found: list[Shared] = []
        refused: list[Rejected] = []
        for card in cards:
            try:
                found.append(of_card(card, scrub=self._scrub))
            except LibraryError as error:
                refused.append(Rejected(card.name[:80], str(error)))
        admission = self.import_(found)
        return Admission(admission.saved, (*refused, *admission.rejected))

    def _admit_all(self, each: Mapping[str, Callable[[Connection], SavedFunction]]) -> Admission:
        def work(db: Connection) -> Admission:
            saved: list[SavedFunction] = []
            rejected: list[Rejected] = []
            for name, admitted in each.items():
                try:
                    saved.append(admitted(db))
                except LibraryError as error:
                    rejected.append(Rejected(name, str(error)))
            rows.retire_idle(db)
            rows.retire_surplus(db)
            return Admission(tuple(saved), tuple(rejected))

        return self._change(work) if each else Admission((), ())

    def _origin(self, provenance: Mapping[str, Json]) -> dict[str, Json]:
        return {str(key): self._scrub.json(value) for key, value in provenance.items()}

    def used(self, name: str, version: int, ok: bool, *, why: str = "") -> FunctionState | None:
        """Counts a use; the state it leads to, `None` for one that was removed meanwhile.

        A failure may quarantine or retire the function: `care` says when. `why` it failed, where that is known, is said
        with that.
        """

        def work(db: Connection) -> FunctionState | None:
            held = rows.lives(db, name).get(name)
            if held is None or version not in held[1].versions:
                return None
            held = rows.append(db, name, held, Event("used" if ok else "failed", version, time.time()))
            if not ok and (verdict := judge(held[1].versions[version], rows.around(db))) is not None:
                told = f"{why}; {verdict.why}" if why else verdict.why
                held = rows.move(db, name, held, version, [verdict.state], why=told)
                bump(db, TOPIC)
            return held[1].versions[version].state

        return self._change(work, quiet=True)

    def mark(
        self, name: str, version: int, state: FunctionState, why: str = "", *, expect: FunctionState | None = None,
        tools: Mapping[str, str] | None = None,
    ) -> bool:  # fmt: skip
        """Changes the state of one version; whether it did. Being in that state already is no change.

        With `expect`, nothing happens unless it is in that state now: somebody else may have been faster. `tools` are
        the digests it was verified against.

        Raises:
            LibraryError: There is no such version, or its state does not lead there.

        """

        def work(db: Connection) -> bool:
            held = rows.lives(db, name).get(name)
            if held is None or version not in held[1].versions:
                raise LibraryError(f"there is no version {version} of a saved function {name!r}")
            now = held[1].versions[version].state
            if now == state or expect not in (None, now):
                return False
            if state not in MOVES[now]:
                ways = ", ".join(sorted(MOVES[now]))
                raise LibraryError(f"{name}@{version} is {now}, which leads to {ways}, not to {state}")
            rows.move(db, name, held, version, [state], why=why, tools=tools)
            return True

        return self._change(work)

    def rollback(self, name: str, version: int) -> tuple[int, ...]:
        """Offers an earlier version again: later ones retire. The numbers of those that did.

        Raises:
            LibraryError: There is no such version, or it cannot be offered.

        """

        def work(db: Connection) -> tuple[int, ...]:
            held = rows.lives(db, name).get(name)
            if held is None or not held[1].versions:
                raise LibraryError(_unknown(db, name))
            if version not in held[1].versions:
                there = ", ".join(map(str, held[1].versions))
                raise LibraryError(f"there is no version {version} of {name!r}; there are: {there}")
            if (state := held[1].versions[version].state) not in rows.BY_NUMBER:
                raise LibraryError(f"{name}@{version} is {state}: only a version that worked can be offered again")
            later = [n for n, each in held[1].versions.items() if n > version and each.state in rows.OFFERED]
            for each in later:
                held = rows.move(db, name, held, each, ["retired"], why=f"rolled back to version {version}")
            rows.move(db, name, held, version, ["active"], why=f"rolled back to version {version}")
            return tuple(later)

        return self._change(work)

    def remove(self, name: str) -> tuple[str, ...]:
        """Deletes a function with all its versions; the names of those that use it and will fail.

        Its number goes on if the name comes back, so that no pinned version ever means other code.

        Raises:
            LibraryError: There is none of that name.

        """

        def work(db: Connection) -> tuple[str, ...]:
            life = rows.lives(db, name).get(name)
            if life is None or not life[1].versions:
                raise LibraryError(_unknown(db, name))
            rows.append(db, name, life, Event("removed", life[1].newest, time.time()))
            db.execute(delete(schema.function_version).where(schema.function_version.c.name == name))
            return tuple(sorted(each.name for each in rows.newest(db) if name in each.functions))

        return self._change(work)

    # ---- questions --------------------------------------------------------------------------------------------

    def get(self, name: str, version: int | None = None) -> Function | None:
        """The function that a program may call: this version, or the newest one offered."""
        fit = rows.OFFERED if version is None else rows.BY_NUMBER
        found = [each for each in self.versions(name) if each.state in fit and version in (None, each.version)]
        return found[-1] if found else None

    def stale(self, name: str, version: int | None = None) -> Function | None:
        """The stale function behind a name that `get` does not give: that version, or the newest of all."""
        found = [each for each in self.versions(name) if version in (None, each.version)]
        return found[-1] if found and found[-1].state == "stale" else None

    def same(self, source: str, name: str) -> Function | None:
        """The function with this code, whatever it is called: active rather than not, then the newest."""
        with self._database.read() as db:
            found = admitting.same(db, normalised(source, name))
        return min(found, key=lambda each: (each.state not in rows.OFFERED, -each.version)) if found else None

    def versions(self, name: str) -> list[Function]:
        """Every version of a function in any state, oldest first."""
        with self._database.read() as db:
            return rows.functions(db, [name]).get(name, [])

    def list(self) -> Sequence[Function]:
        """Every function by name: the version that is offered, else the newest one, whatever its state."""
        with self._database.read() as db:
            return rows.newest(db)

    def offered(self) -> Sequence[Function]:
        """The functions that programs may call, by name."""
        return [each for each in self.list() if each.state in rows.OFFERED]

    def active(self) -> Sequence[Function]:
        """Every version that is active, also those that a newer one stands before."""
        with self._database.read() as db:
            held = rows.functions(db, rows.lives(db))
        return [each for versions in held.values() for each in versions if each.state == "active"]

    def as_tools(self) -> Sequence[Tool]:
        """The offered functions as tools."""
        return [each.as_tool() for each in self.offered()]

    def cards(self) -> Sequence[FunctionCard]:
        """Every function as its resource shows it, without history."""
        return [_card(each, []) for each in self.list()]

    def card(self, name: str, version: int | None = None) -> FunctionCard | None:
        """One function, in any state, with its history."""
        found = [each for each in self.versions(name) if version in (None, each.version)]
        found = [each for each in found if each.state in rows.OFFERED] or found
        return _card(found[-1], self.history(name)) if found else None

    def history(self, name: str) -> Sequence[dict[str, Any]]:
        """What happened to a function, oldest first, uses left out. A removed one still has its history."""
        event = schema.function_event
        with self._database.read() as db:
            query = select(event).where(event.c.name == name, event.c.kind.in_(_LOUD)).order_by(event.c.seq)
            return [
                {"kind": row.kind, "version": row.version, "at": row.at, **_told(json.loads(row.detail))}
                for row in db.execute(query)
            ]

    def life(self, name: str) -> Life:
        """The fold of all events of a function, read from the log itself."""
        event = schema.function_event
        with self._database.read() as db:
            found = db.execute(select(event).where(event.c.name == name).order_by(event.c.seq)).all()
        return fold(Event(row.kind, row.version, row.at, json.loads(row.detail)) for row in found)

    def _change(self, work: Callable[[Connection], T], *, quiet: bool = False) -> T:
        """Runs `work` in a transaction, again when another writer took a number in between."""
        for _ in range(TRIES):
            try:
                with self._database.write(*(() if quiet else (TOPIC,))) as db:
                    return work(db)
            except exc.IntegrityError:
                continue
        raise StoreError("the library is being written by others without a pause. Nothing was changed; retry.")


def _in_order(shared: Mapping[str, Shared]) -> list[str]:
    """What others stand on comes first; in a circle the order does not help, and its members are refused."""
    needs = {name: set(each.found.functions) & shared.keys() for name, each in shared.items()}
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError:
        return list(shared)


def _told(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What a history shows of an event: not what somebody's program gave to a function."""
    return {key: each for key, each in detail.items() if key != "examples"}


def _unknown(db: Connection, name: str) -> str:
    names = [each.name for each in rows.newest(db)]
    return f"there is no saved function {name!r}; there are: {', '.join(names[:10]) or 'none yet'}"


def _card(function: Function, history: Sequence[dict[str, Any]]) -> FunctionCard:
    keyword = "async def" if function.is_async else "def"
    doc = f'    """{function.description.splitlines()[0]}"""' if function.description else "    ..."
    return FunctionCard(
        name=function.name, version=function.version, state=function.state, signature=function.signature,
        description=function.description, source=function.source,
        stub=f"{keyword} {function.name}{function.signature}:\n{doc}", tools=dict(function.tools),
        functions=dict(function.functions), uses=function.uses, failures=function.failures,
        provenance=dict(function.provenance), history=list(history),
    )  # fmt: skip
