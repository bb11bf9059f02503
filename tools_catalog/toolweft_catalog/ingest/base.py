"""What every ingest format gives back, and the last step that they share.

A format is one file here: `mcp`, `openapi`, `python`, `toolbench`. It turns a document that somebody else fetched
into tools, does no I/O, and raises `ValueError` only when the document as a whole is not of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from toolweft_catalog import names
from toolweft_catalog.tool import Tool

DESCRIPTION_LIMIT = 20_000
"""Characters of a description that are kept: more than the longest honest one seen, less than hurts an index."""


class Ingested(NamedTuple):
    """The tools of a document. Their ids are unique in it and provisional: the store gives the stable ones."""

    tools: list[Tool]
    problems: list[str]
    """One sentence for each entry that was mended or dropped, naming it."""


def text(value: object) -> str:
    """A text from a stranger: nothing when it is none, cut when it is endless."""
    if not isinstance(value, str):
        return ""
    return value if len(value) <= DESCRIPTION_LIMIT else value[: DESCRIPTION_LIMIT - 1] + "…"


def numbered(drafts: Iterable[Tool], problems: list[str]) -> Ingested:
    """Gives ids. A second tool of the same server and name is dropped, silently if it says the same as the first."""
    unique: dict[tuple[str, str], Tool] = {}
    for draft in drafts:
        first = unique.setdefault((draft.server, draft.name), draft)
        if first is not draft and first.digest != draft.digest:
            problems.append(f"{draft.name!r:.200}: a second tool of this name is left out; names must differ")
    ids = names.assign(unique, {})
    return Ingested([replace(draft, id=ids[pair]) for pair, draft in unique.items()], problems)
