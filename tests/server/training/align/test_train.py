"""Training on conversations: what is learned, and that a run can stop and go on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from toolweft_server.training.align import checkpoint, decode, lm  # noqa: E402
from toolweft_server.training.align.collate import Example, pad  # noqa: E402
from toolweft_server.training.align.conversations import Turn, request_text, retrieval  # noqa: E402
from toolweft_server.training.align.train import AlignConfig, Data, _learn, _Rows, rate_at, train  # noqa: E402
from toolweft_server.training.errors import ArtefactError, TrainingError  # noqa: E402

pytestmark = pytest.mark.torch

LEARN = AlignConfig(epochs=12, batch=16, rate=3e-3, warm_up=0.1, precision="fp32", device="cpu")
SHORT = replace(LEARN, epochs=2, batch=10)


def seeded(seed: int = 1):
    return torch.Generator().manual_seed(seed)


def right(made, model, world, pairs) -> float:
    """The share of requests whose tool comes first."""
    paths = {key: made.tokens.encode(code) for key, code in world.codes.items()}
    steps = decode.compiled(decode.PathTrie(paths.values()), made.encoder.end)
    prompts = [made.encoder.prompt([Turn("user", request_text(pair.request))]) for pair in pairs]
    found = decode.beam_search(model, prompts, steps, beams=5, fill=made.encoder.pad)
    assert all(each.path in set(paths.values()) for ranked in found for each in ranked)
    return sum(hits[0].path == paths[pair.gold[0]] for hits, pair in zip(found, pairs, strict=True)) / len(pairs)


def test_a_tiny_model_memorises_fifty_tools_and_retrieves_them_by_their_requests(make, world, memory):
    made = make()
    lessons = [*memory(made.spelled), *retrieval(world.pairs, made.spelled).conversations]
    assert right(made, made.model, world, world.pairs) < 0.2
    trained = train(LEARN, Data(made.model, made.encoder, lessons), seeded())
    assert trained.losses[-1] < 0.2 < trained.losses[0]
    assert right(made, trained.model, world, world.pairs) >= 0.95


def lessons(made, world, count=20):
    return retrieval(world.pairs[:count], made.spelled).conversations


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_run_that_stopped_and_was_resumed_ends_with_the_same_weights(make, world, tmp_path, method):
    config = replace(SHORT, method=method, every=1)
    whole = make(dropout=0.1)
    straight = train(config, Data(whole.model, whole.encoder, lessons(whole, world)), seeded())

    class KilledError(Exception):
        pass

    def die(step):
        if step.done == 3:
            raise KilledError

    first = make(dropout=0.1)
    with pytest.raises(KilledError):
        train(config, Data(first.model, first.encoder, lessons(first, world)), seeded(),
              keep=lambda state: checkpoint.save(state, tmp_path), progress=die)  # fmt: skip
    second = make(dropout=0.1)
    again = train(config, Data(second.model, second.encoder, lessons(second, world)), seeded(99),
                  resume=checkpoint.latest(tmp_path))  # fmt: skip
    assert again.losses == straight.losses
    assert again.state.seed == straight.state.seed == 1
    expected, got = straight.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_training_leaves_global_randomness_alone_and_repeats_itself(make, world):
    runs = []
    for _ in range(2):
        made = make(dropout=0.1)
        before = torch.get_rng_state()
        runs.append(train(SHORT, Data(made.model, made.encoder, lessons(made, world)), seeded(7)).losses)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)
    assert runs[0] == runs[1]


def test_rows_come_in_the_order_of_the_seed_and_unseeded_ones_would_not(make, world):
    made = make()
    rows, _ = made.encoder.all(lessons(made, world))

    def seeded_order():
        return [batch.ids.tolist() for parts in _Rows(rows, 0, seed=5).batches(SHORT, 0) for batch in parts]

    def unseeded_order():
        """The defect: a loader that draws from whatever randomness is there."""
        return [rows[n].ids for n in torch.randperm(len(rows)).tolist()]

    assert seeded_order() == seeded_order()
    assert seeded_order()[:2] != seeded_order()[2:]  # each epoch has an order of its own
    assert unseeded_order() != unseeded_order()


def test_micro_batches_add_up_to_the_batch_they_are_cut_from(make, world):
    made = make()
    rows, _ = made.encoder.all([*lessons(made, world, 4)])
    longer = Example(rows[0].ids * 2, rows[0].labels * 2)  # rows with unequal numbers of learned tokens
    rows = [longer, *rows[1:]]

    def gradient(parts):
        made.model.zero_grad()
        loss = _learn(SHORT, made.model, [pad(part, made.encoder.pad, side="right") for part in parts])
        return loss, made.model.get_input_embeddings().weight.grad.clone()

    together, apart = gradient([rows]), gradient([[each] for each in rows])
    assert together[0] == pytest.approx(apart[0], rel=1e-5)
    torch.testing.assert_close(together[1], apart[1], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_side_of_the_padding_changes_no_loss(make, world, family):
    made = make(family=family)
    rows, _ = made.encoder.all(lessons(made, world, 8))
    losses = [_learn(SHORT, made.model, [pad(rows, made.encoder.pad, side=side)]) for side in ("left", "right")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_adapters_move_the_rows_of_codes_and_no_other_row(make, world, tied):
    made = make(tied=tied)
    tables = [made.model.get_input_embeddings().weight, made.model.get_output_embeddings().weight]
    before = [each.detach().clone() for each in tables]
    config = replace(SHORT, method="lora")
    trained = train(config, Data(made.model, made.encoder, lessons(made, world)), seeded()).model
    after = [trained.get_input_embeddings().weight, trained.get_output_embeddings().weight]
    own = torch.tensor(made.tokens.ids)
    others = torch.ones(len(after[0]), dtype=torch.bool)
    others[own] = False
    for old, new in zip(before, after, strict=True):
        assert torch.equal(old[others], new[others])
        assert not torch.equal(old[own], new[own])
    assert (after[0].data_ptr() == after[1].data_ptr()) == tied
    assert type(trained) is type(made.model)


def test_without_peft_adapters_are_refused_with_the_command_to_run(make, world, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    made = make()
    with pytest.raises(TrainingError, match=r"pip install 'toolweft\[train\]'"):
        train(replace(SHORT, method="lora"), Data(made.model, made.encoder, lessons(made, world)), seeded())


def test_a_checkpoint_of_other_data_or_settings_is_refused(make, world):
    made = make()
    state = train(SHORT, Data(made.model, made.encoder, lessons(made, world)), seeded()).state
    with pytest.raises(ArtefactError, match="other data or settings"):
        train(replace(SHORT, rate=1e-3), Data(made.model, made.encoder, lessons(made, world)), seeded(), resume=state)
    with pytest.raises(ArtefactError, match="other data or settings"):
        train(SHORT, Data(made.model, made.encoder, lessons(made, world, 19)), seeded(), resume=state)


def test_a_damaged_checkpoint_is_refused_and_only_the_latest_are_kept(make, world, tmp_path):
    made = make()
    train(replace(SHORT, every=1), Data(made.model, made.encoder, lessons(made, world)), seeded(),
          keep=lambda state: checkpoint.save(state, tmp_path))  # fmt: skip
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["step-000003", "step-000004"]
    assert checkpoint.latest(tmp_path / "nowhere") is None
    file = tmp_path / "step-000004" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="damaged"):
        checkpoint.latest(tmp_path)


def test_the_checkpoint_of_the_most_steps_counts_whatever_its_loss(tmp_path):
    for step, loss in enumerate([3.0, 1.0, 2.0], start=1):
        checkpoint.save(checkpoint.State(step, 1, "p", (loss,), {"model.x": torch.zeros(1)}), tmp_path, keep=3)
    assert checkpoint.latest(tmp_path).step == 3


def test_a_device_is_chosen_that_is_there(make, world):
    made = make()
    trained = train(replace(SHORT, device="auto"), Data(made.model, made.encoder, lessons(made, world, 4)), seeded())
    device = lm.device(trained.model)
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device.index in (None, 0)


def test_the_rate_rises_then_falls_to_nothing():
    config = replace(LEARN, rate=1.0, warm_up=0.1)
    rates = [rate_at(step, 100, config) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-3


def test_weights_that_are_no_numbers_stop_the_run(make, world):
    made = make()
    made.model.get_input_embeddings().weight.data[:] = math.nan
    with pytest.raises(TrainingError, match="loss became nan"):
        train(SHORT, Data(made.model, made.encoder, lessons(made, world)), seeded())


def test_no_conversation_that_fits_is_said_so(make, world):
    made = make(limit=32)
    long = retrieval([replace_request(world.pairs[0], "word " * 90)], made.spelled).conversations
    with pytest.raises(TrainingError, match="1 do not fit into 32 tokens"):
        train(SHORT, Data(made.model, made.encoder, [replace_turn(long[0])]), seeded())


def replace_request(pair, text):
    return pair._replace(request=text)


def replace_turn(conversation):
    """The same with everything to be learned: nothing of it may be cut."""
    return replace(conversation, turns=(Turn("user", "x"), Turn("assistant", "word " * 90, loss=True)))


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": math.inf}, {"warm_up": 1.0},
                                   {"clip": 0.0}])  # fmt: skip
def test_a_configuration_without_sense_is_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        replace(LEARN, **wrong)
