"""ReAct: one tool call as JSON a turn, to compare the agent's own loop with (arXiv 2210.03629).

    task -> {"thought", "tool", "arguments"} -> result -> … -> {"thought", "answer"}
            {"thought", "find"} -> further tools

A call is a program of one line, so policies, the record and limits hold as for any other. An answer counts only when a
call has succeeded before.
"""

from __future__ import annotations

import json
import re
from keyword import iskeyword

from toolweft_catalog.tool import Json
from toolweft_client import prompt
from toolweft_client.errors import StoppedError
from toolweft_client.modes.codeact import OBSERVATION, beginnings, observation, searched
from toolweft_client.stages.answer import Answer, concluded
from toolweft_client.stages.check import check
from toolweft_client.stages.discover import LONGEST_QUERY, discover
from toolweft_client.stages.run import stop_if_hopeless
from toolweft_client.stubs import fetch
from toolweft_client.turns import Since, Turn, within
from toolweft_client.work import Attempt, Work

MOST_CALLS = 30
SENSELESS = 3
"""Replies in a row that are no JSON object, before the run stops."""
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


async def solve(work: Work) -> Answer:
    """The loop.

    Raises:
        StoppedError: The budget is used up, the model writes no JSON, or policy says no.

    """
    await discover(work)
    tools = list(work.tools)
    await fetch(work, tools)
    heads, turns, senseless = beginnings(work, "react", tools), list[Turn](), 0
    while True:
        work.trace.enter("act")
        since = Since(work)
        reply = await work.complete("act", within(work.budget.prompt_tokens("act"), heads, turns))
        step = _step(reply.text)
        if isinstance(answer := step.get("answer"), str):
            return concluded(work, answer)
        tool, arguments = step.get("tool"), step.get("arguments", {})
        if isinstance(wanted := step.get("find"), str):
            senseless = 0
            observed = await searched(work, [wanted[:LONGEST_QUERY]])
        elif isinstance(tool, str) and isinstance(arguments, dict):
            senseless = 0
            observed = await _called(work, tool, arguments)
        else:
            senseless += 1
            observed = 'Nothing was called: write one JSON object with "tool" and "arguments", "find" or "answer".'
        if senseless >= SENSELESS:
            raise StoppedError("reply", f"No step from the model, {SENSELESS} times: {prompt.cut(reply.text, 300)!r}")
        turns.append(since.turn(reply.text, observed))


async def _called(work: Work, tool: str, arguments: dict[str, Json]) -> str:
    work.trace.enter("run")
    known = len(work.calls)
    form = work.tools[tool].call.partition("(")[0] if tool in work.tools else tool
    if not all(part.isidentifier() for part in form.split(".")) or not form.count("."):
        return f"There is no tool {prompt.cut(tool, 80)!r}."
    # Written out, the check sees them.
    plain = all(name.isidentifier() and not iskeyword(name) for name in arguments)
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items()) if plain else f"**{arguments!r}"
    program = f"{form}({given})\n"
    checked = await check(work, program)
    if checked.problems:
        return "\n".join(each.message for each in checked.problems)
    program = checked.source
    attempt = Attempt(program, execution=await work.execute(program, fresh=True))
    work.attempts.append(attempt)
    stop_if_hopeless(work, attempt, known)
    assert attempt.execution is not None
    return prompt.data("run", observation(attempt.execution), limit=OBSERVATION)


def _step(text: str) -> dict[str, Json]:
    """The object in a reply, with or without a fence; empty when there is none."""
    fence = _FENCE.search(text)
    inside = fence[1] if fence else text
    try:
        found = json.JSONDecoder().raw_decode(inside[max(0, inside.find("{")) :])[0]
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
