"""What a person or a model typed -> terms to look for, and words that may be meant as the name of a tool.

A word means a tool when it looks like an identifier (`create_issue`, `github.create_issue`, `createIssue`,
`create-issue`, `base64`, anything in backquotes) or when it is all that was typed. An ordinary word of a sentence
never does, although a tool may be called `search` or `list`: those are found by their words like all others.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from toolweft_server.index import text
from toolweft_server.index.near import fold

MOST_TERMS = 256
MOST_NAMES = 16
"""Distinct terms and identifiers of one request that are looked up: bounds the cost of a pasted file."""

_LONGEST_PHRASE = 8
_CUT = re.compile(r"[\s,;!?\"'()\[\]{}<>=|\\]+")
_EDGE = ".:-/_*#@$&%~^+`"
_JOINED = re.compile(r"[^\W_][_.:/-]+[^\W_]|[a-z][A-Z]|[^\W\d_]\d|\d[^\W\d_]")
_PREFIXES = ("tools.", "functions.", "mcp__", "mcp.")
_LAST_PART = re.compile(r"^.*(?:[./:]|__)")


@dataclass(frozen=True, slots=True)
class Name:
    """One thing that may be meant as a name: its spellings, folded, most specific first."""

    keys: tuple[bytes, ...]
    certain: bool
    """Written as a name is: with `_`, in backquotes, or alone. Otherwise only a name of several parts counts, so
    that `GitHub`, `e-mail` and `v2.1` are not taken for tools `github`, `email` and `v21`."""


@dataclass(frozen=True, slots=True)
class Request:
    terms: dict[str, int]
    """Term -> how often, in the order of first use."""
    names: tuple[Name, ...]
    whole: bytes
    """All of it, folded: what `nearest` compares."""


def read(query: str) -> Request:
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
    for piece in _CUT.split(query):
        if len(names) >= MOST_NAMES:
            break
        bare = piece.strip(_EDGE)
        quoted = piece.startswith("`") and piece.endswith("`")
        if bare and (quoted or _JOINED.search(bare)):
            _keep(names, Name(_spellings(bare), certain=quoted or "_" in bare))
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
