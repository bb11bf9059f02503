"""What is exported gives the vectors that torch gives, in the same bytes each time."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnxruntime
import torch

from tiny_bert import bert, expected, ids, texts, tokenizer
from toolweft_server.index.woven.encoder import MANIFEST, Encoder
from toolweft_server.training.encoder.export import export, onnx_graph
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch

ABOUT = {"name": "tiny", "base": "random", "licence": "none"}


def test_the_graph_in_32_bits_equals_torch():
    model = bert()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_graph(model, longest=40, exact=True).SerializeToString(), options)
    found = np.concatenate([session.run(None, {"ids": np.array([each])})[0] for each in ids(40)])
    assert (found * expected(model, ids(40))).sum(axis=1).min() > 0.99999


def test_the_exported_encoder_is_near_torch_and_a_fraction_of_its_size(tmp_path):
    model = bert()
    done = export(model, tokenizer(), tmp_path, **ABOUT, longest=40)
    found = Encoder.load(tmp_path).encode(texts())
    assert (found * expected(model, ids(40))).sum(axis=1).min() > 0.995
    assert done.digest == Encoder.load(tmp_path).digest
    assert done.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    exact = onnx_graph(model, longest=40, exact=True).ByteSize()
    assert (tmp_path / "encoder.onnx").stat().st_size < 0.4 * exact


def test_the_same_model_gives_the_same_bytes(tmp_path):
    first, second = (export(bert(), tokenizer(), tmp_path / name, **ABOUT, longest=40).folder for name in "ab")
    for path in first.iterdir():
        content = path.read_bytes()
        assert hashlib.sha256(content).digest() == hashlib.sha256((second / path.name).read_bytes()).digest()


def test_a_second_export_replaces_the_first_and_leaves_nothing_else(tmp_path):
    before = export(bert(), tokenizer(), tmp_path, **ABOUT, longest=40).digest
    after = export(bert(), tokenizer(), tmp_path, **ABOUT, longest=41).digest
    assert before != after == Encoder.load(tmp_path).digest
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["encoder.onnx", "tokenizer.json", MANIFEST])


def test_settings_of_the_tokenizer_for_training_do_not_travel(tmp_path):
    own = tokenizer()
    own(["weather", "list new mail"], padding=True, truncation=True, max_length=5)
    first = export(bert(), own, tmp_path / "a", **ABOUT, longest=40)
    second = export(bert(), tokenizer(), tmp_path / "b", **ABOUT, longest=40)
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("change", "longest", "reason"),
    [
        ({"hidden_act": "relu"}, 40, "only a BERT with gelu"),
        ({}, 65, "from 1 to the model's 64, and is 65"),
        ({}, 0, "and is 0"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(tmp_path, change, longest, reason):
    with pytest.raises(TrainingError, match=reason):
        export(bert(**change), tokenizer(), tmp_path / "out", **ABOUT, longest=longest)
    assert not (tmp_path / "out").exists()


def test_other_models_slow_tokenizers_and_weights_that_are_no_numbers_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="this is a Linear"):
        export(torch.nn.Linear(2, 2), tokenizer(), tmp_path, **ABOUT)
    with pytest.raises(TrainingError, match="only a fast tokenizer"):
        export(bert(), object(), tmp_path, **ABOUT)
    spoiled = bert()
    spoiled.encoder.layer[1].output.dense.bias.data[2] = torch.nan
    with pytest.raises(TrainingError, match=r"encoder\.layer\.1\.output\.dense\.bias.*NaN"):
        export(spoiled, tokenizer(), tmp_path, **ABOUT, longest=40)
    assert list(tmp_path.iterdir()) == []
