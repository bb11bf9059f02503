"""`Function`: a saved piece of code, and the life it leads. Pure: reading programs is `extract`'s, keeping `store`'s.

What a function *is* (source, types, tools) never changes within a version. What *became* of it (state, uses, failures)
is the fold of its events: `fold` is the only place where an event gets a meaning.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any, Literal

from toolweft_catalog.names import RESERVED
from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import EMPTY_SCHEMA, Annotations, Effect, Json, Schema, Tool, digest
from toolweft_catalog.wire import FunctionState

SERVER = "functions"
"""The server name under which saved functions are tools."""

NAME = 56
"""Longest name: what the Agent-Skills format allows (64), less room for `_2`."""

EXAMPLES = 3
"""Calls kept with a function."""

EventKind = Literal["admitted", "again", "used", "failed", "state", "removed"]

PERSONAL = frozenset({"task", "owner", "execution"})
"""Parts of a provenance that stay at home: a person's words, who they are, a number that means nothing elsewhere."""


def impersonal(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What of a provenance, or of an event of a history, may be shown elsewhere."""
    return {key: each for key, each in provenance.items() if key not in PERSONAL}


@dataclass(frozen=True, slots=True)
class Function:
    """One version of a saved function."""

    name: str
    version: int
    state: FunctionState
    source: str
    """Self-contained: imports, constants and helpers come with it; only tools and saved functions are outside."""
    digest: str
    """Over the normalised syntax tree, its own name left out: layout and comments make no difference."""
    signature: str
    """`(title: str, *, limit: int = 10) -> list[str]`"""
    parameters: Schema = field(default_factory=lambda: EMPTY_SCHEMA)
    output: Schema | None = None
    description: str = ""
    is_async: bool = False
    effect: Effect = "unknown"
    """`read` only if every tool it uses says so."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Ids of the tools it uses, each with its digest when the function was saved."""
    functions: Mapping[str, int] = field(default_factory=dict)
    """Saved functions it uses, each with the version it was saved against."""
    shapes: Mapping[str, Json] = field(default_factory=dict)
    """Observed types: `arguments` by name and `result`, when known; keys and types, never values."""
    examples: Sequence[Mapping[str, Json]] = ()
    """Calls that proved it: `arguments`, and `digest` and `shape` of the result. Results themselves are not kept. One
    that came with another program names its `execution`."""
    provenance: Mapping[str, Json] = field(default_factory=dict)
    """Where it comes from: execution, owner, host, date, task."""
    uses: int = 0
    failures: int = 0
    why: str = ""
    """Why it is in its state, as the event that led there says."""

    @property
    def kind(self) -> tuple[str, frozenset[str]]:
        """What another version of the same function shares with it: signature and tools."""
        return self.signature, frozenset(self.tools)

    def as_tool(self) -> Tool:
        """The function as a tool. Its source is in the binding by digest, so that a new version is a changed tool."""
        return Tool(
            id=f"{SERVER}.{self.name}", name=self.name, server=SERVER, description=self.description,
            parameters=self.parameters, output=self.output, origin="library",
            annotations=Annotations(read_only={"read": True, "write": False}.get(self.effect)),
            server_description="saved functions", binding={"version": self.version, "source": self.digest},
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a function."""

    kind: EventKind
    version: int
    at: float
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one version stands."""

    state: FunctionState = "candidate"
    uses: int = 0
    failures: int = 0
    again: int = 0
    """How often the same code was saved again."""
    streak: int = 0
    """Failures since the last success, or since it became active."""
    last: float = 0.0
    """When it was last used or saved, in seconds since the epoch."""
    tools: Mapping[str, str] | None = None
    """Digests of its tools as it was last verified against, if that was after it was saved."""
    examples: tuple[Mapping[str, Json], ...] = ()
    """Calls that proved it after it was saved, of code that was found to be the same; the latest first."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """What became of a function: the fold of its events."""

    versions: Mapping[int, Standing] = field(default_factory=dict)
    """Of the versions that still exist."""
    newest: int = 0
    """The highest version number ever given; none is given twice, even after a removal."""

    def to_json(self) -> dict[str, Json]:
        return {"newest": self.newest, "versions": {str(n): asdict(each) for n, each in self.versions.items()}}

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Life:
        versions = held["versions"].items()
        return cls(
            {int(n): Standing(**{**each, "examples": tuple(each.get("examples", ()))}) for n, each in versions},
            held["newest"],
        )


MOVES: Mapping[FunctionState, frozenset[FunctionState]] = {
    "candidate": frozenset({"verified", "active", "stale", "quarantined", "retired"}),
    "verified": frozenset({"active", "stale", "quarantined", "retired"}),
    "active": frozenset({"stale", "quarantined", "retired"}),
    "stale": frozenset({"verified", "active", "quarantined", "retired"}),
    "quarantined": frozenset({"verified", "active", "retired"}),
    "retired": frozenset({"verified", "active"}),
}
"""Where a state may lead. Nothing becomes a candidate again, and what is out of use does not go stale. From candidate
straight to active is a person's trust; from the last two back is a person's word, or a new proof."""

STATES: frozenset[str] = frozenset(MOVES)


def fold(events: Iterable[Event], start: Life | None = None) -> Life:
    """The life that events lead to, from `start` on: folding in two parts gives the same as in one."""
    return reduce(_step, events, start or Life())


def _step(life: Life, event: Event) -> Life:
    if event.kind == "removed":
        return Life({}, life.newest)
    if event.kind == "admitted":
        fresh = Standing(state=_state(event) or "candidate", last=event.at)
        return Life({**life.versions, event.version: fresh}, max(life.newest, event.version))
    held = life.versions.get(event.version)
    if held is None:
        return life
    match event.kind:
        case "again":
            shown = (*_examples(event), *held.examples)[:EXAMPLES]
            held = replace(held, again=held.again + 1, last=event.at, examples=shown)
        case "used":
            held = replace(held, uses=held.uses + 1, streak=0, last=event.at)
        case "failed":
            held = replace(held, uses=held.uses + 1, failures=held.failures + 1, streak=held.streak + 1, last=event.at)
        case "state":
            held = _moved(held, event)
    return replace(life, versions={**life.versions, event.version: held})


def _moved(held: Standing, event: Event) -> Standing:
    """A move that `MOVES` does not know changes nothing: the log may come from anywhere."""
    state = _state(event)
    if state is None or state not in MOVES[held.state]:
        return held
    tools = event.detail.get("tools")
    return replace(
        held, state=state, why=str(event.detail.get("why", "")), streak=0 if state == "active" else held.streak,
        tools={str(k): str(v) for k, v in tools.items()} if isinstance(tools, dict) else held.tools,
    )  # fmt: skip


def _examples(event: Event) -> list[Mapping[str, Json]]:
    found = event.detail.get("examples")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _state(event: Event) -> FunctionState | None:
    state = event.detail.get("state")
    return next((each for each in MOVES if each == state), None)


def overreach(function: Function, tool: str) -> str:
    """The refusal of a tool that a function does not declare, as a sentence for its program."""
    declared = ", ".join(function.tools) or "none"
    return f"the saved function {function.name!r} wants to call {tool}; the tools that it was saved with: {declared}"


def bad_name(name: str) -> str | None:
    """Why a function may not have this name; `None` if it may."""
    if not (name.isascii() and name.isidentifier()):
        return f"{name!r} is not a plain Python name"
    if keyword.iskeyword(name) or name in RESERVED or name in vars(builtins):
        return f"{name!r} means something in Python or to toolweft already"
    if name.startswith("_") or name == "main":
        return f"{name!r} says that the function is private to its program"
    return f"{name!r} is longer than {NAME} characters" if len(name) > NAME else None


def normalised(source: str, name: str) -> str:
    """Digest of what the code does: the syntax tree without positions, comments and the function's own name.

    Raises:
        SyntaxError, ValueError: It is not Python.

    """
    return digest(ast.dump(renamed(parse(source), name, "<itself>"), annotate_fields=False))


def renamed(tree: ast.Module, old: str, new: str) -> ast.Module:
    """The tree with its top-level function `old`, and every mention of it, called `new`. Changes `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new
    for top in tree.body:
        if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef) and top.name == old:
            top.name = new
    return tree
