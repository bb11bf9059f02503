"""`find_tools`: the person's words in, Python stubs out, within a token budget that never drops the only match."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from toolweft_catalog import signature
from toolweft_catalog.names import RESERVED
from toolweft_catalog.shape import Shape
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import Decision, FoundTool, FoundTools, IndexName
from toolweft_server.index.base import Hit, Matches

SIGNATURE_BUDGET = 1_100
"""Characters of stubs. English and Python run at 3.3 to 3.8 a token (o200k_base); with the names that follow, an answer
stays at about 400 tokens at most. What is not ASCII counts three times: such characters are often a token each."""
FULL_BUDGET = 8_000
"""`detail="full"` is asked for a few chosen tools, so whole schemas may take about 2,400 tokens."""
ALSO, ALSO_BUDGET = 8, 250
"""Names listed of matches that did not fit or were not asked for, and the characters they may take."""
NAMED = 3
"""Saved functions asked for by name that are looked after in one request."""
_FUNCTION = re.compile(r"functions\.(\w{1,64})")
STRUCTURED_CALL, SHOWN_CALL = 300, 240
"""Characters of `call` in the structured answer, and of a line in the text beside it."""


class Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    query: str = Field(max_length=20_000)
    limit: int = Field(default=5, ge=1, le=50)
    server: str | None = None
    detail: Literal["signature", "full"] = "signature"


class Searched(NamedTuple):
    """What a search brought."""

    matches: Matches
    tools: Sequence[Tool]
    """The whole tools of the first hits; one may have gone since."""
    shapes: Mapping[str, Shape]
    """Observed result shapes of these tools by their digest."""


class Finding(Protocol):
    """What this tool needs from the running server."""

    index_name: IndexName

    async def search(self, query: str, limit: int, *, more: int, server: str | None) -> Searched:
        """At most `limit` whole tools; `more` further hits are only named."""
        ...

    def judge(self, tool: Tool) -> Decision:
        """What the policy says of calls of it."""
        ...

    def size(self) -> int: ...

    def servers(self) -> Sequence[str]: ...

    async def settled(self) -> str | None:
        """Waits, briefly, for tools still being read; a sentence names the servers that are not read yet."""
        ...

    def demanded(self, query: str) -> Sequence[str]:
        """Stale saved functions that the request is about."""
        ...

    async def revived(self, names: Sequence[str]) -> str | None:
        """Verifies anew, briefly, those of these saved functions that are stale; a sentence on any that remain so."""
        ...

    def asked(self, query: str, shown: Sequence[str]) -> None:
        """Notes the request for later learning."""
        ...


class Answer(NamedTuple):
    found: FoundTools
    text: str


async def find_tools(arguments: Arguments, server: Finding) -> Answer:
    """Answers one request. Never empty-handed: without a match it says so and names the nearest tools."""
    note = await server.settled()
    scope, complaint = _scope(arguments.server, server.servers())
    if complaint:
        note = f"{complaint} {note or ''}".strip()
    named = _functions(arguments.query) or server.demanded(arguments.query)
    if named and (stale := await server.revived(named)):
        note = f"{stale} {note or ''}".strip()
    matches, tools, shapes = await server.search(arguments.query, arguments.limit, more=ALSO, server=scope)
    present = {tool.id for tool in tools}
    hits = [hit for hit in matches.hits[: arguments.limit] if hit.tool in present]
    more = matches.hits[arguments.limit :]
    if not hits:
        note = f"{_nothing(arguments.query, matches, server.size())} {note or ''}".strip()
    calls = {tool.id: _call(tool, shapes, STRUCTURED_CALL) for tool in tools}
    shown, blocks = _fit(tools, shapes, calls, detail=arguments.detail)
    also = _names([hit.tool for hit in (*hits[shown:], *more)] or matches.nearest)
    found = FoundTools(
        tools=[_entry(hit, tool, calls[tool.id], server.judge(tool)) for hit, tool in zip(hits, tools, strict=True)],
        also=also,
        total=matches.total,
        catalogue=server.size(),
        index=server.index_name,
        note=note,
    )
    server.asked(arguments.query, [tool.id for tool in tools])
    return Answer(found, _text(blocks, found, shown))


def call_name(tool_id: str) -> str:
    """The form that works in a program: bare where the server's name shadows nothing, else under `tools`."""
    server = tool_id.split(".", 1)[0]
    if server == "functions":
        return tool_id
    taken = (
        keyword.iskeyword(server)
        or server in RESERVED
        or hasattr(builtins, server)
        or server in sys.stdlib_module_names
    )
    return f"tools.{tool_id}" if taken else tool_id


def _functions(query: str) -> list[str]:
    """The saved functions that a request names, when it does nothing else; a few."""
    words = query.replace(",", " ").split()
    found = [match[1] for each in words if (match := _FUNCTION.fullmatch(each))]
    return list(dict.fromkeys(found))[:NAMED] if len(found) == len(words) else []


def _scope(wanted: str | None, servers: Sequence[str]) -> tuple[str | None, str | None]:
    """The server's identifier for the name the model used; a sentence when there is none of that name."""
    if not wanted:
        return None, None
    from toolweft_catalog.names import identifier

    folded = {each.lower(): each for each in servers}
    found = folded.get(wanted.lower()) or folded.get(identifier(wanted).lower())
    if found:
        return found, None
    import difflib

    near = difflib.get_close_matches(wanted.lower(), list(folded), n=3) or list(folded)[:3]
    return None, f"There is no server {wanted[:60]!r} (nearest: {', '.join(folded[n] for n in near)}); searched all."


def _nothing(query: str, matches: Matches, size: int) -> str:
    if not query.strip():
        return "The query is empty: say what the tool should do, or its name."
    nearest = f" Nearest names: {', '.join(matches.nearest[:5])}." if matches.nearest else ""
    return f"No tool among {size} matches {' '.join(query.split())[:80]!r}.{nearest}"


def _names(ids: Sequence[str]) -> list[str]:
    """As many names as may be listed; always one, if there is one."""
    left = ALSO_BUDGET
    shown: list[str] = []
    for each in ids[:ALSO]:
        left -= len(each) + 2
        if left < 0 and shown:
            break
        shown.append(each)
    return shown


def _call(tool: Tool, shapes: Mapping[str, Shape], limit: int) -> str:
    return signature.call_line(tool, call_name=call_name(tool.id), shape=shapes.get(tool.digest), limit=limit)


def _entry(hit: Hit, tool: Tool, call: str, decision: Decision) -> FoundTool:
    return FoundTool(
        id=tool.id, call=call, summary=tool.summary, origin=tool.origin, score=round(hit.score, 3), why=list(hit.why),
        effect=tool.annotations.effect, policy=decision,
    )  # fmt: skip


def _fit(
    tools: Sequence[Tool],
    shapes: Mapping[str, Shape],
    calls: Mapping[str, str],
    *,
    detail: Literal["signature", "full"],
) -> tuple[int, list[str]]:
    """Blocks of text for as many tools as fit; the first always does, cut if it must be."""
    budget = SIGNATURE_BUDGET if detail == "signature" else FULL_BUDGET
    blocks: list[str] = []
    for tool in tools:
        block = _full(tool, shapes) if detail == "full" else _short(tool, shapes, calls[tool.id])
        if cost(block) > budget:
            if blocks:
                break
            block = block[: budget * len(block) // cost(block) - 1] + "…"
        blocks.append(block)
        budget -= cost(block) + 1
    return len(blocks), blocks


def cost(text: str) -> int:
    """What a text takes of a budget: its characters, those beyond ASCII three times."""
    return len(text) if text.isascii() else sum(1 if c.isascii() else 3 for c in text)


def _full(tool: Tool, shapes: Mapping[str, Shape]) -> str:
    return signature.stub(tool, detail="full", call_name=call_name(tool.id), shape=shapes.get(tool.digest))


def _short(tool: Tool, shapes: Mapping[str, Shape], call: str) -> str:
    if len(call) > SHOWN_CALL:
        call = _call(tool, shapes, SHOWN_CALL)
    return f"{call}\n    {tool.summary}".rstrip()


def _text(blocks: Sequence[str], found: FoundTools, shown: int) -> str:
    parts = [found.note] if found.note else []
    if shown:
        parts.append(f"{shown} of {found.total} matches among {found.catalogue} tools:")
    parts += blocks
    if found.also:
        parts.append(("Also: " if shown else "Nearest: ") + ", ".join(found.also))
    return "\n".join(parts)
