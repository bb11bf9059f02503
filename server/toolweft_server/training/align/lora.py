"""Low-rank adapters through `peft`, which is asked for only here.

Trained are the adapters of every linear layer and the rows of the code tokens, in the embeddings and, where it is
another table, in the head (Hu et al. 2021; the rows as `peft`'s trainable tokens). All else stays as it was, and with
it most of what the model knew.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from toolweft_server.training.align import lm
from toolweft_server.training.align.tokens import CodeTokens
from toolweft_server.training.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    rank: int = 16
    alpha: float = 32.0
    """The adapters' weight is alpha / rank."""
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise TrainingError(f"rank {self.rank}, alpha {self.alpha}, dropout {self.dropout}: no adapter has these")


def wrapped(model: PreTrainedModel, tokens: CodeTokens, settings: LoraSettings) -> nn.Module:
    """The model with adapters; `model` itself is changed and is used through the wrapper from now on.

    Raises:
        TrainingError: `peft` is not installed.

    """
    if importlib.util.find_spec("peft") is None:
        raise TrainingError("LoRA needs peft: pip install 'toolweft[train]', or train with method 'full'")
    from peft import LoraConfig, get_peft_model

    tables: list[nn.Module | None] = [model.get_input_embeddings()]
    if not lm.tied(model):
        tables.append(lm.head(model))
    names = {module: name.rpartition(".")[2] for name, module in model.named_modules()}
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # declared int, used as a number
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        trainable_token_indices={names[each]: list(tokens.ids) for each in tables if each is not None},
    )
    with warnings.catch_warnings():
        # peft and transformers warn of each other's changes, and of the kind of layer that GPT-2 has.
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        return get_peft_model(model, config)


def merged(model: nn.Module) -> PreTrainedModel:
    """The plain model with what was learned added to its own weights."""
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        raise TrainingError(f"{type(model).__name__} has no adapters to merge")
    plain: PreTrainedModel = model.merge_and_unload()
    return plain
