"""Design: one model call for the shape of the program (scaffold, docstring, steps, pseudo-calls), from one-liners."""

from __future__ import annotations

import re

from toolweft_client import prompt
from toolweft_client.calls import called
from toolweft_client.errors import StoppedError
from toolweft_client.stages.check import check
from toolweft_client.work import Design, Work

_MISSING = re.compile(r"^\s*#\s*missing:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_NONE = frozenset({"nothing", "none", "n/a", "-", "no"})


async def design(work: Work) -> Design:
    """A design that names only tools that exist; one that does not is drawn again, with what was wrong.

    Raises:
        StoppedError: No usable reply, or a capability that no tool offers after a second search.

    """
    plan = await _draw(work, "")
    while plan.missing or any(problem.kind == "unknown_tool" for problem in plan.problems):
        new = await _search(work, plan)
        if work.spent.redesigns >= work.budget.redesigns or not (new or plan.problems):
            break
        work.spent.redesigns += 1
        plan = await _draw(work, complaints(plan))
    if plan.missing and not plan.uses:
        raise StoppedError(
            "missing", f"No tool was found for: {'; '.join(plan.missing)}. Connect a server that offers it."
        )
    work.notes += [f"no tool was found for: {each}" for each in plan.missing]
    return plan


async def _draw(work: Work, problems: str) -> Design:
    work.trace.enter("design")
    source = await work.ask("design", text(work, problems), parsed=True)
    found = await check(work, source)
    return Design(source, problems=found, uses=called(source, work.tools), missing=missing(source))


def text(work: Work, problems: str) -> str:
    lines = [f"{tool.call}\n    {tool.summary}".rstrip() for tool in work.tools.values()]
    tools = prompt.data("find_tools", "\n".join(lines) or "(no tool was found)", limit=12_000)
    return prompt.render("design", tools=tools, problems=problems, task=work.task.strip())


def missing(source: str) -> tuple[str, ...]:
    found = (each[:200] for each in _MISSING.findall(source))
    return tuple(each for each in found if each.strip(" .").lower() not in _NONE)[:3]


def complaints(plan: Design) -> str:
    """What the next prompt says about this design; empty when there is nothing to say."""
    lines = [f"- line {each.line}: {each.message}" for each in plan.problems]
    return "The check of the last design found:\n" + "\n".join(lines) + "\n" if lines else ""


async def _search(work: Work, plan: Design) -> bool:
    """Looks for what the design says is missing. True when that brought a tool not seen before."""
    before = len(work.tools)
    for wanted in plan.missing:
        found = await work.session.find_tools(wanted, limit=3, meta=work.meta("design"))
        work.trace.add("find", query=wanted, tools=[each.id for each in found.tools], total=found.total)
        work.tools.update((tool.id, tool) for tool in found.tools)
    return len(work.tools) > before
