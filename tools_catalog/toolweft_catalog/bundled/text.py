"""Everyday work on texts: count words, compare, extract links and numbers, make slugs, fill templates."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from toolweft_catalog.ingest.python import tool

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")
_FINDABLE = {
    "email": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"),
    "url": re.compile(r"https?://[^\s<>\"'\])}]{1,2000}"),
    "number": re.compile(r"(?<![\w.])[-+]?\d{1,40}(?:\.\d{1,40})?(?![\w.]*\w)"),
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "hashtag": re.compile(r"(?<!\w)#\w{1,100}"),
}


@dataclass(frozen=True)
class Counts:
    characters: int
    words: int
    lines: int
    sentences: int


@dataclass(frozen=True)
class WordCount:
    word: str
    count: int


@dataclass(frozen=True)
class Comparison:
    similarity: float
    """1.0 for equal texts, 0.0 for texts with nothing in common."""
    diff: str
    """A unified diff of their lines; empty for equal texts."""


@tool(read_only=True, idempotent=True)
def count(text: str) -> Counts:
    """Count the characters, words, lines and sentences of a text.

    Args:
        text: The text to measure.

    """
    return Counts(
        characters=len(text),
        words=len(_WORD.findall(text)),
        lines=len(text.splitlines()),
        sentences=len(_SENTENCE_END.findall(text)) or int(bool(text.strip())),
    )


@tool(read_only=True, idempotent=True)
def frequent_words(text: str, limit: int = 10, shortest: int = 1) -> list[WordCount]:
    """List the most frequent words of a text, most frequent first, without regard to case.

    Args:
        text: The text to read.
        limit: How many words at most.
        shortest: Leave out words with fewer letters.

    """
    words = Counter(word.casefold() for word in _WORD.findall(text) if len(word) >= shortest)
    ranked = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    return [WordCount(word, n) for word, n in ranked[: max(limit, 0)]]


@tool(read_only=True, idempotent=True)
def extract(text: str, kind: Literal["email", "url", "number", "date", "hashtag"]) -> list[str]:
    """Extract all email addresses, links, numbers, ISO dates or hashtags from a text, in order, without repeats.

    Args:
        text: The text to search.
        kind: What to extract.

    """
    return list(dict.fromkeys(found.rstrip(".,;:!?") for found in _FINDABLE[kind].findall(text)))


@tool(read_only=True, idempotent=True)
def compare(before: str, after: str) -> Comparison:
    """Compare two texts line by line: how similar they are, and a unified diff.

    Args:
        before: The first text.
        after: The second text.

    """
    old, new = before.splitlines(), after.splitlines()
    lines = difflib.unified_diff(old, new, "before", "after", lineterm="")
    ratio = difflib.SequenceMatcher(None, old, new, autojunk=False).ratio() if before != after else 1.0
    return Comparison(round(ratio, 4), "\n".join(lines))


@tool(read_only=True, idempotent=True)
def slug(text: str, separator: str = "-") -> str:
    """Turn a title into a slug for file names and URLs: lower-case ASCII words joined by a separator.

    Args:
        text: The title.
        separator: What stands between the words.

    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return separator.join(word.lower() for word in re.findall(r"[A-Za-z0-9]+", plain))


@tool(read_only=True, idempotent=True)
def fill_template(template: str, values: dict[str, str | int | float]) -> str:
    """Fill the `{placeholders}` of a template with values. A placeholder without a value is an error.

    Args:
        template: Text with names in braces, such as "Dear {name}".
        values: The value of each name.

    """
    missing = sorted({name for name in re.findall(r"\{(\w+)\}", template) if name not in values})
    if missing:
        raise ValueError(f"no value for {', '.join(missing)}")
    return re.sub(r"\{(\w+)\}", lambda found: str(values[found.group(1)]), template)
