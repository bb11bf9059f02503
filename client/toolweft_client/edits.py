"""`merged` puts functions that a model changed into their program; `weakened` says which asserts got lost, `doubled`
which calls are there once more.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from toolweft_client.calls import Use, uses

_Named: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def merged(program: str, reply: str) -> str:
    """The program with the functions of the reply in place of those of the same names.

    Lines outside functions, if the reply has any but imports, replace all such lines of the program, so that a whole
    program is a legal reply, too. Where one of both does not parse, the reply is the program.
    """
    try:
        old, new = ast.parse(program), ast.parse(reply)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return reply
    changed = {each.name for each in new.body if isinstance(each, _Named)}
    if not changed or any(not isinstance(each, (*_named(), ast.Import, ast.ImportFrom)) for each in new.body):
        kept = [each for each in old.body if isinstance(each, _Named) and each.name not in changed]
        needed = _needed(kept, new)
        imports = [each for each in old.body if isinstance(each, (ast.Import, ast.ImportFrom))]
        parts = [*(_text(program, each) for each in imports if needed), *(_text(program, each) for each in needed)]
        return "\n\n".join([*parts, reply.strip("\n")]) + "\n" if parts else reply
    parts = [_text(reply, each) for each in new.body if not isinstance(each, _Named)]
    known = {each.name for each in old.body if isinstance(each, _Named)}
    added = [_text(reply, each) for each in new.body if isinstance(each, _Named) and each.name not in known]
    texts = {each.name: _text(reply, each) for each in new.body if isinstance(each, _Named)}
    if not old.body:
        return reply
    line = 0
    for each in old.body:
        if each.lineno <= line:
            continue  # it stands on a line that is there already
        line = each.end_lineno or each.lineno
        if isinstance(each, _Named) and added:
            parts, added = [*parts, *added], []
        parts.append(texts.get(each.name, _text(program, each)) if isinstance(each, _Named) else _text(program, each))
    last = parts.pop() if added and not isinstance(old.body[-1], _Named) else None
    return "\n\n".join([*parts, *added, *([last] if last else [])]) + "\n"


def weakened(program: str, changed: str, *, broken: int | None = None) -> list[str]:
    """Asserts of the program that the changed one has no more, as they stand there. Another key of the same lookup
    counts as the same assert. `broken` is the line of an assert that itself cannot be computed.
    """
    try:
        old, new = ast.parse(program), ast.parse(changed)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    left = Counter(shape for _, shape in _asserts(new))
    lost: list[str] = []
    for node, shape in _asserts(old):
        if left[shape]:
            left[shape] -= 1
        elif not (broken and node.lineno <= broken <= (node.end_lineno or node.lineno)):
            lost.append(ast.unparse(node))
    return lost


def doubled(program: str, changed: str) -> list[Use]:
    """Calls of tools that the changed program makes once more than the program did, word for word."""
    try:
        before = Counter(ast.dump(use.call) for use in uses(ast.parse(program)) if use.call is not None)
        again = [use for use in uses(ast.parse(changed)) if use.call is not None]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    count: Counter[str] = Counter()
    found: list[Use] = []
    for use in again:
        assert use.call is not None
        shape = ast.dump(use.call)
        count[shape] += 1
        if count[shape] > max(1, before[shape]):
            found.append(use)
    return found


def size(program: str, changed: str) -> int:
    """Lines that differ."""
    one, other = Counter(program.split("\n")), Counter(changed.split("\n"))
    return sum(((one - other) + (other - one)).values())


class _Masked(ast.NodeTransformer):
    """Which key is looked up is the shape of a result, not what is demanded of it."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            node.slice = ast.Constant("key")
        return node


def _asserts(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Each thing that is demanded, and its shape; `assert a and b` demands two."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            both = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
            for each in node.test.values if both and isinstance(node.test, ast.BoolOp) else [node.test]:
                copy = ast.parse(ast.unparse(each), mode="eval").body
                yield each, ast.dump(_Masked().visit(copy))


def _named() -> tuple[type[ast.stmt], ...]:
    return (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _needed(kept: list[_Named], new: ast.Module) -> list[_Named]:
    """Functions that the new lines, or others that they need, name."""
    names = {each.id for each in ast.walk(new) if isinstance(each, ast.Name)}
    wanted: list[_Named] = []
    while more := [each for each in kept if each.name in names and each not in wanted]:
        wanted += more
        names |= {node.id for each in more for node in ast.walk(each) if isinstance(node, ast.Name)}
    return [each for each in kept if each in wanted]


def _text(source: str, node: ast.stmt) -> str:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])
