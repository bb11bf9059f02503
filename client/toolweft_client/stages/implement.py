"""Implement: one model call for the whole program, from the design and the full stubs of the tools it chose."""

from __future__ import annotations

from collections.abc import Sequence

from toolweft_client import prompt
from toolweft_client.stages.design import complaints
from toolweft_client.work import Design, Work

MOST_STUBS = 12
STUB_LIMIT = 4_000


async def implement(work: Work, plan: Design) -> str:
    work.trace.enter("implement")
    text = prompt.render(
        "implement", design=plan.source.strip(), problems=complaints(plan), stubs=await stubs(work, plan.uses),
        task=work.task.strip(),
    )  # fmt: skip
    return await work.ask("implement", text)


async def stubs(work: Work, tools: Sequence[str]) -> str:
    """The full stubs, fetched once a run, fenced as data."""
    for tool in tools[:MOST_STUBS]:
        if tool not in work.stubs:
            work.stubs[tool] = await work.session.stub(tool, meta=work.meta("implement"))
            work.trace.add("find", query=tool, tools=[tool], detail="full")
    # A stub is named by its last part alone; the form that works in a program stands above it.
    called = {tool: work.tools[tool].call.partition("(")[0] for tool in tools if tool in work.stubs}
    wanted = [f"# call: {called[tool]}(...)\n{prompt.cut(work.stubs[tool], STUB_LIMIT)}" for tool in called]
    return prompt.data("find_tools", "\n\n".join(wanted) or "(the design calls no tool)", limit=20_000)
