"""Runs every hostile program on one backend and says what became of each; also the state of the host around it.

    python -m escape.battery BACKEND     prints the report as JSON: how the battery runs as another user

Every program gets a folder, a secret and a victim of its own outside. What may end or change its session has one of
its own; the others share one until one of them gets through. A plain program in a fresh sandbox comes after each.
What a program claims is one half of the verdict, what the witnesses outside saw is the other.
"""

from __future__ import annotations

import gc
import json
import os
import secrets
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from escape.attack import Attack, attacks
from escape.tiers import backend_of

import toolweft_server
from toolweft_catalog.call import Result, failed
from toolweft_server import memory
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Outcome, Program, Sandbox, Session
from toolweft_server.sandbox.limits import KIB, MIB, Limits

AT_ONCE = 10
LANE = 24
"""Programs, at most, that share a session: starting one is what costs time."""
LIMITS: dict[str, Any] = {
    "wall": 20.0, "cpu": 20.0, "total": 60.0, "memory": 256 * MIB, "disk": 4 * MIB, "file_size": 4 * MIB,
    "stdout": 4 * KIB, "open_files": 64, "threads": 64, "calls": 6000,
}  # fmt: skip
PATIENCE = 60.0
"""Seconds for one program with everything around it, on a machine under load."""


@dataclass
class Report:
    """What happened on one backend. `verdicts`: program to `refused: …`, `OPEN: …`, `ended: …` or `broken: …`."""

    backend: str
    user: int
    verdicts: dict[str, str] = field(default_factory=dict)
    harm: list[str] = field(default_factory=list)
    """What is not as it was: descriptors, processes, memory, the event loop, a run that came after."""
    slowest_beat: float = 0.0
    """Most seconds of processor that the event loop took for one turn: a machine under load does not count."""
    grown: int = 0
    """Bytes of memory that the parent has more."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each program took with everything around it."""

    def open(self) -> dict[str, str]:
        return {name: said for name, said in self.verdicts.items() if said.startswith("OPEN")}

    def broken(self) -> dict[str, str]:
        ends = ("OPEN", "refused", "ended")
        return {name: said for name, said in self.verdicts.items() if not said.startswith(ends)}


class Box:
    """The host's tools `box.*`; `vault.open` is one that no program here may reach."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.calls: list[str] = []
        self.over = self.late = False

    async def call(self, tool: str, args: Sequence[Any], kwargs: Any) -> Result:
        self.calls.append(tool)
        self.late |= self.over
        match tool:
            case "box.echo":
                return Result([*args, dict(kwargs)])
            case "box.value":
                return Result(args[0] if args else None)
            case "box.big":
                return Result("x" * args[0])
            case "box.gate":
                await anyio.sleep_forever()
            case "box.defect":
                raise LookupError(f"{self.token}, a secret of ours")
        return failed("unknown_tool", f"There is no tool {tool!r}.", sent=False)

    async def describe(self, tool: str) -> str | None:
        return f"help of {tool}"

    async def function(self, name: str, version: int | None) -> str:
        return f"There is no function {name!r} ({version})."

    async def save(self, name: str) -> str:
        return f"{name!r} is no function"


class Witness:
    """Everything outside that a program must not reach, and what it sees when one does."""

    def __init__(self, stack: ExitStack) -> None:
        self.token = f"CANARY-{secrets.token_hex(16)}"
        self.root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tw-escape-")))
        self.root.chmod(0o755)
        self.abstract = f"tw-escape-{secrets.token_hex(6)}"
        self._streams = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            stack.enter_context(_bound(socket.SOCK_STREAM, str(self.root / "s"))),
            stack.enter_context(_bound(socket.SOCK_STREAM, f"\0{self.abstract}")),
        ]
        self._datagrams = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
            stack.enter_context(_bound(socket.SOCK_DGRAM, str(self.root / "d"))),
            stack.enter_context(_bound(socket.SOCK_DGRAM, f"\0{self.abstract}d")),
        ]
        self._datagrams[0].bind(("127.0.0.1", 0))
        for each in [*self._streams, *self._datagrams]:
            each.setblocking(False)
        os.environ["TOOLWEFT_CANARY"] = self.token
        stack.callback(os.environ.pop, "TOOLWEFT_CANARY", None)
        stack.callback(self.reached)

    def plant(self, attack: Attack) -> dict[str, Any]:
        """A folder for one program, and where everything is."""
        folder = self.root / attack.id
        folder.mkdir()
        folder.chmod(0o777)
        for name in ("secret.txt", "victim.txt"):
            (folder / name).write_text(f"{name} {self.token}", encoding="utf-8")
            (folder / name).chmod(0o666)
        (folder / "link").symlink_to("nowhere")
        limits = _limits(attack)
        return {
            "folder": str(folder), "secret": str(folder / "secret.txt"), "victim": str(folder / "victim.txt"),
            "tcp": self._streams[0].getsockname()[1], "udp": self._datagrams[0].getsockname()[1],
            "unix": str(self.root / "s"), "unix_datagram": str(self.root / "d"), "abstract": self.abstract,
            "abstract_datagram": self.abstract + "d", "parent": os.getpid(), "group": os.getpgrp(),
            "home": str(Path.home()), "source": toolweft_server.__file__, "package": anyio.__file__,
            "name": socket.gethostname(), "run": attack.id, "threads": limits.threads, "open_files": limits.open_files,
        }  # fmt: skip

    def state(self, attack: Attack) -> dict[str, tuple[int, ...]]:
        """The folder as it is: any difference is a trace of the program."""
        folder = self.root / attack.id
        found = {".": _look(folder)[:3]}
        return found | {path.name: _look(path) for path in sorted(folder.iterdir())}

    def reached(self) -> list[str]:
        """Listeners that somebody has spoken to since the last look."""
        found = []
        for each in self._streams:
            try:
                each.accept()[0].close()
                found.append(f"a connection to {each.getsockname()!r}")
            except BlockingIOError:
                pass
        for each in self._datagrams:
            with suppress(BlockingIOError):
                found.append(f"a datagram at {each.getsockname()!r}: {each.recv(100)!r}")
        return found


def _bound(kind: int, address: str) -> socket.socket:
    each = socket.socket(socket.AF_UNIX, kind)
    each.bind(address)
    if not address.startswith("\0"):
        Path(address).chmod(0o777)
    if kind == socket.SOCK_STREAM:
        each.listen(64)
    return each


def _look(path: Path) -> tuple[int, ...]:
    info = path.lstat()
    return (stat.S_IMODE(info.st_mode), info.st_uid, info.st_nlink, info.st_size, info.st_mtime_ns)


async def battery(backend: Sandbox, *, only: Sequence[Attack] | None = None) -> Report:
    """Every program on the backend, several at once."""
    memory.settle()  # as the server does
    report = Report(backend.name, os.getuid())
    chosen = attacks() if only is None else only
    lanes = [[attack] for attack in chosen if not attack.shares]
    for area in sorted({attack.area for attack in chosen}):
        sharing = [attack for attack in chosen if attack.shares and attack.area == area]
        lanes += [sharing[start : start + LANE] for start in range(0, len(sharing), LANE)]
    with ExitStack() as stack:
        witness = Witness(stack)
        await _plain(backend)  # what is made once and stays is there before anything is counted
        before = _footprint()
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as background:
            background.start_soon(_beat, report)
            async with anyio.create_task_group() as programs:
                for lane in lanes:
                    programs.start_soon(_lane, backend, lane, witness, limiter, report)
            background.cancel_scope.cancel()
        report.harm += [f"somebody reached {each}" for each in witness.reached()]
        await _settled(report, before)
    return report


async def _lane(
    backend: Sandbox, lane: Sequence[Attack], witness: Witness, limiter: anyio.CapacityLimiter, report: Report
) -> None:
    """One program after another. They share a session for as long as each is refused."""
    session: Session | None = None
    async with limiter:
        for attack in lane:
            began = anyio.current_time()
            try:
                with anyio.fail_after(PATIENCE):
                    if attack.first is not None:
                        await _first(backend, attack, witness)
                    if session is None:
                        session = await backend.open(_limits(attack))
                    verdict = report.verdicts[attack.id] = await _verdict(backend, session, attack, witness)
                    if attack is lane[-1] or not verdict.startswith("refused"):
                        await session.aclose()
                        session = None
                        await _plain(backend)
            except (SandboxError, TimeoutError) as error:
                report.verdicts.setdefault(attack.id, "broken: no outcome")
                report.harm.append(f"{attack.id}: {type(error).__name__}: {error}")
            report.seconds[attack.id] = round(anyio.current_time() - began, 3)
        if session is not None:
            await session.aclose()


async def _first(backend: Sandbox, attack: Attack, witness: Witness) -> None:
    assert attack.first is not None
    session = await backend.open(_limits(attack))
    before = attack.code_before({"token": witness.token}, monty=backend.name == "monty")
    try:
        await session.run(Program(attack.id, before), Box(witness.token))
    finally:
        await session.aclose()


async def _verdict(backend: Sandbox, session: Session, attack: Attack, witness: Witness) -> str:
    host, box = witness.plant(attack), Box(witness.token)
    before = witness.state(attack)
    monty = backend.name == "monty"
    outcome = await session.run(Program(attack.id, attack.code(host, monty=monty), ("box",)), box)
    box.over = True
    await anyio.lowlevel.checkpoint()
    traces = [*_difference(before, witness.state(attack)), *_burdens(outcome, attack)]
    if box.late:
        traces.append("a call after the end")
    said = _said(attack, outcome)
    if monty and said.startswith("broken"):  # most come to another end than in Python: what counts is seen from outside
        said = f"ended: otherwise than in Python ({said})"
    return said if not traces else f"OPEN: {traces} ({said})"


def _limits(attack: Attack) -> Limits:
    limits = Limits(**{**LIMITS, **attack.limits})
    # A short wall saves time where a program runs into it; elsewhere a slow machine would have another verdict.
    return limits if "timeout" in attack.ends else replace(limits, wall=max(limits.wall, LIMITS["wall"]))


async def _plain(backend: Sandbox) -> None:
    session = await backend.open(Limits())
    try:
        outcome = await session.run(Program("next", "tools.box.value(6) * 7", ("box",)), Box(""))
    finally:
        await session.aclose()
    if outcome.value != 42:
        raise SandboxError(f"the run that came after gave {outcome!r}"[:500])


def _said(attack: Attack, outcome: Outcome) -> str:
    said = outcome.error.message if outcome.error else ""
    if said.endswith("exit status 42"):
        return "OPEN: another program ran"
    ended = f"{outcome.status} ({outcome.error.type}: {said[:200]})" if outcome.error else outcome.status
    if attack.bare or outcome.status != "ok" or not isinstance(outcome.value, str):
        if outcome.status not in attack.ends:
            return f"broken: ended {ended}, value {outcome.value!r}, expected {sorted(attack.ends)}"[:600]
        if attack.says not in said:
            return f"broken: it does not say {attack.says!r}: {said[:200]}"
        return f"ended: {ended}"
    if "value" in attack.ends or not outcome.value.startswith("refused"):
        return outcome.value
    return f"broken: came back with {outcome.value!r}, expected {sorted(attack.ends)}"


def _difference(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> list[str]:
    return [f"{name} has changed" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def _burdens(outcome: Outcome, attack: Attack) -> list[str]:
    """What an outcome may not be, whatever a program does: too big, or dangerous to show."""
    limits = _limits(attack)
    sizes = {
        "stdout": (len(outcome.stdout.encode()), 3 * limits.stdout), "stderr": (len(outcome.stderr), limits.stdout),
        "repr": (len(outcome.value_repr or ""), limits.value_repr),
        "files": (sum(len(each.data) for each in outcome.files), limits.disk + 64 * KIB),
        "error": (len(outcome.error.model_dump_json()) if outcome.error else 0, limits.frame),
        "limits": (sum(map(len, outcome.limits)), 20_000),
    }  # fmt: skip
    found = [f"{name}: {got}, allowed {most}" for name, (got, most) in sizes.items() if got > most]
    texts = [each.name for each in outcome.files] + list(outcome.limits)
    if outcome.error is not None:
        error = outcome.error
        texts += [error.message, *error.frames, *error.locals, *error.locals.values(), error.hint or ""]
        if "\n" in error.type:
            found.append(f"type of two lines: {error.type!r}")
        texts.append(error.type)
    for text in texts:
        bad = [
            c for c in text if (ord(c) < 32 and c not in "\n\t") or c in "\x7f\x9b\u202e" or "\ud800" <= c <= "\udfff"
        ]
        if bad:
            found.append(f"steers: {text[:80]!r}")
    return found


def _footprint() -> tuple[int, int, set[int]]:
    """Open descriptors, resident bytes, child processes."""
    gc.collect()
    memory.trim()  # what is free and kept for later is no burden
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        children = {int(each) for each in file.read().split()}
    return len(list(Path("/proc/self/fd").iterdir())), resident, children


async def _settled(report: Report, before: tuple[int, int, set[int]]) -> None:
    """Waits, ten seconds at most, until everything is as it was; what is not is harm."""
    with anyio.move_on_after(10):
        while True:
            descriptors, resident, children = _footprint()
            if descriptors <= before[0] and not children - before[2]:
                break
            await anyio.sleep(0.05)
    report.grown = resident - before[1]
    if descriptors > before[0]:
        report.harm.append(f"{descriptors - before[0]} descriptors more")
    if children - before[2]:
        report.harm.append(f"processes left: {sorted(children - before[2])}")


async def _beat(report: Report) -> None:
    last = time.thread_time()
    while True:
        await anyio.sleep(0.01)
        now = time.thread_time()
        report.slowest_beat, last = max(report.slowest_beat, now - last), now


async def _main(name: str, share: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        backend = backend_of(name, Path(folder))
        try:
            told = asdict(await battery(backend, only=attacks()[::share]))
        except SandboxError as error:
            told = {"refused": str(error)}
        finally:
            await backend.aclose()
    print(json.dumps(told))


if __name__ == "__main__":
    anyio.run(_main, sys.argv[1], int(sys.argv[2]))
