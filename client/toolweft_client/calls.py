"""`uses`: which tools a program names, read from its AST.

Only names known when the program is written are seen: `getattr(tools, name)` and calls through a variable pass.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Container, Iterator
from typing import NamedTuple

from toolweft_catalog.parsing import parse

_VERBS = frozenset({"functions.save", "functions.version"})
"""Of the sandbox itself, beside the saved functions."""


class Use(NamedTuple):
    """A place where the program names a tool; `call` is None where it is only passed on."""

    tool: str
    node: ast.expr
    """The name as it stands there."""
    call: ast.Call | None

    @property
    def line(self) -> int:
        return self.node.lineno


def called(source: str, tools: Container[str]) -> tuple[str, ...]:
    """Ids of the known tools that the program names, in order of first use."""
    found = (use.tool for use in sorted(uses(parse(source)), key=lambda use: use.line))
    return tuple(dict.fromkeys(tool for tool in found if tool in tools))


def uses(tree: ast.Module) -> Iterator[Use]:
    """Every place where the program names a tool, known or not: an attribute of a name that it nowhere binds."""
    aliases, bound = _aliases(tree), _bound(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Attribute, ast.Name)) or id(node) in inner:
            continue
        if not (parts := _dotted(node)):
            continue
        inner.update(id(each) for each in ast.walk(node))
        if parts[0] in aliases:
            parts = (*aliases[parts[0]], *parts[1:])
        elif parts[0] in bound or hasattr(builtins, parts[0]) or parts[0] in sys.stdlib_module_names:
            # A tool server of such a name is reached as `tools.NAME` only. A module used without its import is the
            # traceback's to report.
            continue
        tool = parts[1:] if parts[0] == "tools" else parts
        if len(tool) >= 2 and ".".join(tool[:2]) not in _VERBS:
            call = calls.get(id(node)) if len(tool) == 2 else None
            yield Use(".".join(tool[:2]), node, call)


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """`a.b.c` as its parts; empty when it does not start at a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def _aliases(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """What `from tools.github import create_issue as new` and its kin bind."""
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {each.asname or each.name: (*node.module.split("."), each.name) for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname: tuple(each.name.split(".")) for each in node.names if each.asname}
            found |= {root: (root,) for each in node.names if (root := each.name.split(".")[0]) and not each.asname}
    return {name: parts for name, parts in found.items() if parts[0] in ("tools", "functions")}


def _bound(tree: ast.Module) -> set[str]:
    """Every name the program gives a meaning to, anywhere: scopes do not matter for telling tools from variables."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            names.add(node.name or "_")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((each.asname or each.name).split(".")[0] for each in node.names)
    return names
