"""The texts of a replay: a program that notes how its functions are called, and a call of one of them. Pure.

A function is proven on calls that it was really given. The program is run again with its functions noting arguments
and results; then each function, taken out of it, is given the same arguments somewhere else.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json, digest
from toolweft_server.library.function import Function
from toolweft_server.library.proof import Observed
from toolweft_server.library.syntax import FunctionDef

CALLS = 200
"""Calls noted in one program."""

PLAIN = 10
"""Numbers up to here stand in any code."""

NOTED = "_toolweft_calls"

PRELUDE = f"""\
import json as _toolweft_json

{NOTED} = []

def _toolweft_plain(value):
    try:
        return _toolweft_json.loads(_toolweft_json.dumps(value))
    except Exception:
        return {{"type": type(value).__name__}}

def _toolweft_note(name, arguments):
    try:
        entry = [name, _toolweft_json.loads(_toolweft_json.dumps(arguments)), None, False]
        if len({NOTED}) < {CALLS}:
            {NOTED}.append(entry)
    except Exception:
        entry = [name, None, None, False]
    return entry

def _toolweft_kept(entry, value):
    entry[2] = _toolweft_plain(value)
    entry[3] = True
    return value
"""
"""Run before a program that was `noting`. Arguments that JSON cannot carry make a call that is not noted; a result
that it cannot carry is compared by its type."""


def noting(code: str, names: Collection[str]) -> str:
    """The program, in which the top-level functions `names` note their calls. Generators are left as they are."""
    tree = parse(code)
    for node in tree.body:
        if isinstance(node, FunctionDef) and node.name in names and not _yields(node):
            _note(node)
    return ast.unparse(ast.fix_missing_locations(tree))


def observed(noted: Any) -> list[Observed]:
    """The calls that were noted and returned, each with arguments seen for the first time."""
    found: dict[str, Observed] = {}
    for entry in noted if isinstance(noted, list) else ():
        name, arguments, result, returned = entry
        if returned and isinstance(arguments, dict):
            found.setdefault(digest([name, arguments]), Observed(name, arguments, result))
    return list(found.values())


def call(name: str, arguments: Mapping[str, Any], *, is_async: bool) -> str:
    """The program that calls a saved function, as its last expression."""
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return f"_toolweft_plain({'await ' if is_async else ''}functions.{name}({given}))"


def callable_by_text(arguments: Mapping[str, Any]) -> bool:
    """Whether arguments come back from their own text: infinite and undefined numbers do not."""
    try:
        return bool(ast.literal_eval(repr(dict(arguments))) == dict(arguments))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def variation(parameters: Mapping[str, Any], calls: Sequence[Observed]) -> Mapping[str, Any]:
    """Arguments that the function was not proven with: those of another call, or one of them changed a little.

    Texts mean something outside and are never made up, so there may be nothing to change: then they are the same.
    """
    first = calls[0].arguments
    if len(calls) > 1:
        return calls[-1].arguments
    schemas = parameters.get("properties", {})
    for name, value in first.items():
        schema = schemas.get(name, {})
        if "default" in schema and value != schema["default"]:
            return {key: each for key, each in first.items() if key != name}
        if isinstance(value, bool):
            return {**first, name: not value}
        if isinstance(value, int):
            up = value + 1 <= schema.get("maximum", value + 1)
            return {**first, name: value + 1 if up else value - 1}
        others = [each for each in schema.get("enum", ()) if each != value]
        if others:
            return {**first, name: others[0]}
    return first


def otherwise(value: Json, by: int) -> Json:
    """Another value of the same shape, its numbers far away by `by`. Its texts are made up, so it is for calls that the
    record answers alone.
    """
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + by
    if isinstance(value, str):
        return f"{value} (another)"
    if isinstance(value, list):
        return [otherwise(each, by) for each in value]
    return {key: otherwise(each, by) for key, each in value.items()} if isinstance(value, dict) else value


def learnt_by_heart(function: Function, calls: Sequence[Observed]) -> str | None:
    """What the code holds that it should have computed: a number that is its answer, a table for one argument alone."""
    nodes = [each for part in _definition(function).body for each in ast.walk(part)]
    # A number that something is called with, such as a limit, is the answer by chance.
    given = {
        id(each) for node in nodes if isinstance(node, ast.Call) for part in _given(node) for each in ast.walk(part)
    }
    numbers = [each.value for each in nodes if isinstance(each, ast.Constant) and id(each) not in given]
    if all(_telling(each.result) and each.result in numbers for each in calls):
        return f"it answered {calls[0].result}, and that number stands in its code"
    tables = [each.value.keys for each in nodes if isinstance(each, ast.Subscript) and isinstance(each.value, ast.Dict)]
    keys = [table[0].value for table in tables if len(table) == 1 and isinstance(table[0], ast.Constant)]
    known = [value for each in calls for value in each.arguments.values() if isinstance(value, str) and value in keys]
    return f"it knows no other argument than {known[0]!r}" if known else None


def _given(node: ast.Call) -> list[ast.expr]:
    return [*node.args, *(each.value for each in node.keywords)]


def _telling(value: object) -> bool:
    """A number that is hardly there by chance."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (value % 1 != 0 or abs(value) > PLAIN)


def _definition(function: Function) -> ast.FunctionDef | ast.AsyncFunctionDef:
    tree = parse(function.source)
    return next(n for n in reversed(tree.body) if isinstance(n, FunctionDef) and n.name == function.name)


def unused(function: Function) -> list[str]:
    """Parameters that the code never looks at: what it answers cannot depend on them."""
    node = _definition(function)
    read = {each.id for part in node.body for each in ast.walk(part) if isinstance(each, ast.Name)}
    return [each.arg for each in (*node.args.args, *node.args.kwonlyargs) if each.arg not in read]


def swallows(source: str) -> int | None:
    """The line of a handler that lets every error pass in silence."""
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.ExceptHandler) and _broad(node.type):
            if not any(isinstance(each, ast.Raise) for part in node.body for each in ast.walk(part)):
                return node.lineno
        elif _suppresses(node):
            return node.lineno
    return None


def _suppresses(node: ast.AST) -> TypeGuard[ast.Call]:
    if not isinstance(node, ast.Call):
        return False
    named = ast.unparse(node.func).rpartition(".")[2] == "suppress"
    return named and any(_broad(each) for each in node.args)


def _broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_broad(each) for each in kind.elts)
    return kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})


def _note(node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    keys: list[ast.expr | None] = [ast.Constant(each) for each in names]
    values: list[ast.expr] = [ast.Name(each, ast.Load()) for each in names]
    if node.args.kwarg:
        keys.append(None)
        values.append(ast.Name(node.args.kwarg.arg, ast.Load()))
    noted = ast.Call(ast.Name("_toolweft_note", ast.Load()), [ast.Constant(node.name), ast.Dict(keys, values)], [])
    body = [_Returns().visit(each) for each in node.body]
    entry = ast.Name("_toolweft_entry", ast.Store())
    node.body = [ast.Assign([entry], noted), *body, ast.Return(_kept(ast.Constant(None)))]


class _Returns(ast.NodeTransformer):
    """Notes what a function returns. What is defined inside of it returns to itself."""

    def visit_Return(self, node: ast.Return) -> ast.AST:
        return ast.Return(_kept(node.value or ast.Constant(None)))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node


def _kept(value: ast.expr) -> ast.Call:
    return ast.Call(ast.Name("_toolweft_kept", ast.Load()), [ast.Name("_toolweft_entry", ast.Load()), value], [])


def _yields(node: ast.AST) -> bool:
    own: Iterable[ast.AST] = ast.iter_child_nodes(node)
    return any(
        isinstance(each, ast.Yield | ast.YieldFrom)
        or (not isinstance(each, (*FunctionDef, ast.ClassDef, ast.Lambda)) and _yields(each))
        for each in own
    )
