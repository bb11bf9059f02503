"""`merged` puts functions that a model changed into their program; `doubled` says which calls are there once more."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TypeAlias

from toolweft_catalog.parsing import parse
from toolweft_client.calls import Use, uses

_Named: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def merged(program: str, reply: str) -> str:
    """The program with the functions of the reply in place of those of the same names.

    Lines outside functions, if the reply has any but imports, replace all such lines of the program, so that a whole
    program is a legal reply, too. Where one of both does not parse, the reply is the program.
    """
    try:
        old, new = parse(program), parse(reply)
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


def doubled(program: str, changed: str) -> list[Use]:
    """Calls of tools that the changed program makes once more than the program did, word for word."""
    try:
        before = Counter(ast.dump(use.call) for use in uses(parse(program)) if use.call is not None)
        again = [use for use in uses(parse(changed)) if use.call is not None]
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
