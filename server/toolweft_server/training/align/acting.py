"""`Actor`: a trained model plays its part of a task: it writes thoughts, codes, arguments and the answer.

What it writes freely may hold no code, and a code that it begins is one of the trie's: after each token the others are
forbidden. Where only one of the two makes sense (a code after the prompt for it, arguments after a code) the other is
forbidden as well. Greedy: the same turns give the same text. It calls no tool and knows no server; whoever holds the
conversation does (`toolweft_client.modes.toolweaver`), and finds this module by the entry point `toolweft.models`.

V words of the vocabulary, T tokens of the prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from toolweft_server.training.align import bundle as bundles
from toolweft_server.training.align import lm
from toolweft_server.training.align.bundle import Bundle
from toolweft_server.training.align.collate import Encoder
from toolweft_server.training.align.conversations import ANSWER, Turn, prompt, shown
from toolweft_server.training.align.decode import Path as CodePath
from toolweft_server.training.align.decode import PathTrie
from toolweft_server.training.align.tokens import defused
from toolweft_server.training.errors import ArtefactError, TrainingError

Side = Literal["user", "assistant"]


class Said(NamedTuple):
    """One turn, as the other side of the conversation keeps it."""

    role: Side
    text: str


class Written(NamedTuple):
    text: str
    """A code as it is spelled, or text in which nothing spells one."""
    whole: bool
    """Whether the model ended the turn itself; otherwise it was cut."""
    read: int
    """Tokens."""
    wrote: int


class Actor:
    """Thread-safe; one turn is written at a time."""

    answer = ANSWER

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        # Trajectories are longer than the rows of the other stages: as long as the model can read.
        longest = int(getattr(bundle.model.config, "max_position_embeddings", bundle.encoder.limit))
        self._encoder: Encoder = replace(bundle.encoder, limit=longest)
        self._lock = threading.Lock()
        """Protects the tokenizer, which changes its own settings from call to call."""

    @cached_property
    def tools(self) -> Mapping[str, str]:
        """The code of each tool that the model knows, by id, as it is spelled."""
        space = self._encoder.tokens.space
        return {tool: space.spell(entry.code) for tool, entry in sorted(self._bundle.tools.items())}

    def task(self, request: str) -> str:
        """The user's turn that begins a task."""
        return shown("task", request)

    def action(self) -> str:
        """The user's turn after a thought: only a code can follow."""
        return prompt("action")

    def arguments(self, documentation: str) -> str:
        """The user's turn after a code."""
        return shown("arguments", documentation)

    def feedback(self, text: str) -> str:
        """The user's turn after arguments: what the tool answered."""
        return shown("feedback", text)

    def write(self, turns: Sequence[Said], *, most: int, without: Collection[str] = ()) -> Written:
        """The assistant's next turn, of at most `most` tokens, never more than half of what the model can read.

        `without` are ids of tools that are not there any more: their codes are never written.

        Raises:
            TrainingError: The turns do not fit into what the model can read.
            ArtefactError: The model gives NaN or infinity.

        """
        with self._lock:
            most = min(most, self._encoder.limit // 2)
            room = replace(self._encoder, limit=self._encoder.limit - most)
            ids = room.prompt([Turn(each.role, each.text) for each in turns])
            trie = self._trie if not without else self._trie_without(frozenset(without))
            codes, text = self._legal(turns)
            if codes and not trie.children(()):
                raise TrainingError("the model knows no tool that is still there: train it again")
            return self._greedy(ids, trie, most, codes=codes, text=text)

    def _legal(self, turns: Sequence[Said]) -> tuple[bool, bool]:
        """Whether a code and whether free text may come next."""
        if turns and turns[-1].text == self.action():
            return True, False
        before = next((each.text for each in reversed(turns) if each.role == "assistant"), "")
        return (False, True) if before in self._spelled and turns[-1].role == "user" else (True, True)

    @cached_property
    def _spelled(self) -> frozenset[str]:
        return frozenset(self.tools.values())

    @cached_property
    def _trie(self) -> PathTrie:
        return self._trie_without(frozenset())

    def _trie_without(self, gone: frozenset[str]) -> PathTrie:
        encode = self._encoder.tokens.encode
        return PathTrie(encode(entry.code) for tool, entry in self._bundle.tools.items() if tool not in gone)

    @torch.no_grad()
    def _greedy(self, ids: list[int], trie: PathTrie, most: int, *, codes: bool, text: bool) -> Written:
        model, end = self._bundle.model, self._encoder.end
        device = lm.device(model)
        own = torch.tensor(self._encoder.tokens.ids, device=device)
        fed, mask = torch.tensor([ids], device=device), torch.ones(1, len(ids), dtype=torch.long, device=device)
        cache, written, coded = None, list[int](), False
        while len(written) < most:
            done = lm.read(model, fed, mask, lm.positions(mask)[:, -fed.shape[1] :], cache=cache, keep=True, last=1)
            cache = done.cache
            allowed = self._allowed(done.logits[0, -1], own, trie, tuple(written), codes=codes, text=text, coded=coded)
            token = int(allowed.argmax())
            if token == end:
                return self._written(ids, written, coded=coded, whole=True)
            coded = coded or (not written and token in self._firsts(trie))
            written.append(token)
            fed = torch.tensor([[token]], device=device)
            mask = torch.cat([mask, mask.new_ones(1, 1)], dim=1)
        return self._written(ids, written, coded=coded, whole=False)

    def _firsts(self, trie: PathTrie) -> frozenset[int]:
        return frozenset(trie.children(()))

    def _allowed(
        self, logits: Tensor, own: Tensor, trie: PathTrie, written: CodePath, *, codes: bool, text: bool, coded: bool
    ) -> Tensor:
        """(V,) the logits with what is illegal at minus infinity."""
        logits = logits.float()
        if not bool(torch.isfinite(logits).all()):
            raise ArtefactError(
                "the model's scores are no numbers: its weights are damaged or overflow; load them anew"
            )
        legal = torch.zeros_like(logits, dtype=torch.bool)
        if not coded and text:
            legal[:] = True
            legal[own] = False
            legal[self._encoder.end] = bool(written)  # an empty turn says nothing
        if coded or (codes and not written):
            legal[list(trie.children(written))] = True
            if coded and trie.is_end(written):
                legal[self._encoder.end] = True
        return logits.masked_fill(~legal, float("-inf"))

    def _written(self, ids: list[int], written: list[int], *, coded: bool, whole: bool) -> Written:
        encoder = self._encoder
        if coded and whole:
            said = encoder.tokens.space.spell(encoder.tokens.decode(written))
        else:
            said = defused(str(encoder.tokenizer.decode(written, skip_special_tokens=True)).strip())
        return Written(said, whole, len(ids), len(written))


def load(folder: str) -> Actor:
    """The actor of the trained model in `folder`, on a GPU if there is one.

    Raises:
        ArtefactError: Missing, damaged, or trained with other prompts.

    """
    return Actor(bundles.load(Path(folder).expanduser(), device="auto"))
