"""The narrow, typed edge to `transformers`: the few things that alignment asks of a causal language model.

Any causal model of the library will do. Positions are always given, because a left-padded row does not begin at
position 0, and a model that guesses positions from the width of the batch would read padding as text.

B rows, T tokens, V words of the vocabulary, D width of an embedding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from toolweft_server.training.errors import TrainingError


class Read(NamedTuple):
    """What a model makes of some tokens."""

    logits: Tensor
    """(B, T, V), or (B, kept, V)."""
    cache: Any
    """The library's key-value cache; `None` unless asked for."""


def read(
    model: nn.Module,
    ids: Tensor,
    mask: Tensor,
    positions: Tensor,
    *,
    cache: Any = None,
    keep: bool = False,
    last: int = 0,
) -> Read:
    """One forward pass over `ids` (B, T). `mask` (B, past + T) is 1 where a token counts, `positions` is (B, T).

    `last` keeps the logits of so many last tokens only; `keep` asks for the cache.
    """
    done = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=keep,
        logits_to_keep=last,
    )
    return Read(done.logits, done.past_key_values if keep else None)


def positions(mask: Tensor) -> Tensor:
    """(B, T) the place of each token among those that count; padding gets 0."""
    return (mask.cumsum(-1) - 1).clamp_min(0)


def embeddings(model: PreTrainedModel) -> Tensor:
    """(V, D) the table of input embeddings itself."""
    weight = model.get_input_embeddings().weight
    if not isinstance(weight, Tensor):
        raise TrainingError(f"{type(model).__name__} has no table of embeddings")
    return weight


def head(model: PreTrainedModel) -> nn.Module | None:
    """What turns hidden states into logits; `None` where the model says nothing of it."""
    found: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return found


def tables(model: PreTrainedModel) -> list[Tensor]:
    """The embedding table, and the head's where it is another one."""
    own, top = embeddings(model), head(model)
    weight = getattr(top, "weight", None)
    if not isinstance(weight, Tensor) or weight.data_ptr() == own.data_ptr():
        return [own]
    return [own, weight]


def tied(model: PreTrainedModel) -> bool:
    """Whether the head uses the embeddings themselves."""
    return len(tables(model)) == 1


def device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
