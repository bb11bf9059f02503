"""What the syntax of a program says about its names: bound, free, imported, constant, or a path to a tool.

Pure questions about one piece of syntax each; `extract` puts the answers together. Nothing is run.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable

FunctionDef = (ast.FunctionDef, ast.AsyncFunctionDef)


def mentions(node: ast.AST, paths: dict[str, tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    """Every dotted path in `node` that starts at a known name: `tools.git.log` whether called or passed on.

    `paths` says what the names stand for; imports and plain assignments inside the node add to it.
    """
    known = dict(paths)
    for each in ast.walk(node):
        if isinstance(each, ast.Import | ast.ImportFrom):
            known |= {name: path for name, _, path in imported(each) if path}
        elif isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            path = _path(each.value, known)
            known |= {each.targets[0].id: path} if path else {}
    return {path for each in ast.walk(node) if (path := _path(each, known))}


def _path(node: ast.AST, known: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in known:
        return (*known[node.id], *reversed(parts))
    return None


def imported(statement: ast.Import | ast.ImportFrom) -> Iterable[tuple[str, str, tuple[str, ...] | None]]:
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
