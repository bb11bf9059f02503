"""Discover: which tools could help. The task itself and up to two of its clauses are the queries; no model is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from toolweft_catalog.wire import FoundTool, FoundTools
from toolweft_client.work import Work

MOST_TOOLS = 12
MOST_FUNCTIONS = 4
"""Saved functions among them: routing gets worse with every further one."""
PER_QUERY = 8
LONGEST_QUERY = 500

_CLAUSE = re.compile(
    r"[.;!?:\n]+(?:\s|$)|,\s+(?:and|then)\s+|\b(?:and then|then|after that|afterwards)\b", re.IGNORECASE
)
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
    work.know(merge(answers))


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
