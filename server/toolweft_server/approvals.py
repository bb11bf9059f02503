"""`Approvals`: what a person allows one execution, asked for where the policy says `ask`.

It knows what to ask and what an answer means. How questions reach a person is `questions`' and `person`'s business,
which calls must ask is the policy's, and what is remembered for longer than an execution lies in the store.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from toolweft_catalog.call import Call
from toolweft_catalog.tool import Json, Tool
from toolweft_server.errors import ToolweftError
from toolweft_server.policy import fits, nobody, remedy
from toolweft_server.questions import ROUNDS, Questions, Reply, Unanswered, printable

logger = logging.getLogger(__name__)

ONCE, RUN, ALWAYS, REFUSE = "allow once", "allow for this run", "always allow this tool", "refuse"
SHOWN_ARGUMENTS, SHOWN_CHARACTERS = 20, 300
"""Arguments shown in a question, and characters of each. Each is cut by itself: a long one must not hide the others."""


def form(*decisions: str) -> dict[str, Json]:
    decision: Json = {"type": "string", "title": "Decision", "enum": list(decisions)}
    return {"type": "object", "properties": {"decision": decision}, "required": ["decision"]}


FORM = form(ONCE, RUN, ALWAYS, REFUSE)
DOUBT = form(ONCE, REFUSE)


class Memory(Protocol):
    """What one owner allowed for good."""

    async def holds(self, tool: Tool) -> bool: ...

    async def keep(self, tool: Tool) -> None: ...


class Approvals:
    """`policy.Approve` for one execution."""

    def __init__(
        self,
        questions: Questions,
        memory: Memory,
        *,
        given: Sequence[str] = (),
        scrub: Callable[[Json], Json] = lambda value: value,
    ) -> None:
        """`given` are patterns of tools that the client approved together with the program."""
        self._questions, self._memory, self._given, self._scrub = questions, memory, given, scrub
        self._run: set[str] = set()
        """The tools that are allowed for this run, each as it is now."""

    async def __call__(self, call: Call, reason: str, /, *, doubt: bool = False) -> str | None:
        """Why the call may not be made, as a sentence; `None` if it may.

        A `doubt` is about this very call: what was allowed for the tool does not settle it.
        """
        tool = call.tool
        params: dict[str, Json] = {"mode": "form", "message": question(call, reason, self._scrub)}
        if doubt:
            answer = await self._questions.ask({**params, "requestedSchema": DOUBT})
            return (
                await self._understood(tool, answer, doubt=True)
                if isinstance(answer, Reply)
                else _unanswered(call, reason, answer, doubt)
            )
        if _key(tool) in self._run or any(fits(tool.id, pattern) for pattern in self._given):
            return None
        if await self._remembered(tool):
            return None
        answer = await self._questions.ask({**params, "requestedSchema": FORM}, topic=_key(tool))
        if not isinstance(answer, Reply):
            return _unanswered(call, reason, answer)
        return await self._understood(tool, answer)

    async def _remembered(self, tool: Tool) -> bool:
        try:
            return await self._memory.holds(tool)
        except ToolweftError as error:
            logger.warning("what was approved for good could not be read, so %s asks: %s", tool.id, error)
            return False

    async def _understood(self, tool: Tool, answer: Reply, *, doubt: bool = False) -> str | None:
        if answer.action == "cancel":
            return f"the question whether {tool.id} may be called was closed without an answer; it was not called."
        decision = answer.content.get("decision")
        if answer.action == "decline" or decision == REFUSE:
            return f"a person refused the call of {tool.id}; it was not made. Do not try it again in another way."
        if decision not in ((ONCE,) if doubt else (ONCE, RUN, ALWAYS)):
            return f"the answer whether {tool.id} may be called says {decision!r:.60}, which is no decision; refused."
        if decision != ONCE:
            self._run.add(_key(tool))
            self._questions.share(_key(tool), Reply("accept", {"decision": RUN}))
        if decision == ALWAYS:
            try:
                await self._memory.keep(tool)
            except ToolweftError as error:
                logger.warning("that %s is always allowed could not be written down: %s", tool.id, error)
        return None


def _key(tool: Tool) -> str:
    return f"{tool.id} {tool.digest}"


def question(call: Call, reason: str, scrub: Callable[[Json], Json] = lambda value: value) -> str:
    """The text a person reads. Arguments come from a program: secrets masked, cut, and nothing unprintable."""
    lines = [f"A program wants to call {call.tool.id} ({reason})."]
    for name, value in list(call.arguments.items())[:SHOWN_ARGUMENTS]:
        shown = printable(json.dumps(scrub({name: value}), ensure_ascii=False)[1:-1])
        cut = len(shown) - SHOWN_CHARACTERS
        lines.append(f"  {shown}" if cut <= 0 else f"  {shown[:SHOWN_CHARACTERS]} … {cut} more characters")
    if (more := len(call.arguments) - SHOWN_ARGUMENTS) > 0:
        lines.append(f"  … and {more} more arguments")
    return "\n".join(lines) if call.arguments else f"{lines[0]} Without arguments."


def _unanswered(call: Call, reason: str, why: Unanswered, doubt: bool = False) -> str:
    if why == "nobody":
        return nobody(call, reason, doubt=doubt)
    to_go_on = remedy(call, doubt)
    if why == "late":
        return f"nobody answered in time whether {call.tool.id} may be called ({reason}); it was not called. {to_go_on}"
    return (
        f"{call.tool.id} needs a person's approval ({reason}), and this program has asked in {ROUNDS} rounds already. "
        f"Ask for more at once with parallel(). {to_go_on}"
    )
