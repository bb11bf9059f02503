"""A trained encoder -> the folder that the server runs: `encoder.onnx` (int8), `tokenizer.json`, `encoder.json`.

The same weights and tokenizer give the same bytes. What is read back is `index.woven.encoder`'s business.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto
from torch import nn

from toolweft_server.index.woven.encoder import FORMAT, GRAPH, MANIFEST, TOKENIZER
from toolweft_server.training.encoder.bert_graph import Shape, graph
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.quantiser import positive


class Exported(NamedTuple):
    folder: Path
    digest: str
    """Of `woven.encoder.Encoder`: vectors of another digest cannot be compared with its own."""
    bytes: int
    """Of all files."""


def export(
    model: nn.Module, tokenizer: Any, folder: Path, *, name: str, base: str, licence: str, longest: int = 128
) -> Exported:
    """Writes `model` (a `transformers.BertModel`) with its fast tokenizer into `folder`, the manifest last.

    `longest` counts tokens with the first and last mark. `name`, `base` (what it was made from) and `licence` go into
    the manifest, for people.

    Raises:
        TrainingError: Another kind of model or of tokenizer, weights that are not finite, fewer places than `longest`.
        OSError: The folder cannot be written.

    """
    positive(longest=longest)
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is None:
        raise TrainingError(f"only a fast tokenizer can be exported, and this is a {type(tokenizer).__name__}")
    content = {GRAPH: onnx_graph(model, longest=longest).SerializeToString(deterministic=True)}
    content[TOKENIZER] = _tokenizer(inner.to_str())
    config: Any = model.config
    manifest = {
        "format": FORMAT,
        "name": name,
        "base": base,
        "licence": licence,
        "size": int(config.hidden_size),
        "longest": longest,
        "files": {file: hashlib.sha256(each).hexdigest() for file, each in sorted(content.items())},
    }
    content[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode("ascii")
    folder.mkdir(parents=True, exist_ok=True)
    for file, each in content.items():  # the manifest is the last
        beside = folder / f"{file}.part"
        beside.write_bytes(each)
        beside.replace(folder / file)
    from toolweft_server.index.woven.encoder import Encoder

    return Exported(folder, Encoder.load(folder).digest, sum(map(len, content.values())))


def onnx_graph(model: nn.Module, *, longest: int, exact: bool = False) -> ModelProto:
    """The graph alone; `exact` as in `bert_graph.graph`.

    Raises:
        TrainingError: As `export`.

    """
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", None) != "bert" or config.hidden_act != "gelu":
        raise TrainingError(f"only a BERT with gelu can be exported, and this is a {type(model).__name__}")
    if config.max_position_embeddings < longest:
        raise TrainingError(f"the model has {config.max_position_embeddings} places, and longest is {longest}")
    weights = {key: each.detach().float().cpu().numpy() for key, each in model.state_dict().items()}
    for key, each in weights.items():
        if not np.isfinite(each).all():
            raise TrainingError(f"the weights {key!r} hold NaN or infinity")
    shape = Shape(
        layers=config.num_hidden_layers, heads=config.num_attention_heads, epsilon=float(config.layer_norm_eps)
    )
    return graph(weights, shape, longest=longest, exact=exact)


def _tokenizer(content: str) -> bytes:
    """Without settings of padding and cutting, which the server makes itself, and without spaces between items."""
    read = json.loads(content) | {"padding": None, "truncation": None}
    return json.dumps(read, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
