"""Check: a program's tool calls against the tools that exist. The AST is read; nothing runs and no model is asked.

How tools are told from variables is in `toolweft_client.calls`, what a tool takes in `toolweft_client.signature`.
Slips whose mending is certain are mended (`toolweft_client.fixes`); what is left goes into the next prompt.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.wire import FoundTool
from toolweft_client import fixes
from toolweft_client.calls import Use, called, uses
from toolweft_client.reply import syntax_error
from toolweft_client.signature import Parameters, literal, of_tool
from toolweft_client.work import Problem, Work

MOST_LOOKUPS = 20
"""Names looked up in one check: more than a program needs, since one that was not looked up counts as unknown."""
ALTERNATIVES = 3
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


class Checked(NamedTuple):
    source: str
    """The program, with what was certain mended."""
    problems: tuple[Problem, ...]
    uses: tuple[str, ...] = ()
    """Ids of the known tools that it names, in order of first use."""


async def check(work: Work, source: str) -> Checked:
    """The program and what is wrong with it. A tool that exists but was not found before is looked up and added."""
    if complaint := syntax_error(source):
        problems: tuple[Problem, ...] = (Problem("syntax", 0, f"not valid Python, {complaint}"),)
        work.trace.add("check", ok=False, problems=[each.message for each in problems], fixed=[], writes=[])
        return Checked(source, problems)
    for use in _unknown_uses(work, source)[:MOST_LOOKUPS]:
        await _look_up(work, use)
    source, fixed = fixes.certain(source, work.tools, work.stubs)
    problems = find_problems(source, work.tools, work.stubs, work.near)
    used = called(source, work.tools)
    work.trace.add(
        "check", ok=not problems, problems=[each.message for each in problems], fixed=list(fixed),
        writes=[tool for tool in used if work.effects.get(tool) != "read"],
    )  # fmt: skip
    return Checked(source, problems, used)


def _unknown_uses(work: Work, source: str) -> list[Use]:
    """One for each name that is neither known nor looked up yet."""
    found = {use.tool: use for use in uses(parse(source)) if use.tool not in work.tools}
    return [use for tool, use in found.items() if tool not in work.near]


async def _look_up(work: Work, use: Use) -> None:
    """The exact tool, or others by what the name and its arguments say: the complaint can name what exists."""
    arguments = [each.arg for each in use.call.keywords if each.arg] if use.call else []
    words = " ".join(word.lower() for part in (use.tool, *arguments) for word in _WORDS.findall(part))
    near: list[str] = []
    for query in (use.tool, words):
        found = await work.find(query, limit=ALTERNATIVES, stage="check")
        work.know(found.tools)
        if use.tool in work.tools:
            return
        near += [each.id for each in found.tools if each.id not in near]
    work.near[use.tool] = tuple(near)


def find_problems(
    source: str,
    tools: Mapping[str, FoundTool],
    stubs: Mapping[str, str] = MappingProxyType({}),
    near: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Problem, ...]:
    """Unknown tools, and arguments that are unknown, missing, too many or of a wrong type.

    `source` parses; `stubs` know all arguments; `near` holds what a search for an unknown name brought, best first.
    """
    problems: list[Problem] = []
    for use in uses(parse(source)):
        if use.tool not in tools:
            problems.append(_unknown(use, tools, near.get(use.tool, ())))
        elif use.call is not None:
            known = of_tool(tools[use.tool].call, stubs.get(use.tool, ""), use.tool)
            problems += _arguments(use.tool, use.call, known) if known else ()
    return tuple(dict.fromkeys(problems))


def _unknown(use: Use, tools: Mapping[str, FoundTool], found: Sequence[str]) -> Problem:
    near = nearest(use.tool, tools, found)
    hint = f"; nearest: {', '.join(near)}" if near else "; no tool is known"
    return Problem("unknown_tool", use.line, f"there is no tool {use.tool}{hint}", use.tool)


def nearest(name: str, tools: Mapping[str, FoundTool], found: Sequence[str] = ()) -> list[str]:
    """Known tools, ranked by the search for the name and by likeness of the last part: the right action on the wrong
    server is the usual slip.
    """
    action = name.rsplit(".", maxsplit=1)[-1].lower()

    def likeness(tool: str) -> float:
        def ratio(a: str, b: str) -> float:
            return difflib.SequenceMatcher(None, a, b).ratio()

        searched = 1 / (1 + found.index(tool)) if tool in found else 0.0
        return (
            ratio(action, tool.rsplit(".", maxsplit=1)[-1].lower()) + (ratio(name.lower(), tool.lower()) + searched) / 2
        )

    return sorted(tools, key=lambda tool: (-likeness(tool), tool))[:ALTERNATIVES]


def _arguments(tool: str, call: ast.Call, known: Parameters) -> Iterator[Problem]:
    def problem(kind: str, message: str) -> Problem:
        return Problem(kind, call.lineno, f"{tool} {message}", tool)

    given = {each.arg for each in call.keywords if each.arg}
    for name in sorted(given - set(known.names)) if known.complete else ():
        near = difflib.get_close_matches(name, known.names, n=1)
        hint = f"nearest: {near[0]}; " if near else ""
        yield problem(
            "unknown_argument", f"has no argument {name!r}; {hint}it takes: {', '.join(known.names) or 'none'}"
        )
    spread = any(each.arg is None for each in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args)
    if not spread:
        if lacking := [n for n in known.names[len(call.args) :] if n in known.required - given]:
            yield problem("missing_argument", f"needs {', '.join(lacking)}")
        if twice := given & set(known.names[: len(call.args)]):
            yield problem("too_many_arguments", f"is given {', '.join(sorted(twice))} twice")
        if known.complete and len(call.args) > len(known.names):
            yield problem("too_many_arguments", f"takes {len(known.names)} arguments, not {len(call.args)}")
    for name, value in fixes.bound(call, known):
        taken, shown = known.accepts.get(name), literal(value)
        if taken and shown and not taken.fits(shown):
            what = repr(shown.value) if shown.known else shown.kind
            yield problem("wrong_type", f"takes {taken} as {name}, not {what[:80]}")
