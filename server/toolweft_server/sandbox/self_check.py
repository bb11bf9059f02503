"""What every backend must be able to show on the machine it runs on: found out by running it, never by reading.

These checks say what a program can do and which limits bite. Whether files, network and other processes are out of
its reach is checked by the backends that claim so; one that does not claim it says that in a finding of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import anyio

from toolweft_catalog.call import Result, failed
from toolweft_catalog.tool import Json
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Finding, Outcome, Program, Sandbox, SavedSource
from toolweft_server.sandbox.limits import MIB, Limits

PATIENCE = 30.0
"""Seconds for one check, on a machine under load."""

SMALL = Limits(wall=1.0, memory=256 * MIB, stdout=4096, cpu=5.0)

Test: TypeAlias = Callable[[Outcome], bool]


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


_PROGRAMS: Sequence[tuple[str, str, Test]] = (
    (
        "python works",
        "import json, datetime, threading, zoneinfo\nt = threading.Thread(target=print, args=('hi',))\n"
        "t.start()\nt.join()\njson.loads('[1]')[0] + 1",
        lambda end: end.value == 2 and end.stdout == "hi\n",
    ),
    (
        "asyncio works",
        "import asyncio\nawait asyncio.sleep(0)\nsum(await asyncio.gather(*(asyncio.sleep(0, n) for n in range(5))))",
        lambda end: end.value == 10,
    ),
    ("a tool answers", "tools.check.echo(1, b='x')", lambda end: end.value == [1, {"b": "x"}]),
    (
        "five tools run at once",
        "parallel(lambda n: tools.check.meet(n)[0], range(5))",
        lambda end: end.value == [0, 1, 2, 3, 4],
    ),
    (
        "the environment is scrubbed",
        "import os\nsorted(os.environ)",
        lambda end: isinstance(end.value, list) and {*map(str, end.value)} <= {"HOME", "LANG", "PYTHONUTF8", "TMPDIR"},
    ),
    (
        "no descriptor is inherited",
        "import os\ndef is_open(fd):\n    try:\n        os.fstat(fd)\n    except OSError:\n        return False\n"
        "    return True\n[fd for fd in range(64) if is_open(fd)]",
        lambda end: end.value == [0, 1, 2, 3],
    ),
    (
        "files come back",
        "open('note.txt', 'w').write('kept')",
        lambda end: [(file.name, file.data) for file in end.files] == [("note.txt", b"kept")],
    ),
    (
        "memory is limited",
        "held = bytearray(1 << 30)",
        lambda end: end.error is not None and end.error.type == "MemoryError" and end.kept,
    ),
    (
        "output is limited",
        "print('x' * 8192)",
        lambda end: end.status == "ok" and len(end.stdout) == 4096 and end.limits != (),
    ),
    (
        "a flood ends the program",
        "while True:\n    print('x' * 4096)",
        lambda end: end.status == "limit" and not end.kept,
    ),
    (
        "an endless loop ends, variables stay",
        "x = 1\nwhile True:\n    pass",
        lambda end: end.status == "timeout" and end.kept,
    ),
    (
        "a crash stays inside",
        "import os\nos.abort()",
        lambda end: end.status == "crashed" and not end.kept,
    ),
    (
        "a forged frame ends the program",
        "import os, time\nos.write(3, b'\\x00\\x00\\x00\\x02{}')\ntime.sleep(60)",
        lambda end: end.status == "violation" and not end.kept,
    ),
)


async def check(backend: Sandbox) -> Sequence[Finding]:
    """Runs every check in a session of its own."""
    findings = [await _bounded("variables stay between runs", lambda: _keeps(backend))]
    for name, code, test in _PROGRAMS:
        findings.append(await _bounded(name, lambda code=code, test=test: _passes(backend, code, test)))  # type: ignore[misc]
    return findings


async def _bounded(name: str, body: Callable[[], Awaitable[str]]) -> Finding:
    try:
        with anyio.fail_after(PATIENCE):
            detail = await body()
    except (SandboxError, TimeoutError) as error:
        detail = str(error) or "no answer in time"
    return Finding(name, ok=not detail, detail=detail)


async def _passes(backend: Sandbox, code: str, test: Test) -> str:
    session = await backend.open(SMALL)
    try:
        outcome = await session.run(Program("check", code, ("check",)), _Echo())
    finally:
        await session.aclose()
    return "" if test(outcome) else f"unexpected: {replace(outcome, files=())!r}"[:500]


async def _keeps(backend: Sandbox) -> str:
    session = await backend.open(SMALL)
    try:
        await session.run(Program("check", "x = 41"), _Echo())
        outcome = await session.run(Program("check", "x + 1"), _Echo())
    finally:
        await session.aclose()
    return "" if outcome.value == 42 else f"unexpected: {outcome!r}"[:500]
