"""What every backend must be able to show on the machine it runs on: found out by running it, never by reading.

`check_programs` says what is tried. Here each is run in a session of its own (those that only walls stop share a
few), against a secret, a folder and listeners that stand outside for as long as the check takes.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from toolweft_catalog.call import Result, failed
from toolweft_catalog.tool import Json
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding, Outcome, Program, Sandbox, SavedSource, Session
from toolweft_server.sandbox.check_programs import PYTHON, WALLS, Check
from toolweft_server.sandbox.limits import MIB, Limits

NOT_STOPPED = "not stopped"
"""How the detail of a wall's check begins when something got through it."""
PATIENCE = 30.0
"""Seconds for one check, on a machine under load."""
AT_ONCE = 8
LANE = 11
"""Walls tried in one session: starting one is what costs time."""

SMALL = Limits(
    wall=5.0, total=10.0, memory=256 * MIB, stdout=4096, cpu=5.0, disk=4 * MIB, file_size=4 * MIB, pending_calls=8
)

ELSEWHERE = frozenset({"e2b", "monty"})
"""Backends that have no process of this machine's to wall in."""
_NO_WORK = "programs of this tier have no work directory, because its size could not be limited"
_PROBING = "Landlock has no right for looking: whether a path exists can be found out, nothing of what is in it"
EXPECTED: Mapping[str, Mapping[str, str]] = {
    "chroot": {"files come back": _NO_WORK},
    "landlock": {"files come back": _NO_WORK, "whether a file exists cannot be found out": _PROBING},
}
"""By tier: checks that fail there and why. Told as findings, but no reason against the tier."""


class _Echo:
    """A host with one tool, which gives back what it gets; `meet` answers when five calls are there at once."""

    def __init__(self) -> None:
        self._arrived = 0
        self._all = anyio.Event()

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:
        if tool == "check.meet":
            self._arrived += 1
            if self._arrived == 5:
                self._all.set()
            await self._all.wait()
        elif tool == "check.wait":
            await anyio.sleep_forever()
        elif tool != "check.echo":
            return failed("unknown_tool", f"no tool {tool!r}", sent=False)
        given: list[Any] = [*args, dict(kwargs)]
        return Result(given)

    async def describe(self, tool: str) -> str | None:
        return f"help of {tool}"

    async def function(self, name: str, version: int | None) -> SavedSource | str:
        return f"no function {name!r} (version {version})"

    async def save(self, name: str) -> Json:
        return name


async def check(backend: Sandbox) -> Sequence[Finding]:
    """Every check. The first finding says whether a session starts at all; when none does, it is the only one."""
    try:
        with anyio.fail_after(PATIENCE):
            await (await backend.open(SMALL)).aclose()
    except (SandboxError, TimeoutError) as error:
        return [Finding("it starts", ok=False, detail=str(error) or "no answer in time", area="start")]
    checks: list[Check] = list(PYTHON)
    walls = [] if backend.name in ELSEWHERE else list(WALLS)
    lanes = [*([each] for each in checks), *(walls[at : at + LANE] for at in range(0, len(walls), LANE))]
    found: dict[str, Finding] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)
    with ExitStack() as stack:
        planted = _plant(stack) if walls else {}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keeps, backend, limiter, found)
            for lane in lanes:
                tasks.start_soon(_lane, backend, lane, planted, limiter, found)
        for each in [*checks, *walls]:
            # Eight at once on a machine under load: what failed for want of time must not cost the person this tier.
            if not found[each.name].passed and not found[each.name].detail.startswith(NOT_STOPPED):
                await _lane(backend, [each], planted, limiter, found)
    order = ["variables stay between runs", *(each.name for each in [*checks, *walls])]
    return [Finding("it starts", ok=True, area="start"), *(found[name] for name in order)]


def _plant(stack: ExitStack) -> dict[str, object]:
    """What stands outside, by the names that the programs use; a kind of socket that cannot be had is left out."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toolweft-check-")))
    secret = folder / "secret.txt"
    secret.write_text(secrets.token_hex(8), encoding="utf-8")
    planted: dict[str, object] = {"SECRET": str(secret), "FOLDER": str(folder), "SERVER": os.getpid()}
    if sys.platform.startswith("linux"):
        planted["LINUX"] = True
    unix: int = getattr(socket, "AF_UNIX", -1)
    abstract = f"\0toolweft-check-{secrets.token_hex(8)}"
    for name, family, kind, address in (
        ("TCP", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        ("UDP", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        ("UNIX", unix, socket.SOCK_STREAM, str(folder / "s")),
        ("UNIX_DATAGRAM", unix, socket.SOCK_DGRAM, str(folder / "d")),
        ("ABSTRACT", unix, socket.SOCK_STREAM, abstract),
    ):
        if name == "ABSTRACT" and "LINUX" not in planted:
            continue
        try:
            listener = stack.enter_context(socket.socket(family, kind))
            listener.bind(address)
            if kind == socket.SOCK_STREAM:
                listener.listen()
        except OSError:
            continue
        planted[name] = listener.getsockname()[1] if family == socket.AF_INET else address
    return planted


async def _lane(
    backend: Sandbox,
    lane: Sequence[Check],
    planted: Mapping[str, object],
    limiter: anyio.CapacityLimiter,
    found: dict[str, Finding],
) -> None:
    session: Session | None = None
    async with limiter:
        try:
            for each in lane:
                if each.needs is not None and each.needs not in planted:
                    found[each.name] = Finding(each.name, ok=True, detail="not tried: not offered here", area=each.area)
                    continue
                detail = ""
                try:
                    with anyio.fail_after(PATIENCE):
                        if each.first is not None:
                            await _alone(backend, each.first)
                        session = session or await backend.open(replace(SMALL, **each.limits))
                        outcome = await session.run(Program("check", _with(planted, each), ("check",)), _Echo())
                        if not each.test(outcome):
                            detail = _unexpected(each, outcome)
                        if not outcome.kept:
                            await session.aclose()
                            session = None
                except (SandboxError, TimeoutError) as error:
                    detail = str(error) or "no answer in time"
                found[each.name] = _finding(backend, each.area, each.name, detail)
        finally:
            if session is not None:
                with anyio.CancelScope(shield=True):
                    await session.aclose()


def _with(planted: Mapping[str, object], each: Check) -> str:
    names = "".join(f"{name} = {value!r}\n" for name, value in planted.items()) if each.wall else ""
    return names + each.code


def _unexpected(each: Check, outcome: Outcome) -> str:
    if each.wall and outcome.status == "ok" and isinstance(outcome.value, str):
        return f"{NOT_STOPPED}: {outcome.value}"
    return f"unexpected: {replace(outcome, files=())!r}"[:500]


def _finding(backend: Sandbox, area: str, name: str, detail: str) -> Finding:
    expected = EXPECTED.get(backend.name, {}).get(name, "") if detail else ""
    return Finding(name, ok=not detail, detail=detail, area=area, expected=expected)


async def _alone(backend: Sandbox, code: str) -> None:
    session = await backend.open(SMALL)
    try:
        await session.run(Program("first", code), _Echo())
    finally:
        await session.aclose()


async def _keeps(backend: Sandbox, limiter: anyio.CapacityLimiter, found: dict[str, Finding]) -> None:
    name = "variables stay between runs"
    async with limiter:
        try:
            with anyio.fail_after(PATIENCE):
                session = await backend.open(SMALL)
                try:
                    await session.run(Program("check", "x = 41"), _Echo())
                    outcome = await session.run(Program("check", "x + 1"), _Echo())
                finally:
                    await session.aclose()
            detail = "" if outcome.value == 42 else f"unexpected: {outcome!r}"[:500]
        except (SandboxError, TimeoutError) as error:
            detail = str(error) or "no answer in time"
    found[name] = _finding(backend, "python", name, detail)
