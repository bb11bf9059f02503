"""Discover: which tools could help. The task itself and up to two of its clauses are the queries; no model is asked.

A task names things, and tools ask for their ids. So the kinds of ids that the found tools need are looked up, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from toolweft_catalog.wire import FoundTool, FoundTools
from toolweft_client import prompt
from toolweft_client.signature import of_line
from toolweft_client.work import Work

MOST_TOOLS = 12
MOST_FUNCTIONS = 4
"""Saved functions among them: routing gets worse with every further one."""
PER_QUERY = 10
MOST_KINDS, PER_KIND = 3, 3
"""Kinds of ids for which a tool that finds them is looked for, and what such a search brings."""
LONGEST_QUERY = 500

_ID = re.compile(r"(?:_id|Id|ID)s?$")
_HUMP = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
_CLAUSE = re.compile(
    r"[.;!?:\n]+(?:\s|$)|,\s+(?:and|then)\s+|\b(?:and then|then|after that|afterwards)\b", re.IGNORECASE
)
STALE = " is stale ("
OUTDATED = "A saved function fits and is out of date. Where you would have used it, write it anew under its name:"
_NOISE = re.compile(r"https?://\S+|\"[^\"]{30,}\"|`[^`]{30,}`")
"""Long literals say nothing about the tool that is wanted, and a search by words would follow them."""


async def discover(work: Work) -> None:
    """Fills `work.tools` with the best of all queries, taken in turns so that each clause has its say."""
    work.trace.enter("discover")
    answers: list[FoundTools] = []
    for query in queries(work.task):
        found = await work.find(query, limit=PER_QUERY, stage="discover")
        answers.append(found)
        if found.note and found.note not in work.notes:
            work.notes.append(found.note)
            if STALE in found.note:
                work.learnt.append(f"{OUTDATED}\n{prompt.data('find_tools', found.note)}")
    tools = merge(answers)
    for kind in kinds(tools)[:MOST_KINDS]:
        found = await work.find(f"search {kind} by name", limit=PER_KIND, stage="discover")
        tools += [each for each in found.tools if each.origin != "library" and not _ids(each)][:1]
    work.know(tools)


def queries(task: str) -> list[str]:
    """The whole task, and its two longest clauses when it has several."""
    whole = " ".join(_NOISE.sub(" ", task).split())[:LONGEST_QUERY] or task.strip()[:LONGEST_QUERY]
    clauses = [
        clause for part in _CLAUSE.split(_NOISE.sub(" ", task)) if len((clause := " ".join(part.split())).split()) >= 3
    ]
    if len(clauses) < 2:
        return [whole]
    longest = sorted(clauses, key=len, reverse=True)[:2]
    return [whole, *(clause[:LONGEST_QUERY] for clause in clauses if clause in longest)][:3]


def kinds(tools: Iterable[FoundTool]) -> Sequence[str]:
    """Of what the tools need an id, in words, what most of them need first."""
    return [kind for kind, _ in Counter(kind for tool in tools for kind in _ids(tool)).most_common()]


def _ids(tool: FoundTool) -> list[str]:
    """`user playlist` for an argument `user_playlist_id` or `userPlaylistId` that has to be given."""
    known = of_line(tool.call)
    needed = [name for name in known.names if name in known.required and _ID.search(name)] if known else []
    return [" ".join(_HUMP.split(_ID.sub("", name))).lower() for name in needed]


def merge(answers: Iterable[FoundTools]) -> list[FoundTool]:
    chosen: dict[str, FoundTool] = {}
    functions = 0
    for rank in zip_longest(*(answer.tools for answer in answers)):
        for tool in rank:
            if tool is None or tool.id in chosen or len(chosen) >= MOST_TOOLS:
                continue
            if tool.origin == "library":
                if functions >= MOST_FUNCTIONS:
                    continue
                functions += 1
            chosen[tool.id] = tool
    return list(chosen.values())
