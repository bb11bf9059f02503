"""`Tool`: one thing that can be called, as its server describes it.

A tool is a description, never a connection: how to reach it is the `upstream` package's business, how to write
it down as Python is `signature`'s, where it stands among others is `catalog`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A value that JSON can carry."""

Schema: TypeAlias = Mapping[str, Json]
"""A JSON Schema object, treated as immutable."""

Origin = Literal["mcp", "openapi", "python", "toolbench", "library"]
"""Where a tool came from: one name for each ingest format, and `library` for a saved function."""

Effect = Literal["read", "write", "unknown"]
"""What a call may do to the world, as far as the tool's annotations say."""

EMPTY_SCHEMA: Schema = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a tool says about its effects. Hints from a stranger: they may restrict what runs, never allow it."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None

    @property
    def effect(self) -> Effect:
        if self.read_only is True:
            return "read"
        if self.read_only is False or self.destructive is True:
            return "write"
        return "unknown"


@dataclass(frozen=True)
class Tool:
    """One callable thing. Equal content gives an equal `digest` in every process and on every machine."""

    id: str
    """`server.tool`, both Python identifiers; unique in a catalogue and stable once given (see `names`)."""
    name: str
    """The name its own server uses, untouched."""
    server: str
    """The name of its server in the configuration, untouched."""
    description: str = ""
    parameters: Schema = field(default_factory=lambda: EMPTY_SCHEMA)
    """JSON Schema of the arguments; always of type object."""
    output: Schema | None = None
    """JSON Schema of the result, when the server declares one."""
    annotations: Annotations = Annotations()
    origin: Origin = "mcp"
    title: str | None = None
    server_description: str = ""
    binding: Mapping[str, Json] = field(default_factory=dict)
    """What its upstream needs to make the call and nobody else reads (an OpenAPI method and path)."""

    @cached_property
    def digest(self) -> str:
        """32 hex digits over everything but the id: a changed tool has another digest, a renamed id has not."""
        content = [
            self.name, self.server, self.description, self.parameters, self.output, self.origin, self.title,
            [self.annotations.read_only, self.annotations.destructive, self.annotations.idempotent,
             self.annotations.open_world],
            dict(self.binding),
        ]  # fmt: skip
        return digest(content)

    @property
    def summary(self) -> str:
        """The first sentence of the description on one line, at most 120 characters."""
        line = " ".join(self.description.split())
        for stop in (". ", "! ", "? "):
            line = line.split(stop, 1)[0] + stop[0] if stop in line[:400] else line
        return line if len(line) <= 120 else line[:119].rstrip() + "…"


def digest(content: object) -> str:
    """32 hex digits of the canonical JSON of `content`. A lone surrogate is escaped, so every `str` has one."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
