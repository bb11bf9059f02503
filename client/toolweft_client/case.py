"""`Case`: a finished run as a judge is shown it. All text of a trace is foreign: it is fenced, and cut to a length."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolweft_catalog.tool import Json
from toolweft_client import prompt
from toolweft_client.trace import Step

MOST_TOOLS = 20
MOST_CALLS = 40
JUDGED = ("answered", "failed", "crashed")
"""A run that a person or a kill ended says nothing of the agent."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    task: str
    """In one line: equal tasks of two sets of runs are found by it."""
    answered: bool
    tools: str
    record: str
    """Program, calls, output and answer."""


def case_of(steps: Sequence[Step], *, name: str = "") -> Case | None:
    """`None` for a run that was cut short: there is nothing to judge."""
    end = steps[-1]
    if end.event != "task.end" or end.data.get("status") not in JUDGED:
        return None
    answered = end.data.get("status") == "answered"
    task = " ".join(str(steps[0].data.get("task", "")).split())
    tools = prompt.data("find_tools", "\n".join(_tools(steps)) or "(none)")
    return Case(name, task, answered, tools, _record(steps, str(end.data.get("text", "")), answered=answered))


def _tools(steps: Iterable[Step]) -> list[str]:
    """Forms of call with summaries; where a trace holds no more, ids."""
    found: dict[str, str] = {}
    for step in steps:
        if step.event == "find":
            answer, ids = step.data.get("answer"), step.data.get("tools")
            full = list(_dicts(answer.get("tools"))) if isinstance(answer, dict) else []
            found |= {str(each.get("id")): f"{each.get('call')}  # {each.get('summary')}" for each in full}
            for each in ids if isinstance(ids, list) else []:
                found.setdefault(str(each), str(each))
    return list(found.values())[:MOST_TOOLS]


def _record(steps: Iterable[Step], answer: str, *, answered: bool) -> str:
    ran = [step.data for step in steps if step.event == "run"]
    calls = [call for data in ran for call in _dicts(data.get("calls")) if not call.get("replayed")]
    lines = [f"{each.get('tool')} {each.get('effect')} {each.get('status')} {each.get('sample', '')}" for each in calls]
    more = [f"… and {len(lines) - MOST_CALLS} more"] if len(lines) > MOST_CALLS else []
    last = ran[-1] if ran else {}
    output = "\n".join(
        filter(None, [str(last.get("stdout") or ""), json.dumps(last.get("value"), ensure_ascii=False), _error(last)])
    )
    end = "It ended with an answer:" if answered else "It ended without an answer, and says:"
    parts = [
        f"{len(ran)} programs ran. The last one:", prompt.data("program", str(last.get("program", "(none)"))),
        "All calls of tools, with their effect and what came of them:",
        prompt.data("calls", "\n".join([*lines[:MOST_CALLS], *more]) or "(none)", limit=6_000),
        "What the last program printed and returned:", prompt.data("run", output),
        end, prompt.data("answer", answer),
    ]  # fmt: skip
    return "\n\n".join(parts)


def _error(data: Mapping[str, Json]) -> str:
    error = data.get("error")
    return f"{error.get('type')}: {error.get('message')}" if isinstance(error, dict) else ""


def _dicts(value: Json) -> Iterator[Mapping[str, Json]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
