"""Text -> terms: how tools and requests are cut into what the index counts.

The same function cuts both sides, so that whatever it does to a word it does to the word's twin. It is not a
language model: an identifier is split at case, underscore and digits, a plural and an -ing lose their ending, and
scripts written without spaces become pairs of characters. Which words weigh how much is `lexical`'s business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

from toolweft_catalog.tool import Json, Schema, Tool

VERSION = 2
"""Goes up with every change that cuts or weighs some text differently: a saved index of another version is refused."""

LONGEST_TEXT = 20_000
"""Characters of one text that are read: a request or a description beyond that adds cost and no meaning."""

_LONGEST_WORD = 64
_DEEPEST, _MOST_PARAMETERS = 3, 200

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\x00-\x7f]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_MARKS = re.compile("[\u0300-\u036f]")

_STOP_WORDS = """
a about above after again all also am an and any anything are as at be because been before being below between
both but by can cannot could did do does doing don done down during each either else ever every few for from
further had has have having he her here hers him his how however i if in into is it its itself just let ll may
me might mine more most much must my myself no nor not now of off oh ok on once only onto or other our ours out
over own per please re really s same shall she should so some something such t than thank thanks that the their
theirs them then there these they this those through thus to too under until up upon us ve very via was we were
what whatever when where whether which while who whom whose why will with within without would yes yet you your
yours yourself want need needs wanted like help able know tell give provide using use used im hi hello currently
looking interested curious planning wondering assist d m o
"""


def ascii_or_folded(text: str) -> str:
    """`text` without accents and width variants; ASCII text is returned as it is, which is nearly all text."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _MARKS.sub("", unicodedata.normalize("NFKD", text)))


def words(text: str) -> list[str]:
    """The runs of letters and digits of the readable part of `text`, case kept. Emoji and surrogates are no words."""
    return _WORD.findall(ascii_or_folded(text[:LONGEST_TEXT]))


def split(word: str) -> tuple[str, ...]:
    """The terms of one word: `createIssue` -> createissue, create, issue (each stemmed); `日本語` -> 日本, 本語."""
    word = word[:_LONGEST_WORD]
    if not word.isascii():
        return tuple(_split_unspaced(word))
    parts = _PART.findall(word)
    if len(parts) < 2:
        return (stem(word.lower()),)
    return (stem(word.lower()), *(stem(part.lower()) for part in parts))


def terms(text: str) -> list[str]:
    return [term for word in words(text) for term in split(word)]


def stem(word: str) -> str:
    """The word without a light English ending. Words of four letters or fewer, and words with digits, stay."""
    if len(word) < 5 or not word.isalpha():
        return word[:-1] if len(word) == 4 and word[-1] == "s" and word[-2] not in "sui" and word.isalpha() else word
    word = _singular(word)
    if word.endswith("ing") and len(word) > 5:
        word = _undoubled(word[:-3])
    elif word.endswith("ed") and len(word) > 5:
        word = _undoubled(word[:-2])
    return word[:-1] if word[-1] == "e" and len(word) > 4 else word


def _singular(word: str) -> str:
    if word[-1] != "s" or word[-2] in "sui":
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses", "zzes")):
        return word[:-2]
    return word[:-1]


def _undoubled(word: str) -> str:
    return word[:-1] if word[-1] == word[-2] and word[-1] not in "lsz" else word


STOP_WORDS = frozenset(stem(word) for word in _STOP_WORDS.split())
"""Stems of words that say how one asks and not what for. They count a little (`ranking.Ranking.stop_weight`)."""


def key(term: str) -> int:
    """The 64 bits that stand for a term in an index; the same everywhere."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Fields(NamedTuple):
    """The texts of one tool that are searched, each weighed by itself."""

    name: str
    server: str
    description: str
    parameters: str
    details: str
    """Descriptions and allowed values of the parameters."""
    about: str
    """What the server says about itself."""


def fields(tool: Tool) -> Fields:
    parameters = list(_parameters(tool.parameters, _DEEPEST))[:_MOST_PARAMETERS]
    return Fields(
        name=tool.name,
        server=tool.server,
        description=f"{tool.title} {tool.description}" if tool.title else tool.description,
        parameters=" ".join(name for name, _ in parameters),
        details=" ".join(text for _, text in parameters if text),
        about=tool.server_description,
    )


def _split_unspaced(word: str) -> Iterator[str]:
    at = 0
    for run in _UNSPACED.finditer(word):
        yield from _spaced(word[at : run.start()])
        characters = run.group()
        yield from (characters[i : i + 2] for i in range(max(1, len(characters) - 1)))
        at = run.end()
    yield from _spaced(word[at:])


def _spaced(word: str) -> Iterable[str]:
    return (stem(word.casefold()),) if word else ()


def _parameters(schema: Schema, depth: int) -> Iterator[tuple[str, str]]:
    """Names and texts of the properties of a schema that nobody has checked."""
    properties = schema.get("properties")
    if depth == 0 or not isinstance(properties, Mapping):
        return
    for name, below in list(properties.items())[:_MOST_PARAMETERS]:
        if not isinstance(below, Mapping):
            yield str(name), ""
            continue
        yield str(name), " ".join(_texts(below))
        items = below.get("items")
        yield from _parameters(items if isinstance(items, Mapping) else below, depth - 1)


def _texts(schema: Schema) -> Iterator[str]:
    description, allowed = schema.get("description"), schema.get("enum")
    if isinstance(description, str):
        yield description
    if isinstance(allowed, list):
        values: list[Json] = allowed[:20]
        yield from (value for value in values if isinstance(value, str))
