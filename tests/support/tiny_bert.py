"""A BERT that fits into a test, and texts in its words."""

import numpy as np
import torch

import tiny_onnx
from toolweft_server.training.encode import mean_pooled

WORDS = tiny_onnx.WORDS.split()[4:]


def bert(**changes):
    from transformers import BertConfig, BertModel

    shape = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = BertConfig(vocab_size=len(WORDS) + 4, max_position_embeddings=64, **(shape | changes))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = BertModel(config)
        for each in model.parameters():  # the small weights of a new model hide what rounding does to a trained one
            torch.nn.init.normal_(each, std=0.1) if each.ndim > 1 else each.data.add_(0.1 * torch.randn_like(each))
    return model.eval()


def tokenizer():
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tiny_onnx.tokenizer(), pad_token="[PAD]", unk_token="[UNK]")


def texts():
    random = np.random.default_rng(5)
    return [" ".join(random.choice(WORDS, random.integers(1, 70))) for _ in range(40)]


@torch.no_grad()
def expected(model, fed):
    """In one batch, so that masking is part of what is compared."""
    longest = max(map(len, fed))
    held = torch.tensor([each + [0] * (longest - len(each)) for each in fed])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in fed])
    return mean_pooled(model(input_ids=held, attention_mask=mask).last_hidden_state, mask).numpy()


def ids(longest):
    cut = tiny_onnx.tokenizer()
    cut.enable_truncation(longest)
    return [cut.encode(text).ids for text in texts()]
