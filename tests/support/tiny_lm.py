"""A causal model and a tokenizer made on the spot: a few thousand weights, no download, the same in every run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

Family = Literal["llama", "gpt2"]

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer_of(texts: Iterable[str], *, chat: bool = False, words: int = 600) -> PreTrainedTokenizerFast:
    """Byte-level BPE over `texts`, with `<|im_end|>` as its end."""
    raw = Tokenizer(models.BPE(unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    from tokenizers import decoders

    raw.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=words, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|pad|>")
    tokenizer.chat_template = CHAT if chat else None
    return tokenizer


def model_of(
    words: int, *, family: Family = "llama", tied: bool = True, width: int = 64, seed: int = 0, dropout: float = 0.0
) -> PreTrainedModel:
    """A decoder of two layers; global torch randomness is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family == "gpt2":
            gpt = GPT2Config(vocab_size=words, n_positions=512, n_embd=width, n_layer=2, n_head=4, bos_token_id=None,
                             eos_token_id=None, tie_word_embeddings=tied, resid_pdrop=dropout, embd_pdrop=dropout,
                             attn_pdrop=dropout, initializer_range=0.1)  # fmt: skip
            return GPT2LMHeadModel(gpt).eval()
        llama = LlamaConfig(
            vocab_size=words,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=None,
            eos_token_id=None,
            tie_word_embeddings=tied,
            attention_dropout=dropout,
            initializer_range=0.1,
        )
        return LlamaForCausalLM(llama).eval()
