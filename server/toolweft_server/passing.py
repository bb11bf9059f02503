"""`passed_on`: what an upstream asks in the middle of a call goes to the person behind the program that made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from toolweft_catalog.tool import Json
from toolweft_server.questions import Questions, Reply, Unanswered, printable
from toolweft_server.upstream.asking import Question

SHOWN = 2000
"""Characters of a server's question."""

_WHY: Mapping[Unanswered, str] = {
    "nobody": "nobody can be asked here",
    "rounds": "the program that called it has asked too often already",
    "late": "nobody answered in time",
}


async def passed_on(question: Question, questions_of: Callable[[str], Questions | None]) -> Mapping[str, Json]:
    """The answer, as the protocol has it. `questions_of` finds the questions of a running program.

    Raises:
        ValueError: There is none; with the question, so that the program sees what was wanted.

    """
    said = str(question.params.get("message", ""))
    shown = printable(said, keep="\n")
    shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
    asked = questions_of(question.call.execution) if question.call is not None else None
    why: Unanswered = "nobody"
    if asked is not None and question.call is not None:
        message = f"The server {question.server!r} asks, called by {question.call.tool.id}: {shown}"
        answer = await asked.ask({"mode": "form", **question.params, "message": message})
        if isinstance(answer, Reply):
            content = {"content": dict(answer.content)} if answer.action == "accept" else {}
            return {"action": answer.action, **content}
        why = answer
    raise ValueError(f"{question.server} asks {said[:200]!r}, and {_WHY[why]}")
