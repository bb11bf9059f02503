"""A program's text -> the functions in it that are worth keeping, each self-contained. Reads syntax, runs nothing.

A function is worth keeping when it uses a tool, itself or through a helper, or has some length. It takes along what
it needs from its program: imports, helpers, constants. What cannot be taken along (a variable with a computed value)
is a reason to leave it; the reason is for the model that wrote the program. Whether a function is admitted is
`admit`'s business.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from toolweft_catalog.parsing import parse
from toolweft_server.library.function import bad_name
from toolweft_server.library.syntax import FunctionDef, bound, constant, free_names, imported, mentions

GIVEN = frozenset({"tools", "functions", "parallel", "ToolError", "Blob"})
"""Names that every program has, besides the builtins and the bare names of servers."""

STATEMENTS = 5
"""From this many on, a function is worth keeping though it calls no tool."""
SOURCE = 100_000
"""Characters of a self-contained function: more is a program, not a function."""

Def: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef"


@dataclass(frozen=True, slots=True)
class Extracted:
    """A self-contained function, as found in a program."""

    name: str
    source: str
    tools: tuple[str, ...]
    """Ids of the tools it names, sorted."""
    functions: tuple[str, ...]
    """Names of the saved functions it uses, sorted."""


class Rejected(NamedTuple):
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Extraction:
    functions: tuple[Extracted, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def extract(
    source: str,
    *,
    servers: Iterable[str] = (),
    earlier: Sequence[str] = (),
    save: Iterable[str] = (),
) -> Extraction:
    """The functions of a program. `earlier` are the session's programs before it, oldest first.

    `servers` are the identifiers that are bound as bare names. Functions named in `save` are taken from any of the
    programs and without tools too; the others only from `source`.
    """
    known, wanted = frozenset(servers), dict.fromkeys(save)
    try:
        programs = [_parse(text) for text in (*earlier, source)]
        module = _Module(programs, known)
        fresh = [each.name for each in programs[-1][0].body if isinstance(each, FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Extraction(rejected=tuple(Rejected(n, f"the program cannot be read: {error}") for n in wanted))
    taken: list[Extracted] = []
    rejected: list[Rejected] = []
    for name in dict.fromkeys((*fresh, *wanted)):
        try:
            found = _one(module, name, wanted=name in wanted)
        except _CannotTakeError as error:
            rejected.append(Rejected(name, str(error)))
        except RecursionError:
            rejected.append(Rejected(name, "its code is nested too deeply"))
        else:
            taken += [found] if found else []
    return Extraction(tuple(taken), tuple(rejected))


class _CannotTakeError(Exception):
    """Why a function stays where it is."""


Program: TypeAlias = "tuple[ast.Module, list[str]]"
"""A parsed program and its lines, cut where the parser counts lines."""


def _parse(text: str) -> Program:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return parse(text), text.split("\n")


def _one(module: _Module, name: str, *, wanted: bool) -> Extracted | None:
    node = module.defined.get(name)
    if not isinstance(node, FunctionDef):
        if wanted:
            raise _CannotTakeError("the program defines no function of that name")
        return None
    needs = _Needs(module)
    try:
        needs.add(name)
    except _CannotTakeError:
        # Only a function that would be kept owes an explanation.
        if wanted or needs.tools or needs.functions or needs.hides:
            raise
        return None
    if not (wanted or needs.tools or needs.functions or _statements(node) >= STATEMENTS):
        return None
    if reason := bad_name(name):
        if wanted:
            raise _CannotTakeError(reason)
        return None
    source = needs.source(name)
    if len(source) > SOURCE:
        raise _CannotTakeError(f"it takes {len(source)} characters with all it needs; {SOURCE} is the most")
    return Extracted(name, source, tuple(sorted(needs.tools)), tuple(sorted(needs.functions)))


def _statements(node: ast.AST) -> int:
    """How much there is in a function, docstrings aside."""
    return sum(
        isinstance(each, ast.stmt) and not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in ast.walk(node)
        if each is not node
    )


class _Module:
    """The top level of a session: what each name was last bound to, by all its programs in order."""

    def __init__(self, programs: Iterable[Program], servers: frozenset[str]) -> None:
        self.servers = servers
        self.defined: dict[str, Def] = {}
        self.texts: dict[str, str] = {}
        self.imports: dict[str, str] = {}
        self.paths: dict[str, tuple[str, ...]] = {}
        """Names that imports give to tools and saved functions, as dotted paths."""
        self.constants: dict[str, str] = {}
        self.computed: set[str] = set()
        """Names whose value is known only to whoever ran the program."""
        self.starred: list[str] = []
        for tree, lines in programs:
            for statement in tree.body:
                self._bind(statement, lines)

    def _bind(self, statement: ast.stmt, lines: list[str]) -> None:
        if isinstance(statement, (*FunctionDef, ast.ClassDef)):
            first = min([statement.lineno, *(each.lineno for each in statement.decorator_list)])
            self._forget(statement.name)
            self.defined[statement.name] = statement
            self.texts[statement.name] = "\n".join(lines[first - 1 : statement.end_lineno])
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for name, text, path in imported(statement):
                if name == "*":
                    self.starred.append(text)
                    continue
                self._forget(name)
                self.imports[name] = text
                if path:
                    self.paths[name] = path
        elif held := constant(statement):
            self._forget(held[0])
            self.constants[held[0]] = held[1]
        else:
            for name in bound(statement):
                self._forget(name)
                self.computed.add(name)

    def _forget(self, name: str) -> None:
        for held in (self.defined, self.texts, self.imports, self.paths, self.constants):
            held.pop(name, None)
        self.computed.discard(name)


@dataclass
class _Needs:
    """What one function takes along."""

    module: _Module
    tools: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    constants: dict[str, str] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)
    hides: bool = False
    """It uses tools, and its code does not say which."""

    def add(self, name: str) -> None:
        """Takes the definition of `name` and, through it, all that it needs.

        Raises:
            _CannotTakeError: It needs something that has no text of its own.

        """
        if name in self.helpers:
            return
        text = self.helpers[name] = self.module.texts[name]
        free, rebinds = free_names(text, name)
        self._uses(self.module.defined[name], free)
        if rebinds:
            raise _CannotTakeError(f"it changes the global name {rebinds!r}; return the value instead")
        for each in sorted(free - {name}):
            self._take(each)

    def source(self, name: str) -> str:
        """One text: imports, constants, helpers and last the function itself."""
        helpers = [text for each, text in self._ordered() if each != name]
        heads = [
            "\n".join(sorted(self.imports, key=_import_order)),
            "\n".join(self.constants[k] for k in self.constants),
        ]
        return "\n\n\n".join(part for part in (*heads, *helpers, self.helpers[name]) if part) + "\n"

    def _ordered(self) -> list[tuple[str, str]]:
        """Helpers in the order of the program: a class may stand on another, a default on a function."""
        order = {name: n for n, name in enumerate(self.module.defined)}
        return sorted(self.helpers.items(), key=lambda item: order[item[0]])

    def _take(self, name: str) -> None:
        module = self.module
        if name in module.defined:
            self.add(name)
        elif name in module.constants:
            self.constants[name] = module.constants[name]
        elif name in module.imports:
            self.imports.add(module.imports[name])
        elif name in module.computed:
            raise _CannotTakeError(f"it uses {name!r}, a value of this session; make it a parameter")
        elif name not in GIVEN and name not in module.servers and not hasattr(builtins, name):
            hint = f"; `{module.starred[0]}` hides where names come from, name them" if module.starred else ""
            raise _CannotTakeError(f"it uses {name!r}, which the program does not define{hint}")

    def _uses(self, node: ast.AST, free: frozenset[str]) -> None:
        paths = {name: self.module.paths[name] for name in free if name in self.module.paths}
        paths |= {name: (name,) for name in free & {"tools", "functions"} if name not in self.module.imports}
        for name in free & self.module.servers:
            if not (name in self.module.defined or name in self.module.imports or name in self.module.constants):
                paths[name] = ("tools", name)
        mentioned = mentions(node, paths)
        for path in mentioned.paths:
            if path[0] == "tools" and len(path) >= 3:
                self.tools.add(f"{path[1]}.{path[2]}")
            elif path[0] == "functions" and len(path) >= 2 and path[1] not in {"save", "version"}:
                self.functions.add(path[1])
        if mentioned.hidden:
            self.hides = True
            raise _CannotTakeError(_unreadable(*mentioned.hidden[0]))


def _unreadable(line: int, path: tuple[str, ...]) -> str:
    of = ".".join(path)
    wanted = {"tools": "tools.SERVER.TOOL", "functions": "functions.NAME"}.get(of, f"{path[-1]}.TOOL")
    what = "saved functions" if path[0] == "functions" else "tools"
    return f"line {line} passes {of!r} on, so that nobody can read which {what} it calls; call each as {wanted}(…)"


def _import_order(text: str) -> tuple[bool, str]:
    return not text.startswith("from __future__"), text
