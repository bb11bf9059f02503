"""An encoder of the server's own kind: random weights of a small BERT, 16 numbers for a text, no torch."""

import json

import numpy as np

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] create issue github new in a repository list where it goes weather of city send mail to"
)
SIZE, WIDE, LAYERS, LONGEST = 16, 32, 2, 12


def tokenizer():
    """The content of a `tokenizer.json`: words, lower-case, between [CLS] and [SEP]; every other word is unknown."""
    mark = {mark: {"id": mark, "ids": [number], "tokens": [mark]} for mark, number in (("[CLS]", 2), ("[SEP]", 3))}
    single = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    return json.dumps(
        {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": {
                "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": mark},
            "decoder": None,
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": {word: n for n, word in enumerate(WORDS.split())},
            },
        }
    )  # fmt: skip


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
    return write(graph, tokenizer(), folder, name=f"tiny-{seed}", base="random", licence="none")
