"""Is one function an instance of another? The same code but for its names, and literals where the other has parameters.

    def spent(who, most=10): return [r["total"] for r in shop.list(customer=who, limit=most)]   # the general one
    def cost(client):        return [x["total"] for x in shop.list(customer=client, limit=10)]  # an instance of it

The other way round it is none: `cost` cannot do what `spent` does. Two that differ in a literal alone are two
functions. Annotations, docstrings and defaults do not count. Purely a question about two texts: nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from toolweft_catalog.parsing import parse
from toolweft_server.library.syntax import FunctionDef

_Def: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"


class Argument(NamedTuple):
    """What a parameter of the general function is in its instance."""

    kind: Literal["parameter", "literal"]
    value: Any
    """The parameter's name there, or the literal's value."""


Fit: TypeAlias = Mapping[str, Argument]
"""By parameter of the general function."""


def fit(general: str, its: str, special: str, name: str) -> Fit | None:
    """How the function `name` of `special` is an instance of the function `its` of `general`; `None` if it is not."""
    one, two = parse(general), parse(special)
    outer, inner = _defined(one, its), _defined(two, name)
    match = _Match(one, two, outer, inner)
    if not match.bodies(one.body, two.body):
        return None
    found: dict[str, Argument] = {}
    required = _required(outer.args)
    for parameter in match.parameters:
        if parameter in match.literals:
            found[parameter] = Argument("literal", match.literals[parameter])
        elif parameter in match.names:
            if parameter in required and match.names[parameter] not in _required(inner.args):
                return None  # a call that leaves it out works with the instance alone
            found[parameter] = Argument("parameter", match.names[parameter])
        elif parameter in required:
            return None
    given = {each.value for each in found.values() if each.kind == "parameter"}
    return found if given == _parameters(inner.args) else None


def arguments(fit: Fit, given: Mapping[str, Any]) -> dict[str, Any]:
    """A call of the instance as a call of the general function."""
    return {
        key: each.value if each.kind == "literal" else given[each.value]
        for key, each in fit.items()
        if each.kind == "literal" or each.value in given
    }


class _Match:
    """Two trees walked side by side. Names that they bind themselves correspond one to one; all others are the same."""

    def __init__(self, one: ast.Module, two: ast.Module, outer: _Def, inner: _Def) -> None:
        self.parameters = _parameters(outer.args)
        self._pair = outer, inner
        self._bound = _bound(one), _bound(two)
        self.names: dict[str, str] = {}
        self._back: dict[str, str] = {}
        self.literals: dict[str, Any] = {}

    def bodies(self, one: list[ast.stmt], two: list[ast.stmt]) -> bool:
        one, two = _without_text(one), _without_text(two)
        return len(one) == len(two) and all(self._same(a, b) for a, b in zip(one, two, strict=True))

    def _same(self, one: Any, two: Any) -> bool:
        if isinstance(one, ast.Name) and one.id in self.parameters and not isinstance(two, ast.Name):
            return isinstance(one.ctx, ast.Load) and self._literal(one.id, two)
        if type(one) is not type(two):
            return False
        match one:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._functions(one, two)
            case ast.Name():
                return self._renamed(one.id, two.id) and type(one.ctx) is type(two.ctx)
            case ast.arg():
                return self._renamed(one.arg, two.arg)
            case ast.ClassDef():
                return self._renamed(one.name, two.name) and self._fields(one, two, besides="name")
            case ast.ExceptHandler():
                names = one.name or "", two.name or ""
                return bool(names[0]) == bool(names[1]) and self._renamed(*names) and self._fields(one, two, "name")
            case ast.alias():
                return one.name == two.name and self._renamed(one.asname or one.name, two.asname or two.name)
            case ast.Constant():
                return type(one.value) is type(two.value) and bool(one.value == two.value)
            case ast.AST():
                return not self._by_keyword(one) and self._fields(one, two)
            case list():
                return len(one) == len(two) and all(self._same(a, b) for a, b in zip(one, two, strict=True))
            case _:
                return bool(one == two)

    def _by_keyword(self, node: ast.AST) -> bool:
        """Whether it calls a function of the module with keywords: its parameters may have changed places there."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return False
        return bool(node.keywords) and node.func.id in self._bound[0]

    def _fields(self, one: ast.AST, two: ast.AST, besides: str = "") -> bool:
        names = [each for each in one._fields if each != besides]
        return all(self._same(getattr(one, each, None), getattr(two, each, None)) for each in names)

    def _functions(self, one: _Def, two: _Def) -> bool:
        if (one is self._pair[0]) != (two is self._pair[1]):
            return False
        if one is self._pair[0]:
            rest = one.args.kwarg, two.args.kwarg
            same = self._same(*rest) if all(rest) else not any(rest)
        else:
            same = self._same(one.args, two.args)
        same = same and self._renamed(one.name, two.name) and self._same(one.decorator_list, two.decorator_list)
        return same and self.bodies(one.body, two.body)

    def _renamed(self, one: str, two: str) -> bool:
        if one not in self._bound[0] and two not in self._bound[1] and one != two:
            return False
        if one in self.literals or (one in self._bound[0]) != (two in self._bound[1]):
            return False
        return self.names.setdefault(one, two) == two and self._back.setdefault(two, one) == one

    def _literal(self, parameter: str, node: Any) -> bool:
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return False
        known = self.literals.setdefault(parameter, value)
        return parameter not in self.names and repr(known) == repr(value)


def _defined(tree: ast.Module, name: str) -> _Def:
    return next(each for each in reversed(tree.body) if isinstance(each, FunctionDef) and each.name == name)


def _parameters(args: ast.arguments) -> set[str]:
    return {each.arg for each in (*args.args, *args.kwonlyargs)}


def _required(args: ast.arguments) -> set[str]:
    plain = args.args[: len(args.args) - len(args.defaults)]
    keyword = [each for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
    return {each.arg for each in (*plain, *keyword)}


def _bound(tree: ast.Module) -> set[str]:
    """Every name that the source binds anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.arg():
                found.add(node.arg)
            case ast.Name(ctx=ast.Store() | ast.Del()):
                found.add(node.id)
            case ast.alias():
                found.add(node.asname or node.name)
            case ast.ExceptHandler(name=str()):
                found.add(str(node.name))
    return found


def _without_text(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements but for texts that stand alone: docstrings."""
    return [
        each
        for each in body
        if not (
            isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str)
        )
    ]
