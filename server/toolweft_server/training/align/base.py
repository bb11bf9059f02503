"""The causal language model that is to be taught, from a folder as `save_pretrained` leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from toolweft_server.training.errors import TrainingError
from toolweft_server.training.progress import no_bars


class Base(NamedTuple):
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_base(folder: Path) -> Base:
    """Nothing is fetched and no code of the folder runs.

    Raises:
        TrainingError: There is none, or it is damaged.

    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with no_bars():
            return Base(AutoModelForCausalLM.from_pretrained(folder, local_files_only=True), tokenizer)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TrainingError(f"no causal model of `transformers` can be read from {str(folder)!r}: {error}") from error
