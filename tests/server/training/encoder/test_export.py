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

import tiny_onnx
from toolweft_server.index.woven.encoder import MANIFEST, Encoder
from toolweft_server.index.woven.wordpiece import WordPiece
from toolweft_server.training.encode import mean_pooled
from toolweft_server.training.encoder.export import export, onnx_graph
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch

ABOUT = {"name": "tiny", "base": "random", "licence": "none"}
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
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer.from_str(tiny_onnx.tokenizer())
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")


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
    inner = WordPiece.parse(tiny_onnx.tokenizer().encode())
    return [inner.ids(text, longest) for text in texts()]


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


def test_a_tokenizer_that_the_server_cannot_read_is_refused_and_nothing_is_written(tmp_path):
    own = tokenizer()
    own.backend_tokenizer.normalizer = None
    with pytest.raises(TrainingError, match="its normalizer is None, and must be BertNormalizer"):
        export(bert(), own, tmp_path / "out", **ABOUT, longest=40)
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
