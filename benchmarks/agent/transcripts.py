"""What a model was asked and what it wrote, as markdown; and without the words of others where those are not ours.

A prompt is shown as far as the one before it did not hold it already, so that a mode whose prompts grow is as readable
as one whose do not. `withheld` leaves of a prompt its length and a digest: the replies, the statuses and the counts
stay, and from a checkout and the task's id everything else can be made again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolweft_client.model.base import ChatModel, Message, Reply
from toolweft_client.trace import Step

LONGEST_QUOTE = 7
"""Words in a row that a reply may share with a prompt that is not ours, as an argument of a call must."""
_WORD = re.compile(r"\S+")
_TICKS = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One model call."""

    stage: str
    messages: Sequence[Message]
    reply: Reply


@dataclass
class Kept:
    """Any model, and everything that it was asked and said, in order."""

    model: ChatModel
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.model.name

    async def complete(
        self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str] | None = None, stage: str = ""
    ) -> Reply:
        reply = await self.model.complete(messages, max_tokens=max_tokens, stop=stop, stage=stage)
        self.exchanges.append(Exchange(stage, list(messages), reply))
        return reply


def transcript(head: Mapping[str, object], exchanges: Sequence[Exchange], steps: Iterable[Step], *, ours: bool) -> str:
    """Markdown of one run. `head` is its first lines, name by name; `ours` says whether prompts may be shown."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in head.items())]
    before: Sequence[Message] = ()
    own = ""
    for number, each in enumerate(exchanges, 1):
        usage = f"{each.reply.usage.input} tokens in, {each.reply.usage.output} out"
        parts.append(f"## {number}. {each.stage} ({usage})")
        if ours:
            fresh = [message for message in each.messages if message not in before and message.role != "assistant"]
            parts += [f"{message.role}:\n\n{fenced(message.text)}" for message in fresh]
            parts.append(f"reply:\n\n{fenced(each.reply.text)}")
        else:
            prompt = "\n".join(message.text for message in each.messages)
            parts.append(withheld(prompt))
            parts.append(f"reply:\n\n{fenced(unquoted(each.reply.text, prompt, own))}")
        before, own = each.messages, f"{own}\n{each.reply.text}"
    ran = "\n".join(f"- {line}" for line in programs(steps))
    return "\n\n".join([*parts, f"## Programs that ran\n\n{ran or 'None.'}"]) + "\n"


def programs(steps: Iterable[Step]) -> list[str]:
    """One line of each program: how it ended, the error's type, the tools called and how each call ended."""
    lines = []
    for step in steps:
        if step.event != "run":
            continue
        error, calls = step.data.get("error"), step.data.get("calls")
        why = f" ({error.get('type')})" if isinstance(error, dict) else ""
        told = [
            f"{call.get('tool')} {call.get('status')}{' replayed' if call.get('replayed') else ''}"
            for call in (calls if isinstance(calls, list) else []) if isinstance(call, dict)
        ]  # fmt: skip
        lines.append(f"{step.data.get('status')}{why}: {', '.join(told) or 'no call'}")
    return lines


def fenced(text: str) -> str:
    """In a fence that nothing in the text closes."""
    ticks = "`" * (1 + max([2, *map(len, _TICKS.findall(text))]))
    return f"{ticks}text\n{text.rstrip()}\n{ticks}"


def withheld(prompt: str) -> str:
    """What stands for a prompt that is not ours.

    >>> withheld("abc")
    '[prompt of 3 characters, sha256 ba7816bf8f01]'

    """
    return f"[prompt of {len(prompt)} characters, sha256 {hashlib.sha256(prompt.encode()).hexdigest()[:12]}]"


def unquoted(reply: str, prompt: str, own: str = "") -> str:
    """The reply, with runs of more than `LONGEST_QUOTE` words that stand in the prompt as well left out.

    `own` is what the model wrote before: a prompt that quotes it does not make it somebody else's.
    """
    size = LONGEST_QUOTE + 1
    held = _runs(prompt, size) - _runs(own, size)
    ours = list(_WORD.finditer(reply))
    taken: set[int] = set()
    for at in range(len(ours) - size + 1):
        if tuple(each.group() for each in ours[at : at + size]) in held:
            taken |= set(range(at, at + size))
    out, end = [], 0
    for at in sorted(taken):
        if at - 1 not in taken:
            out += [reply[end : ours[at].start()], "[words of the prompt]"]
        end = ours[at].end()
    return "".join([*out, reply[end:]])


def _runs(text: str, size: int) -> set[tuple[str, ...]]:
    words = _WORD.findall(text)
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


def without_paths(text: str, folders: Mapping[str, Path]) -> str:
    """Machine paths by name: `{"<store>": Path("/tmp/x")}`. The longest first, so that none hides in another."""
    for name, folder in sorted(folders.items(), key=lambda each: -len(str(each[1]))):
        text = text.replace(str(folder), name)
    return text
