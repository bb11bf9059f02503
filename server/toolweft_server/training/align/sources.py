"""Where trajectories come from: ToolBench-style conversations, and what our own executions did.

Both become `Trajectory`. A step whose tool is not in the catalogue makes the whole trajectory unusable, and what a
source says badly is left out and named, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from toolweft_catalog.tool import Json
from toolweft_server.training.align.conversations import Call, Trajectory

FINISH = "Finish"
"""ToolBench's pseudo-tool: its argument `final_answer` is the answer. It never gets a code."""

_STEP = re.compile(
    r"\A(?:\s*Thought:)?(?P<thought>.*?)\s*Action:(?P<action>[^\n]*)\n\s*Action Input:(?P<input>.*)\Z", re.S
)


class Taken(NamedTuple):
    """What a source gave."""

    trajectories: list[Trajectory]
    left_out: list[str]
    """`id: reason` of each record that gave none, in order."""


@dataclass(frozen=True, slots=True)
class RanCall:
    """A call of one of our executions, as the ledger has it (`store.calls`: `tool`, `arguments`, `status`)."""

    tool: str
    arguments: str
    """A JSON object."""
    ok: bool
    feedback: str
    """The result as text, or the message of the failure."""


@dataclass(frozen=True, slots=True)
class Ran:
    """An execution: what a trace's task and runs, or a row of `store.executions` with its ledger, say of it."""

    id: str
    request: str
    calls: Sequence[RanCall]
    answer: str = ""
    ok: bool = True
    """Whether the program ended well: others are not learned from."""


def of_toolbench(records: Iterable[Mapping[str, Json]], ids: Mapping[str, str]) -> Taken:
    """Reads conversations of system, user, assistant (`Thought: … Action: … Action Input: …`) and function turns.

    `ids` gives a tool's id for the name it has there. Only those that end with an answer are taken.
    """
    found: list[Trajectory] = []
    left_out: list[str] = []
    for number, record in enumerate(records):
        name = str(record.get("id", number))
        try:
            found.append(_toolbench(name, record, ids))
        except (ValueError, KeyError) as error:
            left_out.append(f"{name}: {error.args[0]}")
    return Taken(found, left_out)


def of_executions(runs: Iterable[Ran]) -> Taken:
    """Reads our own executions. Failed calls stay, with what they answered: how to go on is worth learning."""
    found: list[Trajectory] = []
    left_out: list[str] = []
    for ran in runs:
        try:
            if not (ran.ok and any(call.ok for call in ran.calls)):
                raise ValueError("it failed, or no call of it succeeded")
            calls = tuple(Call(each.tool, _object(each.arguments), each.feedback) for each in ran.calls)
            found.append(Trajectory(ran.id, ran.request, calls, ran.answer))
        except ValueError as error:
            left_out.append(f"{ran.id}: {error}")
    return Taken(found, left_out)


def ledger_calls(rows: Iterable[Mapping[str, Any]], results: Mapping[int, str]) -> list[RanCall]:
    """The calls of one execution from its ledger's rows (`store.calls.Calls.of`) and their results as text, by `seq`.

    A failure is told in the words in which the mode `toolweaver` tells it to the model that acts.
    A call without an end, of which nobody knows what it did, is left out.
    """
    ended = [row for row in rows if row["status"] is not None]
    return [
        RanCall(row["tool"], row["arguments"], ok=True, feedback=results.get(row["seq"], ""))
        if row["status"] == "ok"
        else RanCall(row["tool"], row["arguments"], ok=False, feedback=f"Error: {row['message'] or row['status']}")
        for row in ended
    ]


def trace_runs(steps: Iterable[Mapping[str, Json]], calls: Callable[[str], Sequence[RanCall]]) -> list[Ran]:
    """The executions of one trace of the client (a line of its file a step); `calls` gives those of an execution."""
    request, found = "", list[Ran]()
    for step in steps:
        data = step.get("data")
        held: Mapping[str, Json] = data if isinstance(data, dict) else {}
        if step.get("event") == "task.start":
            request = str(held.get("task", ""))
        elif step.get("event") == "run" and isinstance(execution := held.get("execution"), str):
            value, ok = held.get("value"), held.get("status") == "ok"
            answer = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
            found.append(Ran(execution, request, calls(execution), answer, ok))
    return found


def _toolbench(name: str, record: Mapping[str, Json], ids: Mapping[str, str]) -> Trajectory:
    turns = record.get("conversations")
    if not isinstance(turns, list):
        raise ValueError("no `conversations`")
    request, thought, calls, open_call = "", "", list[Call](), None
    for turn in turns:
        role, text = (turn.get("from"), str(turn.get("value") or "")) if isinstance(turn, dict) else (None, "")
        if role == "user" and not calls:
            request = text.replace("Begin!", "").strip()
        elif role == "function" and open_call is not None:
            calls.append(Call(open_call.tool, open_call.arguments, text, open_call.thought))
            open_call = None
        elif role == "assistant":
            step = _STEP.match(text)
            if step is None:
                thought = text.removeprefix("Thought:").strip()  # some write thought and action in two turns
                continue
            action, arguments = step["action"].strip(), _object(step["input"])
            if action == FINISH:
                return Trajectory(name, request, tuple(calls), _answer(arguments))
            if action not in ids:
                raise ValueError(f"no tool {action!r}")
            open_call, thought = Call(ids[action], arguments, "", step["thought"].strip() or thought), ""
    raise ValueError("no Finish")


def _answer(arguments: Mapping[str, Json]) -> str:
    if arguments.get("return_type") != "give_answer" or not arguments.get("final_answer"):
        raise ValueError("it gave up")
    return str(arguments["final_answer"])


def _object(text: str) -> dict[str, Json]:
    try:
        value: Json = json.loads(text or "{}")
    except ValueError:
        raise ValueError(f"arguments are no JSON: {text.strip()[:60]!r}") from None
    if not isinstance(value, dict):
        raise ValueError(f"arguments are no object: {text.strip()[:60]!r}")
    return value
