"""A saved function's text -> its signature and schemas, as its callers see them. The reading is the catalogue's.

What is particular to saved functions: they are called by name, from far away. So an argument that cannot be named is
refused, and a default that is a constant of the module is shown with its value.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.signature import parse_function
from toolweft_catalog.tool import Schema
from toolweft_server.errors import LibraryError


class Typed(NamedTuple):
    """What a function's text says of itself."""

    signature: str
    """`(repo: str, *, limit: int=10) -> list[str]`"""
    parameters: Schema
    output: Schema | None
    description: str
    is_async: bool


def typed(source: str, name: str) -> Typed:
    """Reads the last top-level definition of `name`.

    Raises:
        LibraryError: There is none, or its arguments cannot be given by name.

    """
    tree = parse(source)
    defined = [each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    node = next((each for each in reversed(defined) if each.name == name), None)
    if node is None:
        raise LibraryError(f"the source defines no function {name!r}")
    if node.args.vararg or node.args.posonlyargs:
        raise LibraryError(
            f"{name!r} takes arguments that have no name (`*args` or before `/`); a saved function is called by name"
        )
    _settle_defaults(node.args, tree)
    try:
        read = parse_function(ast.unparse(tree), name)
    except ValueError as error:
        raise LibraryError(str(error)) from error
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    text = " ".join(f"({ast.unparse(node.args)}){returns}".split())
    return Typed(text, read.parameters, read.output, read.description, read.is_async)


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
