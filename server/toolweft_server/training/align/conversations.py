"""What the model is taught, as conversations: turns of a system, a user and an assistant, with a loss flag each.

Three stages of data. Memorisation: a tool's document, its code. Retrieval: a request, a code, one conversation for
each right tool. Trajectories: a thought, the code, the tool's documentation, its arguments, what came back, and so on
to the answer; `acting` plays them back. Where they come from is `sources`' business; how they become token ids is
`template`'s and `collate`'s.
The shape on disk is that of ShareGPT, with `loss` beside `from` and `value`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal, NamedTuple, get_args

from toolweft_catalog import signature
from toolweft_catalog.tool import Json, Tool
from toolweft_server.training.align.tokens import defused
from toolweft_server.training.errors import TrainingError

Role = Literal["system", "user", "assistant"]

REQUEST_CHARACTERS = 4_000
DOCUMENT_CHARACTERS = 4_000
FEEDBACK_CHARACTERS = 4_000
"""Texts of any length are cut here, before tokens are counted."""

ANSWER = "Answer:"
"""How the assistant begins the turn that ends a task: what else it writes by itself is a code or a thought."""


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    text: str
    loss: bool = False
    """Whether the model learns to write this turn."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order. Two turns of one role never follow each other: many chat templates refuse that.

    Raises:
        TrainingError: They do, or no turn is flagged, or a flagged one is not the assistant's.

    """

    id: str
    turns: tuple[Turn, ...]

    def __post_init__(self) -> None:
        if not any(turn.loss for turn in self.turns):
            raise TrainingError(f"conversation {self.id!r} has no turn to learn from")
        if any(turn.loss and turn.role != "assistant" for turn in self.turns):
            raise TrainingError(f"conversation {self.id!r}: only turns of the assistant are learned")
        if any(a.role == b.role for a, b in zip(self.turns, self.turns[1:], strict=False)):
            raise TrainingError(f"conversation {self.id!r}: two turns of one role follow each other; join them")

    def json(self) -> dict[str, Json]:
        turns: list[Json] = [{"from": turn.role, "value": turn.text, "loss": turn.loss} for turn in self.turns]
        return {"id": self.id, "conversations": turns}

    @classmethod
    def of(cls, record: Mapping[str, Json]) -> Conversation:
        """Reads what `json` wrote. Raises TrainingError with what is missing or wrong."""
        turns, name = record.get("conversations"), record.get("id")
        if not isinstance(turns, list) or not isinstance(name, str):
            raise TrainingError(f"a conversation needs `id` and `conversations`: {json.dumps(record)[:120]}")
        return cls(name, tuple(_turn(each, name) for each in turns))


class Built(NamedTuple):
    """What a builder made, and what it could not use."""

    conversations: list[Conversation]
    left_out: list[str]
    """Ids of tools without a code, once for each time one was wanted, in order."""


Codes = Mapping[str, str]
"""Tool id -> its code as it is spelled (`CodeSpace.spell`)."""


class Pair(NamedTuple):
    """A request and the tools that are right for it."""

    id: str
    request: str
    gold: Sequence[str]


@dataclass(frozen=True, slots=True)
class Call:
    """One step of a trajectory."""

    tool: str
    """Its id."""
    arguments: Mapping[str, Json]
    feedback: str
    """What came back: a value or an error, as text."""
    thought: str = ""
    """Why; nothing where nobody wrote it down, and then no turn is spent on it."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    id: str
    request: str
    calls: tuple[Call, ...]
    answer: str = ""
    """What the person was told in the end; nothing if it is not known, and then none is learned."""


def document(tool: Tool) -> str:
    """What a tool says of itself: names, description, parameters with types. Codes in it are defused."""
    lines = [f"{tool.server}: {tool.title or tool.name}", tool.description.strip()]
    properties, required = tool.parameters.get("properties"), tool.parameters.get("required")
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        entry: Mapping[str, Json] = schema if isinstance(schema, dict) else {}
        kind = str(entry.get("type", "any")) + (", required" if isinstance(required, list) and name in required else "")
        lines.append(f"- {name} ({kind}): {entry.get('description') or ''}".rstrip(": "))
    return defused("\n".join(line for line in lines if line)[:DOCUMENT_CHARACTERS])


def documentation(tool: Tool) -> str:
    """What a model is shown before it writes arguments: the stub that `find_tools` gives of a tool, in full."""
    return signature.stub(tool, detail="full")


def memorisation(tools: Iterable[Tool], codes: Codes, *, both_ways: bool = False) -> Built:
    """Document -> code for each tool; `both_ways` adds code -> document."""
    made, left_out = [], []
    for tool in tools:
        if tool.id not in codes:
            left_out.append(tool.id)
            continue
        code, text = codes[tool.id], document(tool)
        made.append(_two(f"memorise:{tool.id}", prompt("memorise", document=text), code))
        if both_ways:
            made.append(_two(f"describe:{tool.id}", prompt("describe", code=code), text))
    return Built(made, left_out)


def retrieval(pairs: Iterable[Pair], codes: Codes) -> Built:
    """Request -> code, one conversation for each (request, right tool)."""
    made, left_out = [], []
    for pair in pairs:
        for tool in pair.gold:
            if tool in codes:
                made.append(_two(f"retrieve:{pair.id}:{tool}", request_text(pair.request), codes[tool]))
            else:
                left_out.append(tool)
    return Built(made, left_out)


def trajectories(ran: Iterable[Trajectory], tools: Mapping[str, Tool], codes: Codes) -> Built:
    """Thought, code, documentation, arguments, feedback, … answer. Without a thought the code is written at once.
    A trajectory with a tool that has no code is left out whole: cut short it would teach to stop there.
    """
    made, left_out = [], []
    for trajectory in ran:
        unknown = [call.tool for call in trajectory.calls if call.tool not in codes or call.tool not in tools]
        if unknown or not (trajectory.calls or trajectory.answer):
            left_out += unknown
            continue
        made.append(Conversation(trajectory.id, tuple(_steps(trajectory, tools, codes))))
    return Built(made, left_out)


def request_text(request: str) -> str:
    """The user's turn that asks for one tool: the same words in training and when decoding."""
    return prompt("retrieve", request=defused(request[:REQUEST_CHARACTERS]))


def prompt(name: str, **values: str) -> str:
    """The text of `prompts/NAME.md` with `{{name}}` filled in. A place without a value, or the reverse, is an error."""
    text = resources.files(__package__).joinpath("prompts", f"{name}.md").read_text(encoding="utf-8").strip()
    pieces = text.split("{{")
    wanted = {piece.partition("}}")[0] for piece in pieces[1:]}
    if wanted != set(values):
        raise TrainingError(f"prompts/{name}.md has places {sorted(wanted)}, values are given for {sorted(values)}")
    filled = (values[key] + rest for key, _, rest in (piece.partition("}}") for piece in pieces[1:]))
    return pieces[0] + "".join(filled)


def shown(name: str, text: str) -> str:
    """The user's turn `task`, `arguments` or `feedback` of a trajectory: the same words in training and when acting."""
    place, longest = _SHOWN[name]
    return prompt(name, **{place: defused(text.strip()[:longest])})


_SHOWN = {
    "task": ("request", REQUEST_CHARACTERS),
    "arguments": ("document", DOCUMENT_CHARACTERS),
    "feedback": ("feedback", FEEDBACK_CHARACTERS),
}


def _steps(trajectory: Trajectory, tools: Mapping[str, Tool], codes: Codes) -> list[Turn]:
    turns = [Turn("user", shown("task", trajectory.request))]
    for call in trajectory.calls:
        if thought := defused(call.thought.strip().removeprefix(ANSWER).strip()):
            turns += [Turn("assistant", thought, loss=True), Turn("user", prompt("action"))]
        arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
        turns += [
            Turn("assistant", codes[call.tool], loss=True),
            Turn("user", shown("arguments", documentation(tools[call.tool]))),
            Turn("assistant", defused(arguments), loss=True),
            Turn("user", shown("feedback", call.feedback)),
        ]
    if trajectory.answer.strip():
        turns.append(Turn("assistant", f"{ANSWER} {defused(trajectory.answer.strip())}", loss=True))
    return turns


def _two(name: str, user: str, assistant: str) -> Conversation:
    return Conversation(name, (Turn("user", user), Turn("assistant", assistant, loss=True)))


def _turn(record: Json, name: str) -> Turn:
    fields = record if isinstance(record, dict) else {}
    role, text, loss = fields.get("from"), fields.get("value"), fields.get("loss", False)
    for known in get_args(Role):
        if role == known and isinstance(text, str) and isinstance(loss, bool):
            return Turn(known, text, loss)
    raise TrainingError(f"conversation {name!r}: no turn with `from`, `value` and `loss`: {json.dumps(record)[:120]}")
