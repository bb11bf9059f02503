"""A program made ready for Monty: the same lines, with calls of tools as Monty can run them.

Monty has no modules of ours and hands a call to the server by suspending. In plain code the call is awaited, so that
other tasks go on meanwhile; in async code it gives a coroutine, as in every other backend. Nothing is moved: each
line keeps its number, so that errors tell the line that the person wrote. What Python's own parser refuses is left
as it is, for Monty to explain.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from toolweft_catalog.parsing import parse
from toolweft_server.sandbox.monty.prelude import NAMES

OURS = frozenset({"ToolError", "Blob", "parallel"})
"""What `tools` has beside servers; bare names here."""
_REFUSAL = frozenset({"kind", "tool", "message"})
_AWAITED = re.compile(rb"\bawait\s*\(*\s*$")

_ASYNC = re.compile(r"\b(async|await)\b")
_quiet = threading.Lock()  # protects Python's filters of warnings, which belong to all threads

Span = tuple[int, int]
"""First byte and the one after the last."""


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    later: frozenset[Span] = frozenset()
    """Calls in async code: they give coroutines."""
    bound: frozenset[str] = frozenset()
    """Names that the program gives a value of its own."""
    coroutines: frozenset[str] = frozenset()
    """Names of its `async def`s."""

    def waits(self, start: int, end: int) -> bool:
        """Whether the call there wants its value, not a coroutine."""
        awaited = _AWAITED.search(self.text.encode("utf-8", "replace")[:start][-80:])
        return not awaited and (start, end) not in self.later


def bindable(name: str) -> bool:
    """Whether a server's bare name shadows nothing."""
    taken = keyword.iskeyword(name) or name in NAMES or hasattr(builtins, name) or name in sys.stdlib_module_names
    return name.isidentifier() and not taken


def prepare(
    code: str,
    *,
    servers: Collection[str] = (),
    coroutines: Collection[str] = (),
    last: bool = True,
    pins: Mapping[str, int] = MappingProxyType({}),
) -> Script:
    """The program with its splices. `servers` are bare names bound to servers, `coroutines` `async def`s of runs
    before; `last` keeps the value of the last expression as `_`, as in a terminal; `pins` are versions of saved
    functions.
    """
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    try:
        tree = _parsed(code)
        found = _Names(tree)
        names = found.coroutines | frozenset(coroutines)
        top = _top(tree) if _ASYNC.search(code) else (False, False)
        splices = _Splices(code, tree, _chains(tree, found, servers), names, pins)
        text = splices.spliced(top, last=last)
        later = frozenset(_later(text, _parsed(text), top)) if _ASYNC.search(code) else frozenset[Span]()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Script(code)
    return Script(text, later, frozenset(found.count), found.coroutines)


def _parsed(code: str) -> ast.Module:
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning about a program is none of the server's
        return parse(code)


class _Names:
    """What a program binds, and how often."""

    def __init__(self, tree: ast.Module) -> None:
        self.count: dict[str, int] = {}
        coroutines = set()
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                    self._add(name)
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    self._add(name)
                case ast.AsyncFunctionDef(name=name):
                    self._add(name)
                    coroutines.add(name)
                case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    self._add(name)
                case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                    for each in aliases:
                        self._add(each.asname or each.name.partition(".")[0])
        self.coroutines = frozenset(name for name in coroutines if self.count[name] == 1)

    def _add(self, name: str) -> None:
        self.count[name] = self.count.get(name, 0) + 1


def _chains(tree: ast.Module, found: _Names, servers: Collection[str]) -> Mapping[str, int]:
    """Names through which a program reaches tools, each with the number of attributes from there to a tool.

    A name that the program also uses for something else is not one of them.
    """
    reach = {name: 1 for name in servers if name not in found.count}
    if not found.count.get("tools"):
        reach["tools"] = 2
    for node in ast.walk(tree):
        for name, path in _imported(node):
            if found.count.get(name) == 1 and path[0] == "tools" and not OURS.intersection(path[1:2]):
                reach[name] = 3 - len(path)
    return {name: steps for name, steps in reach.items() if steps >= 0}


def _imported(node: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names that an import of `tools` or `functions` binds, each with what it stands for."""
    if isinstance(node, ast.Import):
        for each in node.names:
            path = tuple(each.name.split("."))
            if path[0] in {"tools", "functions"}:
                yield (each.asname, path) if each.asname else (path[0], path[:1])
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        module = tuple(node.module.split("."))
        if module[0] in {"tools", "functions"}:
            for each in node.names:
                yield each.asname or each.name, (*module, each.name)


@dataclass(slots=True)
class _Edit:
    start: int
    end: int
    text: str
    order: int = field(default=0)


class _Splices:
    """Collects the edits of a program, outer ones first, and applies them."""

    def __init__(
        self,
        code: str,
        tree: ast.Module,
        chains: Mapping[str, int],
        coroutines: frozenset[str],
        pins: Mapping[str, int],
    ) -> None:
        self._source = code.encode("utf-8", "replace")
        self._lines = [0]
        for line in self._source.split(b"\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._tree, self._chains, self._coroutines, self._pins = tree, chains, coroutines, pins
        self._edits: list[_Edit] = []

    def spliced(self, top: tuple[bool, bool], *, last: bool) -> str:
        if last:
            self._last(self._tree, self._coroutines)
        for node, asynchronous in _walk(self._tree, top):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, ast.Attribute):
                self._attribute(node)
            elif isinstance(node, ast.Call):
                self._call(node, waits=not asynchronous)
        return self._text()

    def _text(self) -> str:
        # At one place: what closes comes first, inner before outer; then what opens, outer before inner.
        closing = [edit for edit in self._edits if edit.order < 0]
        closing.sort(key=lambda edit: (edit.start, edit.order))
        opening = [edit for edit in self._edits if edit.order >= 0]
        opening.sort(key=lambda edit: (edit.start, edit.order))
        pieces, done = list[bytes](), 0
        for edit in sorted(closing + opening, key=lambda edit: edit.start):
            pieces += [self._source[done : edit.start], edit.text.encode()]
            done = max(done, edit.end)
        return b"".join([*pieces, self._source[done:]]).decode("utf-8")

    def _span(self, node: ast.expr | ast.stmt) -> Span:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        return start, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _wrap(self, node: ast.expr, before: str, after: str) -> None:
        start, end = self._span(node)
        order = len(self._edits) + 1
        self._edits += [_Edit(start, start, before, order), _Edit(end, end, after, -order)]

    def _replace(self, start: int, end: int, text: str) -> None:
        self._edits.append(_Edit(start, end, text, len(self._edits) + 1))

    def _last(self, tree: ast.Module, coroutines: frozenset[str]) -> None:
        if not tree.body or not isinstance(tree.body[-1], ast.Expr):
            return
        match value := tree.body[-1].value:
            case ast.Constant(value=None):
                return
            case ast.Call(func=ast.Name(id=name)) if name in coroutines:
                self._wrap(value, "(_ := (await (", ")))")
            case _:
                self._wrap(value, "(_ := (", "))")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        ours = dict(_imported(node))
        if not ours:
            return
        parts = [
            f"{name} = {_value(path, self._pins)}" for name, path in ours.items() if (name,) != path and name != "*"
        ]
        if isinstance(node, ast.Import):
            rest = [each for each in node.names if (each.asname or each.name.partition(".")[0]) not in ours]
            if rest:
                parts.insert(0, ast.unparse(ast.Import(rest)))
        start, end = self._span(node)
        lines = self._source[start:end].count(b"\n")
        if lines or not parts:
            parts.append("(" + "\n" * lines + "None)")
        self._replace(start, end, "; ".join(parts))

    def _attribute(self, node: ast.Attribute) -> None:
        start, end = self._span(node)
        match node:
            case ast.Attribute(value=ast.Name(id="tools"), attr=attr) if attr in OURS and "tools" in self._chains:
                self._replace(start, end, attr)
            case ast.Attribute(value=ast.Name(id="sys"), attr="exit"):
                self._replace(start, end, "exit")
            case ast.Attribute(value=ast.Name(id="functions"), attr="version"):
                self._replace(start, end, "_toolweft_function")
            case ast.Attribute(value=ast.Name(id="functions"), attr=attr) if attr != "save":
                self._replace(start, end, _saved(attr, self._pins))
            case ast.Attribute(value=ast.Name() as name, attr=attr, ctx=ast.Load()) if (
                attr in _REFUSAL and name.id not in self._chains
            ):
                self._wrap(name, "_toolweft_attribute(", f', "{attr}")')
                self._replace(self._span(name)[1], end, "")
            case ast.Attribute(
                value=ast.Call(func=ast.Name(id="type") as name, args=[_], keywords=[]), attr="__name__"
            ):
                self._replace(*self._span(name), "_toolweft_type_name")
                self._replace(self._span(node.value)[1], end, "")

    def _call(self, node: ast.Call, *, waits: bool) -> None:
        if waits and self._is_tool(node.func):
            self._wrap(node, "(await ", ")")
        match node:
            case ast.Call(func=ast.Name(id="next"), args=[ast.GeneratorExp() as found, *_]):
                self._wrap(found, "(iter", ")")  # there it is a list, in its own brackets or those of the call

    def _is_tool(self, func: ast.expr) -> bool:
        steps, node = 0, func
        while isinstance(node, ast.Attribute):
            steps, node = steps + 1, node.value
        return isinstance(node, ast.Name) and self._chains.get(node.id) == steps


def _saved(name: str, pins: Mapping[str, int]) -> str:
    return f'_toolweft_function("{name}", {pins.get(name)})'


def _value(path: tuple[str, ...], pins: Mapping[str, int]) -> str:
    """What an imported name stands for, as an expression."""
    if path[0] == "functions" and len(path) > 1:
        return _saved(path[1], pins)
    return path[1] if len(path) == 2 and path[1] in OURS else ".".join(path)


def _top(tree: ast.Module) -> tuple[bool, bool]:
    """Whether the program awaits outside of functions: in its body, and in its last expression."""
    body, last = _parts(tree)
    return any(map(_awaits, body)), any(map(_awaits, last))


def _parts(tree: ast.Module) -> tuple[list[ast.stmt], list[ast.stmt]]:
    cut = len(tree.body) - bool(tree.body and isinstance(tree.body[-1], ast.Expr))
    return tree.body[:cut], tree.body[cut:]


def _walk(tree: ast.Module, top: tuple[bool, bool]) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether its code is async. What is in f-strings is left out: old parsers misplace it."""
    stack: list[tuple[ast.AST, bool]] = []
    for nodes, awaits in zip(_parts(tree), top, strict=True):
        stack += [(node, awaits) for node in nodes]
    while stack:
        node, asynchronous = stack.pop()
        yield node, asynchronous
        match node:
            case ast.JoinedStr():
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                inner = isinstance(node, ast.AsyncFunctionDef)
                outside = [*node.decorator_list, node.args]
                stack += [(child, inner) for child in node.body] + [(child, asynchronous) for child in outside]
            case ast.Lambda():
                stack += [(node.body, False), (node.args, asynchronous)]
            case ast.ClassDef():
                stack += [(child, False) for child in ast.iter_child_nodes(node)]
            case _:
                stack += [(child, asynchronous) for child in ast.iter_child_nodes(node)]


def _awaits(node: ast.AST) -> bool:
    """Whether the code of this statement itself awaits, functions in it aside."""
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack.extend(ast.iter_child_nodes(node))
    return False


def _later(text: str, tree: ast.Module, top: tuple[bool, bool]) -> Iterator[Span]:
    """The calls in async code of the spliced program, as Monty will name their places."""
    lines = [0]
    for line in text.encode().split(b"\n"):
        lines.append(lines[-1] + len(line) + 1)
    for node, asynchronous in _walk(tree, top):
        if asynchronous and isinstance(node, ast.Call):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            yield lines[node.lineno - 1] + node.col_offset, lines[node.end_lineno - 1] + node.end_col_offset
