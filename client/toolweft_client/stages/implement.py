"""Implement: one model call for the whole program, from the design and the full stubs of the tools it chose."""

from __future__ import annotations

from toolweft_client import prompt
from toolweft_client.stages.check import check
from toolweft_client.stages.design import complaints
from toolweft_client.stages.probe import asked, asked_for
from toolweft_client.stages.repair import lacking
from toolweft_client.stubs import SHORTER, SHORTEST, fetch, gone, shown
from toolweft_client.work import Design, Work


async def implement(work: Work, plan: Design) -> str | None:
    """The program; `None` where a new design is due, since the model lacks a tool.

    A part of it that only reads may come first, to see what tools return: that one is run here. What a tool does not
    say that it only reads may write.

    Raises:
        StoppedError: No tool was found for what the model lacks.

    """
    while True:
        work.trace.enter("implement")
        program = await work.ask("implement", await text(work, plan))
        if await lacking(work, program):
            return None
        if not asked_for(program) or work.spent.probes >= work.budget.probes:
            return program
        checked = await check(work, program)
        if checked.problems or any(work.effects.get(tool) != "read" for tool in checked.uses):
            return program
        await asked(work, checked.source, checked.uses)


async def text(work: Work, plan: Design) -> str:
    """The prompt; what does not fit is left out in this order: long stubs, what probes brought."""
    await fetch(work, plan.uses)
    seen = [prompt.data("probe", each, limit=6_000) for each in work.seen]
    told = "Reading parts were run first and brought this; calls they made are replayed:"
    brought = "\n\n".join([told, *seen]) if seen else ""
    problems = "\n".join(filter(None, [complaints(plan), gone(work, plan.uses)]))
    shorter = [
        {"stubs": shown(work, plan.uses, SHORTER)}, {"seen": prompt.cut(brought, 4_000)},
        {"stubs": shown(work, plan.uses, SHORTEST)}, {"seen": ""},
    ]  # fmt: skip
    return prompt.fit(
        "implement", work.budget.implement_tokens, shorter, design=plan.source.strip(), problems=problems,
        stubs=shown(work, plan.uses), seen=brought, task=work.task.strip(),
    )  # fmt: skip
