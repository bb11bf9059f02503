"""The text of a tool that the encoder reads, in training and at run time alike.

One text and one vector a tool: `server: name. description Parameters: names`, identifiers written as words. What a
tool does not have is left out. Training hides parts of it at random (`training.encoder.views`), so that no part has to
be there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from toolweft_catalog.tool import Tool
from toolweft_server.index import text

VERSION = 1
"""Goes up with every change that gives some tool another text: vectors of another version are not used."""

LONGEST = 700
"""Characters of one document: about what 128 tokens hold."""

_MOST_PARAMETERS = 16
_IDENTIFIER = 200
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W_A-Za-z\d]+")


class Parts(NamedTuple):
    """What a document is made of; an empty text is a part that the tool does not have."""

    server: str
    name: str
    description: str
    parameters: str


def text_of(tool: Tool) -> str:
    """The document of a tool; empty when it says nothing about itself."""
    return join(parts(tool))


def parts(tool: Tool) -> Parts:
    fields = text.fields(tool)
    names = fields.parameters.split()[:_MOST_PARAMETERS]
    return Parts(
        server=spoken(fields.server),
        name=spoken(fields.name),
        description=" ".join(fields.description[:LONGEST].split()),
        parameters=", ".join(filter(None, map(spoken, names))),
    )


def join(each: Parts) -> str:
    head = ": ".join(filter(None, (each.server, each.name)))
    body = ". ".join(filter(None, (head, each.description)))
    return (f"{body} Parameters: {each.parameters}" if each.parameters else body)[:LONGEST]


def spoken(identifier: str) -> str:
    """An identifier as words: `createIssue` and `create_issue` -> `create issue`."""
    return " ".join(_PART.findall(identifier[:_IDENTIFIER])).lower()
