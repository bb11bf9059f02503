"""Check: a program's tool calls against the tools that exist. The AST is read; nothing runs and no model is asked.

How tools are told from variables is in `toolweft_client.calls`.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from toolweft_catalog.wire import FoundTool
from toolweft_client.calls import Use, uses
from toolweft_client.reply import syntax_error
from toolweft_client.work import Problem, Work

MOST_LOOKUPS = 4


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
        problems = find_problems(source, work.tools, work.stubs)
        unknown = list(dict.fromkeys(each.name for each in problems if each.kind == "unknown_tool"))
        for name in unknown[:MOST_LOOKUPS]:
            await _look_up(work, name)
        if unknown:
            problems = find_problems(source, work.tools, work.stubs)
    work.trace.add("check", ok=not problems, problems=[each.message for each in problems])
    return problems


async def _look_up(work: Work, name: str) -> None:
    """The exact tool, or the nearest ones: either way the complaint can name what exists."""
    found = await work.session.find_tools(name, limit=3, meta=work.meta("check"))
    work.trace.add("find", query=name, tools=[each.id for each in found.tools], total=found.total)
    work.tools.update((tool.id, tool) for tool in found.tools if tool.id not in work.tools)


def find_problems(
    source: str, tools: Mapping[str, FoundTool], stubs: Mapping[str, str] = MappingProxyType({})
) -> tuple[Problem, ...]:
    """Unknown tools and arguments, missing required arguments. `source` parses; `stubs` know all arguments."""
    problems: list[Problem] = []
    for use in uses(ast.parse(source)):
        if use.tool not in tools:
            problems.append(_unknown(use, tools))
        elif use.call is not None:
            known = of_stub(stubs.get(use.tool, ""), use.tool) or of_line(tools[use.tool].call)
            problems += _arguments(use.tool, use.call, known)
    return tuple(dict.fromkeys(problems))


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


def of_line(call: str) -> Parameters | None:
    """What a found tool's `call` line says about its arguments; `None` when it cannot be read.

    In such a line `= …` is a default that is not shown, and a `…` of its own stands for arguments left out.
    """
    rest = call.partition("(")[2]
    inside = rest.rpartition(") -> ")[0] or rest.rstrip().removesuffix(")")
    shown = inside.replace("= …", "= ...")
    whole = not shown.endswith("…")
    try:
        nodes = ast.parse(f"def f({shown.removesuffix('…')}): ...").body if ")" in rest else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(nodes) != 1 or not isinstance(nodes[0], ast.FunctionDef):
        return None
    return _of(nodes[0].args, whole=whole)


def of_stub(stub: str, tool: str) -> Parameters | None:
    """The same from a full stub, where nothing is left out."""
    try:
        nodes = ast.parse(stub).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    wanted = [each for each in nodes if isinstance(each, ast.FunctionDef)]
    return _of(wanted[-1].args) if wanted and wanted[-1].name == tool.rsplit(".", maxsplit=1)[-1] else None


def _of(given: ast.arguments, *, whole: bool = True) -> Parameters:
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
        near = difflib.get_close_matches(name, known.names, n=1)
        hint = f"nearest: {near[0]}; " if near else ""
        message = f"{tool} has no argument {name!r}; {hint}it takes: {', '.join(known.names) or 'none'}"
        yield Problem("unknown_argument", call.lineno, message, tool)
    spread = any(each.arg is None for each in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args)
    if lacking := [] if spread else [n for n in known.names[len(call.args) :] if n in known.required - given]:
        yield Problem("missing_argument", call.lineno, f"{tool} needs {', '.join(lacking)}", tool)
