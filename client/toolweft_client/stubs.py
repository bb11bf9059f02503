"""Full stubs of tools, for prompts: fetched once, and again after a call, when the server knows what came back.

A tool may be gone by then: a server has taken it away or renamed it. What a search for its description brings takes its
place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toolweft_catalog.wire import FoundTool
from toolweft_client import prompt
from toolweft_client.dialect import is_text
from toolweft_client.work import Work

MOST = 12
INSTEAD = 3
"""Tools that are shown in place of one that is gone."""
LONGEST = 4_000
SHORTER = 1_200
SHORTEST = 400
"""Characters of one stub; the last two are for prompts that would be too long."""


async def fetch(work: Work, tools: Sequence[str]) -> None:
    for tool in tools[:MOST]:
        if tool not in work.tools or tool in work.stubs:
            continue
        if stub := await work.stub(tool, stage="implement"):
            work.stubs[tool] = stub
        else:
            await _replace(work, tool)


async def _replace(work: Work, tool: str) -> None:
    lost = work.tools.pop(tool)
    found = await work.find(lost.summary or tool, limit=INSTEAD, stage="implement")
    work.know(found.tools)
    work.near[tool] = tuple(each.id for each in found.tools)
    for each in work.near[tool]:
        work.stubs[each] = await work.stub(each, stage="implement")


def gone(work: Work, tools: Iterable[str]) -> str:
    """What is to be said of those among `tools` that are there no more; empty when all are."""
    lost = [tool for tool in dict.fromkeys(tools) if tool not in work.tools and work.near.get(tool)]
    return "\n".join(f"- there is no tool {tool} any more; nearest: {', '.join(work.near[tool])}" for tool in lost)


def forget(work: Work, tools: Iterable[str]) -> None:
    """After a call: its stub may show more by now."""
    for tool in tools:
        work.stubs.pop(tool, None)


def shown(work: Work, tools: Sequence[str], limit: int = LONGEST) -> str:
    """What `fetch` has brought, fenced as data. A stub is named by its last part alone: above it stands the form that
    works in a program. Texts of a server that describes no tools are shown as they are, all of them where none of the
    tools is known.
    """
    tools = [each for tool in tools for each in ((tool,) if tool in work.tools else work.near.get(tool, ()))]
    texts = [name for name, tool in work.tools.items() if is_text(tool)]
    known = [tool for tool in dict.fromkeys(tools) if tool in work.stubs and tool in work.tools]
    wanted = [_shown(work.tools[tool], work.stubs.get(tool, ""), limit) for tool in known or texts]
    return prompt.data("find_tools", "\n\n".join(wanted) or "(no tool is called)", limit=60_000)


def _shown(tool: FoundTool, stub: str, limit: int) -> str:
    if is_text(tool):
        return prompt.cut(tool.call, limit)
    return f"# call: {tool.call.partition('(')[0]}(...)\n{prompt.cut(stub, limit)}"
