"""From conversations to padded batches: labels only where the loss is, no code ever cut in half.

A conversation that is too long loses the ends of its longest unlearned contents first (documentation, feedback, the
request), then whole turns from its end. What the model shall write is kept whole or dropped with its turn.

B rows, T tokens of the longest row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from toolweft_server.training.align import lm
from toolweft_server.training.align.conversations import Conversation, Turn
from toolweft_server.training.align.template import Spans, Template
from toolweft_server.training.align.tokens import CodeTokens, parts
from toolweft_server.training.errors import TrainingError

IGNORED = -100
"""A label of this value counts for nothing in the loss."""

LEAST = 16
"""Tokens that a shortened content keeps at least; below that its turn says nothing and is dropped instead."""

Side = Literal["left", "right"]


class Example(NamedTuple):
    """One row, unpadded; `labels` equal `ids` where the loss is, else `IGNORED`."""

    ids: list[int]
    labels: list[int]


class Encoded(NamedTuple):
    examples: list[Example]
    dropped: list[str]
    """Ids of conversations of which nothing to learn was left within the limit."""


class Batch(NamedTuple):
    ids: Tensor
    """(B, T) long"""
    mask: Tensor
    """(B, T) long, 1 where a token counts."""
    positions: Tensor
    """(B, T) long, 0 at the first token that counts."""
    labels: Tensor
    """(B, T) long"""


@dataclass(slots=True)
class _Piece:
    """One turn as ids."""

    head: list[int]
    content: list[int]
    tail: list[int]
    loss: bool

    def __len__(self) -> int:
        return len(self.head) + len(self.content) + len(self.tail)


@dataclass(frozen=True, eq=False)
class Encoder:
    """Turns conversations into rows of at most `limit` tokens."""

    tokenizer: PreTrainedTokenizerBase
    tokens: CodeTokens
    template: Template
    limit: int = 1024

    def __post_init__(self) -> None:
        if self.limit < 2 * LEAST:
            raise TrainingError(f"a limit of {self.limit} tokens leaves no room for a turn; at least {2 * LEAST}")

    @cached_property
    def end(self) -> int:
        """The id of the token that closes what the assistant writes."""
        turns = [Turn("user", "x"), Turn("assistant", "x", loss=True)]
        return self._ids(self.template.turns(turns)[-1].tail)[0]

    @cached_property
    def pad(self) -> int:
        """An id to fill rows with. Masked everywhere, hence any will do where the tokenizer names none."""
        own = self.tokenizer.pad_token_id
        return int(own) if isinstance(own, int) else self.end

    def all(self, conversations: Iterable[Conversation]) -> Encoded:
        rows = [(each.id, self.example(each)) for each in conversations]
        return Encoded([row for _, row in rows if row], [name for name, row in rows if row is None])

    def example(self, conversation: Conversation) -> Example | None:
        """One row; `None` when nothing to learn fits."""
        pieces = self._pieces(conversation.turns)
        while pieces:
            while pieces and not pieces[-1].loss:
                pieces.pop()  # nothing is learned after the last flagged turn
            if pieces and self._shorten(pieces, self.limit):
                return _row(pieces)
            pieces = pieces[:-1]
        return None

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        """The ids after which the assistant writes.

        Raises:
            TrainingError: The turns do not fit, however short their contents are cut.

        """
        opening = self._ids(self.template.opening(turns))
        pieces = self._pieces(turns)
        if not self._shorten(pieces, self.limit - len(opening)):
            raise TrainingError(f"{len(turns)} turns do not fit into {self.limit} tokens")
        return [*_row(pieces).ids, *opening]

    def _pieces(self, turns: Sequence[Turn]) -> list[_Piece]:
        spans = self.template.turns(turns)
        return [self._piece(span, turn) for span, turn in zip(spans, turns, strict=True)]

    def _piece(self, span: Spans, turn: Turn) -> _Piece:
        content = [token for part in parts(span.content) for token in self._part(part.text, coded=part.coded)]
        return _Piece(self._ids(span.head), content, self._ids(span.tail), turn.loss)

    def _part(self, text: str, *, coded: bool) -> list[int]:
        # Special tokens in a content are somebody's text, never control.
        return self.tokens.of_text(text) if coded else self._ids(text, special=False)

    def _ids(self, text: str, *, special: bool = True) -> list[int]:
        text = text.encode("utf-8", "replace").decode("utf-8")  # a tokenizer refuses lone surrogates
        ids = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=not special)
        return [int(each) for each in ids]

    def _shorten(self, pieces: Sequence[_Piece], limit: int) -> bool:
        """Cuts unlearned contents to one common length such that all fits; False when that would leave too little."""
        loose = [piece for piece in pieces if not piece.loss]
        room = limit - sum(map(len, pieces)) + sum(len(piece.content) for piece in loose)
        longest = max((len(piece.content) for piece in loose), default=0)
        fits = [cap for cap in (longest, *range(min(longest, max(room, 0)), LEAST - 1, -1))
                if sum(min(cap, len(piece.content)) for piece in loose) <= room]  # fmt: skip
        if room < 0 or (not fits and longest):
            return False
        for piece in loose:
            piece.content = self._cut(piece.content, fits[0])
        return True

    def _cut(self, ids: list[int], length: int) -> list[int]:
        """At most the first `length` ids; a code that would be halved is left out whole."""
        if length >= len(ids):
            return ids
        while length and self.tokens.continues(ids[length]):
            length -= 1
        return ids[:length]


def pad(examples: Sequence[Example], fill: int, *, side: Side) -> Batch:
    """Pads rows to the longest: left for decoding, either side for training."""
    width = max((len(each.ids) for each in examples), default=0)
    if not width:
        raise TrainingError("a batch needs a row with a token in it")

    def padded(row: list[int], value: int) -> list[int]:
        gap = [value] * (width - len(row))
        return gap + row if side == "left" else row + gap

    mask = torch.tensor([padded([1] * len(each.ids), 0) for each in examples])
    return Batch(
        ids=torch.tensor([padded(each.ids, fill) for each in examples]),
        mask=mask,
        positions=lm.positions(mask) * mask,
        labels=torch.tensor([padded(each.labels, IGNORED) for each in examples]),
    )


def prompts(rows: Sequence[list[int]], fill: int) -> Batch:
    """Prompts to decode from, padded on the left."""
    return pad([Example(row, [IGNORED] * len(row)) for row in rows], fill, side="left")


def _row(pieces: Iterable[_Piece]) -> Example:
    ids: list[int] = []
    labels: list[int] = []
    for piece in pieces:
        ids += piece.head + piece.content + piece.tail
        # The first token of the tail closes the turn: without it the model would never learn to end.
        learned = piece.content + piece.tail[:1]
        rest = len(piece.tail) - 1 if piece.loss else 0
        own = learned + [IGNORED] * rest if piece.loss else [IGNORED] * (len(piece.content) + len(piece.tail))
        labels += [IGNORED] * len(piece.head) + own
    return Example(ids, labels)
