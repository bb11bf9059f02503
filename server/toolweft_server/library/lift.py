"""What a function knows of the task it was written for becomes a parameter; if a value of the task remains, it is left.

A literal belongs to the task when the task's text says it: as a whole word, or as a number by itself. Keys of
mappings, and values that a tool's schema lists, are the tools' language and not the task's. E-mail addresses are
somebody's wherever they stand, and belong to the task without being said.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json
from toolweft_server.errors import LibraryError
from toolweft_server.library.extract import Extracted
from toolweft_server.library.syntax import FunctionDef

_DATA = re.compile(r"""["'“`]([^"'“”`\n]{2,200})["'”`]|(?<!\w)([\w.+-]*[\d@/_#](?:[\w.@/:+#-]*[\w/#])?)""")
"""Words that are data wherever they stand: in quotes, or with digits, slashes, at signs, underscores in them."""
_ADDRESS = re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
SHORTEST = 3
"""Characters of such a word: a digit or two stand in any text."""
_KEYED = frozenset({"get", "pop", "setdefault", "split", "join", "strip", "replace"})
"""Methods whose constant arguments are structure: keys and separators."""


class Lifted(NamedTuple):
    found: Extracted
    given: Mapping[str, Json]
    """The new parameters, with the values that they had in the task."""


def lift(found: Extracted, task: str | None, *, known: Collection[str] = ()) -> Lifted:
    """The function with every literal of the task as a parameter. `known` are values that schemas list.

    Raises:
        LibraryError: A value of the task remains.

    """
    tree = parse(found.source)
    addresses = _addresses(tree, found.source).difference(known)
    if not (task or addresses):
        return Lifted(found, {})
    told = _Told(task or "", known, addresses)
    node = next(n for n in reversed(tree.body) if isinstance(n, FunctionDef) and n.name == found.name)
    lifting = _Lifting(told, _names(tree))
    lifting.constants(tree, node)
    lifting.defaults(node)
    node.body = [lifting.visit(each) for each in node.body]
    if lifting.given and any(isinstance(n, ast.Name) and n.id == found.name for n in ast.walk(tree)):
        raise LibraryError("it calls itself, and a value of the task is in it; make that a parameter")
    own = {arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)}
    for name, value in lifting.given.items():
        if name not in own:
            kind = ast.Name("str" if isinstance(value, str) else type(value).__name__, ast.Load())
            node.args.kwonlyargs.append(ast.arg(name, kind))
            node.args.kw_defaults.append(None)
    docs = _documented(tree, told, lifting.given)
    left = next(iter(_remaining(tree, told)), None)
    if left is not None:
        whose = "somebody's address" if told.addressed(left) else "a value of the task"
        raise LibraryError(f"it holds {left!r}, {whose}; make it a parameter")
    if not (lifting.given or docs or any(told.holds(text) for text in _comments(found.source))):
        return Lifted(found, {})
    source = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    return Lifted(replace(found, source=source), lifting.given)


class _Told:
    """What the text of a task says."""

    def __init__(self, task: str, known: Collection[str], addresses: Collection[str]) -> None:
        self._task, self._known, self._addresses = " ".join((task, *sorted(addresses))), known, addresses
        words = {word for pair in _DATA.findall(task) for word in pair}
        self.data = {word for word in words if len(word) >= SHORTEST and word not in known} | {*addresses}

    def says(self, value: object) -> bool:
        """Whether this whole literal stands in the task."""
        if isinstance(value, str):
            text = value.strip()
            plain = len(text) < 2 or not any(c.isalnum() for c in text) or value in self._known
            return not plain and _stands(text, self._task)
        if isinstance(value, bool) or not isinstance(value, int | float) or value in (0, 1):
            return False
        return re.search(rf"(?<![\w.]){re.escape(repr(value))}(?!\w|\.\d)", self._task) is not None

    def addressed(self, value: object) -> bool:
        """Whether an address that no schema lists stands in it."""
        return isinstance(value, str) and any(each in value for each in self._addresses)

    def holds(self, text: str) -> bool:
        """Whether a longer text has some of the task's data in it."""
        return any(_stands(word, text) for word in self.data)

    def without(self, text: str, names: Mapping[str, str]) -> str:
        """The text with data of the task named by the parameters that hold it now, or left out."""
        for word in sorted({*self.data, *names}, key=len, reverse=True):
            shown = f"`{names[word]}`" if word in names else "…"
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", shown.replace("\\", r"\\"), text)
        return text


def _stands(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


class _Lifting(ast.NodeTransformer):
    """Replaces literals of the task within one function."""

    def __init__(self, told: _Told, taken: set[str]) -> None:
        self._told, self._taken = told, taken
        self.given: dict[str, Json] = {}

    def constants(self, tree: ast.Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Constants of the module that hold a value of the task and serve this function alone become parameters."""
        inside = {id(each) for each in ast.walk(node)}
        for statement in list(tree.body):
            if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
                continue
            name, value = statement.targets[0].id, statement.value
            uses = [
                n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == name and n is not statement.targets[0]
            ]
            alone = all(id(each) in inside and isinstance(each.ctx, ast.Load) for each in uses)
            if isinstance(value, ast.Constant) and self._told.says(value.value) and alone:
                parameter = self._name(name.lower(), value.value)
                for each in uses:
                    each.id = parameter
                tree.body.remove(statement)

    def defaults(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A default that is a value of the task goes: the argument must be given, by name."""
        arguments = node.args
        first = len(arguments.args) - len(arguments.defaults)
        for n in range(len(arguments.defaults) - 1, -1, -1):
            default = arguments.defaults[n]
            if isinstance(default, ast.Constant) and self._told.says(default.value):
                argument = arguments.args.pop(first + n)
                del arguments.defaults[n]
                arguments.kwonlyargs.append(argument)
                arguments.kw_defaults.append(None)
                self.given[argument.arg] = default.value  # type: ignore[assignment]
        for n, inner in enumerate(arguments.kw_defaults):
            if isinstance(inner, ast.Constant) and self._told.says(inner.value):
                arguments.kw_defaults[n] = None
                self.given[arguments.kwonlyargs[n].arg] = inner.value  # type: ignore[assignment]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        keyed = isinstance(node.func, ast.Attribute) and node.func.attr in _KEYED
        node.func = self.visit(node.func)
        node.args = [
            each if keyed and isinstance(each, ast.Constant) else self._in(each, "value") for each in node.args
        ]
        for each in node.keywords:
            each.value = self._in(each.value, each.arg or "value")
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        sides = [node.left, *node.comparators]
        key = next((each.slice.value for each in sides if _key(each)), "value")  # type: ignore[attr-defined]
        node.left, *node.comparators = [self._in(each, key) for each in sides]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        if not isinstance(node.slice, ast.Constant):
            node.slice = self.visit(node.slice)
        return node

    def visit_Slice(self, node: ast.Slice) -> ast.AST:
        node.lower = node.lower and self._in(node.lower, "start")
        node.upper = node.upper and self._in(node.upper, "limit")
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        names = [each.value if isinstance(each, ast.Constant) else "value" for each in node.keys]
        node.values = [self._in(each, str(name)) for each, name in zip(node.values, names, strict=True)]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        node.values = [each if isinstance(each, ast.Constant) else self.visit(each) for each in node.values]
        return node

    def visit_Match(self, node: ast.Match) -> ast.AST:
        return node  # a pattern takes no parameter: what it holds of the task remains, and is a reason to leave it

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self._in(node, "value")

    def _in(self, node: ast.expr, place: str) -> ast.expr:
        if not isinstance(node, ast.Constant):
            return self.visit(node)  # type: ignore[no-any-return]
        return ast.Name(self._name(place, node.value), ast.Load()) if self._told.says(node.value) else node

    def _name(self, wanted: str, value: object) -> str:
        """The parameter that stands for a value, new or again."""
        for name, held in self.given.items():
            if held == value and type(held) is type(value):
                return name
        base = re.sub(r"\W", "_", wanted) if wanted.isascii() else "value"
        base = base if base.isidentifier() and not keyword.iskeyword(base) else "value"
        name, n = base, 2
        while name in self._taken:
            name, n = f"{base}_{n}", n + 1
        self._taken.add(name)
        self.given[name] = value  # type: ignore[assignment]
        return name


def _key(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
    )


def _names(tree: ast.Module) -> set[str]:
    found = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    return found | {each.arg for each in ast.walk(tree) if isinstance(each, ast.arg)} | set(dir(builtins))


def _documented(tree: ast.Module, told: _Told, given: Mapping[str, Json]) -> bool:
    """Takes values of the task out of docstrings; whether there were any."""
    names = {str(value): name for name, value in given.items()}
    changed = False
    for node in ast.walk(tree):
        if isinstance(node, (*FunctionDef, ast.ClassDef)) and (text := ast.get_docstring(node, clean=False)):
            shown = told.without(text, names)
            changed |= shown != text
            node.body[0] = ast.Expr(ast.Constant(shown))
    return changed


def _remaining(tree: ast.Module, told: _Told) -> Iterable[object]:
    """Literals that still say something of the task: whole ones where a value stands, data inside of any text."""
    keys = {id(n.slice) for n in ast.walk(tree) if isinstance(n, ast.Subscript)}
    keys |= {id(key) for n in ast.walk(tree) if isinstance(n, ast.Dict) for key in n.keys}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _KEYED:
            keys |= {id(each) for each in node.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            value = node.value
            said = told.holds(value) if isinstance(value, str) else told.says(value)
            if (said and id(node) not in keys) or told.addressed(value):
                yield value


def _addresses(tree: ast.Module, source: str) -> set[str]:
    """E-mail addresses in texts and comments; in code, `a @ b.c` is a product."""
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return {each for text in (*texts, *_comments(source)) for each in _ADDRESS.findall(text)}


def _comments(source: str) -> list[str]:
    return [
        each.string for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.type == tokenize.COMMENT
    ]
