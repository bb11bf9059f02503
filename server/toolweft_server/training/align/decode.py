"""Beam search over the codes of a catalogue: what the model writes is a tool, whatever its weights say.

The trie's paths, each with an end, are compiled once into arrays. At every step the logits of code tokens alone are
looked at, under a boolean mask of each beam's legal children, and log-probabilities are those among the legal
children. Hence the scores of all paths sum to one: a score is log P(tool | request, the catalogue), comparable
between codes of different length without any length penalty. Prompts are padded on the left; the key-value cache is
reordered with the beams.

P prompts, W beams, R = P W rows, T tokens of the longest prompt, M columns (tokens of the trie, the end, and a stay).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from toolweft_server.index.woven import trie as woven
from toolweft_server.training.align import lm
from toolweft_server.training.align.collate import Batch, Example, pad, prompts
from toolweft_server.training.align.tokens import CodeTokens
from toolweft_server.training.errors import ArtefactError, TrainingError

Path = tuple[int, ...]
"""Token ids of a code, without the end."""


class Trie(Protocol):
    def children(self, prefix: Path) -> Sequence[int]:
        """The token ids that may follow, ascending; none at a leaf or off the trie."""
        ...

    def is_end(self, prefix: Path) -> bool:
        """Whether a code ends here, be it a leaf or not."""
        ...


class PathTrie:
    """The least trie there is: a dictionary of prefixes."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._ends = frozenset(paths)
        below: dict[Path, set[int]] = {}
        for path in self._ends:
            for at, token in enumerate(path):
                below.setdefault(path[:at], set()).add(token)
        self._children = {prefix: tuple(sorted(tokens)) for prefix, tokens in below.items()}

    def children(self, prefix: Path) -> Sequence[int]:
        return self._children.get(prefix, ())

    def is_end(self, prefix: Path) -> bool:
        return prefix in self._ends


class CodeTrie:
    """The catalogue's own trie, of digits, seen as token ids."""

    def __init__(self, trie: woven.Trie, tokens: CodeTokens) -> None:
        self._trie, self._tokens = trie, tokens

    def children(self, prefix: Path) -> Sequence[int]:
        level, node = len(prefix), self._node(prefix)
        digits = () if node is None else self._trie.children(node).digits.tolist()
        return sorted(self._tokens.at(level, digit) for digit in digits if digit != woven.END)

    def is_end(self, prefix: Path) -> bool:
        node = self._node(prefix)
        if node is None:
            return False
        digits = self._trie.children(node).digits
        return bool(prefix) and (not len(digits) or woven.END in digits)

    def _node(self, prefix: Path) -> int | None:
        return self._trie.walk(self._tokens.digit(token) for token in prefix)


class Ranked(NamedTuple):
    path: Path
    score: float
    """log P(path | prompt) among the paths of the trie; at most 0."""


class Steps(NamedTuple):
    """A trie as arrays. Node 0 is the root, the last node is where every path has ended and stays."""

    starts: Tensor
    """(nodes + 1,) where each node's children begin."""
    columns: Tensor
    """(edges,) the column of each child, ascending within a node."""
    nodes: Tensor
    """(edges,) the node it leads to."""
    tokens: Tensor
    """(M - 1,) the token of each column; the last column, the stay, has none."""
    depth: int
    """Steps that lead any path to its end, the end included."""
    table: dict[Path, int]
    """The node of each prefix."""

    @property
    def done(self) -> int:
        return len(self.starts) - 2

    def to(self, device: torch.device) -> Steps:
        return self._replace(
            **{name: getattr(self, name).to(device) for name in ("starts", "columns", "nodes", "tokens")}
        )


def compiled(trie: Trie, end: int) -> Steps:
    """Compiles a trie; `end` is the token that closes a code, and no token of any code.

    Raises:
        TrainingError: A trie without a path, or with a dead end, or one that uses `end`.

    """
    order: list[Path] = [()]
    for prefix in order:  # grows while it is walked: breadth first
        below = trie.children(prefix)
        if end in below:
            raise TrainingError(f"token {end} ends a code and cannot stand within one: {prefix}")
        if not below and not (prefix and trie.is_end(prefix)):
            raise TrainingError(f"nothing follows {prefix} in the trie and no code ends there")
        order += [(*prefix, token) for token in below]
    table = {prefix: node for node, prefix in enumerate(order)}
    words = sorted({prefix[-1] for prefix in order if prefix})
    column = {token: n for n, token in enumerate([*words, end])}
    done, stay = len(order), len(column)
    edges = [
        [(column[token], table[(*prefix, token)]) for token in trie.children(prefix)]
        + ([(column[end], done)] if prefix and trie.is_end(prefix) else [])
        for prefix in order
    ]
    edges.append([(stay, done)])
    flat = [edge for node in edges for edge in sorted(node)]
    starts = torch.tensor([0, *(len(node) for node in edges)]).cumsum(0)
    columns, nodes = torch.tensor(flat).unbind(1)
    return Steps(starts, columns, nodes, torch.tensor([*words, end]), max(map(len, order)) + 1, table)


def legal(steps: Steps, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """(mask, next): (R, M) which columns may follow each of `nodes` (R,), and the node that each leads to.

    A stay has a column of its own, the last, so that beams that ended stand still at no cost.
    """
    first = steps.starts[nodes]
    count = steps.starts[nodes + 1] - first  # (R,)
    rows = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), count)
    within = torch.arange(len(rows), device=nodes.device) - (count.cumsum(0) - count)[rows]
    edges = first[rows] + within
    mask = torch.zeros(len(nodes), len(steps.tokens) + 1, dtype=torch.bool, device=nodes.device)
    after = torch.full(mask.shape, steps.done, device=nodes.device)
    mask[rows, steps.columns[edges]] = True
    after[rows, steps.columns[edges]] = steps.nodes[edges]
    return mask, after


def among_legal(logits: Tensor, steps: Steps, mask: Tensor) -> Tensor:
    """(R, M) log-probabilities of `logits` (R, V) among the columns of `mask` alone; minus infinity elsewhere.

    Raises:
        ArtefactError: The model gives NaN or infinity for a legal token.

    """
    own = logits.float()[:, steps.tokens]  # (R, M - 1)
    own = torch.cat([own, own.new_zeros(len(own), 1)], dim=1)
    if not torch.isfinite(own[mask]).all():
        raise ArtefactError("the model's scores are no numbers: its weights are damaged or overflow; load them anew")
    return own.masked_fill(~mask, -math.inf).log_softmax(-1)


@torch.no_grad()
def beam_search(
    model: nn.Module, rows: Sequence[list[int]], steps: Steps, *, beams: int, fill: int
) -> list[list[Ranked]]:
    """The best paths for each prompt, best first, at most `beams`; equal scores in the order of their tokens.

    With as many beams as there are paths the ranking is exact.
    """
    if beams < 1:
        raise TrainingError(f"a beam search needs a beam, not {beams}")
    if not rows:
        return []
    device = lm.device(model)
    steps, batch = steps.to(device), Batch(*(each.to(device) for each in prompts(rows, fill)))
    many = len(rows)
    first = lm.read(model, batch.ids, batch.mask, batch.positions, keep=True, last=1)
    logits, cache, mask, place = first.logits[:, -1], first.cache, batch.mask, batch.mask.sum(-1, keepdim=True)
    nodes = torch.zeros(many, dtype=torch.long, device=device)
    scores = torch.zeros(many, 1, device=device)
    written = torch.empty(many, 0, dtype=torch.long, device=device)  # (R, step) columns
    for step in range(steps.depth):
        allowed, after = legal(steps, nodes)
        columns = allowed.shape[1]
        total = scores.reshape(-1, 1) + among_legal(logits, steps, allowed)  # (R, M)
        width = total.shape[0] // many
        best = total.reshape(many, -1).topk(min(beams, width * columns), dim=-1)
        parent = best.indices // columns + torch.arange(many, device=device).unsqueeze(1) * width
        picked, parent = best.indices.reshape(-1) % columns, parent.reshape(-1)
        dead = best.values.reshape(-1).isneginf()
        # A beam below the legal ones has no path of its own: it stands at the end and never scores.
        nodes = torch.where(dead, steps.done, after[parent, picked])
        scores = best.values
        written = torch.cat([written[parent], picked.unsqueeze(1)], dim=1)
        if bool((nodes == steps.done).all()) or step + 1 == steps.depth:
            break
        cache.reorder_cache(parent)
        mask = torch.cat([mask[parent], mask.new_ones(len(parent), 1)], dim=1)
        place = place[parent]
        tokens = torch.cat([steps.tokens, steps.tokens.new_tensor([fill])])[picked]
        read = lm.read(model, tokens.unsqueeze(1), mask, place, cache=cache, keep=True, last=1)
        logits, cache, place = read.logits[:, -1], read.cache, place + 1
    return _ranked(steps, scores, written, many)


@torch.no_grad()
def verify(
    model: nn.Module, prompt: list[int], paths: Sequence[Path], steps: Steps, *, fill: int, at_once: int = 64
) -> list[float]:
    """Log P(path | prompt) of each path, in their order: the score that an endless beam would give it.

    Raises:
        TrainingError: A path that is none of the trie's.
        ArtefactError: The model gives NaN or infinity.

    """
    device = lm.device(model)
    steps = steps.to(device)
    asked = Batch(*(each.to(device) for each in prompts([prompt], fill)))
    scores: list[float] = []
    for start in range(0, len(paths), at_once):
        some = paths[start : start + at_once]
        begun = lm.read(model, asked.ids, asked.mask, asked.positions, keep=True, last=1)
        begun.cache.reorder_cache(torch.zeros(len(some), dtype=torch.long, device=device))
        batch = pad([Example(list(path), []) for path in some], fill, side="right")
        ids, mask, places = (each.to(device) for each in (batch.ids, batch.mask, batch.positions))
        mask = torch.cat([asked.mask.expand(len(some), -1), mask], dim=1)
        said = lm.read(model, ids, mask, places + len(prompt), cache=begun.cache, keep=True).logits
        logits = torch.cat([begun.logits.expand(len(some), -1, -1), said], dim=1)  # (paths, longest + 1, V)
        scores += [_likelihood(each, path, steps) for each, path in zip(logits, some, strict=True)]
    return scores


def _likelihood(logits: Tensor, path: Path, steps: Steps) -> float:
    """`logits` (len(path) + 1 or more, V): what the model says before each token of the path and before its end."""
    places = [steps.table.get(path[:at]) for at in range(len(path) + 1)]
    if None in places:
        raise TrainingError(f"{path} is no code of this trie")
    nodes = torch.tensor([each for each in places if each is not None], device=logits.device)
    allowed, after = legal(steps, nodes)
    scores = among_legal(logits[: len(nodes)], steps, allowed)
    steps_taken = torch.cat([nodes[1:], nodes.new_tensor([steps.done])])
    chosen = (after == steps_taken.unsqueeze(1)) & allowed
    if not bool(chosen.any(dim=1).all()):
        raise TrainingError(f"no code ends after {path}")
    return float(scores[chosen].sum())


def _ranked(steps: Steps, scores: Tensor, written: Tensor, many: int) -> list[list[Ranked]]:
    last = len(steps.tokens) - 1  # the column of the end; the stay comes after it
    tokens = steps.tokens.tolist()
    answers: list[list[Ranked]] = []
    for row, columns in zip(scores.tolist(), written.reshape(many, -1, written.shape[1]).tolist(), strict=True):
        found = [
            Ranked(tuple(tokens[each] for each in beam if each < last), score)
            for score, beam in zip(row, columns, strict=True)
            if score > -math.inf
        ]
        answers.append(sorted(found, key=lambda each: (-each.score, each.path)))
    return answers
