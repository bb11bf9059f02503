"""What a person or a model typed -> terms to look for, and words that may be meant as the name of a tool.

A word means a tool when it is written as a name (`create_issue`, `github.create_issue`, `search(`, anything in
backquotes) or when it is all that was typed. `createIssue`, `create-issue` and `base64` may be names or may not
(`YouTube`, `e-mail`, `md5`): `lexical` decides by what the catalogue says. An ordinary word of a sentence never is
one, although a tool may be called `search` or `list`: those are found by their words like all others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from toolweft_server.index import text
from toolweft_server.index.near import fold

MOST_TERMS = 256
MOST_NAMES = 16
"""Distinct terms and identifiers of one request that are looked up: bounds the cost of a pasted file."""

_LONGEST_PHRASE = 8
_PIECE = re.compile(r"(?P<bare>[^\s,;!?\"'()\[\]{}<>=|\\]+)(?P<call>\((?!s\)))?")
_EDGE = ".:-/_*#@$&%~^+`"
_JOINED = re.compile(r"[^\W_][_.:/-]+[^\W_]|[a-z][A-Z]|[^\W\d_]\d|\d[^\W\d_]")
_PREFIXES = ("tools.", "functions.", "mcp__", "mcp.")
_LAST_PART = re.compile(r"^.*(?:[./:]|__)")


@dataclass(frozen=True, slots=True)
class Name:
    """One thing that may be meant as a name: its spellings, folded, most specific first."""

    keys: tuple[bytes, ...]
    certain: bool
    """Written as a name is: with `_`, in backquotes, as a call, or alone."""
    word: str | None = None
    """The term it is, when it is one run of letters and digits (`createIssue`, `md5`, `YouTube`): common terms are
    words of the trade and no names."""


@dataclass(frozen=True, slots=True)
class Request:
    terms: Mapping[str, int]
    """Term -> how often, in the order of first use."""
    names: tuple[Name, ...]
    whole: bytes
    """All of it, folded: what `nearest` compares."""


@lru_cache(4)
def read(query: str) -> Request:
    """A search reads its request in more places than one."""
    query = query[: text.LONGEST_TEXT]
    raw = text.words(query)
    counted: Counter[str] = Counter()
    for word in raw:
        counted.update(text.split(word))
        if len(counted) >= MOST_TERMS:
            break
    names: dict[tuple[bytes, ...], Name] = {}
    if 0 < len(raw) <= _LONGEST_PHRASE:
        _keep(names, Name(_spellings(query.strip(), phrase=True), certain=True))
    for piece in _PIECE.finditer(query):
        if len(names) >= MOST_NAMES:
            break
        bare = piece["bare"].strip(_EDGE)
        certain = "_" in bare or bool(piece["call"]) or piece["bare"][:1] == piece["bare"][-1:] == "`"
        if bare and (certain or _JOINED.search(bare)):
            _keep(names, Name(_spellings(bare), certain, text.stem(bare.lower()) if bare.isalnum() else None))
    return Request(dict(counted), tuple(names.values()), fold(query))


def _keep(names: dict[tuple[bytes, ...], Name], name: Name) -> None:
    if name.keys:
        names.setdefault(name.keys, name)


def _spellings(word: str, *, phrase: bool = False) -> tuple[bytes, ...]:
    """`tools.github.create_issue` -> that, without `tools.`, and the part after the last dot."""
    found = [word]
    found += [word[len(prefix) :] for prefix in _PREFIXES if word.startswith(prefix)]
    if not phrase and (last := _LAST_PART.sub("", word)) and len(last) > 2:
        found.append(last)
    return tuple(dict.fromkeys(key for each in found if (key := fold(each))))
