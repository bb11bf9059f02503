"""Reading: the model looks at an answer once more before it is given, where `Budget.readings` allows it.

What it doubts is designed anew; what happened until then is replayed. It is the only look at an answer that is wrong
and says so nowhere. Without a verdict, and where no other program comes to an end, the answer stands, with a note that
tells what was written meanwhile. Time that runs out cancels this stage: then `agent` has the answer stand.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

from toolweft_client import prompt, record
from toolweft_client.errors import AgentError, ModelError, SessionError, StoppedError
from toolweft_client.model.base import Reply
from toolweft_client.reply import DefectError, program_in
from toolweft_client.stages.answer import text_of, written
from toolweft_client.work import Attempt, Kept, Work

NEW = 2
"""Model calls that a new program takes."""
ANSWER = 4_000
"""Characters of the answer that are shown."""
_ENDS = (StoppedError, ModelError, SessionError)
_COMMENT = re.compile(r"^\s*#\s*", re.MULTILINE)
_RIGHT, _WRONG = re.compile(r"right\W*", re.IGNORECASE), re.compile(r"wrong:\s*(\S.*)", re.IGNORECASE)


async def second(work: Work, attempt: Attempt, anew: Callable[[], Awaitable[Attempt]]) -> Attempt:
    """The attempt whose answer is to be given: this one, or what `anew` makes of the task after a doubt."""
    spent, budget = work.spent, work.budget
    while spent.readings < budget.readings and spent.model_calls < budget.model_calls:
        spent.readings += 1
        work.trace.enter("reading")
        work.kept = kept = Kept(attempt, len(work.calls), work.missing)
        try:
            why = await work.ask("reading", _text(work, attempt), _doubt)
        except _ENDS as stopped:  # the budget, two replies that say neither, a model that is gone
            return stands(work, kept, stopped)
        work.trace.add("reading", doubt=why)
        if not why:
            break
        if spent.replans >= budget.replans or spent.model_calls + NEW > budget.model_calls:
            work.notes.append(f"a second reading doubts this answer: {why}")
            break
        _learn(work, attempt, why)
        work.kept = kept = replace(kept, doubt=why)
        try:
            attempt = await anew()
        except _ENDS as stopped:
            return stands(work, kept, stopped)
        work.notes.append(f"a second reading doubted an earlier answer: {why}")
    return attempt


def stands(work: Work, kept: Kept, stopped: AgentError) -> Attempt:
    """The attempt that was kept, with a note of why no other came of the reading and what was written since."""
    since, why = written(work, kept.calls), work.trace.redacted(str(stopped))
    note = f"a second reading of the answer came to nothing: {why}"
    if kept.doubt:
        ended = "failed" if since else "came to nothing"
        note = f"a second reading doubts this answer: {kept.doubt} Another program {ended}: {why}"
    work.notes.append(" ".join([note, *since]))
    work.missing = kept.missing
    return kept.attempt


def _learn(work: Work, attempt: Attempt, why: str) -> None:
    """A new design is due, and will know of the doubt."""
    work.spent.replans += 1
    work.trace.add("replan", signature=["reading", why])
    told = f"It answered: {prompt.cut(_answer(attempt), 1_000)}\nIn doubt, because: {why}"
    work.learnt.append(
        "A program of an earlier design ran well, and a second reading doubts its answer. Draw a design that does "
        "what is missing, or the same one if the doubt is wrong.\n" + prompt.data("run", told, limit=3_000)
    )


def _text(work: Work, attempt: Attempt) -> str:
    answer = prompt.data("run", _answer(attempt), limit=ANSWER)
    shorter = [
        {"calls": record.shown(work, record.SHORT)}, {"calls": record.shown(work, 0)},
        {"answer": prompt.data("run", _answer(attempt), limit=ANSWER // 4)},
    ]  # fmt: skip
    return prompt.fit(
        "reading", work.budget.implement_tokens, shorter, program=attempt.program.rstrip(), task=work.task.strip(),
        calls=record.shown(work), answer=answer,
    )  # fmt: skip


def _answer(attempt: Attempt) -> str:
    assert attempt.execution is not None
    return text_of(attempt.execution)


def _doubt(reply: Reply) -> str:
    """What the reply finds wrong; empty when it finds the answer right."""
    said = " ".join(_COMMENT.sub("", program_in(reply)).split())
    if _RIGHT.fullmatch(said):
        return ""
    if wrong := _WRONG.fullmatch(said):
        return wrong[1][:500]
    raise DefectError("it is neither the one line `# right` nor the one line `# wrong: …`")
