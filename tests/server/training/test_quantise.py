"""What every quantiser promises, whichever kind it is."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import clusters
from toolweft_server.index.woven import residual
from toolweft_server.training import quantise
from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.diagnostics import diagnose
from toolweft_server.training.errors import ArtefactError, TrainingError
from toolweft_server.training.quantiser import Data
from toolweft_server.training.rqkmeans import RqKMeansConfig
from toolweft_server.training.rqvae import RqVaeConfig

pytestmark = pytest.mark.torch

VECTORS = clusters.vectors(clusters=6, each=10, width=16)
CONFIGS = {
    "rqkmeans": RqKMeansConfig(codes=8, levels=2, projection_steps=30, edges_per_step=32),
    "rqvae": RqVaeConfig(
        codes=8, levels=2, latent=8, hidden=(24,), steps=40, warmup=15, batch=32, edges_per_step=16,
        balance_rounds=5, revive_after=3,
    ),
}  # fmt: skip


def graph(weight=3):
    ids = [tool_id for tool_id, _ in clusters.names(len(VECTORS))]
    usages = [Usage((ids[a], ids[a + 10]), "train", weight) for a in range(50) if a // 10 % 2 == 0]
    return affinity(AffinityConfig(), usages, ids)


def fit(kind, **how):
    generator = torch.Generator().manual_seed(3)
    return quantise.fit(CONFIGS[kind], Data(VECTORS, graph()), generator, **how)


@pytest.fixture(scope="module", params=CONFIGS)
def fitted(request):
    return fit(request.param)


def test_codes_are_whole_numbers_within_the_codebook(fitted):
    codes = fitted.quantiser.encode(VECTORS)
    assert codes.shape == (60, 2)
    assert codes.dtype == np.int32
    assert all(codes[:, n].max() < len(level) for n, level in enumerate(fitted.quantiser.codebook))


def test_a_vector_has_the_same_code_alone_and_in_company(fitted):
    together = fitted.quantiser.encode(VECTORS)
    alone = np.concatenate([fitted.quantiser.encode(VECTORS[n : n + 1]) for n in range(60)])
    assert np.array_equal(together, alone)


def test_decoding_comes_nearer_to_the_latent_with_every_level(fitted):
    latent, codes = fitted.quantiser.project(VECTORS), fitted.quantiser.encode(VECTORS)
    left = [((latent - fitted.quantiser.decode(codes[:, :n])) ** 2).sum(1).mean() for n in range(3)]
    assert left[0] > left[1] > left[2]


def test_tools_of_one_cluster_share_their_first_code(fitted):
    first = fitted.quantiser.encode(VECTORS)[:, 0].reshape(6, 10)
    assert np.mean([np.bincount(row).max() / 10 for row in first]) > 0.8


def test_what_was_saved_makes_the_same_quantiser(fitted):
    again = quantise.restore(fitted.quantiser.kind, dict(fitted.quantiser.arrays()))
    assert np.array_equal(again.encode(VECTORS), fitted.quantiser.encode(VECTORS))
    assert np.array_equal(again.project(VECTORS), fitted.quantiser.project(VECTORS))


@pytest.mark.parametrize("stop", [1, 15, 31])
def test_a_resumed_run_equals_an_uninterrupted_one(fitted, stop):
    kind = fitted.quantiser.kind
    part = fit(kind, until=stop)
    assert not part.finished
    kept = {name: each.copy() for name, each in part.quantiser.arrays().items()}
    stranger = torch.Generator().manual_seed(77)
    whole = quantise.fit(CONFIGS[kind], Data(VECTORS, graph()), stranger, resume=part.state)
    twice = quantise.fit(CONFIGS[kind], Data(VECTORS, graph()), stranger, resume=part.state)
    assert whole.finished
    assert whole.history == fitted.history == twice.history
    for name, expected in fitted.quantiser.arrays().items():
        assert np.array_equal(whole.quantiser.arrays()[name], expected), name
        assert np.array_equal(twice.quantiser.arrays()[name], expected), name
    assert all(np.array_equal(part.quantiser.arrays()[name], each) for name, each in kept.items())


def test_a_state_is_saved_and_loaded_without_running_code(fitted, tmp_path):
    torch.save(fitted.state._asdict() | {"history": None}, tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert loaded["step"] == fitted.state.step


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_state_of_other_data_or_another_configuration_is_refused(kind):
    state = fit(kind, until=2).state
    with pytest.raises(TrainingError, match=r"begun with .* cannot go on with"):
        quantise.fit(CONFIGS[kind], Data(VECTORS[:-1]), torch.Generator(), resume=state)


@pytest.mark.parametrize("kind", CONFIGS)
def test_progress_is_told_and_nothing_is_printed(kind, capsys):
    steps = []
    fit(kind, progress=steps.append)
    assert steps[-1].done == steps[-1].total == len(steps)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("count", [1, 2, 20])
def test_fewer_tools_than_codes_make_a_smaller_codebook(kind, count):
    found = quantise.fit(CONFIGS[kind], Data(VECTORS[:count]), torch.Generator().manual_seed(0)).quantiser
    assert all(len(level) <= min(8, count) for level in found.codebook)
    assert found.encode(VECTORS).shape == (60, 2)  # later tools get codes as well


@pytest.mark.parametrize("kind", CONFIGS)
def test_tools_that_are_all_alike_share_one_code(kind):
    found = quantise.fit(CONFIGS[kind], Data(VECTORS[[0] * 5]), torch.Generator().manual_seed(0)).quantiser
    assert len(np.unique(found.encode(VECTORS[[0] * 5]), axis=0)) == 1


@pytest.mark.parametrize("kind", CONFIGS)
def test_vectors_of_another_width_are_refused(kind):
    with pytest.raises(ValueError, match=r"shape \(60, 3\) do not fit"):
        fit(kind, until=16).quantiser.encode(VECTORS[:, :3])


def test_co_usage_brings_tools_under_one_prefix():
    config = RqKMeansConfig(codes=3, levels=2, projection_steps=150, anchor=0.05, edges_per_step=64)
    shares = {}
    for name, edges in (("with", graph(20)), ("without", None)):
        found = quantise.fit(config, Data(VECTORS, edges), torch.Generator().manual_seed(0)).quantiser
        numbers = diagnose(found.project(VECTORS), found.encode(VECTORS), found.codebook, graph(20))
        shares[name] = numbers.levels[0].neighbours_together
    assert shares["with"] > 0.9
    assert shares["with"] > shares["without"] + 0.2


def test_without_co_usage_the_map_is_the_identity():
    found = quantise.fit(CONFIGS["rqkmeans"], Data(VECTORS), torch.Generator().manual_seed(0))
    assert np.array_equal(found.quantiser.project(VECTORS), VECTORS.astype(np.float64))
    assert np.array_equal(found.quantiser.encode(VECTORS), residual.encode(VECTORS, found.quantiser.codebook))


def test_data_that_makes_no_sense_is_refused():
    broken = VECTORS.copy()
    broken[0, 0] = np.inf
    for vectors, affinity_, message in (
        (np.empty((0, 4), np.float32), None, "shape"),
        (VECTORS[0], None, "shape"),
        (broken, None, "NaN or infinity"),
        (VECTORS[:9], graph(), "co-usage of 60 tools does not fit 9"),
    ):
        with pytest.raises(TrainingError, match=message):
            Data(vectors, affinity_)


def test_a_quantiser_that_is_none_is_refused():
    with pytest.raises(ArtefactError, match="no quantiser of kind 'vq'"):
        quantise.restore("vq", {})
    with pytest.raises(ArtefactError, match="needs the array 'projection'"):
        quantise.restore("rqkmeans", {"level.0": VECTORS})
    with pytest.raises(ArtefactError, match=r"needs the array 'weight\.0'"):
        quantise.restore("rqvae", {})
