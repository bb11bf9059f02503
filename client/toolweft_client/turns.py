"""`Turn`: one step of a conversation, for modes that work turn by turn; `within` keeps all of them in one prompt.

What does not fit is left out in this order: what came of the oldest turns, the latest apart; long stubs; the oldest
replies; what came of the latest turn. Never the task, and never the record of what was done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from toolweft_catalog.wire import CallRecord
from toolweft_client import prompt
from toolweft_client.errors import StoppedError
from toolweft_client.model.base import Message
from toolweft_client.work import Work

REPLY = 400
"""Characters of an old reply."""
SAMPLE, READS = 100, 5
"""Characters of a call's arguments and number of calls that only read, in the record of a turn."""


class Turn(NamedTuple):
    said: str
    """By the model."""
    told: str
    """What came of it."""
    brief: str
    """The same without the output: what was done, and which tools were found."""

    def messages(self, *, brief: bool, cut: bool) -> list[Message]:
        said = prompt.cut(self.said, REPLY) if cut else self.said
        # Beside a reply that is cut, the record alone says what was done.
        told = self.brief if cut or (brief and len(self.brief) < len(self.told)) else self.told
        return [Message("assistant", said), Message("user", told)]


def within(tokens: int, heads: Sequence[Sequence[Message]], turns: Sequence[Turn]) -> list[Message]:
    """The conversation in `tokens`, four characters each. `heads` are ways to begin it, the longest first.

    Raises:
        StoppedError: It does not fit with everything left out that may be.

    """
    size = 0
    for head, brief, cut in _steps(len(heads), len(turns)):
        messages = [*heads[head]]
        for number, turn in enumerate(turns):
            messages += turn.messages(brief=number < brief, cut=number < cut)
        size = sum(len(each.text) for each in messages)
        if size <= tokens * 4:
            return messages
    raise StoppedError("budget", f"The conversation has {-(-size // 4)} tokens at its shortest; the budget is "
                       f"{tokens}. Shorten the task or raise the budget.")  # fmt: skip


def _steps(heads: int, turns: int) -> Iterator[tuple[int, int, int]]:
    """Which head, and how many of the oldest turns without their outcome and with a cut reply."""
    older = max(0, turns - 1)
    yield from ((0, number, 0) for number in range(older + 1))
    yield from ((head, older, 0) for head in range(1, heads))
    yield from ((heads - 1, older, number) for number in range(1, older + 1))
    yield heads - 1, turns, turns


class Since:
    """What a run does from here on, in short."""

    def __init__(self, work: Work) -> None:
        self._work, self._calls, self._tools = work, len(work.calls), set(work.tools)

    def turn(self, said: str, told: str) -> Turn:
        return Turn(said.strip() or "(empty reply)", told, self.brief())

    def brief(self) -> str:
        calls = self._work.calls[self._calls :]
        writes = [each for each in calls if each.effect != "read"]
        reads = [each for each in calls if each.effect == "read"]
        lines = [_line(each) for each in (*writes, *reads[:READS])]
        lines += [f"and {more} more calls that read"] if (more := len(reads) - READS) > 0 else []
        lines += [f"found: {tool.call}" for name, tool in self._work.tools.items() if name not in self._tools]
        # All of it: whatever is cut here might be done again.
        whole = "\n".join(lines) or "nothing was called"
        return f"(The output is left out here.)\n{prompt.data('run', whole, limit=len(whole))}"


def _line(call: CallRecord) -> str:
    return f"called {call.tool}, {call.effect}, {call.status}: {prompt.cut(call.sample, SAMPLE)}"
