"""What the syntax of a program says about its names: bound, free, imported, constant, or a path to a tool.

Pure questions about one piece of syntax each; `extract` puts the answers together. Nothing is run.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

FunctionDef = (ast.FunctionDef, ast.AsyncFunctionDef)


Path: TypeAlias = tuple[str, ...]
"""What an expression stands for: `("tools", "git", "log")`, or less of it."""
_GIVEN = frozenset({"ToolError", "Blob", "parallel"})
"""What `tools` holds besides servers."""


class Mentions(NamedTuple):
    paths: frozenset[Path]
    """Every path that stands in the code, called or passed on."""
    hidden: tuple[tuple[int, Path], ...]
    """(line, path) of what is passed on before it names a tool, so that nobody can read which tools are called."""


def mentions(node: ast.AST, paths: Mapping[str, Path]) -> Mentions:
    """The paths in `node` that start at a known name. `paths` says what the names stand for; imports and plain
    assignments inside the node add to it.
    """
    known = _followed(node, paths)
    followed = {id(each.value) for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    followed |= {id(value) for _, value in _renamings(node)}
    found: set[Path] = set()
    hidden: list[tuple[int, Path]] = []
    for each in ast.walk(node):
        if not isinstance(each, ast.Name | ast.Attribute):
            continue
        found |= (stands_for := _paths(each, known))
        if isinstance(each.ctx, ast.Load) and id(each) not in followed:
            hidden += [(each.lineno, path) for path in stands_for if _is_open(path)]
    return Mentions(frozenset(found), tuple(sorted(hidden)))


def _followed(node: ast.AST, paths: Mapping[str, Path]) -> dict[str, set[Path]]:
    """What each name may stand for. One that is bound twice stands for both."""
    known = {name: {path} for name, path in paths.items()}
    count = -1
    while count != (now := sum(map(len, known.values()))):  # a name may be bound to one that is bound later on
        count = now
        for each in ast.walk(node):
            if isinstance(each, ast.Import | ast.ImportFrom):
                for name, _, path in imported(each):
                    known.setdefault(name, set()).update({path} if path else ())
        for names, value in _renamings(node):
            for name in names:
                # What names a tool already is seen where it stands; following that could go on for ever.
                known.setdefault(name, set()).update(path for path in _paths(value, known) if _is_open(path))
    return known


def _renamings(node: ast.AST) -> Iterable[tuple[list[str], ast.expr]]:
    """(names, value) of each assignment in `node` that binds plain names."""
    for each in ast.walk(node):
        if isinstance(each, ast.Assign):
            names = [target.id for target in each.targets if isinstance(target, ast.Name)]
            if len(names) == len(each.targets):
                yield names, each.value


def _is_open(path: Path) -> bool:
    """Whether the path leads to many tools or functions, and names none."""
    return path in {("tools",), ("functions",)} or (len(path) == 2 and path[0] == "tools" and path[1] not in _GIVEN)


def _paths(node: ast.AST, known: Mapping[str, set[Path]]) -> set[Path]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return {(*path, *reversed(parts)) for path in known.get(node.id, ())} if isinstance(node, ast.Name) else set()


def imported(statement: ast.Import | ast.ImportFrom) -> Iterable[tuple[str, str, Path | None]]:
    """(name bound, the import by itself, what it stands for if it is a tool or a saved function)."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            bound = alias.asname or alias.name.split(".", 1)[0]
            whole = tuple((alias.name if alias.asname else bound).split("."))
        else:
            bound = alias.asname or alias.name
            whole = (*(statement.module or "").split("."), alias.name)
        alone = ast.copy_location(
            ast.Import([alias])
            if isinstance(statement, ast.Import)
            else ast.ImportFrom(statement.module, [alias], statement.level),
            statement,
        )
        yield bound, ast.unparse(alone), whole if whole[0] in {"tools", "functions"} else None


def free_names(text: str, name: str) -> tuple[frozenset[str], str | None]:
    """(the global names that a definition reads, one that it rebinds)."""
    table = symtable.symtable(text, "<function>", "exec")
    free = {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.get_name() != name}
    rebinds: str | None = None
    waiting = list(table.get_children())
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                free.add(symbol.get_name())
            if symbol.is_declared_global() and symbol.is_assigned():
                rebinds = symbol.get_name()
    return frozenset(free), rebinds


def constant(statement: ast.stmt) -> tuple[str, str] | None:
    """(name, text) of `NAME = literal`."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None
    if not isinstance(target, ast.Name):
        return None
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return target.id, f"{target.id} = {ast.unparse(value)}"


def bound(statement: ast.stmt) -> set[str]:
    """Names that any other statement may bind at the top level."""
    found: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*FunctionDef, ast.ClassDef)):
            found.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name for name, _, _ in imported(node)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        if not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found
