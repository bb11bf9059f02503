"""Tools become vectors: every view by itself, the mean over its own tokens."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

import tiny_encoder
from toolweft_catalog.tool import Tool
from toolweft_server.training import encode
from toolweft_server.training.encode import EncodeConfig, ViewWeights
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch

TOOLS = [
    Tool("github.create_issue", "createIssue", "GitHub", "Create a new issue in a repository.", {
        "type": "object", "properties": {"repoName": {"type": "string", "description": "Where it goes."}},
    }),
    Tool("github.list", "list_issues", "GitHub", "List issues."),
    Tool("x.y", "y", "x"),
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_encoder.tokenizer()


@pytest.fixture
def model():
    return tiny_encoder.model()


def test_the_views_of_a_tool_are_kept_apart_and_identifiers_are_words():
    assert encode.views(TOOLS[0]) == encode.Views(
        "create issue", "git hub", "Create a new issue in a repository.", "repo name. Where it goes."
    )
    assert encode.views(TOOLS[2]) == encode.Views("y", "x", "", "")


def test_each_view_has_a_vector_and_a_missing_one_is_zero(model, tokenizer):
    found = encode.encode_tools(EncodeConfig(), model, tokenizer, TOOLS)
    assert found.vectors.shape == (3, 4, 16)
    assert found.present.tolist() == [[True] * 4, [True, True, True, False], [True, True, False, False]]
    lengths = np.linalg.norm(found.vectors, axis=2)
    assert np.allclose(lengths, found.present, atol=1e-5)
    assert np.array_equal(found.vectors[0, 1], found.vectors[1, 1])  # one server, one text


def test_the_mean_is_over_the_tokens_that_are_there():
    states = torch.tensor([[[3.0, 0.0], [0.0, 3.0], [100.0, 100.0]]])
    found = encode.mean_pooled(states, torch.tensor([[1, 1, 0]]))
    assert torch.allclose(found, torch.tensor([[0.5**0.5, 0.5**0.5]]))
    assert torch.equal(encode.mean_pooled(states, torch.zeros(1, 3)), torch.zeros(1, 2))


def test_a_text_has_the_same_vector_beside_long_ones_and_alone(model, tokenizer):
    texts = ["list issues", "create a new issue in a repository where it goes", "github"]
    together = encode.encode_texts(EncodeConfig(batch=3), model, tokenizer, texts)
    alone = encode.encode_texts(EncodeConfig(batch=1), model, tokenizer, texts)
    assert np.allclose(together, alone, atol=1e-5)


def test_dropout_is_off_while_encoding_and_as_it_was_afterwards(model, tokenizer):
    model.train()
    first, second = (encode.encode_texts(EncodeConfig(), model, tokenizer, ["github"]) for _ in range(2))
    assert np.array_equal(first, second)
    assert model.training


def test_a_text_that_is_too_long_is_cut(model, tokenizer):
    cut = encode.encode_texts(EncodeConfig(tokens=4), model, tokenizer, ["issue " * 500, "issue " * 4])
    assert np.allclose(cut[0], cut[1], atol=1e-5)


def test_views_are_mixed_by_weight_and_a_missing_one_takes_no_part(model, tokenizer):
    found = encode.encode_tools(EncodeConfig(), model, tokenizer, TOOLS)
    only_name = encode.combined(found, ViewWeights(name=1, server=0, description=0, parameters=0))
    assert np.allclose(only_name, found.vectors[:, 0], atol=1e-5)
    mixed = encode.combined(found, ViewWeights(name=1, server=1, description=5, parameters=5))
    expected = found.vectors[2, 0] + found.vectors[2, 1]
    assert np.allclose(mixed[2], expected / np.linalg.norm(expected), atol=1e-5)


def test_tools_without_any_text_or_no_tools_at_all_have_zero_vectors(model, tokenizer):
    blank = Tool("a.b", "_", "_")
    assert not encode.combined(encode.encode_tools(EncodeConfig(), model, tokenizer, [blank]), ViewWeights()).any()
    assert encode.encode_tools(EncodeConfig(), model, tokenizer, []).vectors.shape == (0, 4, 16)


@pytest.mark.parametrize("description", ["x" * 100_000, "発注を作る", "🙂🙂", "\ud800", "a\0b"])
def test_texts_of_every_kind_become_vectors(model, tokenizer, description):
    found = encode.encode_tools(EncodeConfig(tokens=16), model, tokenizer, [Tool("a.b", "b", "a", description)])
    assert np.isfinite(found.vectors).all()


def test_the_digest_follows_weights_tokenizer_and_cut(model, tokenizer):
    before = encode.digest(EncodeConfig(), model, tokenizer)
    assert encode.digest(EncodeConfig(batch=1), model, tokenizer) == before
    assert encode.digest(EncodeConfig(tokens=9), model, tokenizer) != before
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[3, 3] += 1e-3
    assert encode.digest(EncodeConfig(), model, tokenizer) != before


def test_an_encoder_that_gives_nan_is_refused_and_the_text_is_named(model, tokenizer):
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[:] = float("nan")
    with pytest.raises(TrainingError, match="for the text 'github'"):
        encode.encode_texts(EncodeConfig(), model, tokenizer, ["github"])


def test_weights_that_make_no_sense_are_refused():
    with pytest.raises(TrainingError, match="server must be at least 0"):
        ViewWeights(server=-1)
    with pytest.raises(TrainingError, match="sum of the weights"):
        ViewWeights(name=0, server=0, description=0, parameters=0)
    with pytest.raises(TrainingError, match="tokens must be above 0"):
        EncodeConfig(tokens=0)


def test_an_encoder_is_read_from_a_folder_and_gives_the_same_vectors(model, tokenizer, tmp_path, capfd):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    capfd.readouterr()
    found = encode.load(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert encode.digest(EncodeConfig(), *found) == encode.digest(EncodeConfig(), model, tokenizer)


def test_a_folder_without_an_encoder_is_named(tmp_path):
    with pytest.raises(TrainingError, match=f"no encoder of `transformers` can be read from '{tmp_path}'"):
        encode.load(tmp_path)
