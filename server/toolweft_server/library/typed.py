"""A function's own text -> its signature, its argument schema and its documentation. Reads annotations, runs nothing.

Only what JSON can carry gets a type; every other annotation leaves its argument open.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from toolweft_catalog.tool import Json, Schema
from toolweft_server.errors import LibraryError

DEPTH = 8
"""Nesting of annotations that is read; deeper ones are open."""

_SIMPLE: dict[str, dict[str, Json]] = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"},
    "None": {"type": "null"}, "list": {"type": "array"}, "tuple": {"type": "array"}, "set": {"type": "array"},
    "dict": {"type": "object"}, "List": {"type": "array"}, "Dict": {"type": "object"},
    "Sequence": {"type": "array"}, "Iterable": {"type": "array"}, "Mapping": {"type": "object"},
}  # fmt: skip


class Typed(NamedTuple):
    """What a function's text says of itself."""

    signature: str
    parameters: Schema
    output: Schema | None
    description: str
    is_async: bool


def typed(source: str, name: str) -> Typed:
    """Reads the last top-level definition of `name`.

    Raises:
        LibraryError: There is none, or its arguments cannot be given by name.

    """
    tree = ast.parse(source)
    defined = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    if not defined:
        raise LibraryError(f"the source defines no function {name!r}")
    node = defined[-1]
    if node.args.vararg or node.args.posonlyargs:
        raise LibraryError(
            f"{name!r} takes arguments that have no name (`*args` or before `/`); a saved function is called by name"
        )
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    _settle_defaults(node.args, tree)
    text = " ".join(f"({ast.unparse(node.args)}){returns}".split())
    output = _schema(node.returns) if node.returns else {}
    description = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
    return Typed(text, _parameters(node.args), output or None, description, isinstance(node, ast.AsyncFunctionDef))


def _parameters(arguments: ast.arguments) -> Schema:
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for argument, default in _named(arguments):
        schema = _schema(argument.annotation)
        if default is None:
            required.append(argument.arg)
        else:
            schema = {**schema, **_default(default)}
        properties[argument.arg] = schema
    return {
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": arguments.kwarg is not None,
    }  # fmt: skip


def _settle_defaults(arguments: ast.arguments, tree: ast.Module) -> None:
    """Puts the value in place of a constant's name: whoever calls the function does not see the constant."""
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    arguments.defaults = [_settled(each, values) for each in arguments.defaults]
    arguments.kw_defaults = [each and _settled(each, values) for each in arguments.kw_defaults]


def _settled(default: ast.expr, values: Mapping[str, ast.expr]) -> ast.expr:
    return values.get(default.id, default) if isinstance(default, ast.Name) else default


def _named(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    missing = len(arguments.args) - len(arguments.defaults)
    yield from zip(arguments.args, [*[None] * missing, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _default(node: ast.expr) -> dict[str, Json]:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return {}
    return {"default": value} if _is_json(value) else {}


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_json(each) for each in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def _schema(node: ast.expr | None, depth: int = DEPTH) -> dict[str, Json]:
    if node is None or depth == 0:
        return {}
    if isinstance(node, ast.Constant):
        return _quoted(node.value, depth)
    if isinstance(node, ast.Name | ast.Attribute):
        return dict(_SIMPLE.get(_last(node), {}))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], depth)
    if isinstance(node, ast.Subscript):
        return _subscript(node, depth)
    return {}


def _quoted(value: object, depth: int) -> dict[str, Json]:
    if value is None:
        return {"type": "null"}
    try:
        return _schema(ast.parse(value, mode="eval").body, depth - 1) if isinstance(value, str) else {}
    except (SyntaxError, ValueError):
        return {}


def _subscript(node: ast.Subscript, depth: int) -> dict[str, Json]:
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    name = _last(node.value)
    if name == "Optional":
        return _union([*inner, ast.Constant(None)], depth)
    if name == "Union":
        return _union(inner, depth)
    if name == "Annotated":
        return _schema(inner[0], depth - 1)
    if name == "Literal":
        values = [each.value for each in inner if isinstance(each, ast.Constant) and _is_json(each.value)]
        return {"enum": values} if values and len(values) == len(inner) else {}  # type: ignore[dict-item]
    outer = dict(_SIMPLE.get(name, {}))
    if outer.get("type") == "array" and len(inner) == 1 and (items := _schema(inner[0], depth - 1)):
        outer["items"] = items
    if outer.get("type") == "object" and len(inner) == 2 and (values_schema := _schema(inner[1], depth - 1)):
        outer["additionalProperties"] = values_schema
    return outer


def _union(nodes: list[ast.expr], depth: int) -> dict[str, Json]:
    parts = [_schema(each, depth - 1) for each in nodes]
    if any(not part for part in parts):
        return {}
    flat = [each for part in parts for each in (part["anyOf"] if set(part) == {"anyOf"} else [part])]  # type: ignore[union-attr]
    return {"anyOf": flat} if len(flat) > 1 else dict(parts[0])


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
