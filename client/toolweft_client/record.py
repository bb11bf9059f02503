"""What a run has done so far, for prompts: its calls, what it may have written, and how a tool was called with success.

What was written is never left out and never cut: a prompt that lacked it could have it written once more. Reads are
replayed, and only help to see what went wrong.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from toolweft_catalog.parsing import parse
from toolweft_catalog.wire import CallRecord
from toolweft_client import prompt
from toolweft_client.calls import uses
from toolweft_client.failure import unanswered
from toolweft_client.reply import syntax_error
from toolweft_client.work import Work

MOST_READS = 30
ROOM, SHORT = 4_000, 1_500
"""Characters of the record; writes may take more. The second is for prompts that would be too long."""
SAMPLE = 300
"""Characters of what a call brought. Our own server sends 200."""
MOST_EXAMPLES = 3


def shown(work: Work, room: int = ROOM, examples: str = "") -> str:
    """The calls of the run so far, with `examples` behind them, fenced as data."""
    text = call_log(work.calls, room) + (f"\n{examples}" if examples else "")
    return prompt.data("calls", text, limit=len(text))


def call_log(calls: Collection[CallRecord], room: int = ROOM) -> str:
    """The calls by number. Those that may have written are all there, and stand apart where they must not happen again;
    of the reads there are the latest, as many as fit into `room` characters.
    """
    rows = {
        number: f"{number}. {call.tool} {call.effect} {call.status} {prompt.cut(call.sample, SAMPLE)}".rstrip()
        for number, call in enumerate(calls, 1)
    }
    reads = [number for number, call in enumerate(calls, 1) if call.effect == "read"]
    done = [number for number, call in enumerate(calls, 1) if call.status == "ok" and call.effect != "read"]
    unknown = unanswered(calls)
    open_ = [number for number, call in enumerate(calls, 1) if call in unknown]
    left = room - sum(len(row) + 1 for number, row in rows.items() if number not in reads)
    fitting = 0
    for number in reads[: -MOST_READS - 1 : -1]:
        left -= len(rows[number]) + 1
        if left < 0:
            break
        fitting += 1
    gone = reads[: len(reads) - fitting]
    parts = [f"({len(gone)} earlier reads are left out)"] if gone else []
    parts += [row for number, row in rows.items() if number not in (*gone, *done, *open_)]
    for title, numbers in (
        ("Already done, not to be done again:", done), ("Nobody knows whether these took effect:", open_)
    ):  # fmt: skip
        parts += [title, *(rows[number] for number in numbers)] if numbers else []
    return "\n".join(parts) or "(no tool was called)"


def examples(work: Work, tools: Collection[str], program: str) -> str:
    """How these tools were called with success in this run, as the programs had it; without what `program` still has.

    From the trace, so without secrets.
    """
    known = set(_calls(work.trace.redacted(program), tools))
    found: list[str] = []
    ran = [str(step.data["program"]) for step in work.trace.steps if step.event == "run"]
    for source, execution in zip(ran, work.executions, strict=True):
        succeeded = {call.tool for call in execution.calls if call.status == "ok"}
        line = execution.error.line if execution.error else None
        found += _calls(source, succeeded.intersection(tools), without=line)
    new = [each for each in dict.fromkeys(found) if each not in known][-MOST_EXAMPLES:]
    return "\n".join(["Calls that succeeded before, as they were written:", *new]) if new else ""


def _calls(program: str, tools: Collection[str], *, without: int | None = None) -> list[str]:
    if syntax_error(program):
        return []
    named = [use for use in uses(parse(program)) if use.tool in tools and use.line != without]
    return [prompt.cut(ast.unparse(use.call), SAMPLE) for use in named if use.call is not None]
