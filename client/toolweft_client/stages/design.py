"""Design: one model call for the shape of the program (scaffold, docstring, steps, pseudo-calls), from one-liners.

A new one is drawn when the check finds tools that do not exist, and when repairs meet the same error again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import partial

from toolweft_catalog.parsing import parse
from toolweft_catalog.wire import FoundTool
from toolweft_client import prompt, record
from toolweft_client.errors import StoppedError
from toolweft_client.reply import program_in, syntax_error
from toolweft_client.solved import Solved, examples, shown
from toolweft_client.stages.check import check
from toolweft_client.work import Design, Work

LIKELY = 4
"""Tools that even the shortest prompt shows, the best of the search first."""
NOTES = 1_500
"""Characters of what earlier designs taught, there."""
NOTHING = " -> Any"
"""How a line ends when nothing is known of the result."""

_MISSING = re.compile(r"^\s*#\s*missing:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_NONE = frozenset({"nothing", "none", "n/a", "-", "no"})


async def design(work: Work) -> Design:
    """A design that names only tools that exist; one that does not is drawn again, with what was wrong.

    Raises:
        StoppedError: No usable reply, or a capability that no tool offers after a second search.

    """
    # A later design follows on an error, and what was shown to the first one did not prevent it.
    solved = await examples(work) if not work.spent.replans else []
    plan = await _draw(work, "", solved)
    while plan.missing or any(problem.kind == "unknown_tool" for problem in plan.problems):
        new = await search(work, plan.missing)
        if work.spent.replans >= work.budget.replans or not (new or plan.problems):
            break
        work.spent.replans += 1
        found = sorted({f"{each.kind} {each.name}" for each in plan.problems})
        work.trace.add("replan", signature=[*found, *(f"missing {each}" for each in plan.missing)])
        plan = await _draw(work, complaints(plan), solved)
    if plan.missing and not plan.uses:
        raise StoppedError(
            "missing", f"No tool was found for: {'; '.join(plan.missing)}. Connect a server that offers it."
        )
    work.missing = plan.missing
    return plan


def whole(plan: Design) -> bool:
    """Whether the design is nothing but a call of a saved function with values: a program already."""
    body = [] if plan.problems or plan.missing else parse(plan.source).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Call):
        return False
    left_open = any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(body[0]))
    return not left_open and len(plan.uses) == 1 and plan.uses[0].startswith("functions.")


async def _draw(work: Work, problems: str, solved: Sequence[Solved]) -> Design:
    work.trace.enter("design")
    source = await work.ask("design", text(work, problems, solved), partial(program_in, parsed=True))
    found = await check(work, source)
    return Design(found.source, problems=found.problems, uses=found.uses, missing=missing(found.source))


def text(work: Work, problems: str, solved: Sequence[Solved] = ()) -> str:
    """The prompt; what does not fit is left out in this order: the examples, tools from the end of the list, what
    earlier designs taught, reads. Never the task or what was written.

    Tasks that were `solved` stand in place of the built-in example.
    """
    example = shown(solved) if solved else prompt.source("design_example").strip()
    lines = [
        f"{tool.call.removesuffix(NOTHING)}{_mark(work, tool)}\n    {prompt.cut(tool.summary, 300)}".rstrip()
        for tool in work.tools.values()
    ]

    def tools(most: int) -> str:
        return prompt.data("find_tools", "\n".join(lines[:most]) or "(no tool was found)", limit=12_000)

    notes = "\n\n".join([*work.learnt, *([problems] if problems else [])])

    def learnt(most: int, room: int) -> str:
        told = f"Calls so far; those that succeeded are replayed:\n{record.shown(work, room)}" if work.calls else ""
        return "\n\n".join(filter(None, [prompt.cut(notes, most), told]))

    shorter = [
        {"example": ""},
        {"tools": tools(2 * LIKELY)},
        {"tools": tools(LIKELY)},
        {"learnt": learnt(NOTES, record.SHORT)},
        {"learnt": learnt(NOTES, 0)},
    ]
    return prompt.fit(
        "design", work.budget.design_tokens, shorter, tools=tools(len(lines)),
        learnt=learnt(len(notes), record.ROOM),
        example=example, task=work.task.strip(),
    )  # fmt: skip


def _mark(work: Work, tool: FoundTool) -> str:
    """What may write stands apart, where some say that they only read: nobody else can tell for the step's mark."""
    return "  # may write" if work.effects.get(tool.id) != "read" and "read" in work.effects.values() else ""


def missing(source: str) -> tuple[str, ...]:
    found = (each[:200] for each in _MISSING.findall(source))
    return tuple(each for each in found if each.strip(" .").lower() not in _NONE)[:3]


def only_missing(program: str) -> tuple[str, ...]:
    """What stands behind `# missing:`, where nothing else stands there."""
    code = [] if syntax_error(program) else [line for line in program.split("\n") if line.strip(" \t.")]
    return missing(program) if code and all(line.lstrip().startswith("#") for line in code) else ()


def complaints(plan: Design) -> str:
    """What the next prompt says about this design; empty when there is nothing to say."""
    lines = [f"- line {each.line}: {each.message}" for each in plan.problems]
    return "The check of the last design found:\n" + "\n".join(lines) if lines else ""


async def search(work: Work, capabilities: Sequence[str]) -> bool:
    """Looks for what a model says is missing. True when that brought a tool not seen before."""
    before = len(work.tools)
    for wanted in capabilities:
        found = await work.find(wanted, limit=3, stage="design")
        work.know(found.tools)
    return len(work.tools) > before
