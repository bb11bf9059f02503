"""An encoder of the server's own kind: random weights of a small BERT, 16 numbers for a text, no torch."""

import numpy as np

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] create issue github new in a repository list where it goes weather of city send mail to"
)
SIZE, WIDE, LAYERS, LONGEST = 16, 32, 2, 12


def tokenizer():
    """Words, lower-case, between [CLS] and [SEP]; every other word is unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    inner = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS.split())}, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return inner


def weights(seed=0):
    random = np.random.default_rng(seed)
    found = {}

    def layer(name, *shape, spread=0.3):
        found[f"{name}.weight"] = random.normal(0, spread, shape).astype(np.float32)

    def dense(name, give, take):
        layer(name, give, take)
        found[f"{name}.bias"] = random.normal(0, 0.1, give).astype(np.float32)

    def norm(name):
        found[f"{name}.LayerNorm.weight"] = np.ones(SIZE, np.float32)
        found[f"{name}.LayerNorm.bias"] = np.zeros(SIZE, np.float32)

    layer("embeddings.word_embeddings", len(WORDS.split()), SIZE, spread=1)
    layer("embeddings.position_embeddings", 64, SIZE)
    layer("embeddings.token_type_embeddings", 2, SIZE)
    norm("embeddings")
    for n in range(LAYERS):
        name = f"encoder.layer.{n}"
        for kind in ("query", "key", "value"):
            dense(f"{name}.attention.self.{kind}", SIZE, SIZE)
        dense(f"{name}.attention.output.dense", SIZE, SIZE)
        norm(f"{name}.attention.output")
        dense(f"{name}.intermediate.dense", WIDE, SIZE)
        dense(f"{name}.output.dense", SIZE, WIDE)
        norm(f"{name}.output")
    return found


def export(folder, *, seed=0, change=None):
    """Writes the encoder into `folder`; `change(weights)` may spoil the weights first. Needs `onnx`."""
    from toolweft_server.training.encoder import bert_graph
    from toolweft_server.training.encoder.export import write

    held = weights(seed)
    if change:
        change(held)
    shape = bert_graph.Shape(layers=LAYERS, heads=2, epsilon=1e-12)
    graph = bert_graph.graph(held, shape, longest=LONGEST)
    return write(graph, tokenizer().to_str(), folder, name=f"tiny-{seed}", base="random", licence="none")
