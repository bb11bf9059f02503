"""`weakened`: which asserts of a program a changed one has no more, or keeps from doing their work.

An assert does its work where the program comes to it whenever it came to it before, and ends when it does not hold. So
two things are compared: what is demanded, and under what conditions the program comes there and fails. These are read
along the whole way from the last line of the program through the calls of its functions:

- a new `if`, `while`, `match`, `and`, `or` or `else` of a `try`: it may not come there any more;
- a new `try` that catches an `AssertionError`, or `suppress` of one: it does not end. One that raises again counts not;
- `return`, `raise`, `break` or `continue` before it, or no call of its function: it never comes there.

A condition that is gone makes an assert stricter, and a new `for` or `with` is no condition: that the data is a list,
or that something has to be opened, is found out by running the program, and to go through it is what mends it. An early
`return` under an `if` of its own is let pass too: "there is nothing" may be the answer that a repair is asked for.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from toolweft_catalog.parsing import parse

_Conditions: TypeAlias = tuple[str, ...]
_ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HARMLESS = frozenset({"ToolError"})


class _Place(NamedTuple):
    """A node that the program comes to, with the function around it (`""` for none) and the conditions inside that."""

    node: ast.AST
    function: str
    conditions: _Conditions


class _Demand(NamedTuple):
    test: ast.expr
    shape: str
    conditions: _Conditions
    """Of the whole way, from the last line of the program."""


def weakened(program: str, changed: str, *, broken: int | None = None, keys: bool = True) -> list[str]:
    """Asserts of the program that the changed one has no more, or that hold less there, as they stand in the program.

    With `keys`, another key of the same lookup counts as the same assert: that is the shape of a result, as long as no
    assert has failed. `broken` is the line of an assert that itself cannot be computed.
    """
    try:
        old, new = parse(program), parse(changed)
        # What nothing calls in the program itself need not be called in the changed one.
        uncalled = _functions(old) - _ways(_places(old), ()).keys()
        held, left = _demands(old, uncalled, keys=keys), _demands(new, uncalled, keys=keys)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lost: list[str] = []
    for demand in held:
        fitting = [each for each in left if each.shape == demand.shape and not _more(each, demand)]
        if fitting:
            left.remove(min(fitting, key=lambda each: len(_more(demand, each))))
        elif not (broken and demand.test.lineno <= broken <= (demand.test.end_lineno or demand.test.lineno)):
            lost.append(ast.unparse(demand.test))
    return lost


def _more(one: _Demand, other: _Demand) -> Counter[str]:
    return Counter(one.conditions) - Counter(other.conditions)


def _demands(tree: ast.Module, entries: Collection[str], *, keys: bool) -> list[_Demand]:
    """Each thing that is demanded, in the order of the program; `assert a and b` demands two."""
    places = _places(tree)
    ways = _ways(places, entries)
    found: list[_Demand] = []
    for node, function, conditions in places:
        if isinstance(node, ast.Assert) and function in ways:
            both = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
            tests = node.test.values if both and isinstance(node.test, ast.BoolOp) else [node.test]
            found += [
                _Demand(each, _shape(each) if keys else ast.dump(each), (*ways[function], *conditions))
                for each in tests
            ]
    return sorted(found, key=lambda each: (each.test.lineno, each.test.col_offset))


def _functions(tree: ast.Module) -> set[str]:
    return {node.name for node in ast.walk(tree) if isinstance(node, _NAMED)}


def _ways(places: Sequence[_Place], entries: Collection[str]) -> Mapping[str, _Conditions]:
    """The functions that the program comes to, each with the conditions of its easiest way. `entries` need no call."""
    ways: dict[str, _Conditions] = {"": (), **dict.fromkeys(entries, ())}
    names = {place.node.name for place in places if isinstance(place.node, _NAMED)}
    named = [
        (place.node.id, place.function, place.conditions)
        for place in places
        if isinstance(place.node, ast.Name) and isinstance(place.node.ctx, ast.Load) and place.node.id in names
    ]
    changed = True
    while changed:
        changed = False
        for name, function, conditions in named:
            if function not in ways:
                continue
            way = (*ways[function], *conditions)
            if name not in ways or len(way) < len(ways[name]):
                ways[name], changed = way, True
    return ways


def _places(tree: ast.Module) -> list[_Place]:
    """What the program comes to, however deep; in no order."""
    found: list[_Place] = []
    left = [_Place(each, "", ()) for each in _reached(tree.body)]
    while left:
        place = left.pop()
        found.append(place)
        node, function, conditions = place
        if isinstance(node, _NAMED):
            outside = [*node.decorator_list, *(node.bases if isinstance(node, ast.ClassDef) else [node.args])]
            left += [_Place(each, function, conditions) for each in outside]
            left += [_Place(each, node.name, ()) for each in _reached(node.body)]
        else:
            left += [_Place(each, function, (*conditions, *more)) for body, more in _parts(node) for each in body]
    return found


def _reached(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    """The statements of a block up to the first that always leaves it."""
    ends = next((number for number, each in enumerate(body, 1) if _leaves(each)), len(body))
    return body[:ends]


def _parts(node: ast.AST) -> Iterator[tuple[Sequence[ast.AST], _Conditions]]:
    """What is in a node, with the conditions that hold for it beside those of the node."""
    if isinstance(node, (ast.If, ast.While)):
        word = type(node).__name__.lower()
        yield [node.test], ()
        yield _reached(node.body), (f"{word} {_shape(node.test)}",)
        yield _reached(node.orelse), (f"{word} not {_shape(node.test)}",)
    elif isinstance(node, ast.IfExp):
        yield [node.test], ()
        yield [node.body], (f"if {_shape(node.test)}",)
        yield [node.orelse], (f"if not {_shape(node.test)}",)
    elif isinstance(node, ast.BoolOp):
        yield node.values[:1], ()
        yield node.values[1:], (f"{type(node.op).__name__} {_shape(node.values[0])}",)
    elif isinstance(node, (ast.Try, ast.TryStar)):
        caught = tuple(f"except {_shape(each.type)}" for each in node.handlers if _swallows(each))
        yield _reached(node.body), (*caught, *(["finally"] if _jumps(node.finalbody) else []))
        yield from (([each], ("in except",)) for each in node.handlers)
        yield _reached(node.orelse), ("else of try",)
        yield _reached(node.finalbody), ()
    elif isinstance(node, ast.Match):
        yield [node.subject], ()
        yield from (
            (_reached(each.body), (f"case {ast.dump(each.pattern)} {_shape(each.guard)}",)) for each in node.cases
        )
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        yield node.items, ()
        calls = [each.context_expr for each in node.items if isinstance(each.context_expr, ast.Call)]
        held = [call for call in calls if _suppresses(call)]
        yield _reached(node.body), tuple(f"suppress {_shape(each)}" for each in held)
    elif isinstance(node, ast.comprehension):
        yield [node.target, node.iter, *node.ifs], ()
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
        tests = [test for each in node.generators for test in each.ifs]
        yield node.generators, ()
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        yield made, tuple(f"if {_shape(each)}" for each in tests)
    else:
        for _, value in ast.iter_fields(node):
            inside = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST)]
            statements = [each for each in inside if isinstance(each, ast.stmt)]
            yield _reached(statements) if statements else inside, ()


def _leaves(node: ast.stmt) -> bool:
    """Whether nothing after it in its block is come to."""
    if isinstance(node, ast.If):
        return any(map(_leaves, node.body)) and any(map(_leaves, node.orelse))
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return any(map(_leaves, node.body))
    return isinstance(node, _ENDS)


def _swallows(handler: ast.excepthandler) -> bool:
    """Whether the program goes on after an assert that did not hold. What a name of the program's own stands for is not
    known: it may be an `AssertionError`.
    """
    if not isinstance(handler, ast.ExceptHandler) or not _catches(handler.type):
        return False
    return not isinstance(handler.body[-1], ast.Raise) or _jumps(handler.body)


def _catches(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(map(_catches, kind.elts))
    if isinstance(kind, ast.Name):
        known = getattr(builtins, kind.id, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return issubclass(AssertionError, known)
        return kind.id not in _HARMLESS
    return not isinstance(kind, ast.Attribute)


def _suppresses(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name == "suppress" and any(map(_catches, call.args))


def _jumps(body: Sequence[ast.stmt]) -> bool:
    """Whether something in it may leave it with no exception."""
    return any(isinstance(node, (ast.Return, ast.Break, ast.Continue)) for each in body for node in ast.walk(each))


class _Masked(ast.NodeTransformer):
    """Which key is looked up is the shape of a result, not what is demanded of it."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            node.slice = ast.Constant("key")
        return node


def _shape(node: ast.expr | None) -> str:
    return "" if node is None else ast.dump(_Masked().visit(parse(ast.unparse(node), mode="eval").body))
