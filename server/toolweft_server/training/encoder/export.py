"""A trained encoder -> the folder that the server runs: `encoder.onnx` (int8), `tokenizer.json`, `encoder.json`.

The same weights and tokenizer give the same bytes. What is read back is `index.woven.encoder`'s business.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx import ModelProto

from toolweft_server.index.woven.encoder import FORMAT, GRAPH, MANIFEST, TOKENIZER, Encoder
from toolweft_server.index.woven.wordpiece import WordPiece
from toolweft_server.training.encoder.bert_graph import PLACES, Shape
from toolweft_server.training.encoder.bert_graph import graph as bert_graph
from toolweft_server.training.errors import TrainingError

if TYPE_CHECKING:
    from torch import nn


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
        TrainingError: Another model or tokenizer than BERT's, weights that are not finite, fewer places than `longest`.
        OSError: The folder cannot be written.

    """
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is None:
        raise TrainingError(f"only a fast tokenizer can be exported, and this is a {type(tokenizer).__name__}")
    content = inner.to_str()
    try:
        WordPiece.parse(content.encode("utf-8"))
    except ValueError as error:
        raise TrainingError(f"the server cannot read this tokenizer: {error}") from None
    graph = onnx_graph(model, longest=longest)
    return write(graph, content, folder, name=name, base=base, licence=licence)


def write(graph: ModelProto, tokenizer: str, folder: Path, *, name: str, base: str, licence: str) -> Exported:
    """Writes a graph of `bert_graph` and a tokenizer as `tokenizers` writes it; the rest as `export`.

    Raises:
        OSError: The folder cannot be written.

    """
    content = {GRAPH: graph.SerializeToString(deterministic=True), TOKENIZER: _tokenizer(tokenizer)}
    files = {file: hashlib.sha256(each).hexdigest() for file, each in sorted(content.items())}
    places = next(each for each in graph.graph.initializer if each.name == PLACES)
    longest, size = places.dims
    about = {"name": name, "base": base, "licence": licence, "size": size, "longest": longest}
    content[MANIFEST] = (json.dumps({"format": FORMAT, **about, "files": files}, indent=1) + "\n").encode("ascii")
    folder.mkdir(parents=True, exist_ok=True)
    for file, each in content.items():  # the manifest is the last
        beside = folder / f"{file}.part"
        beside.write_bytes(each)
        beside.replace(folder / file)
    return Exported(folder, Encoder.load(folder).digest, sum(map(len, content.values())))


def onnx_graph(model: nn.Module, *, longest: int, exact: bool = False) -> ModelProto:
    """The graph alone; `exact` as in `bert_graph.graph`.

    Raises:
        TrainingError: As `export`.

    """
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", None) != "bert" or config.hidden_act != "gelu":
        raise TrainingError(f"only a BERT with gelu can be exported, and this is a {type(model).__name__}")
    if not 1 <= longest <= config.max_position_embeddings:
        raise TrainingError(f"longest must be from 1 to the model's {config.max_position_embeddings}, and is {longest}")
    weights = {key: each.detach().float().cpu().numpy() for key, each in model.state_dict().items()}
    for key, each in weights.items():
        if not np.isfinite(each).all():
            raise TrainingError(f"the weights {key!r} hold NaN or infinity")
    shape = Shape(
        layers=config.num_hidden_layers, heads=config.num_attention_heads, epsilon=float(config.layer_norm_eps)
    )
    return bert_graph(weights, shape, longest=longest, exact=exact)


def _tokenizer(content: str) -> bytes:
    """Without settings of padding and cutting, which the server makes itself, and without spaces between items."""
    read = json.loads(content) | {"padding": None, "truncation": None}
    return json.dumps(read, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
