"""Texts -> token ids as BERT does it, from a `tokenizer.json` as the library `tokenizers` writes it.

The algorithm is the one published with BERT (Devlin et al. 2018): texts are cleaned, lower-cased and cut at spaces and
punctuation; of each word the longest known beginning is taken, again and again. The library itself would bring 36 MB
and the client of a model hub to a server that fetches nothing; tests compare with it. In one thing this differs on
purpose: a mark like `[SEP]` that somebody wrote is text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

_ASCII = re.compile(r"[0-9A-Za-z]+|[^\s0-9A-Za-z]")
_CONTROLS = {code: None for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
_REPLACED = "\ufffd"
_IDEOGRAPHS = (
    range(0x4E00, 0xA000),
    range(0x3400, 0x4DC0),
    range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2B740),
    range(0x2B740, 0x2B820),
    range(0x2B920, 0x2CEB0),
    range(0xF900, 0xFB00),
    range(0x2F800, 0x2FA20),
)
"""Characters that are words by themselves: BERT's list."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """Threads may share it."""

    vocabulary: Mapping[str, int]
    unknown: int
    before: tuple[int, ...]
    """Marks in front of each text."""
    after: tuple[int, ...]
    continuing: str
    """What a piece that does not begin a word begins with, as it stands in the vocabulary."""
    most_characters: int
    """A longer word is unknown."""
    longest_piece: int
    lower: bool
    accents: bool
    """Whether accents stay."""
    ideographs: bool
    """Whether those are words by themselves."""

    @classmethod
    def parse(cls, content: bytes) -> WordPiece:
        """From the content of a `tokenizer.json`.

        Raises:
            ValueError: Another kind of tokenizer, or no tokenizer.

        """
        try:
            return _parsed(json.loads(content))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it does not say what it must: {type(error).__name__}: {error}") from None

    def ids(self, text: str, longest: int) -> list[int]:
        """At most `longest` ids, marks included."""
        room = max(longest - len(self.before) - len(self.after), 0)
        found = islice((piece for word in self._words(text) for piece in self._pieces(word)), room)
        return [*self.before, *found, *self.after]

    def _words(self, text: str) -> Iterator[str]:
        if text.isascii():
            text = text.translate(_CONTROLS)
            return (each.group() for each in _ASCII.finditer(text.lower() if self.lower else text))
        text = "".join(map(_cleaned, text))
        if self.ideographs:
            text = "".join(f" {each} " if _is_ideograph(each) else each for each in text)
        if not self.accents:
            # Before, too: long runs of accents take `normalize` time that grows with their square.
            text = _without_accents(unicodedata.normalize("NFD", _without_accents(text)))
        if self.lower:
            text = "".join(map(str.lower, text))  # one by one: in a word, a Greek sigma has two forms
        return iter("".join(f" {each} " if _is_punctuation(each) else each for each in text).split())

    def _pieces(self, word: str) -> list[int]:
        """The longest known piece each time; one unknown token for a word that they do not make up."""
        if len(word) > self.most_characters:
            return [self.unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            begin = self.continuing if start else ""
            for end in range(min(len(word), start + self.longest_piece), start, -1):
                piece = self.vocabulary.get(begin + word[start:end])
                if piece is not None:
                    break
            else:
                return [self.unknown]
            found.append(piece)
            start = end
        return found


def _parsed(read: Mapping[str, Any]) -> WordPiece:
    model, normalizer = _of(read, "model", "WordPiece"), _of(read, "normalizer", "BertNormalizer")
    _of(read, "pre_tokenizer", "BertPreTokenizer")
    if not normalizer["clean_text"]:
        raise ValueError("it does not clean texts")
    if own := [each["content"] for each in read["added_tokens"] if not each["special"]]:
        raise ValueError(f"it has tokens beside its vocabulary: {', '.join(map(repr, own[:3]))}")
    marked = read["post_processor"] is not None
    before, after = _marks(_of(read, "post_processor", "TemplateProcessing")) if marked else ((), ())
    vocabulary = {str(piece): int(number) for piece, number in model["vocab"].items()}
    accents = normalizer["strip_accents"]
    lower = bool(normalizer["lowercase"])
    return WordPiece(
        vocabulary,
        vocabulary[model["unk_token"]],
        before,
        after,
        str(model["continuing_subword_prefix"]),
        int(model["max_input_chars_per_word"]),
        max(map(len, vocabulary)),
        lower,
        not (lower if accents is None else accents),
        bool(normalizer["handle_chinese_chars"]),
    )


def _of(read: Mapping[str, Any], part: str, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = read[part] or {"type": None}
    if found["type"] != kind:
        raise ValueError(f"its {part} is {found['type']}, and must be {kind}")
    return found


def _marks(template: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids before and after a text."""
    sides: tuple[list[int], list[int]] = ([], [])
    passed = 0
    for each in template["single"]:
        if "Sequence" in each:
            passed = 1
        else:
            sides[passed].extend(map(int, template["special_tokens"][each["SpecialToken"]["id"]]["ids"]))
    return tuple(sides[0]), tuple(sides[1])


def _without_accents(text: str) -> str:
    return "".join(each for each in text if unicodedata.category(each) != "Mn")


@lru_cache(4096)
def _cleaned(character: str) -> str:
    """Nothing for what does not show, a space for every kind of it."""
    if character in "\t\n\r":
        return " "
    if character == _REPLACED or unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs"):
        return ""
    return " " if character.isspace() else character


@lru_cache(4096)
def _is_ideograph(character: str) -> bool:
    return any(ord(character) in each for each in _IDEOGRAPHS)


@lru_cache(4096)
def _is_punctuation(character: str) -> bool:
    """Of ASCII also what Unicode calls a symbol."""
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    return unicodedata.category(character).startswith("P")
