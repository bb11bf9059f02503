"""Answer: the value of the program as text. Composed here, without a model: the program was asked to return it so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json
from toolweft_catalog.wire import CallRecord, Execution, SavedFunction
from toolweft_client import prompt
from toolweft_client.budget import Spent
from toolweft_client.calls import uses
from toolweft_client.errors import Reason, StoppedError
from toolweft_client.failure import unanswered
from toolweft_client.reply import syntax_error
from toolweft_client.work import Attempt, Work


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run came to. Without a program that ended well, `status` is failed and `value` stays None."""

    task: str
    status: Literal["answered", "failed"]
    text: str
    """The answer, or why there is none and what was already done."""
    value: Json = None
    reason: Reason | None = None
    program: str = ""
    """The last program."""
    execution: str | None = None
    calls: tuple[CallRecord, ...] = ()
    saved: tuple[SavedFunction, ...] = ()
    notes: tuple[str, ...] = ()
    spent: Spent | None = None
    trace: str | None = None

    def json(self) -> dict[str, Json]:
        return {
            "task": self.task, "status": self.status, "text": self.text, "value": self.value, "reason": self.reason,
            "program": self.program, "execution": self.execution,
            "calls": [each.model_dump(mode="json") for each in self.calls],
            "saved": [each.model_dump(mode="json") for each in self.saved],
            "notes": list(self.notes), "spent": dict(self.spent.json()) if self.spent else None, "trace": self.trace,
        }  # fmt: skip


def answer(work: Work, attempt: Attempt, saved: tuple[SavedFunction, ...]) -> Answer:
    ran = attempt.execution
    assert ran is not None
    work.trace.enter("answer")
    notes = list(work.notes)
    text = text_of(ran)
    if work.missing:
        text += f"\n\nNot done, because no tool was found for it: {'; '.join(work.missing)}."
    if ran.value in ([], {}, ""):
        notes.append("nothing was found")
    if ran.truncated:
        notes.append(f"the output was cut; the whole of it is {ran.output_uri}")
    if work.trace.broken:
        notes.append(f"the trace is incomplete: {work.trace.broken}")
    return Answer(
        work.task, "answered", text, value=ran.value, program=attempt.program, execution=ran.id,
        calls=tuple(ran.calls), saved=saved, notes=tuple(notes), spent=work.spent, trace=_path(work),
    )  # fmt: skip


def concluded(work: Work, text: str) -> Answer:
    """What the model itself says at the end of turns, with all calls behind it.

    Raises:
        StoppedError: Nothing it could know that from has run well.

    """
    work.trace.enter("answer")
    if not any(ran.status == "ok" and _brought(ran) for ran in work.executions):
        raise StoppedError(
            "reply",
            f"The model answered before anything had been called, printed or computed: {prompt.cut(text, 300)!r}",
        )
    return Answer(
        work.task, "answered", text, value=text, program="".join(each.program for each in work.attempts),
        execution=work.executions[-1].id, calls=tuple(work.calls), notes=tuple(work.notes), spent=work.spent,
        trace=_path(work),
    )  # fmt: skip


def _brought(ran: Execution) -> bool:
    return bool(ran.stdout.strip()) or ran.value is not None or any(call.status == "ok" for call in ran.calls)


def failed(work: Work, reason: Reason, message: str) -> Answer:
    """Never an invented answer: why it stopped, and what the programs had already done by then."""
    ran = work.last_execution
    calls = tuple(ran.calls) if ran else ()
    text = "\n".join([work.trace.redacted(message), *written(work)])
    return Answer(
        work.task, "failed", text, reason=reason, program=work.attempts[-1].program if work.attempts else "",
        execution=ran.id if ran else None, calls=calls, notes=tuple(work.notes), spent=work.spent, trace=_path(work),
    )  # fmt: skip


def written(work: Work, since: int = 0) -> list[str]:
    """A sentence each on what the run did that stays done however it ends, without its first `since` calls."""
    calls, told = work.calls[since:], list[str]()
    if done := [call for call in calls if call.status == "ok" and call.effect != "read"]:
        told.append(f"Already done: {', '.join(f'{call.tool} {call.sample}'.strip() for call in done[:10])}.")
    if unknown := unanswered(calls):
        told.append(f"Nobody knows whether these took effect: {', '.join(call.tool for call in unknown[:10])}.")
    if named := _named(work):
        told.append(f"A program had not ended; nobody knows which of its calls took effect: {', '.join(named[:10])}.")
    return told


def _named(work: Work) -> list[str]:
    """Tools that may write, of the program that was still running. None of its calls is on record here."""
    if syntax_error(work.running):
        return []
    tools = dict.fromkeys(use.tool for use in uses(parse(work.running)))
    return [tool for tool in tools if work.effects.get(tool) != "read"]


def text_of(ran: Execution) -> str:
    """A string as it is, other values as JSON, what was printed when there is no value."""
    if isinstance(ran.value, str):
        return ran.value
    if ran.value is None:
        return ran.stdout.strip() or f"Done; the program returned nothing. It made {len(ran.calls)} tool calls."
    return json.dumps(ran.value, ensure_ascii=False, indent=2 if isinstance(ran.value, (dict, list)) else None)


def _path(work: Work) -> str | None:
    return str(work.trace.path) if work.trace.path else None
