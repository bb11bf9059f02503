"""What kind of failure an attempt is, read from what the server recorded; what follows from each kind.

| kind | known by | what is done |
|---|---|---|
| syntax, unknown_tool, argument | the check, before anything ran | mended where certain, else repaired |
| probe | a reading part where the whole program was due | repaired |
| rejected | the tool's or the server's word on the arguments | repaired, with the full schema |
| shape | KeyError, TypeError, AttributeError, IndexError | repaired, with the shape observed |
| no_result | a program that only read and brought nothing | looked at once more, then answered as it is |
| moment | a read that timed out, was unavailable or says so | the same program again, after a pause |
| busy | a write that says it was busy, or called too often | repaired: the same program, if nothing was done |
| spent | a call refused since the run's budget of calls or writes is used up | the run ends |
| tool | any other failing call | repaired: another tool, or other arguments |
| outcome | a call that may write and got no answer, or tells of a time-out | repaired: it is read, not called again |
| assert | AssertionError | repaired; the assert stays |
| limit | timeout, limit, crash | repaired: smaller portions |
| function | a saved function on the failing line | repaired without it |
| code | any other exception | repaired |
| policy, sandbox | the server's or a person's no | the run ends |

An answer that is wrong and says so nowhere is no failure here: `stages.reading` has the model look at it once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.wire import CallRecord, Error, Execution
from toolweft_client.calls import uses
from toolweft_client.reply import syntax_error
from toolweft_client.work import Attempt

Kind = Literal[
    "syntax", "unknown_tool", "argument", "probe", "rejected", "shape", "no_result", "moment", "tool", "outcome",
    "busy", "spent", "assert", "limit", "function", "code", "policy", "sandbox",
]  # fmt: skip

ADVICE: dict[Kind, str] = {
    "unknown_tool": "Use a tool that exists, or raise an exception that says what is impossible.",
    "probe": "Write the whole program: no reading part is run now.",
    "rejected": "Compare the arguments with the tool's signature and documentation.",
    "shape": "Compare the failing line with what the tool returned, as the calls and stubs show it.",
    "no_result": "It read and brought nothing. If the question was asked too narrowly, ask it more widely or of "
    "another tool. If nothing is there, return a sentence that says so; do not make anything up.",
    "moment": "The tool was not available several times. Use another one if there is one.",
    "busy": "The tool says that it was busy; most likely nothing was changed. If a tool can tell, find out by reading. "
    "Else write the same program again: it is run once more, and what was done is replayed.",
    "tool": "The tool refused. Use other arguments or another tool, or first do what its message asks for.",
    "outcome": "Nobody knows whether the call that may write took effect. Do not call it again: find out by reading, "
    "and go on from what you find. If no tool can tell, raise an exception that says so.",
    "assert": "What is computed is wrong, not the assert: it stays as it is.",
    "limit": "Do it in smaller portions: fewer items, pages, shorter output.",
    "function": "Do without the saved function on the failing line.",
}

_OF_PROBLEMS: dict[str, Kind] = {
    "syntax": "syntax", "unknown_tool": "unknown_tool", "probe": "probe", "no_result": "no_result",
}  # fmt: skip
_OF_STATUS: dict[str, Kind] = {"refused": "policy", "cancelled": "policy", "violation": "sandbox", "error": "code"}
_SHAPES = ("KeyError", "TypeError", "AttributeError", "IndexError")
_UNANSWERED = ("timeout", "unavailable", "cancelled")
SPENT = "the client's limit on"
"""How our server begins to say that nothing is left of the run's budget."""
_BUSY = re.compile(r"\b(busy|too many requests|rate.?limit\w*)\b", re.IGNORECASE)
"""Said of a call that was not taken up. A gateway's time-out may well have been."""
_TOO_OFTEN = re.compile(r"\b429\b")
"""The same, unless it is the number of something that timed out."""
_MOMENT = re.compile(
    r"\b(429|502|503|504|busy|try again|too many requests|rate.?limit\w*|temporar\w+|timed? ?out|unavailable)\b",
    re.IGNORECASE,
)
"""Said of a read that may well succeed the next time. Reading in vain does no harm, so this is wide."""
_LOST = re.compile(
    r"\b(502|503|504|gateway|time[ds]?[- ]out|(service|server|upstream|backend)\b[\w ]{0,30}\bunavailable)\b"
    r"|timed?out|deadline exceeded|ECONNRESET|broken pipe|socket hang up|temporary (failure|error)|\bnot? respon"
    r"|connection\b[\w ]{0,20}\b(reset|dropped|closed|lost|aborted|broken|terminated)",
    re.IGNORECASE,
)
"""Said where a call was sent on and its answer lost on the way. A tool that is asked for what it does not have ("room 5
is unavailable", "try again with another date") has answered."""


class Failure(NamedTuple):
    kind: Kind
    signature: tuple[str, ...]
    """Equal for the same error at the same text: its type, the line without its number, the tool."""
    call: CallRecord | None = None
    """The failing one."""


def failure_of(attempt: Attempt, before: Sequence[CallRecord] = ()) -> Failure:
    """`before` are the real calls of the attempts before this one."""
    ran = attempt.execution
    if attempt.problems:
        first = attempt.problems[0]
        return Failure(
            _of_problem(first.kind), tuple(sorted({f"{each.kind} {each.name}" for each in attempt.problems}))
        )
    if ran is None or ran.error is None:
        status = ran.status if ran else "error"
        return Failure(_OF_STATUS.get(status, "limit"), (status, *(ran.limits if ran else ())))
    call = _failing(ran.calls, ran.error)
    line = text_of_line(attempt.program, ran.error.line)
    kind = _kind(attempt, ran.error, call, before)
    return Failure(kind, (ran.error.type, line, call.tool if call else ""), call)


def on_line(program: str, line: int | None) -> tuple[str, ...]:
    """Ids that are named on a line of the program, known or not."""
    if syntax_error(program):
        return ()
    return tuple(dict.fromkeys(use.tool for use in uses(parse(program)) if use.line == line))


def spent(ran: Execution) -> bool:
    """Whether a program ended at a call for which nothing is left of the run's budget."""
    return ran.error is not None and SPENT in ran.error.message and any(call.status == "limit" for call in ran.calls)


def unanswered(calls: Iterable[CallRecord]) -> list[CallRecord]:
    """Calls that may have written, and of which nobody knows whether they did."""
    return [call for call in calls if call.effect != "read" and call.status in _UNANSWERED]


def text_of_line(program: str, line: int | None) -> str:
    lines = program.split("\n")
    return " ".join(lines[line - 1].split()) if line and line <= len(lines) else ""


def _of_problem(kind: str) -> Kind:
    return _OF_PROBLEMS.get(kind, "argument")


def _failing(calls: Sequence[CallRecord], error: Error) -> CallRecord | None:
    """A tool's failure that the program caught is not what ended it."""
    failed = [call for call in calls if call.status != "ok"]
    return failed[-1] if failed and error.type == "ToolError" else None


def _kind(attempt: Attempt, error: Error, call: CallRecord | None, before: Sequence[CallRecord]) -> Kind:
    ran = attempt.execution
    assert ran is not None
    if unanswered(ran.calls) and ran.status != "ok":
        return "outcome"
    if ran.status != "error":
        return _OF_STATUS.get(ran.status, "limit")
    if call is not None and call.status == "refused":
        # The record refuses what an earlier attempt began; policy refuses what was never begun.
        known = any((call.tool, call.args_digest) == (each.tool, each.args_digest) for each in before)
        return "outcome" if known else "policy"
    if spent(ran):
        return "spent"
    if any(tool.startswith("functions.") for tool in on_line(attempt.program, error.line)):
        return "function"
    if call is not None and call.effect != "read":
        return _of_write(error.message)
    if call is not None:
        passing = call.status in _UNANSWERED or _MOMENT.search(error.message)
        return "moment" if passing else "tool"
    if error.type == "ToolError":
        return "rejected"
    if error.type == "AssertionError":
        return "assert"
    return "shape" if error.type in _SHAPES else "code"


def _of_write(said: str) -> Kind:
    """By the words of a call that may have written, and was answered."""
    if _BUSY.search(said):
        return "busy"
    if _LOST.search(said):
        return "outcome"
    return "busy" if _TOO_OFTEN.search(said) else "tool"
