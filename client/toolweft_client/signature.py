"""`Parameters`: what a tool takes, read from its `call` line or its stub; and whether a literal fits.

Only what is certain is said: an annotation of another kind than those of JSON accepts anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json

_NAMES = {
    "str": "str", "int": "int", "float": "float", "bool": "bool", "None": "None",
    "list": "list", "List": "list", "tuple": "list", "set": "list", "dict": "dict", "Dict": "dict",
}  # fmt: skip
_ANNOTATED = frozenset({"Annotated", "Required", "NotRequired", "Optional", "Union"})


class Accepted(NamedTuple):
    """Kinds of JSON values that an annotation lets pass, and the values of its `Literal`."""

    kinds: frozenset[str]
    values: tuple[Json, ...] = ()

    def __str__(self) -> str:
        return " or ".join([*map(repr, self.values), *sorted(self.kinds)])

    def fits(self, given: Given) -> bool:
        if given.kind in self.kinds or (given.kind == "int" and "float" in self.kinds):
            return True
        if not given.known:
            return any(given.kind == kind_of(each) for each in self.values)
        return any(given.value == each and given.kind == kind_of(each) for each in self.values)


class Given(NamedTuple):
    """A literal in a program; `known` when its value is, too (an f-string is a string of unknown text)."""

    kind: str
    known: bool = False
    value: Json = None


class Parameters(NamedTuple):
    names: tuple[str, ...]
    required: frozenset[str]
    complete: bool
    """False when the line was cut: further names may exist."""
    accepts: Mapping[str, Accepted]
    """By name; a name that is not in here takes anything."""
    positional: int


def of_tool(call: str, stub: str, tool: str) -> Parameters | None:
    """From the full stub, if there is one, else from the line."""
    return of_stub(stub, tool) or of_line(call)


def of_line(call: str) -> Parameters | None:
    """What a found tool's `call` line says about its arguments; `None` when it cannot be read.

    In such a line `= …` is a default that is not shown, and a `…` of its own stands for arguments left out.
    """
    rest = call.partition("(")[2]
    inside = rest.rpartition(") -> ")[0] or rest.rstrip().removesuffix(")")
    shown = inside.replace("= …", "= ...")
    whole = not shown.endswith("…")
    nodes = _parsed(f"def f({shown.removesuffix('…')}): ...") if ")" in rest else []
    if len(nodes) != 1 or not isinstance(nodes[0], ast.FunctionDef):
        return None
    return _of(nodes[0].args, whole=whole)


def of_stub(stub: str, tool: str) -> Parameters | None:
    """The same from a full stub, where nothing is left out."""
    found = _definition(stub, tool)
    return _of(found.args) if found else None


def shape_known(call: str, stub: str, tool: str) -> bool:
    """Whether the result's annotation says what is in it: no `Any`, no bare `dict` and no bare `list`."""
    found = _definition(stub, tool)
    annotation = found.returns if found else next(
        (each.value for each in _parsed(call.partition(") -> ")[2]) if isinstance(each, ast.Expr)), None
    )  # fmt: skip
    return annotation is not None and not any(map(_vague, _leaves(annotation)))


def kind_of(value: object) -> str:
    """Of a JSON value, in Python's words."""
    if value is None:
        return "None"
    for kind in (bool, int, float, str, dict):
        if isinstance(value, kind):
            return kind.__name__
    return "list"


def literal(node: ast.expr) -> Given | None:
    """What kind of value an expression certainly has; `None` when only running it would tell."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool, type(None))):
        return Given(kind_of(node.value), known=True, value=node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return Given(kind_of(value), known=True, value=-value)
    if isinstance(node, ast.JoinedStr):
        return Given("str")
    if isinstance(node, (ast.List, ast.ListComp, ast.Tuple)):
        return Given("list")
    return Given("dict") if isinstance(node, (ast.Dict, ast.DictComp)) else None


def _definition(stub: str, tool: str) -> ast.FunctionDef | None:
    found = [each for each in _parsed(stub) if isinstance(each, ast.FunctionDef)]
    return found[-1] if found and found[-1].name == tool.rsplit(".", maxsplit=1)[-1] else None


def _of(given: ast.arguments, *, whole: bool = True) -> Parameters:
    positional = [*given.posonlyargs, *given.args]
    every = [*positional, *given.kwonlyargs]
    optional = [each.arg for each in positional[len(positional) - len(given.defaults) :]]
    optional += [arg.arg for arg, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is not None]
    names = tuple(each.arg for each in every)
    accepts = {each.arg: taken for each in every if each.annotation and (taken := _accepted(each.annotation))}
    complete = whole and given.kwarg is None
    return Parameters(names, frozenset(names) - frozenset(optional), complete, accepts, len(positional))


def _accepted(node: ast.expr) -> Accepted | None:
    """`None`: anything."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _either(node.left, node.right)
    if isinstance(node, ast.Dict):
        return Accepted(frozenset({"dict"}))
    if isinstance(node, ast.Constant) and node.value is None:
        return Accepted(frozenset({"None"}))
    if isinstance(node, ast.Name):
        return Accepted(frozenset({_NAMES[node.id]})) if node.id in _NAMES else None
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
        return None
    inside = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if node.value.id == "Literal":
        found = [each for part in inside if (each := literal(part)) and each.known]
        return Accepted(frozenset(), tuple(each.value for each in found)) if len(found) == len(inside) else None
    if node.value.id in _ANNOTATED:
        parts = inside if node.value.id == "Union" else inside[:1]
        none = [ast.Constant(None)] if node.value.id == "Optional" else []
        return _either(*parts, *none)
    return _accepted(node.value)


def _either(*nodes: ast.expr) -> Accepted | None:
    taken = [_accepted(each) for each in nodes]
    known = [each for each in taken if each]
    if len(known) < len(taken):
        return None
    return Accepted(frozenset().union(*(each.kinds for each in known)), sum((each.values for each in known), ()))


def _leaves(node: ast.expr) -> Iterator[ast.expr]:
    """The annotation's innermost parts: what stands in `list[…]`, `… | None` and the values of a shown dict."""
    if isinstance(node, ast.BinOp):
        yield from _leaves(node.left)
        yield from _leaves(node.right)
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id != "Literal":
        inside = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        for each in inside[-1:] if _NAMES.get(node.value.id) == "dict" else inside:
            yield from _leaves(each)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _leaves(value)
    else:
        yield node


def _vague(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and (node.id in ("Any", "object") or _NAMES.get(node.id) in ("list", "dict"))


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
