"""`Call` -> `Result`: the one shape of everything that can be called.

Upstream tools, saved functions, policy, the ledger and the sandbox's bridge all are a `Caller`, so that they nest
like middleware. What the model can fix is data in a `Result`; an exception out of a `Caller` is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from toolweft_catalog.tool import Json, Tool


@dataclass(frozen=True, slots=True)
class Blob:
    """Binary content of a result: an image, a sound, a file."""

    mime: str
    data: bytes


Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Blob | None"
"""A JSON value in which any leaf may be a `Blob`."""

Progress: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]
"""Receives (done, total, message) while a call runs."""

FailureKind = Literal["tool", "arguments", "unknown_tool", "refused", "timeout", "unavailable", "cancelled", "limit"]
"""`tool`: it ran and said no. `arguments`: never sent. `refused`: policy. `unavailable`: its server could not be
reached or died; the outcome of a write is then unknown unless `sent` is False."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call gave no value, in words for whoever wrote the program."""

    kind: FailureKind
    message: str
    sent: bool = True
    """Whether the call may have reached the tool. False means that nothing happened, for certain."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a call: a value, or a failure."""

    value: Value = None
    failure: Failure | None = None
    replayed: bool = False
    """The value is a recorded one; nothing was called."""

    @property
    def ok(self) -> bool:
        return self.failure is None


def failed(kind: FailureKind, message: str, *, sent: bool = True) -> Result:
    return Result(failure=Failure(kind, message, sent))


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one tool. `arguments` use the tool's own names and have passed its schema."""

    tool: Tool
    arguments: Mapping[str, Json] = field(default_factory=dict)
    execution: str = ""
    """Id of the execution that makes the call; empty outside one."""
    owner: str = "local"
    timeout: float | None = None
    """Seconds; `None` is the upstream's configured limit."""
    progress: Progress | None = None

    def to(self, tool: Tool) -> Call:
        return replace(self, tool=tool)


Caller: TypeAlias = Callable[[Call], Awaitable[Result]]
"""The calling convention. Never raises for what a tool, a person or a network did; cancellation passes through."""
