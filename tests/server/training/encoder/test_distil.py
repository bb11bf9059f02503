"""A smaller encoder for requests: it learns where the whole one puts them, and both are served from one graph."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import torch

from tiny_bert import bert, expected, ids, texts, tokenizer
from toolweft_server.index.woven.encoder import Encoder as Served
from toolweft_server.training.encode import Encoder
from toolweft_server.training.encoder.contrast import encoded
from toolweft_server.training.encoder.distil import DistilConfig, distil, small
from toolweft_server.training.encoder.export import Requests, export
from toolweft_server.training.errors import ArtefactError, TrainingError

pytestmark = pytest.mark.torch

ABOUT = {"name": "tiny", "base": "random", "licence": "none"}
CONFIG = DistilConfig(shared=1, own=(2,), epochs=12, batch=8, rate=2e-3, request_tokens=40, keep_every=5)


@pytest.fixture
def whole():
    return Encoder(bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), tokenizer())


@torch.no_grad()
def vectors(encoder):
    return encoded(encoder, texts(), 40, 16).numpy()


def learnt(whole, **given):
    tools = np.ascontiguousarray(vectors(whole)[::3])
    return distil(CONFIG, whole, texts(), vectors(whole), tools, **given)


def test_it_comes_to_lie_where_the_whole_encoder_lies_with_what_they_share_untouched(whole):
    begun = small(CONFIG, whole)
    before = {name: each.clone() for name, each in begun.model.state_dict().items()}
    found = learnt(whole)
    near = [float((vectors(each) * vectors(whole)).sum(1).mean()) for each in (begun, found.encoder)]
    assert near[1] > near[0] + 0.1
    assert found.losses[-1] < found.losses[0] / 2
    after = found.encoder.model.state_dict()
    same = {name for name, each in after.items() if torch.equal(each, before[name])}
    assert all((name in same) == name.startswith(("embeddings.", "pooler.", "encoder.layer.0.")) for name in after)


def test_a_graph_gives_both_and_the_whole_ones_vectors_are_the_same_as_alone(tmp_path, whole):
    asking = small(CONFIG, whole)
    export(whole.model, tokenizer(), tmp_path / "alone", **ABOUT, longest=40)
    export(whole.model, tokenizer(), tmp_path / "both", **ABOUT, longest=40, requests=Requests(asking.model, 1))
    alone, both = Served.load(tmp_path / "alone"), Served.load(tmp_path / "both")
    assert np.array_equal(both.encode(texts()), alone.encode(texts()))
    assert (both.requests(texts()) * expected(asking.model, ids(40))).sum(axis=1).min() > 0.995
    assert np.array_equal(alone.requests(texts()), alone.encode(texts()))
    assert alone.digest != both.digest


def test_a_training_that_was_stopped_goes_on_and_ends_the_same(tmp_path, whole):
    def stop(step):
        if step.done == 12:
            raise KeyboardInterrupt

    straight = learnt(whole)
    with pytest.raises(KeyboardInterrupt):
        learnt(whole, state=tmp_path / "state.pt", progress=stop)
    steps = []
    resumed = learnt(whole, state=tmp_path / "state.pt", progress=lambda step: steps.append(step.done))
    assert steps[0] == 11
    assert resumed.losses == straight.losses
    with pytest.raises(ArtefactError, match="a training with other settings"):
        distil(
            DistilConfig(shared=1, own=(2,)),
            whole,
            texts(),
            vectors(whole),
            vectors(whole),
            state=tmp_path / "state.pt",
        )


def test_what_cannot_be_made_smaller_is_said(whole):
    with pytest.raises(TrainingError, match="there is no layer 5: the encoder has 3"):
        small(DistilConfig(), whole)
    with pytest.raises(TrainingError, match="no text"):
        distil(CONFIG, whole, [], np.zeros((0, 64), np.float32), np.zeros((0, 64), np.float32))
