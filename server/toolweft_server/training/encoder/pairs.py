"""What an encoder is trained on: catalogues with requests whose right tools are known, and requests made of documents.

Nothing here reads files; who has data makes a `Corpus` of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from toolweft_catalog.tool import Tool
from toolweft_server.index import text
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven.document import Parts, join, parts, spoken

MINED, SKIPPED = 24, 2
"""How deep hard negatives are looked for, and how many of the first are left out: the likeliest to be right as well."""


class Request(NamedTuple):
    text: str
    gold: tuple[int, ...]
    """Rows of the right tools, all of them."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """One catalogue and its requests."""

    name: str
    tools: Sequence[Tool]
    group: Sequence[int]
    """For each tool the number of its group: tools of one group have the same name and text, and are equally right."""
    requests: Sequence[Request]
    epochs: float
    """How often its requests are gone through."""
    most: int = 48
    """Requests of one server in an epoch: the large ones do not drown the others."""
    clump: int = 4
    """Requests of one server that stay together in a batch; 1 where a server is one tool."""
    hard: tuple[tuple[int, ...], ...] = ()
    """For each request rows of tools that look right and are not; may be empty."""
    complete: bool = False
    """Whether every tool that is not named as right is wrong: then the nearest of them are negatives too."""


def mined(corpus: Corpus) -> tuple[tuple[int, ...], ...]:
    """Hard negatives of each request: lexical neighbours that are neither right nor namesakes of a right tool."""
    index = LexicalIndex.build(corpus.tools)
    rows = {tool.id: row for row, tool in enumerate(corpus.tools)}
    names = [spoken(tool.name) for tool in corpus.tools]
    found = []
    for request in corpus.requests:
        right = {corpus.group[row] for row in request.gold}
        namesakes = {names[row] for row in request.gold}
        near = [rows[hit.tool] for hit in index.search(request.text, MINED).hits][SKIPPED:]
        found.append(tuple(row for row in near if corpus.group[row] not in right and names[row] not in namesakes))
    return tuple(found)


def pseudo(tools: Sequence[Tool]) -> list[Request]:
    """A request for each tool that describes itself: the first sentence of its description, as one would type it.

    Its document must then hide the description, or there is nothing to learn (`views`).
    """
    requests = []
    for row, tool in enumerate(tools):
        first = re.split(r"(?<=[.!?])\s|\n", tool.description.strip(), maxsplit=1)[0].rstrip(".!? ")
        if 3 <= len(first.split()) <= 24:
            requests.append(Request(first[:1].lower() + first[1:], (row,)))
    return requests


def view(tool: Tool, random: np.random.Generator, *, hidden: bool = False) -> str:
    """The document of a tool with parts hidden at random; with `hidden`, always its description."""
    whole = parts(tool)
    server = "" if random.random() < 0.25 else whole.server
    name = "" if whole.description and not hidden and random.random() < 0.08 else whole.name
    parameters = "" if random.random() < 0.4 else whole.parameters
    description = "" if hidden or random.random() < 0.06 else whole.description
    return join(Parts(server, name, description, parameters)) or join(whole)


def lowered(request: str, random: np.random.Generator) -> str:
    """A request as somebody in a hurry types it, once in a while."""
    return " ".join(text.words(request)).lower() if random.random() < 0.1 else request
