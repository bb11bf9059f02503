"""The stages of the ToolCoder paper as separate model calls, to compare the agent's own loop with.

    scaffold -> plan -> select (-> reconstruct) -> implement -> run (-> review -> run) -> answer

The question alone gives a function with an empty body; step comments, pseudo-calls and the program are written into it
one after the other. A review sees the program and its traceback, no documents, at most three times. Unlike the paper's
own code, finished calls are replayed and not made again, and no search is by likeness of names alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from toolweft_client import prompt
from toolweft_client.reply import program_in
from toolweft_client.stages.answer import Answer, answer
from toolweft_client.stages.check import check
from toolweft_client.stages.design import LIKELY
from toolweft_client.stages.discover import discover
from toolweft_client.stages.learn import learn
from toolweft_client.stages.repair import describe
from toolweft_client.stages.run import stop_if_hopeless
from toolweft_client.stubs import SHORTER, SHORTEST, fetch, shown
from toolweft_client.work import Attempt, Work

MOST_CALLS = 12
RECONSTRUCTIONS = 3
OUTPUTS = (2_000, 400)
"""Characters of each output of a program that failed, in a review; the last where it would be too long."""


async def solve(work: Work) -> Answer:
    """The loop."""
    await discover(work)
    scaffold = await _written(work, "scaffold")
    fewer = [{"tools": _tools(work, 2 * LIKELY)}, {"tools": _tools(work, LIKELY)}]
    steps = await _written(work, "plan", fewer, scaffold=scaffold, tools=_tools(work))
    selected = await _written(work, "select", fewer, plan=steps, tools=_tools(work))
    selected = await _reconstructed(work, selected)
    found = await check(work, selected)
    await fetch(work, found.uses)
    short = [{"stubs": shown(work, found.uses, most)} for most in (SHORTER, SHORTEST)]
    program = await _written(work, "code", short, plan=found.source, stubs=shown(work, found.uses))
    while not (attempt := await _run(work, program)).ok:
        work.spent.repair(work.budget, because=attempt.trouble)
        told = [prompt.data("run", describe(attempt, outputs=most, values=0), limit=6_000) for most in OUTPUTS]
        less = [{"failure": each} for each in told[1:]]
        program = await _written(work, "review", less, program=attempt.program.rstrip(), failure=told[0])
    return answer(work, attempt, learn(work, attempt))


async def _reconstructed(work: Work, selected: str) -> str:
    """The pseudo-code over tools that exist; each round is told what is nearest to those that do not."""
    for _ in range(RECONSTRUCTIONS):
        wrong = [each for each in (await check(work, selected)).problems if each.kind == "unknown_tool"]
        if not wrong:
            break
        problems = "\n".join(f"- {each.message}" for each in wrong)
        near = "\n".join(work.tools[tool].call for each in wrong for tool in work.near.get(each.name, ()))
        less = [{"tools": prompt.data("find_tools", near, limit=1_000)}]
        selected = await _written(
            work, "reconstruct", less, plan=selected, problems=problems, tools=prompt.data("find_tools", near)
        )
    return selected


async def _written(work: Work, stage: str, shorter: Sequence[Mapping[str, str]] = (), **values: str) -> str:
    """What the model writes; a prompt that would be too long has what is in `shorter` instead, step by step."""
    work.trace.enter(stage)
    tokens = work.budget.prompt_tokens(stage)
    text = prompt.fit(f"paper_{stage}", tokens, shorter, task=work.task.strip(), **values)
    return await work.ask(stage, text, partial(program_in, parsed=stage not in ("code", "review")))


async def _run(work: Work, program: str) -> Attempt:
    work.trace.enter("run")
    known = len(work.calls)
    attempt = Attempt(program, execution=await work.execute(program))
    work.attempts.append(attempt)
    stop_if_hopeless(work, attempt, known)
    return attempt


def _tools(work: Work, most: int | None = None) -> str:
    lines = [f"{tool.call}\n    {tool.summary}".rstrip() for tool in [*work.tools.values()][:most]]
    return prompt.data("find_tools", "\n".join(lines) or "(no tool was found)", limit=12_000)
