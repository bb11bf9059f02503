"""The contract between the server and the place where programs run.

`Sandbox` opens `Session`s; a session runs `Program`s one at a time and keeps their variables between runs; while a
program runs it asks its `Host` for tools. The program's failure is data in an `Outcome`; a `SandboxError` means
that the sandbox itself could not do its work. They never share a channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from toolweft_catalog.call import Result, Value
from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Error
from toolweft_server.sandbox.frames import is_file_name
from toolweft_server.sandbox.limits import Limits


@dataclass(frozen=True, slots=True)
class FileIn:
    """A file for the work directory of a program. A name that leads out of it is a `ValueError`."""

    name: str
    """Relative, with `/` between its parts."""
    data: bytes

    def __post_init__(self) -> None:
        if not is_file_name(self.name):
            raise ValueError(
                f"{self.name[:80]!r} is no name for a file in the work directory: use a relative path such as "
                "'data/input.csv', without '..', backslashes and control characters"
            )


@dataclass(frozen=True, slots=True)
class Program:
    """One piece of code to run, and the names it may use without asking."""

    id: str
    code: str
    servers: Sequence[str] = ()
    """Server identifiers. Each is `tools.NAME`; the bare name is bound too where it shadows nothing."""
    timeout: float | None = None
    """Seconds of the program's own time; waiting for tools does not count. `None`: the limit's default."""
    files: Sequence[FileIn] = ()
    """Written into the work directory before the program starts, instead of what has these names there."""


@dataclass(frozen=True, slots=True)
class SavedSource:
    """A saved function on its way into a running program."""

    name: str
    version: int
    source: str
    pins: Mapping[str, int] = field(default_factory=dict)
    """Saved functions that it uses, each with the version it was saved against."""
    tools: Sequence[str] | None = None
    """Tools that it may call; `None`: any."""


class Host(Protocol):
    """What a running program can ask for. Requests are hostile: nothing in them has been checked."""

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:
        """Calls `server.tool` with Python-style arguments. Unknown names are a `Failure` that names the nearest."""
        ...

    async def describe(self, tool: str) -> str | None:
        """The stub and documentation of a tool, for `help()`; `None` when there is none of that name."""
        ...

    async def function(self, name: str, version: int | None) -> SavedSource | str:
        """The source of a saved function; a string says why not."""
        ...

    async def save(self, name: str) -> Json:
        """Marks a function of the running program for saving; answers what will become of it, or why not."""
        ...


OutcomeStatus = Literal["ok", "error", "timeout", "limit", "cancelled", "crashed", "violation"]


@dataclass(frozen=True, slots=True)
class FileOut:
    """A file that the program left in its work directory, as bytes: no path of the sandbox is ever opened by name."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    status: OutcomeStatus
    value: Value = None
    """Value of the last expression, when JSON (with `Blob` leaves) can carry it within limits."""
    value_repr: str | None = None
    """Its `repr` when JSON cannot; then `value` is None."""
    stdout: str = ""
    stderr: str = ""
    error: Error | None = None
    files: Sequence[FileOut] = ()
    limits: Sequence[str] = ()
    """Names of limits that were hit, with their values: `stdout=256 KiB`."""
    kept: bool = True
    """Whether the session's variables survive."""
    reset_reason: str | None = None
    seconds: float = 0.0
    """The program's own time: the clock stops while a tool or a person answers."""
    cost: str | None = None
    """What the run cost in money, where a backend costs any, as a line to show."""


class Session(Protocol):
    async def run(self, program: Program, host: Host) -> Outcome:
        """Runs one program to its end. One at a time. Cancelling ends the program and everything it started.

        Raises:
            SandboxError: No process could be had; nothing ran.

        """
        ...

    async def aclose(self) -> None:
        """Ends the session's process. Idempotent; cannot fail."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of a backend's self-check."""

    check: str
    ok: bool
    detail: str = ""
    area: str = ""
    """What it is about, as reports group it: files, network, processes, …"""
    expected: str = ""
    """Why this tier is known to fail it: told, but no reason against the tier."""

    @property
    def passed(self) -> bool:
        """Whether it speaks against using the tier."""
        return self.ok or bool(self.expected)


class Sandbox(Protocol):
    """A way to start and confine the runner. `open` is cheap enough to call for each execution."""

    @property
    def name(self) -> str: ...

    async def open(self, limits: Limits) -> Session: ...

    async def self_check(self) -> Sequence[Finding]: ...

    async def aclose(self) -> None: ...
