"""An encoder of `transformers` made from a configuration: 16 numbers for a text, milliseconds, nothing downloaded."""

TEXT = "create issue github new in a repository repo name list issues where it goes . x y"


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: n + 2 for n, word in enumerate(TEXT.split())}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")


def model(seed=0):
    import torch
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        vocab_size=32,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BertModel(shape)
