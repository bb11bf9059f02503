"""RQ-VAE: its losses say what they are, reach what they should, and nothing starts anew."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import clusters
from toolweft_server.training import rqvae
from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.graph import laplacian
from toolweft_server.training.quantiser import Data
from toolweft_server.training.rqvae import RqVaeConfig
from toolweft_server.training.rqvae_model import RqVae
from toolweft_server.training.sinkhorn import balance_loss

pytestmark = pytest.mark.torch

VECTORS = torch.from_numpy(clusters.vectors(clusters=6, each=10, width=16))
CONFIG = RqVaeConfig(
    codes=8, levels=2, latent=8, hidden=(24,), steps=60, warmup=20, batch=32, edges_per_step=16, balance_rounds=5
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def model():
    made = RqVae(16, (24,), 8, 2, 8, seeded())
    made.initialise(VECTORS, seeded(1), rounds=20)
    return made


def data(count=60):
    ids = [tool_id for tool_id, _ in clusters.names(count)]
    usages = [Usage((ids[n], ids[n + 1]), "train", 2) for n in range(0, count - 1, 2)]
    return Data(VECTORS.numpy()[:count], affinity(AffinityConfig(), usages, ids))


# The graph term that never reached the encoder.


def gradients(made, loss):
    made.zero_grad()
    loss.backward()
    layers = [each for each in made.encoder if isinstance(each, nn.Linear)]
    return [0.0 if each is None else float(each.abs().sum()) for each in (layers[0].weight.grad, made.codebook.grad)]


def test_co_usage_reaches_the_encoder_and_not_the_codebook_alone():
    made = model()
    out = made(VECTORS)
    words = made.codebook[0][out.codes[:, 0]]  # the defect: codewords before the straight-through copy, level by level
    assert gradients(made, laplacian(words[:10], words[10:20]))[0] == 0.0
    out = made(VECTORS)
    encoder, codebook = gradients(made, laplacian(out.sums[:10], out.sums[10:20]))
    assert encoder > 0
    assert codebook > 0
    out = made(VECTORS)
    assert gradients(made, laplacian(out.latent[:10], out.latent[10:20]))[0] > 0


def test_the_sum_over_levels_has_the_value_of_its_codewords():
    made = model()
    out = made(VECTORS)
    words = sum(made.codebook[n][out.codes[:, n]] for n in range(2))
    assert torch.allclose(out.sums, words, atol=1e-6)


def test_reconstruction_reaches_the_encoder_straight_through_the_codes():
    made = model()
    assert gradients(made, (made(VECTORS).rebuilt - VECTORS).square().sum())[0] > 0


def test_commitment_moves_the_encoder_on_every_level_and_the_codebook_loss_moves_the_codebook_alone():
    made = model()
    encoder, codebook = gradients(made, made(VECTORS).commitment.sum())
    assert (encoder > 0, codebook) == (True, 0.0)
    encoder, codebook = gradients(made, made(VECTORS).codebook_loss.sum())
    assert (encoder, codebook > 0) == (0.0, True)


def test_balancing_moves_the_codewords_to_the_tools_and_not_the_tools():
    made = model()
    squares = made(VECTORS).squares[0]
    encoder, codebook = gradients(made, balance_loss(squares, epsilon=0.01, temperature=0.1))
    assert (encoder, codebook > 0) == (0.0, True)


def together(config):
    """How near tools that are used together lie after training, beside tools at large."""
    graph = data().affinity.edges()
    quantiser = rqvae.fit(config, data(), seeded()).quantiser
    latent = quantiser.decode(quantiser.encode(data().vectors))
    apart = np.linalg.norm(latent[graph.u] - latent[graph.v], axis=1).mean()
    return apart / np.linalg.norm(latent - latent.mean(0), axis=1).mean()


def test_co_usage_of_the_default_weight_brings_tools_nearer():
    config = replace(CONFIG, steps=150)
    without = replace(config, graph=0.0)
    assert together(config) < 0.7 * together(without)


# Sinkhorn while training, and the nearest code afterwards.


def test_in_training_a_tool_has_the_code_that_it_has_afterwards_in_any_company():
    made = model().train()
    together = made(VECTORS).codes
    alone = torch.cat([made(VECTORS[n : n + 1]).codes for n in range(len(VECTORS))])
    assert torch.equal(together, alone)
    assert np.array_equal(together, rqvae.TrainedRqVae.from_model(made).encode(VECTORS.numpy()))


# Terms that were logged under one another's names.


def test_every_term_is_logged_under_its_own_name():
    config = replace(CONFIG, commitment=0.5, graph=3.0, contrast=0.25, balance=0.125)
    found = rqvae.fit(config, data(), seeded())
    last = found.history[-1]
    assert last.total == pytest.approx(
        last.reconstruction + last.codebook + 0.5 * last.commitment + 3.0 * (last.graph_latent + last.graph_codes)
        + 0.25 * last.contrast + 0.125 * last.balance,
        rel=1e-4,
    )  # fmt: skip
    with torch.no_grad():
        out = model()(VECTORS)
    batch = rqvae.Batch(VECTORS, 40, torch.zeros(10, 10, dtype=torch.bool))
    terms = rqvae.terms(config, batch, out)
    assert terms.graph_codes == laplacian(out.sums[40:50], out.sums[50:])
    assert terms.graph_latent == laplacian(out.latent[40:50], out.latent[50:])
    assert terms.commitment == pytest.approx(float(out.commitment[:40].mean()))
    loss, recon, commit, codebook, graph = (1, 2, 3, 4, 5)
    _, _, logged_graph, logged_commit, logged_codebook = (loss, recon, commit, codebook, graph)  # as it was unpacked
    assert (logged_graph, logged_commit, logged_codebook) == (commit, codebook, graph)


# The flag that was no state.


class Forgetful(nn.Module):
    """The defect: whether k-means has run is a Python attribute."""

    def __init__(self):
        super().__init__()
        self.codebook = nn.Parameter(torch.zeros(4, 8))
        self.initted = False

    def forward(self, vectors):
        if not self.initted:
            self.codebook.data = vectors[:4, :8].clone()
            self.initted = True
        return self.codebook


def test_a_loaded_network_does_not_start_its_codebook_anew():
    before = Forgetful()
    before(VECTORS)
    before.codebook.data += 1.0
    after = Forgetful()
    after.load_state_dict(before.state_dict())
    assert not torch.equal(after(VECTORS), before.codebook)

    trained = model()
    with torch.no_grad():
        trained.codebook += 1.0
    loaded = RqVae(16, (24,), 8, 2, 8, seeded(9))
    loaded.load_state_dict(trained.state_dict())
    assert bool(loaded.initialised)
    loaded.initialise(VECTORS, seeded(9), rounds=20)
    assert torch.equal(loaded.codebook, trained.codebook)


# Tensors with one entry for each pair and dimension.


class Largest(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        held = [each for each in (found if isinstance(found, (tuple, list)) else [found]) if torch.is_tensor(each)]
        self.numbers = max([self.numbers, *(each.numel() for each in held)])
        return found


def test_no_tensor_has_an_entry_for_each_pair_of_tools_and_dimension():
    count, width = 400, 32
    vectors = clusters.vectors(clusters=20, each=20, width=width)
    with Largest() as defect:
        at = torch.from_numpy(vectors)
        (at[:, None, :] - at[None, :, :]).square().sum()
    assert defect.numbers == count * count * width
    ids = [tool_id for tool_id, _ in clusters.names(count)]
    usages = [Usage((ids[n], ids[n + 1]), "train") for n in range(count - 1)]
    config = replace(CONFIG, steps=6, warmup=3, batch=count, codes=64, edges_per_step=64)
    with Largest() as ours:
        rqvae.fit(config, Data(vectors, affinity(AffinityConfig(), usages, ids)), seeded())
    assert ours.numbers <= (count + 2 * 64) * 64  # a batch and its edges, by codes


# Codes without anybody.


def test_a_code_that_nobody_chooses_is_given_a_place_where_tools_are():
    made = model()
    with torch.no_grad():
        made.codebook[0, 3] = 1e3
    for _ in range(5):
        out = made(VECTORS)
        made.count(out.codes)
    assert int(made.idle[0, 3]) == 5
    moved = made.revive(out.residuals, 5, seeded(2))
    assert bool(moved[0, 3])
    assert int(made.idle[0, 3]) == 0
    assert (made.codebook[0, 3] == out.residuals[0]).all(1).any()
    assert (made(VECTORS).codes[:, 0] == 3).any()


def test_a_code_that_was_given_a_new_place_forgets_its_old_momentum():
    made = model()
    optimiser = torch.optim.AdamW(made.parameters(), lr=1e-3)
    made.codebook.square().sum().backward()
    optimiser.step()
    moved = torch.zeros(2, 8, dtype=torch.bool)
    moved[0, 3] = True
    rqvae._forget(optimiser, made.codebook, moved)
    for name in ("exp_avg", "exp_avg_sq"):
        state = optimiser.state[made.codebook][name]
        assert not state[0, 3].any()
        assert state[0, 2].any()


def test_before_k_means_the_autoencoder_is_trained_alone():
    history = rqvae.fit(CONFIG, data(), seeded()).history
    assert all(each.codebook == each.balance == 0 for each in history[:20])
    assert all(each.codebook > 0 for each in history[20:])
    assert history[19].reconstruction < history[0].reconstruction


def test_a_learning_rate_that_explodes_is_told_with_the_terms():
    with (
        np.errstate(all="ignore"),
        pytest.raises(TrainingError, match=r"at step \d+ \(reconstruction .*lower learning_rate"),
    ):
        rqvae.fit(replace(CONFIG, learning_rate=1e30), data(), seeded())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": 0}, "codes must be above 0, not 0"),
        ({"commitment": -1.0}, "commitment must be at least 0, not -1.0"),
        ({"hidden": (8, 0)}, r"hidden\[1\] must be above 0"),
        ({"warmup": 60}, "warmup must be at least 0 and below steps = 60, not 60"),
        ({"epsilon": float("nan")}, "epsilon must be above 0, not nan"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(TrainingError, match=message):
        replace(CONFIG, **change)
