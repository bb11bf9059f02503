"""The mode of ToolWeaver: one tool after the other, each named by its code (arXiv 2601.21947, section 3.4).

    task -> (thought ->) code -> documentation -> arguments -> result -> (thought ->) code -> … -> answer

The model decides at each turn whether it thinks, names a tool or answers. The documentation is the live server's, so a
tool that changed since training shows itself as it is now; one that is gone is never named again. A call is a program
of one line, so policies, the ledger and limits hold as for any other. Arguments that are no JSON object, and calls that
fail, are told to the model, which may do better at the next turn. Tools that are newer than the model have no code
yet and cannot be named: the agent's own loop finds them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Execution, FoundTool
from toolweft_client import prompt
from toolweft_client.errors import StoppedError, UsageError
from toolweft_client.model.base import Message
from toolweft_client.model.toolweaver import Toolweaver
from toolweft_client.stages.answer import Answer
from toolweft_client.stages.run import stop_if_hopeless
from toolweft_client.turns import Since, Turn, within
from toolweft_client.work import Attempt, Work

MOST_CALLS = 60
"""Model calls of a task unless configured: a step takes two or three short ones."""
LONGEST_FEEDBACK = 4_000
LEFT_OUT = "(left out)"
"""In place of the documentation of an old turn, where the prompt would be too long."""


class Chosen(NamedTuple):
    code: str
    tool: FoundTool
    documentation: str


async def solve(work: Work) -> Answer:
    """The loop.

    Raises:
        UsageError: The model was not taught to act.
        StoppedError: The budget is used up, the model ends no turn, or policy says no.

    """
    model = work.model
    if not isinstance(model, Toolweaver):
        raise UsageError(f"Mode toolweaver needs a model that was taught to act, not {model.name}")
    turns: list[Turn] = []
    while True:
        since = Since(work)
        text = await _written(work, model, turns, "design")
        if (final := model.final(text)) is not None:
            return _answer(work, final)
        if not model.is_code(text):
            turns.append(Turn(text, model.words.action(), model.words.action()))
            text = await _written(work, model, turns, "design")
        chosen = await _present(work, model, text)
        if chosen is None:
            continue  # the same turn again: the tool is gone, and its code is not written any more
        words = model.words
        turns.append(Turn(chosen.code, words.arguments(chosen.documentation), words.arguments(LEFT_OUT)))
        text = await _written(work, model, turns, "implement")
        feedback = await _called(work, chosen.tool, text)
        turns.append(Turn(text, words.feedback(feedback), words.feedback(since.brief())))


async def _written(work: Work, model: Toolweaver, turns: Sequence[Turn], stage: str) -> str:
    work.trace.enter(stage)
    head = [Message("user", model.words.task(work.task))]
    reply = await work.complete(stage, within(work.budget.prompt_tokens(stage), [head], turns))
    if reply.stop_reason == "length":
        raise StoppedError("reply", f"The model ended no turn within its tokens: {prompt.cut(reply.text, 300)!r}")
    return reply.text


async def _present(work: Work, model: Toolweaver, code: str) -> Chosen | None:
    """The first tool of the code that the server has, with its documentation; None when it has none of them."""
    if not model.is_code(code):
        raise StoppedError("reply", f"The model named no tool where one was due: {prompt.cut(code, 100)!r}")
    work.trace.enter("discover")
    for tool in model.meant(code):
        found = await work.find(tool, limit=1, stage="discover", code=code)
        ids = [each.id for each in found.tools]
        if ids == [tool]:
            work.tools[tool] = found.tools[0]
            if tool not in work.stubs:
                work.stubs[tool] = await work.stub(tool, stage="discover")
            return Chosen(code, found.tools[0], work.stubs[tool])
        model.gone.add(tool)
        work.notes.append(f"the model knows {tool}, and it is not here any more")
    return None


async def _called(work: Work, tool: FoundTool, text: str) -> str:
    """Calls the tool with the arguments of the text; what came of it, for the model.

    Raises:
        StoppedError: Policy or the server said no: other arguments would fare no better.

    """
    work.trace.enter("run")
    try:
        arguments = _arguments(text)
    except ValueError as error:
        work.trace.add("check", ok=False, problems=[str(error)])
        return f"Error: {error}"
    program = f"{tool.call.partition('(')[0]}(**{arguments!r})\n"
    known = len(work.calls)
    ran = await work.execute(program, fresh=True)
    work.attempts.append(Attempt(program, execution=ran))
    stop_if_hopeless(work, work.attempts[-1], known)
    return prompt.cut(feedback_of(ran), LONGEST_FEEDBACK)


def feedback_of(ran: Execution) -> str:
    """A string as it is, other values as JSON, the message of a failure."""
    if ran.status != "ok":
        return f"Error: {ran.error.message if ran.error else ', '.join(ran.limits) or ran.status}"
    return ran.value if isinstance(ran.value, str) else json.dumps(ran.value, ensure_ascii=False)


def _arguments(text: str) -> dict[str, Json]:
    """The JSON object that the model wrote; what Python would not read back the same is refused."""
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the arguments are no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("the arguments are no JSON object")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _answer(work: Work, text: str) -> Answer:
    work.trace.enter("answer")
    ran = [each for each in work.attempts if each.execution]
    calls = tuple(call for each in ran if each.execution for call in each.execution.calls)
    last = work.last_execution
    return Answer(
        work.task, "answered", text, value=text, program="".join(each.program for each in ran),
        execution=last.id if last else None, calls=calls, notes=tuple(work.notes), spent=work.spent,
        trace=str(work.trace.path) if work.trace.path else None,
    )  # fmt: skip
