"""Reading: the model looks at an answer once more before it is given, where `Budget.readings` allows it.

What it doubts is designed anew; what happened until then is replayed. It is the only look at an answer that is wrong
and says so nowhere. Without a verdict, or where no new design is left, the answer stands, with a note.
"""

from __future__ import annotations

import re

from toolweft_client import prompt, record
from toolweft_client.errors import StoppedError
from toolweft_client.model.base import Reply
from toolweft_client.reply import DefectError, program_in
from toolweft_client.stages.answer import text_of
from toolweft_client.work import Attempt, Work

ANSWER = 4_000
"""Characters of the answer that are shown."""
_COMMENT = re.compile(r"^\s*#\s*", re.MULTILINE)
_RIGHT, _WRONG = re.compile(r"right\W*", re.IGNORECASE), re.compile(r"wrong:\s*(\S.*)", re.IGNORECASE)


async def stands(work: Work, attempt: Attempt) -> bool:
    """Whether the answer is to be given; if not, a new design is due, and is noted as spent."""
    spent, budget = work.spent, work.budget
    if spent.readings >= budget.readings or spent.model_calls >= budget.model_calls:
        return True
    spent.readings += 1
    work.trace.enter("reading")
    try:
        why = await work.ask("reading", _text(work, attempt), _doubt)
    except StoppedError as stopped:  # the budget, or two replies that say neither
        work.notes.append(f"a second reading of the answer came to nothing: {stopped}")
        return True
    work.trace.add("reading", doubt=why)
    if not why:
        return True
    if spent.replans >= budget.replans or spent.model_calls >= budget.model_calls:
        work.notes.append(f"a second reading doubts this answer: {why}")
        return True
    work.notes.append(f"a second reading doubted an earlier answer: {why}")
    spent.replans += 1
    work.trace.add("replan", signature=["reading", why])
    told = f"It answered: {prompt.cut(_answer(attempt), 1_000)}\nIn doubt, because: {why}"
    work.learnt.append(
        "A program of an earlier design ran well, and a second reading doubts its answer. Draw a design that does "
        "what is missing, or the same one if the doubt is wrong.\n" + prompt.data("run", told, limit=3_000)
    )
    return False


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
