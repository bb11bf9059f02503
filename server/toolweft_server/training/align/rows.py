"""What the embedding rows of code tokens begin with: the codebook, seen through a ridge map.

The map goes from codeword space to the model's embedding space and is fitted on the tools themselves: the sum of a
tool's codewords on one side, the mean embedding of its name's tokens on the other. It has a closed form,
`W = (X'X + lambda I)^-1 X'Y` on centred data (Hoerl and Kennard 1970). A codeword's row is then placed so that the
mean over a tool's code rows is what the map says of the tool. Such rows lie close together, those of fine levels most
of all, and a head can hardly tell them apart: each level is stretched to the spread of the table's other rows, which
keeps directions and the level's mean. Random rows are there to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from toolweft_server.training.align import lm
from toolweft_server.training.align.tokens import Code, CodeTokens
from toolweft_server.training.errors import TrainingError

STRENGTH = 0.1
"""The ridge's weight, as a share of the mean variance of a codeword coordinate."""


class RidgeMap(NamedTuple):
    """`y = (x - from_mean) @ weight + to_mean`."""

    weight: Tensor
    """(d, D) float64"""
    from_mean: Tensor
    """(d,)"""
    to_mean: Tensor
    """(D,)"""

    def rows(self, codewords: Tensor, levels: int) -> Tensor:
        """(K, D) rows of one level's codewords (K, d). Over a code of `levels` digits their mean is the map's value."""
        return levels * (codewords.double() @ self.weight) + self.to_mean - self.from_mean @ self.weight


def fit(x: Tensor, y: Tensor, strength: float = STRENGTH) -> RidgeMap:
    """The ridge map from `x` (N, d) to `y` (N, D).

    Raises:
        TrainingError: Nothing to fit on, sides of unequal length, a number that is none.

    """
    if x.shape[0] != y.shape[0] or not x.shape[0]:
        raise TrainingError(f"a ridge map needs as many sums as names, and one at least: {len(x)} and {len(y)}")
    x, y = x.double(), y.double()
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise TrainingError("codewords or embeddings hold NaN or infinity; the codebook or the model is broken")
    from_mean, to_mean = x.mean(0), y.mean(0)
    x = x - from_mean
    gram = x.T @ x  # (d, d)
    # One tool, or all alike, leaves no variance: then any positive ridge gives the zero map.
    ridge = strength * gram.diagonal().mean().clamp_min(1e-12)
    weight = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), x.T @ y)
    return RidgeMap(weight, from_mean, to_mean)


def sums(codes: Sequence[Code], codebooks: Sequence[Tensor]) -> Tensor:
    """(N, d) the sum of each code's codewords; `codebooks` are (K, d), one a level."""
    digits = torch.tensor([code.digits for code in codes], dtype=torch.long)  # (N, L)
    return torch.stack([book[digits[:, level]] for level, book in enumerate(codebooks)]).sum(0)


def stretched(rows: Tensor, spread: float) -> Tensor:
    """(K, D) rows, moved away from their mean until their root mean square distance to it is `spread`."""
    own, mean = _spread(rows), rows.mean(0)
    return rows if own <= 1e-12 else mean + (rows - mean) * (spread / own)


@torch.no_grad()
def fill(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tokens: CodeTokens,
    *,
    codebooks: Sequence[Tensor],
    codes: Sequence[Code],
    names: Sequence[str],
    generator: torch.Generator,
    strength: float = STRENGTH,
    stretch: bool = True,
) -> None:
    """Fills the rows of the code tokens from the codebook; suffixes, which have no codeword, at random.

    `codes` and `names` are those of the tools, in one order; a name of no tokens is left out of the fit. Where the
    head is not tied to the embeddings it gets a map of its own.

    Raises:
        TrainingError: Codebooks of another shape than the code space, no name with tokens, NaN.

    """
    shapes = tuple(len(book) for book in codebooks)
    if shapes != tokens.space.sizes:
        raise TrainingError(f"the codebooks have {shapes} codewords, the code space has {tokens.space.sizes}")
    fill_random(model, tokens, generator)
    spoken = [tokenizer.encode(name, add_special_tokens=False) for name in names]
    kept = [n for n, ids in enumerate(spoken) if ids]
    x = sums(codes, codebooks)[kept] if kept else torch.empty(0, 1)
    for table in lm.tables(model):
        spread = _spread(_others(table, tokens))
        y = [table[torch.tensor(spoken[n], device=table.device)].double().mean(0) for n in kept]
        ridge = fit(x.to(table.device), torch.stack(y) if y else torch.empty(0, 1), strength)
        for start, book in zip(tokens.starts, codebooks, strict=False):
            at = torch.tensor(tokens.ids[start : start + len(book)], device=table.device)
            level = ridge.rows(book.to(table.device), len(codebooks))
            table[at] = (stretched(level, spread) if stretch else level).to(table.dtype)


@torch.no_grad()
def fill_random(model: PreTrainedModel, tokens: CodeTokens, generator: torch.Generator) -> None:
    """Fills the rows with Gaussian noise of the mean and spread that the other rows have, coordinate by coordinate."""
    at = torch.tensor(tokens.ids)
    for table in lm.tables(model):
        rest = _others(table, tokens)
        noise = torch.randn(len(at), table.shape[1], generator=generator).to(table.device)
        table[at.to(table.device)] = (rest.mean(0) + noise * rest.std(0)).to(table.dtype)
    bias = getattr(lm.head(model), "bias", None)
    if isinstance(bias, Tensor):
        bias[at.to(bias.device)] = bias.mean()


def _others(table: Tensor, tokens: CodeTokens) -> Tensor:
    """(V - M, D) the rows that are no code token's."""
    others = torch.ones(len(table), dtype=torch.bool, device=table.device)
    others[torch.tensor(tokens.ids, device=table.device)] = False
    return table[others].float()


def _spread(rows: Tensor) -> float:
    return float((rows - rows.mean(0)).square().sum(1).mean().sqrt())
