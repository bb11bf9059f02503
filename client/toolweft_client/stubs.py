"""Full stubs of tools, for prompts: fetched once, and again after a call, when the server knows what came back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toolweft_catalog.wire import FoundTool
from toolweft_client import prompt
from toolweft_client.dialect import is_text
from toolweft_client.work import Work

MOST = 12
LONGEST = 4_000
SHORTER = 1_200
SHORTEST = 400
"""Characters of one stub; the last two are for prompts that would be too long."""


async def fetch(work: Work, tools: Sequence[str]) -> None:
    for tool in tools[:MOST]:
        if tool in work.tools and tool not in work.stubs:
            work.stubs[tool] = await work.stub(tool, stage="implement")


def forget(work: Work, tools: Iterable[str]) -> None:
    """After a call: its stub may show more by now."""
    for tool in tools:
        work.stubs.pop(tool, None)


def shown(work: Work, tools: Sequence[str], limit: int = LONGEST) -> str:
    """What `fetch` has brought, fenced as data. A stub is named by its last part alone: above it stands the form that
    works in a program. Texts of a server that describes no tools are shown as they are, all of them where none of the
    tools is known.
    """
    texts = [name for name, tool in work.tools.items() if is_text(tool)]
    known = [tool for tool in tools if tool in work.stubs]
    wanted = [_shown(work.tools[tool], work.stubs.get(tool, ""), limit) for tool in known or texts]
    return prompt.data("find_tools", "\n\n".join(wanted) or "(no tool is called)", limit=60_000)


def _shown(tool: FoundTool, stub: str, limit: int) -> str:
    if is_text(tool):
        return prompt.cut(tool.call, limit)
    return f"# call: {tool.call.partition('(')[0]}(...)\n{prompt.cut(stub, limit)}"
