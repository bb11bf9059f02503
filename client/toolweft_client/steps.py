"""A design's steps, read from its comments: which tool calls are marked `read`, `write` or `think`; and its beginning.

# 1. read: all orders of the customer
orders = shop.list_orders(customer=customer)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from toolweft_catalog.tool import Effect
from toolweft_client.calls import uses

_STEP = re.compile(r"^\s*#\s*\d+[.)]?\s*(read|write|think)\b", re.IGNORECASE)


def effects(source: str) -> Mapping[str, Effect]:
    """What the marks say of each tool; `write` wins where they differ, a tool below no mark is not in here."""
    marks = {
        number: found[1].lower() for number, line in enumerate(source.split("\n"), 1) if (found := _STEP.match(line))
    }
    told: dict[str, Effect] = {}
    for use in uses(ast.parse(source)):
        above = [marks[number] for number in sorted(marks) if number <= use.line][-1:]
        if above == ["write"]:
            told[use.tool] = "write"
        elif above == ["read"]:
            told.setdefault(use.tool, "read")
    return told


def reading(source: str, reads: Mapping[str, Effect]) -> str | None:
    """A program of the design's first steps alone: assignments from calls of tools in `reads` that are marked `read`.

    Its value is what they brought, by name. `None` where the design does not begin so: an argument that is still
    `...`, a loop, a step that writes. `source` parses.
    """
    body = ast.parse(source).body
    functions = [each for each in body if isinstance(each, ast.FunctionDef)]
    call = body[-1].value if body and isinstance(body[-1], ast.Expr) else None
    if len(functions) != 1 or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    function = functions[0]
    if call.func.id != function.name or _open(call):
        return None
    first: list[ast.stmt] = []
    names: list[str] = []
    for line in function.body[1:] if ast.get_docstring(function) else function.body:
        if not (isinstance(line, ast.Assign) and len(line.targets) == 1 and isinstance(line.targets[0], ast.Name)):
            break
        named = [use.tool for use in uses(ast.Module([line], []))]
        if not named or _open(line) or any(reads.get(tool) != "read" for tool in named):
            break
        first.append(line)
        names.append(line.targets[0].id)
    if not first:
        return None
    shown = ast.Dict([ast.Constant(each) for each in names], [ast.Name(each, ast.Load()) for each in names])
    plain = [ast.arg(each.arg) for each in function.args.args]
    arguments = ast.arguments([], plain, None, [], [], None, function.args.defaults)
    probe = ast.FunctionDef(function.name, arguments, [*first, ast.Return(shown)], [])
    return ast.unparse(ast.fix_missing_locations(ast.Module([probe, body[-1]], []))) + "\n"


def _open(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Constant) and each.value is Ellipsis for each in ast.walk(node))
