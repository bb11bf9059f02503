"""Training by contrast: requests come to lie by the tools that serve them, and what may be right is no negative."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from torch.nn.functional import normalize

from toolweft_catalog.tool import Tool
from toolweft_server.index.woven.document import text_of
from toolweft_server.training.encode import Encoder
from toolweft_server.training.encoder.batches import Batch, BatchConfig
from toolweft_server.training.encoder.contrast import ContrastConfig, train
from toolweft_server.training.encoder.memory import Memory
from toolweft_server.training.encoder.pairs import Corpus, Request
from toolweft_server.training.errors import ArtefactError, TrainingError

pytestmark = pytest.mark.torch

KINDS = ("mail", "rain", "song", "file", "road", "food")
SAYS = ("letter", "cloud", "tune", "paper", "street", "dinner")
FRAMES = ("show me the {}", "i want a {}", "which {} is it", "a {} please")
QUICK = ContrastConfig(rate=3e-3, frozen=0, keep_every=4)
SMALL = BatchConfig(requests=6)


def encoder():
    """Of random weights, the same each time; its words are those of the tools and requests here."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted({word for frame in FRAMES for word in frame.split()} | {*KINDS, *SAYS, "tool", "handles", "server"})
    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(["[PAD]", "[UNK]", *words])}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = BertModel(BertConfig(vocab_size=len(words) + 2, hidden_size=32, intermediate_size=64,
                                     num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64,
                                     hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))  # fmt: skip
    return Encoder(model, PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]"))


def corpus(epochs=1.0, **more):
    """Six tools whose requests share no word with them: nothing but training brings them together."""
    tools = [Tool(f"server.{kind}", kind, "server", f"handles {kind}") for kind in KINDS]
    requests = [Request(frame.format(said), (row,)) for frame in FRAMES for row, said in enumerate(SAYS)]
    return Corpus("letters", tools, range(len(tools)), requests, epochs, clump=1, **more)


def found(trained):
    """Share of the requests whose nearest tool is the right one."""
    each = corpus()
    with torch.no_grad():
        sides = [
            normalize(torch.stack([vector(trained, text) for text in texts]), dim=1)
            for texts in ([r.text for r in each.requests], [text_of(tool) for tool in each.tools])
        ]
    nearest = (sides[0] @ sides[1].T).argmax(1)
    return np.mean([int(row) in request.gold for row, request in zip(nearest, each.requests, strict=True)])


def vector(trained, text):
    fed = trained.tokenizer([text], return_tensors="pt")
    return trained.model(**fed).last_hidden_state[0].mean(0)


@pytest.mark.parametrize("memory", [0, 10])
def test_requests_come_to_lie_by_their_tools(memory):
    ours = encoder()
    before = found(ours)
    trained = train(ContrastConfig(rate=3e-3, frozen=0, memory=memory), SMALL, ours, [corpus(25.0)])
    assert before < 0.5 < 0.9 < found(trained.encoder)
    assert trained.losses[-1] < trained.losses[0] / 2


def test_a_training_that_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path):
    class EnoughError(Exception):
        pass

    def stop(step):
        if step.done == 6:
            raise EnoughError

    whole = train(QUICK, SMALL, encoder(), [corpus(3.0)])
    with pytest.raises(EnoughError):
        train(QUICK, SMALL, encoder(), [corpus(3.0)], state=tmp_path / "state.pt", progress=stop)
    again = train(QUICK, SMALL, encoder(), [corpus(3.0)], state=tmp_path / "state.pt")
    assert again.losses == pytest.approx(whole.losses, rel=1e-4)
    with pytest.raises(ArtefactError, match="other settings"):
        train(QUICK, SMALL, encoder(), [corpus(4.0)], state=tmp_path / "state.pt")


def test_what_cannot_be_trained_is_said():
    empty = Corpus("none", corpus().tools, range(6), [], 1.0)
    with pytest.raises(TrainingError, match="there is no request"):
        train(QUICK, SMALL, encoder(), [empty])
    broken = encoder()
    broken.model.encoder.layer[0].output.dense.bias.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan at step 0: lower the rate"):
        train(QUICK, SMALL, broken, [corpus()])


def remembered(*, complete):
    """Tools at 0, 30, 60 and 90 degrees; a request at 0 whose right tool is the one at 30."""
    angles = torch.deg2rad(torch.tensor([0.0, 30.0, 60.0, 90.0]))
    memory = Memory([10, 11, 12, 13], torch.stack([angles.cos(), angles.sin()], 1), complete=complete)
    request = torch.tensor([[1.0, 0.0]], requires_grad=True)
    return memory, request, torch.tensor([float(angles[1].cos())])


def batch(groups, golds):
    return Batch(["a"], ["b"] * len(groups), np.ones((1, len(groups)), bool), groups, [frozenset(golds)])


def test_remembered_tools_are_negatives_unless_right_in_the_batch_or_doubtful():
    memory, request, nearest = remembered(complete=True)
    cosines = memory.negatives(request, batch([11], [11]), nearest)
    assert cosines[0].tolist() == pytest.approx([1.0, float("-inf"), 0.5, 0.0], abs=1e-6)
    assert memory.negatives(request, batch([11, 12], [11]), nearest)[0].isinf().tolist() == [False, True, True, False]
    assert memory.negatives(request, batch([11], [11, 13]), nearest)[0].isinf().tolist() == [False, True, False, True]
    memory, request, nearest = remembered(complete=False)
    assert memory.negatives(request, batch([11], [11]), nearest)[0].isinf().tolist() == [True, True, False, False]


def test_the_memory_takes_newer_vectors_and_leaves_those_of_the_last_loss_alone():
    memory, request, nearest = remembered(complete=True)
    loss = memory.negatives(request, batch([11], [11]), nearest)[0, 2]
    memory.learn([12, 99], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    loss.backward()
    assert request.grad[0].tolist() == pytest.approx([0.5, 3**0.5 / 2])
    assert memory.negatives(request, batch([11], [11]), nearest)[0, 2].item() == pytest.approx(0.0)
