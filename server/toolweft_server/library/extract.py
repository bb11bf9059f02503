"""A program's text -> the functions in it that are worth keeping, each self-contained. Reads syntax, runs nothing.

A function is worth keeping when it uses a tool, itself or through a helper. It takes along what it needs from its
program: imports, helpers, constants. What cannot be taken along (a variable with a computed value) is a reason to
leave it; the reason is for the model that wrote the program. Whether a function is admitted is `admit`'s business.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from toolweft_server.library.function import bad_name

GIVEN = frozenset({"tools", "functions", "parallel", "ToolError", "Blob"})
"""Names that every program has, besides the builtins and the bare names of servers."""

SOURCE = 100_000
"""Characters of a self-contained function: more is a program, not a function."""

Def: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef"
FunctionDef = (ast.FunctionDef, ast.AsyncFunctionDef)


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
    return ast.parse(text), text.split("\n")


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
        if wanted or needs.tools or needs.functions:
            raise
        return None
    if not (wanted or needs.tools or needs.functions):
        return None
    if reason := bad_name(name):
        if wanted:
            raise _CannotTakeError(reason)
        return None
    source = needs.source(name)
    if len(source) > SOURCE:
        raise _CannotTakeError(f"it takes {len(source)} characters with all it needs; {SOURCE} is the most")
    return Extracted(name, source, tuple(sorted(needs.tools)), tuple(sorted(needs.functions)))


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
        elif constant := _constant(statement):
            self._forget(constant[0])
            self.constants[constant[0]] = constant[1]
        else:
            for name in _bound(statement):
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
        for path in mentions(node, paths):
            if path[0] == "tools" and len(path) >= 3:
                self.tools.add(f"{path[1]}.{path[2]}")
            elif path[0] == "functions" and len(path) >= 2 and path[1] not in {"save", "version"}:
                self.functions.add(path[1])


def mentions(node: ast.AST, paths: dict[str, tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    """Every dotted path in `node` that starts at a known name: `tools.git.log` whether called or passed on.

    `paths` says what the names stand for; imports and plain assignments inside the node add to it.
    """
    known = dict(paths)
    for each in ast.walk(node):
        if isinstance(each, ast.Import | ast.ImportFrom):
            known |= {name: path for name, _, path in imported(each) if path}
        elif isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            path = _path(each.value, known)
            known |= {each.targets[0].id: path} if path else {}
    return {path for each in ast.walk(node) if (path := _path(each, known))}


def _path(node: ast.AST, known: dict[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in known:
        return (*known[node.id], *reversed(parts))
    return None


def imported(statement: ast.Import | ast.ImportFrom) -> Iterable[tuple[str, str, tuple[str, ...] | None]]:
    """(name bound, the import by itself, what it stands for if it is a tool or a saved function)."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            bound = alias.asname or alias.name.split(".", 1)[0]
            whole = tuple((alias.name if alias.asname else bound).split("."))
        else:
            bound = alias.asname or alias.name
            whole = (*(statement.module or "").split("."), alias.name)
        alone = ast.copy_location(
            ast.Import([alias])
            if isinstance(statement, ast.Import)
            else ast.ImportFrom(statement.module, [alias], statement.level),
            statement,
        )
        yield bound, ast.unparse(alone), whole if whole[0] in {"tools", "functions"} else None


def free_names(text: str, name: str) -> tuple[frozenset[str], str | None]:
    """(the global names that a definition reads, one that it rebinds)."""
    table = symtable.symtable(text, "<function>", "exec")
    free = {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.get_name() != name}
    rebinds: str | None = None
    waiting = list(table.get_children())
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                free.add(symbol.get_name())
            if symbol.is_declared_global() and symbol.is_assigned():
                rebinds = symbol.get_name()
    return frozenset(free), rebinds


def _constant(statement: ast.stmt) -> tuple[str, str] | None:
    """(name, text) of `NAME = literal`."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None
    if not isinstance(target, ast.Name):
        return None
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return target.id, f"{target.id} = {ast.unparse(value)}"


def _bound(statement: ast.stmt) -> set[str]:
    """Names that any other statement may bind at the top level."""
    found: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*FunctionDef, ast.ClassDef)):
            found.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {name for name, _, _ in imported(node)}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        if not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


def _import_order(text: str) -> tuple[bool, str]:
    return not text.startswith("from __future__"), text
