"""Direct: one model call for the whole program, where a search leaves no doubt about the tool.

That is a task of one clause, and a saved function or a tool that stands well above all others found. The model may
still say that more is needed; then the design is drawn as for any other task.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolweft_client import prompt
from toolweft_client.stages.discover import queries
from toolweft_client.stubs import SHORTER, SHORTEST, fetch, shown
from toolweft_client.work import Work

ABOVE, ABOVE_OF_FUNCTION = 2.0, 1.15
"""How many times the score of the next tool the best one must have. A saved function was made for such a task."""
LONGEST = 40
"""Words of a task that one tool may be enough for."""
_MORE = re.compile(r"^\s*#\s*more:\s*(.*)$", re.IGNORECASE | re.MULTILINE)


async def direct(work: Work) -> str | None:
    """The program; `None` where a design is due."""
    tool = obvious(work)
    if tool is None:
        return None
    work.trace.enter("direct")
    await fetch(work, [tool])
    program = await work.ask("direct", text(work, [tool]))
    if wanted := _MORE.search(program):
        work.learnt.append(f"The tool {tool} alone is not enough. What else is needed: {wanted[1].strip()[:300]}")
        return None
    return program


def obvious(work: Work) -> str | None:
    """The tool that is enough, as far as a search can tell."""
    ranked = sorted(work.tools.values(), key=lambda each: -each.score)
    if not ranked or len(work.task.split()) > LONGEST or len(queries(work.task)) > 1:
        return None
    best, *others = ranked
    above = ABOVE_OF_FUNCTION if best.origin == "library" else ABOVE
    return best.id if all(best.score >= above * other.score for other in others[:1]) and others else None


def text(work: Work, tools: Sequence[str]) -> str:
    """The prompt; what does not fit is left out in this order: the example, a long stub."""
    shorter = [{"example": ""}, {"stubs": shown(work, tools, SHORTER)}, {"stubs": shown(work, tools, SHORTEST)}]
    return prompt.fit(
        "direct", work.budget.implement_tokens, shorter, stubs=shown(work, tools), task=work.task.strip(),
        example=prompt.source("direct_example").strip(),
    )  # fmt: skip
