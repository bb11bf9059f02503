"""Check: a program's tool calls against the tools that exist. The AST is read; nothing runs and no model is asked.

Only names known when the program is written are seen: `getattr(tools, name)` and calls through a variable pass.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from toolweft_catalog.wire import FoundTool
from toolweft_client.reply import syntax_error
from toolweft_client.work import Problem, Work

MOST_LOOKUPS = 4
_VERBS = frozenset({"functions.save", "functions.version"})
"""Of the sandbox itself, beside the saved functions."""


class Use(NamedTuple):
    """A place where the program names a tool; `call` is None where it is only passed on."""

    tool: str
    line: int
    call: ast.Call | None


class Parameters(NamedTuple):
    names: tuple[str, ...]
    required: frozenset[str]
    complete: bool
    """False when the line was cut: further names may exist."""


async def check(work: Work, source: str) -> tuple[Problem, ...]:
    """All problems of the program. A tool that exists but was not found before is looked up and added."""
    if complaint := syntax_error(source):
        problems: tuple[Problem, ...] = (Problem("syntax", 0, f"not valid Python, {complaint}"),)
    else:
        problems = find_problems(source, work.tools)
        unknown = list(dict.fromkeys(each.name for each in problems if each.kind == "unknown_tool"))
        for name in unknown[:MOST_LOOKUPS]:
            await _look_up(work, name)
        if unknown:
            problems = find_problems(source, work.tools)
    work.trace.add("check", ok=not problems, problems=[each.message for each in problems])
    return problems


async def _look_up(work: Work, name: str) -> None:
    """The exact tool, or the nearest ones: either way the complaint can name what exists."""
    found = await work.session.find_tools(name, limit=3, meta=work.meta("check"))
    work.trace.add("find", query=name, tools=[each.id for each in found.tools], total=found.total)
    work.tools.update((tool.id, tool) for tool in found.tools if tool.id not in work.tools)


def find_problems(source: str, tools: Mapping[str, FoundTool]) -> tuple[Problem, ...]:
    """Unknown tools and arguments, missing required arguments. `source` parses."""
    problems: list[Problem] = []
    for use in uses(ast.parse(source)):
        if use.tool not in tools:
            problems.append(_unknown(use, tools))
        elif use.call is not None:
            problems += _arguments(use.tool, use.call, parameters(tools[use.tool].call))
    return tuple(dict.fromkeys(problems))


def called(source: str, tools: Mapping[str, FoundTool]) -> tuple[str, ...]:
    """Ids of the known tools that the program names, in order of first use."""
    found = (use.tool for use in sorted(uses(ast.parse(source)), key=lambda use: use.line))
    return tuple(dict.fromkeys(tool for tool in found if tool in tools))


def uses(tree: ast.Module) -> Iterator[Use]:
    """Every place where the program names a tool, known or not: an attribute of a name that it nowhere binds."""
    aliases, bound = _aliases(tree), _bound(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Attribute, ast.Name)) or id(node) in inner:
            continue
        if not (parts := _dotted(node)):
            continue
        inner.update(id(each) for each in ast.walk(node))
        if parts[0] in aliases:
            parts = (*aliases[parts[0]], *parts[1:])
        elif parts[0] in bound or hasattr(builtins, parts[0]) or parts[0] in sys.stdlib_module_names:
            # A tool server of such a name is reached as `tools.NAME` only. A module used without its import is the
            # traceback's to report.
            continue
        qualified = parts[0] == "tools"
        tool = parts[1:] if qualified else parts
        if len(tool) >= 2 and ".".join(tool[:2]) not in _VERBS:
            call = calls.get(id(node)) if len(tool) == 2 else None
            yield Use(".".join(tool[:2]), node.lineno, call)


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """`a.b.c` as its parts; empty when it does not start at a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def _aliases(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """What `from tools.github import create_issue as new` and its kin bind."""
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {each.asname or each.name: (*node.module.split("."), each.name) for each in node.names}
        elif isinstance(node, ast.Import):
            found |= {each.asname: tuple(each.name.split(".")) for each in node.names if each.asname}
            found |= {root: (root,) for each in node.names if (root := each.name.split(".")[0]) and not each.asname}
    return {name: parts for name, parts in found.items() if parts[0] in ("tools", "functions")}


def _bound(tree: ast.Module) -> set[str]:
    """Every name the program gives a meaning to, anywhere: scopes do not matter for telling tools from variables."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            names.add(node.name or "_")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((each.asname or each.name).split(".")[0] for each in node.names)
    return names


def _unknown(use: Use, tools: Mapping[str, FoundTool]) -> Problem:
    near = nearest(use.tool, tools)
    hint = f"; nearest: {', '.join(near)}" if near else "; no tool is known"
    return Problem("unknown_tool", use.line, f"there is no tool {use.tool}{hint}", use.tool)


def nearest(name: str, tools: Mapping[str, FoundTool]) -> list[str]:
    """Known tools by likeness of the last part first: the right action on the wrong server is the usual slip."""
    action = name.rsplit(".", maxsplit=1)[-1].lower()

    def likeness(tool: str) -> float:
        def ratio(a: str, b: str) -> float:
            return difflib.SequenceMatcher(None, a, b).ratio()

        return ratio(action, tool.rsplit(".", maxsplit=1)[-1].lower()) + ratio(name.lower(), tool.lower()) / 2

    return sorted(tools, key=lambda tool: (-likeness(tool), tool))[:3]


def parameters(call: str) -> Parameters | None:
    """What a found tool's `call` line says about its arguments; `None` when it cannot be read."""
    _, paren, rest = call.partition("(")
    inside = rest.rpartition(") -> ")[0] or rest.rstrip().removesuffix(")")
    whole = "…" not in inside
    try:
        function = ast.parse(f"def f({inside.split('…', 1)[0]}): ..." if paren else "").body[0]
    except (SyntaxError, IndexError, ValueError):
        return None
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    positional = [each.arg for each in (*given.posonlyargs, *given.args)]
    keyword = [each.arg for each in given.kwonlyargs]
    optional = positional[len(positional) - len(given.defaults) :]
    optional += [name for name, default in zip(keyword, given.kw_defaults, strict=True) if default is not None]
    names = (*positional, *keyword)
    return Parameters(names, frozenset(names) - frozenset(optional), whole and given.kwarg is None)


def _arguments(tool: str, call: ast.Call, known: Parameters | None) -> Iterator[Problem]:
    if known is None:
        return
    given = {each.arg for each in call.keywords if each.arg}
    for name in sorted(given - set(known.names)) if known.complete else ():
        near = difflib.get_close_matches(name, known.names, n=1, cutoff=0.5)
        hint = f"nearest: {near[0]}; " if near else ""
        message = f"{tool} has no argument {name!r}; {hint}it takes: {', '.join(known.names) or 'none'}"
        yield Problem("unknown_argument", call.lineno, message, tool)
    spread = any(each.arg is None for each in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args)
    if lacking := [] if spread else [n for n in known.names[len(call.args) :] if n in known.required - given]:
        yield Problem("missing_argument", call.lineno, f"{tool} needs {', '.join(lacking)}", tool)
