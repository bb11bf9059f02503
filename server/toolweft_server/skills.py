"""Reusable functions as Agent Skills over MCP: the extension `io.modelcontextprotocol/skills` (SEP-2640).

Each function that is offered is a skill of three files, the same as `toolweft functions export` writes: `SKILL.md`,
`functions.py` and `function.json`, read as resources below `skill://NAME/`. An entry has the front matter and, of each
file, size and digest, so that a host can tell whether what it reads is what was listed. Of functions whose names differ
in nothing that a skill's name may hold (`a_b`, `a__b`), the first one is shown.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import mcp_types as types

from toolweft_catalog.wire import FunctionCard, Wire

EXTENSION = "io.modelcontextprotocol/skills"
LIST, GET = "skills/list", "skills/get"
SCHEME = "skill://"
PAGE = 50
"""Skills in one page of the list: an entry takes about 600 characters."""

_MIME = {"SKILL.md": "text/markdown", "functions.py": "text/x-python", "function.json": "application/json"}
_FILE = re.compile(re.escape(SCHEME) + r"([a-z0-9-]+)/([A-Za-z.]+)")


class GetParams(types.RequestParams):
    uri: str


class SkillFile(Wire):
    uri: str
    digest: str
    """`sha256:` and 64 hexadecimal digits, over the bytes of the file."""
    size: int
    """Bytes."""


class Skill(Wire):
    uri: str
    """Where its `SKILL.md` is read."""
    frontmatter: dict[str, str]
    resources: list[SkillFile]
    """All of its files, `SKILL.md` among them."""


class Listed(types.PaginatedResult, types.CacheableResult):
    skills: list[Skill]


class Got(types.CacheableResult):
    skill: Skill


class File(NamedTuple):
    mime: str
    text: str


def titled(cards: Sequence[FunctionCard]) -> dict[str, FunctionCard]:
    """The functions by the names that they have as skills."""
    from toolweft_server.library.share import title  # reading code takes modules that no handshake needs

    found: dict[str, FunctionCard] = {}
    for card in cards:
        found.setdefault(title(card.name), card)
    return found


def entry(title: str, card: FunctionCard) -> Skill:
    """How a function is listed. Takes as long as parsing it."""
    from toolweft_server.library.share import front_matter

    resources = [_listed(f"{SCHEME}{title}/{name}", text) for name, text in _files(card).items()]
    return Skill(uri=resources[0].uri, frontmatter=front_matter(card), resources=resources)


def named(uri: str, cards: Sequence[FunctionCard]) -> Skill | None:
    """The entry of the skill whose `SKILL.md` is at `uri`."""
    match = _FILE.fullmatch(uri)
    card = titled(cards).get(match[1]) if match and match[2] == "SKILL.md" else None
    return entry(match[1], card) if match and card else None


def file(uri: str, cards: Sequence[FunctionCard]) -> File | None:
    """One file of a skill."""
    match = _FILE.fullmatch(uri)
    if match is None or match[2] not in _MIME or (card := titled(cards).get(match[1])) is None:
        return None
    return File(_MIME[match[2]], _files(card)[match[2]])


def _files(card: FunctionCard) -> Mapping[str, str]:
    """Name -> text, `SKILL.md` first. Without whose program it came from, and what they wanted."""
    from toolweft_server.library.share import CODE, FACTS, SKILL, facts, skill

    return {
        SKILL: skill(card, where="In `execute_code` of this server"),
        CODE: card.source,
        FACTS: json.dumps(facts(card), indent=2) + "\n",
    }


def _listed(uri: str, text: str) -> SkillFile:
    data = text.encode("utf-8")
    return SkillFile(uri=uri, digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))
