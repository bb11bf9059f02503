"""The beginning of a design that only reads, made a program: what its tools return is seen before anything is written.

What a tool does is its server's to say. A design marks its steps `read` and `write` too, but that is a model's guess at
a tool that says nothing of itself, and such a tool may write.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Effect
from toolweft_client.calls import uses

_Line: TypeAlias = tuple[ast.Assign, bool]
"""With whether it calls a tool."""


def reading(source: str, effects: Mapping[str, Effect]) -> str | None:
    """A program of a design's reading steps alone: assignments from calls of tools whose effect is `read`.

    Its value is what they brought, by name. What is still `...`, and whatever needs it, is left out; plain Python that
    a later call needs is kept. A loop over calls, or a step that writes, ends it. `None` where nothing is left.
    `source` parses.
    """
    tree = parse(source)
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    call = tree.body[-1].value if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if len(functions) != 1 or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    function = functions[0]
    if call.func.id != function.name or _open(call):
        return None
    named = list(uses(tree))
    open_, kept = set[str](), list[_Line]()
    for line in function.body:
        tools = [use.tool for use in named if line.lineno <= use.line <= (line.end_lineno or line.lineno)]
        plain = line if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) else None
        if any(effects.get(tool) != "read" for tool in tools) or (tools and not plain):
            break
        needs, gives = _names(line, ast.Load), _names(line, ast.Store)
        if plain and not _open(line) and not needs & open_:
            kept.append((plain, bool(tools)))
            open_ -= gives
        else:
            open_ |= gives
    imports = [each for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom)]
    return _program(imports, function, _needed(kept), tree.body[-1])


def _needed(lines: Sequence[_Line]) -> list[_Line]:
    """Those that call a tool, and those that a later one of these needs."""
    wanted, needed = set[str](), list[_Line]()
    for line, calls in reversed(lines):
        if calls or _names(line, ast.Store) & wanted:
            wanted |= _names(line, ast.Load)
            needed.append((line, calls))
    return needed[::-1]


def _program(
    imports: Sequence[ast.stmt], function: ast.FunctionDef, lines: Sequence[_Line], last: ast.stmt
) -> str | None:
    targets = [line.targets[0] for line, calls in lines if calls]
    names = list(dict.fromkeys(each.id for each in targets if isinstance(each, ast.Name)))
    if not names:
        return None
    shown = ast.Dict([ast.Constant(each) for each in names], [ast.Name(each, ast.Load()) for each in names])
    arguments = ast.arguments(
        [], [ast.arg(each.arg) for each in function.args.args], None, [], [], None, function.args.defaults
    )
    probe = ast.FunctionDef(function.name, arguments, [*(line for line, _ in lines), ast.Return(shown)], [])
    return ast.unparse(ast.fix_missing_locations(ast.Module([*imports, probe, last], []))) + "\n"


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, context)}


def _open(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Constant) and each.value is Ellipsis for each in ast.walk(node))
