"""Extracted code -> a `Function`, and its place among those of the same name. Pure: `store` keeps what is decided here.

Refused: what names a tool or function that does not exist, what holds a secret, what cannot be called by name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from toolweft_catalog import shape
from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Effect, Json
from toolweft_catalog.wire import FunctionState
from toolweft_server.errors import LibraryError
from toolweft_server.library.extract import Extracted
from toolweft_server.library.function import Function, bad_name, normalised, renamed
from toolweft_server.library.proof import fits
from toolweft_server.library.typed import typed
from toolweft_server.scrub import Scrubber

What = Literal["new", "version", "again"]
"""A function that was not there, a new version of one, or the same code once more."""


class Used(NamedTuple):
    """What is known of a tool that a function uses."""

    digest: str
    effect: Effect


class Placement(NamedTuple):
    function: Function
    """With the name and version that it has or gets."""
    what: What


def draft(
    found: Extracted,
    *,
    tools: Mapping[str, Used],
    functions: Mapping[str, int],
    scrub: Scrubber,
    state: FunctionState = "active",
    provenance: Mapping[str, Json] | None = None,
    shapes: Mapping[str, Json] | None = None,
) -> Function:
    """A function as it would be saved, version 0. `tools` and `functions` are those that exist.

    Raises:
        LibraryError: Why it is refused.

    """
    if reason := bad_name(found.name):
        raise LibraryError(reason)
    if secret := scrub.find(found.source):
        line = found.source.count("\n", 0, secret.at) + 1
        raise LibraryError(f"line {line} holds what looks like a secret ({secret.kind}); make it a parameter")
    if missing := [each for each in found.tools if each not in tools]:
        raise LibraryError(f"it names {missing[0]!r}, and there is no such tool")
    if missing := [each for each in found.functions if each not in functions]:
        raise LibraryError(f"it uses the saved function {missing[0]!r}, and there is none of that name")
    about = typed(found.source, found.name)
    return Function(
        name=found.name, version=0, state=state, source=found.source, digest=normalised(found.source, found.name),
        signature=about.signature, parameters=about.parameters, output=about.output, description=about.description,
        is_async=about.is_async, effect=_effect(found, tools), shapes=dict(shapes or {}),
        tools={each: tools[each].digest for each in found.tools},
        functions={each: functions[each] for each in found.functions},
        provenance=dict(provenance or {}),
    )  # fmt: skip


def place(new: Function, held: Mapping[str, Sequence[Function]], newest: Mapping[str, int]) -> Placement:
    """Where a draft goes.

    The same code again is the same function, if it stands on the same versions of others. Same signature and tools
    with another body is a new version, and so is what repairs one, whatever its tools. Another signature or other
    tools is another function, under the first free name. `held` are the existing functions of the family (`name`,
    `name_2` …) with all their versions, `newest` the highest version each name was ever given.
    """
    for versions in held.values():
        for old in versions:
            if old.digest == new.digest and old.kind == new.kind and old.functions == new.functions:
                return Placement(old, "again")
    for name, versions in held.items():
        broken = repaired(new, versions)
        if broken is not None:
            why = f"repairs version {broken.version}, which is {broken.state}: {broken.why}"
            told = replace(new, why=f"{why}; {new.why}" if new.why else why)
            return Placement(named(told, name, newest[name] + 1), "version")
        if versions and versions[-1].kind == new.kind:
            return Placement(named(new, name, newest[name] + 1), "version")
    name, n = new.name, 2
    while held.get(name):
        name, n = f"{new.name}_{n}", n + 1
    return Placement(named(new, name, newest.get(name, 0) + 1), "new")


def repaired(new: Function, versions: Sequence[Function]) -> Function | None:
    """The version that `new` repairs: out of use since its tools drifted or it failed, called like `new` and answering
    like it. How one answers that was never run is not known. What only read is not repaired by what may write.
    """
    worked = [each for each in versions if each.state not in ("candidate", "verified")]
    last = worked[-1] if worked else None
    if last is None or last.state not in ("stale", "quarantined") or last.signature != new.signature:
        return None
    if last.effect == "read" != new.effect:
        return None
    before, now = last.shapes.get("result"), new.shapes.get("result")
    known = before is not None and now is not None
    return last if known and fits(shape.from_json(before), shape.from_json(now)) else None


def is_family(name: str, base: str) -> bool:
    """Whether `name` is `base` or a later function of that name."""
    return name == base or (name.startswith(base + "_") and name[len(base) + 1 :].isdecimal())


def named(function: Function, name: str, version: int) -> Function:
    """The function under another name: its source defines that name."""
    source = function.source if name == function.name else with_name(function.source, function.name, name)
    return replace(function, name=name, version=version, source=source)


def with_name(source: str, old: str, new: str) -> str:
    """The source with its function `old` called `new`, comments and layout kept.

    Raises:
        LibraryError: A variable inside has the function's name, so that the two cannot be told apart.

    """
    sites: list[tuple[int, int]] = []
    lines = source.split("\n")
    tree = parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            sites.append((node.lineno - 1, node.col_offset))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == old and node in tree.body:
            found = re.search(rf"\bdef\s+({re.escape(old)})\b", lines[node.lineno - 1])
            assert found is not None, "a top-level definition starts with its own line"
            sites.append((node.lineno - 1, found.start(1)))
        elif old in _binds(node):
            raise LibraryError(f"{old!r} is taken by another function, and a variable inside has that name too")
    for row, column in sorted(sites, reverse=True):
        raw = lines[row].encode()
        lines[row] = (raw[:column] + new.encode() + raw[column + len(old.encode()) :]).decode()
    text = "\n".join(lines)
    # Python 3.11 places some names inside f-strings wrongly: then the layout is given up, never the meaning.
    whole = renamed(tree, old, new)
    try:
        if ast.dump(parse(text)) == ast.dump(whole):
            return text
    except SyntaxError:
        pass
    return ast.unparse(whole) + "\n"


def _binds(node: ast.AST) -> set[str | None]:
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.alias):
        return {node.asname or node.name}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    return set(node.names) if isinstance(node, ast.Global | ast.Nonlocal) else set()


def _effect(found: Extracted, tools: Mapping[str, Used]) -> Effect:
    effects: set[Effect] = {tools[each].effect for each in found.tools}
    if found.functions:
        effects.add("unknown")
    if "write" in effects:
        return "write"
    return "read" if effects == {"read"} else "unknown"
