"""Heads learn from requests: the same arithmetic as at run time, the same weights for the same seed, and they pay."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from toolweft_server.errors import HeadsError
from toolweft_server.index.woven.codes import Woven
from toolweft_server.index.woven.heads import Heads
from toolweft_server.index.woven.trie import END
from toolweft_server.training import heads
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.heads import Corpus, HeadsConfig
from toolweft_server.training.heads_episode import Episode
from toolweft_server.training.quantiser import Data
from toolweft_server.training.rqkmeans import RqKMeansConfig
from toolweft_server.training.rqkmeans import fit as quantise

pytestmark = pytest.mark.torch

SIZE, TOOLS, SERVERS = 16, 120, 12
CONFIG = HeadsConfig(hidden=16, epochs=5, batch=32, candidates=8, learning_rate=0.02)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def world(requests=400, seed=3):
    """Tools around the middles of their servers. People ask in other words: a request is its tool, turned."""
    random = np.random.default_rng(seed)
    servers = np.repeat(np.arange(SERVERS), TOOLS // SERVERS)
    vectors = unit(random.standard_normal((SERVERS, SIZE))[servers] + 0.6 * random.standard_normal((TOOLS, SIZE)))
    turn = np.linalg.qr(np.eye(SIZE) + 0.25 * np.random.default_rng(0).standard_normal((SIZE, SIZE)))[0]
    turn *= np.sign(np.diag(turn))
    gold = random.integers(0, TOOLS, requests)
    asked = unit(vectors[gold] @ turn.T + 0.1 * random.standard_normal((requests, SIZE)))
    scores = asked @ vectors.T
    drafts = np.argsort(-scores, axis=1)[:, :20]
    return Corpus(vectors, servers, asked, [(int(row),) for row in gold], drafts, np.take_along_axis(scores, drafts, 1))


WORLD = world()
QUANTISER = quantise(
    RqKMeansConfig(levels=2, codes=8, rounds=10), Data(WORLD.vectors), torch.Generator().manual_seed(1)
).quantiser


def trained(config=CONFIG, corpora=(WORLD,), seed=7):
    return heads.fit(config, QUANTISER, corpora, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def fitted():
    return trained()


@pytest.fixture(scope="module")
def untrained():
    return running(trained(HeadsConfig(hidden=16, epochs=0)))


def running(fitted):
    return Heads.of(fitted.arrays, encoder="", digest="")


def right_first(own, corpus):
    """Share of requests whose right tool the heads themselves put first."""
    woven = Woven.build(corpus.vectors, own.encode(corpus.vectors), firsts=own.firsts)
    drafts = [own.generate(request, woven, 1).rows[0] for request in corpus.requests]
    return np.mean([row in gold for row, gold in zip(drafts, corpus.gold, strict=True)])


def test_trained_heads_find_what_untrained_ones_do_not(fitted, untrained):
    some = world(80)
    before, after = right_first(untrained, some), right_first(running(fitted), some)
    assert after > before + 0.15
    assert fitted.history[-1].total < fitted.history[0].total


def test_what_is_learned_helps_with_servers_that_came_later(fitted, untrained):
    others = [world(100, seed=seed) for seed in (4, 5, 6)]
    before, after = ([right_first(own, each) for each in others] for own in (untrained, running(fitted)))
    assert np.mean(after) > np.mean(before) + 0.04


def test_the_run_time_computes_what_was_trained(fitted):
    model = heads.Model(QUANTISER, CONFIG, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for n, (inner, bias, outer) in enumerate(running(fitted).networks):
            for mine, theirs in ((model.inner, inner), (model.bias, bias), (model.outer, outer)):
                mine[n].copy_(torch.from_numpy(theirs))
        model.log_temperatures.copy_(torch.from_numpy(running(fitted).temperatures).log())
    codes = heads.encode(QUANTISER, WORLD.vectors)
    everyone = Episode.draw(WORLD.vectors, codes, WORLD.servers, model.levels, 0.0, torch.Generator())
    rows = np.random.default_rng(1).integers(0, TOOLS, (10, 30))
    with torch.no_grad():
        theirs = model.steps(torch.from_numpy(WORLD.requests[:10]), torch.from_numpy(rows), everyone).numpy()
    own = running(fitted)
    woven = Woven.build(WORLD.vectors, own.encode(WORLD.vectors), firsts=own.firsts)
    mine = np.stack([own.verify(WORLD.requests[n], woven, rows[n]) for n in range(10)])
    assert np.array_equal(woven.codes, codes)
    assert (np.bincount(np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)) > 1).any()
    assert np.allclose(mine, theirs, atol=2e-3)


def test_the_same_seed_gives_the_same_weights_whatever_happened_before(fitted):
    torch.manual_seed(999)
    again = trained()
    assert all(np.array_equal(fitted.arrays[name], again.arrays[name]) for name in fitted.arrays)
    other = trained(seed=8)
    assert not np.array_equal(fitted.arrays["network.0.outer"], other.arrays["network.0.outer"])


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    trained(HeadsConfig(hidden=4, epochs=1))
    assert torch.equal(state, torch.get_rng_state())


def test_an_episode_is_the_catalogue_without_the_hidden_servers():
    model = heads.Model(QUANTISER, CONFIG, torch.Generator().manual_seed(0))
    codes = heads.encode(QUANTISER, WORLD.vectors)
    episode = Episode.draw(WORLD.vectors, codes, WORLD.servers, model.levels, 0.25, torch.Generator().manual_seed(3))
    visible = episode.visible.numpy()
    assert len(np.unique(WORLD.servers[visible])) == 9
    assert not set(WORLD.servers[visible]) & set(WORLD.servers[~visible])
    for level in range(2):
        assert int(episode.children[level].sum()) == len(np.unique(codes[visible, : level + 1], axis=0))
    assert set(episode.members.numpy().ravel()) - {END} <= set(np.flatnonzero(visible))


def test_one_server_is_never_hidden_altogether():
    model = heads.Model(QUANTISER, CONFIG, torch.Generator().manual_seed(0))
    codes = heads.encode(QUANTISER, WORLD.vectors)
    alone = Episode.draw(WORLD.vectors, codes, np.zeros(TOOLS, int), model.levels, 0.9, torch.Generator())
    assert alone.visible.all()


def test_written_heads_are_read_at_run_time_and_bound_to_their_encoder(fitted, tmp_path):
    written = heads.save(fitted, tmp_path, encoder="a" * 32, config={"seed": 7})
    found = Heads.load(tmp_path, encoder="a" * 32)
    assert found.digest == written.digest
    assert np.array_equal(found.encode(WORLD.vectors), heads.encode(QUANTISER, WORLD.vectors))
    first = (tmp_path / "heads.npz").read_bytes()
    heads.save(fitted, tmp_path, encoder="a" * 32, config={"seed": 7})
    assert (tmp_path / "heads.npz").read_bytes() == first
    with pytest.raises(HeadsError, match="made for the encoder a"):
        Heads.load(tmp_path, encoder="b" * 32)


def test_several_right_tools_and_requests_without_drafts_are_learned_from():
    few = WORLD.requests[:40]
    gold = [(int(n), int(n) + 1) for n in range(40)]
    none = np.full((40, 3), END)
    corpus = Corpus(WORLD.vectors, WORLD.servers, few, gold, none, np.zeros((40, 3), np.float32))
    assert np.isfinite(trained(HeadsConfig(hidden=4, epochs=2), [corpus, WORLD]).history[-1].total)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"servers": WORLD.servers[:5]}, "5 servers do not fit 120 vectors"),
        ({"gold": WORLD.gold[:3]}, "400 requests, gold of 3"),
        ({"gold": [(), *WORLD.gold[1:]]}, "no right tool"),
    ],
)
def test_a_corpus_that_does_not_fit_is_refused(changed, message):
    parts = {name: getattr(WORLD, name) for name in ("vectors", "servers", "requests", "gold", "drafts", "scores")}
    with pytest.raises(TrainingError, match=message):
        Corpus(**parts | changed)


def test_a_configuration_that_makes_no_sense_is_refused():
    for wrong in ({"epochs": -1}, {"hidden_servers": 1.0}, {"dropout": -0.1}, {"temperature": 0}):
        with pytest.raises(TrainingError, match=next(iter(wrong))):
            HeadsConfig(**wrong)
    with pytest.raises(TrainingError, match="there are none"):
        trained(corpora=[])
    narrow = Corpus(WORLD.vectors[:, :3], WORLD.servers, WORLD.requests[:, :3], WORLD.gold, WORLD.drafts, WORLD.scores)
    with pytest.raises(TrainingError, match=r"\(120, 3\) do not fit a codebook of 16"):
        trained(corpora=[narrow])
