"""Code tokens: how a tool's code is spelled, and how a tokenizer and a causal model learn to spell it.

A code is one digit a level, `<a_10><b_45>`: a letter for the level and the digit, each one token. Tools whose content
is the same share their digits and are told apart by a last `<z_1>`. The tokens are ordinary ones, not special ones,
so that decoding text keeps them. The spelling itself is `index.woven.code`'s; what their embedding rows begin with is
`rows`' business.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tokenizers import AddedToken
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from toolweft_server.index.woven.code import LEVELS, SUFFIX, parse, spell, token
from toolweft_server.training.align import lm
from toolweft_server.training.errors import TrainingError

_TOKEN = re.compile(r"<([a-z])_(\d{1,9})>")
_RUN = re.compile(r"(?:<[a-z]_\d{1,9}>)+")


class Code(NamedTuple):
    """Where a tool stands in the hierarchy."""

    digits: tuple[int, ...]
    """(L,) one a level, coarse to fine."""
    suffix: int = 0
    """Tells tools of the same digits apart: 1, 2, …; 0, which is not spelled, where there is nothing to tell apart."""


class Part(NamedTuple):
    """A stretch of a text: a run of code tokens, or what stands between two of them."""

    text: str
    coded: bool


@dataclass(frozen=True, slots=True)
class CodeSpace:
    """Which codes there are.

    Raises:
        TrainingError: No level, more levels than letters, a level without digits, a negative number of suffixes.

    """

    sizes: tuple[int, ...]
    """(L,) the number of digits of each level."""
    suffixes: int = 0
    """The largest suffix."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.sizes) <= len(LEVELS):
            raise TrainingError(f"a code has 1 to {len(LEVELS)} levels, not {len(self.sizes)}")
        if min(self.sizes) < 1 or self.suffixes < 0:
            raise TrainingError(f"level sizes {self.sizes} and {self.suffixes} suffixes: every level needs a digit")

    def tokens(self) -> list[str]:
        """Every spelling, level by level, suffixes last."""
        levels = [token(level, digit) for level, size in enumerate(self.sizes) for digit in range(size)]
        return levels + [f"<{SUFFIX}_{n}>" for n in range(1, self.suffixes + 1)]

    def check(self, code: Code) -> None:
        """Raises TrainingError with the first digit that this space does not have."""
        if len(code.digits) != len(self.sizes):
            raise TrainingError(f"{code} has {len(code.digits)} digits, this space has {len(self.sizes)} levels")
        for level, (digit, size) in enumerate(zip(code.digits, self.sizes, strict=True)):
            if not 0 <= digit < size:
                raise TrainingError(f"{code}: level {LEVELS[level]!r} has digits 0 to {size - 1}, not {digit}")
        if not 0 <= code.suffix <= self.suffixes:
            raise TrainingError(f"{code}: the largest suffix is {self.suffixes}")

    def spell(self, code: Code) -> str:
        self.check(code)
        return spell(code.digits, code.suffix)

    def read(self, text: str) -> Code:
        """The code that `text` spells, blanks around it apart.

        Raises:
            TrainingError: It spells none, or one of another space.

        """
        try:
            code = Code(*parse(text.strip()))
        except ValueError as error:
            raise TrainingError(str(error)) from None
        self.check(code)
        return code


def parts(text: str) -> Iterator[Part]:
    """The text cut into code runs and what stands between, in order, nothing lost."""
    at = 0
    for run in _RUN.finditer(text):
        if run.start() > at:
            yield Part(text[at : run.start()], coded=False)
        yield Part(run.group(), coded=True)
        at = run.end()
    if at < len(text):
        yield Part(text[at:], coded=False)


def defused(text: str) -> str:
    """Text of foreign origin in which nothing spells a code any more: `<a_1>` becomes `&lt;a_1>`."""
    return _TOKEN.sub(lambda found: "&lt;" + found.group()[1:], text)


@dataclass(frozen=True)
class CodeTokens:
    """The ids that a tokenizer gave to a space's spellings."""

    space: CodeSpace
    ids: tuple[int, ...]
    """In the order of `space.tokens()`."""

    def __post_init__(self) -> None:
        wanted = sum(self.space.sizes) + self.space.suffixes
        if len(self.ids) != wanted or len(set(self.ids)) != wanted:
            raise TrainingError(f"{wanted} code tokens need as many different ids, not {len(set(self.ids))}")

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """(L + 1,) where each level's ids begin in `ids`; the last entry is where suffixes begin."""
        return tuple(itertools.accumulate(self.space.sizes, initial=0))

    @cached_property
    def _place(self) -> dict[int, int]:
        return {token: place for place, token in enumerate(self.ids)}

    def encode(self, code: Code) -> tuple[int, ...]:
        """(L,) token ids, or (L + 1,) with a suffix."""
        self.space.check(code)
        digits = (*code.digits, code.suffix) if code.suffix else code.digits
        return tuple(self.at(level, digit) for level, digit in enumerate(digits))

    def at(self, level: int, digit: int) -> int:
        """The token of one digit; the level after the last is the suffix, whose digits begin at 1."""
        return self.ids[self.starts[level] + digit - (level == len(self.space.sizes))]

    def digit(self, token: int) -> int:
        """The digit that a code token stands for, at whichever level; `KeyError` for another token."""
        place = self._place[token]
        level = bisect.bisect_right(self.starts, place) - 1
        return place - self.starts[level] + (level == len(self.space.sizes))

    def decode(self, ids: Sequence[int]) -> Code:
        """The code of token ids.

        Raises:
            TrainingError: They are no whole code.

        """
        try:
            return self.space.read("".join(self._spellings[self._place[each]] for each in ids))
        except KeyError as error:
            raise TrainingError(f"token {error.args[0]} is no code token") from None

    def continues(self, token: int) -> bool:
        """Whether the token stands within a code, after its first digit: a cut before it would halve the code."""
        return self._place.get(token, -1) >= self.starts[1]

    @cached_property
    def _spellings(self) -> list[str]:
        return self.space.tokens()

    def of_text(self, run: str) -> list[int]:
        """Ids of a run of spellings, whole codes or not; a spelling that the space lacks raises TrainingError."""
        try:
            return [self._by_spelling[found.group()] for found in _TOKEN.finditer(run)]
        except KeyError as error:
            raise TrainingError(f"{error.args[0]} is no token of this code space; defuse foreign text first") from None

    @cached_property
    def _by_spelling(self) -> dict[str, int]:
        return dict(zip(self._spellings, self.ids, strict=True))


def add(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, space: CodeSpace) -> CodeTokens:
    """Teaches both the spellings. A second time it changes nothing. New embedding rows are left as the library makes
    them: fill them with `rows`. Spare rows of a padded table are used before it grows.
    """
    tokenizer.add_tokens(
        [AddedToken(each, normalized=False, lstrip=False, rstrip=False, special=False) for each in space.tokens()]
    )
    tokens = held(tokenizer, space)
    if max(tokens.ids) >= len(lm.embeddings(model)):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return tokens


def held(tokenizer: PreTrainedTokenizerBase, space: CodeSpace) -> CodeTokens:
    """The tokens of a tokenizer that knows them already.

    Raises:
        TrainingError: It does not know them all; says which.

    """
    vocabulary = tokenizer.get_vocab()
    missing = [each for each in space.tokens() if each not in vocabulary]
    if missing:
        raise TrainingError(f"the tokenizer lacks {len(missing)} code tokens, {missing[0]} among them; add them first")
    return CodeTokens(space, tuple(vocabulary[each] for each in space.tokens()))
