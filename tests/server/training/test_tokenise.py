"""All stages in a row: vectors and co-usage become codes, an artefact and numbers."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch

import clusters
from toolweft_server.training import artefact
from toolweft_server.training.affinity import Usage
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.rqkmeans import RqKMeansConfig
from toolweft_server.training.rqvae import RqVaeConfig
from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise

pytestmark = pytest.mark.torch

SMALL = {
    "rqkmeans": RqKMeansConfig(codes=16, levels=2, projection_steps=40, edges_per_step=64),
    "rqvae": RqVaeConfig(
        codes=16, levels=2, latent=8, hidden=(32,), steps=60, warmup=20, batch=128, edges_per_step=32, balance_rounds=5
    ),
}


def sources():
    vectors = clusters.vectors()
    usages = [Usage(pair, "train", 3) for pair in clusters.partners(len(vectors))]
    return Sources(clusters.names(len(vectors)), vectors, "e" * 32, usages)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("assignment", ["shared", "unique"])
def test_two_hundred_tools_become_codes_an_artefact_and_the_same_codes_again(tmp_path, kind, assignment):
    made = tokenise(TokeniseConfig(quantiser=SMALL[kind], assignment=assignment), sources())
    made.artefact.save(tmp_path)
    again = artefact.load(tmp_path, encoder="e" * 32, catalogue=made.artefact.digests.catalogue)
    assert np.array_equal(again.assigned.codes, made.artefact.assigned.codes)
    assert np.array_equal(again.assigned.suffix, made.artefact.assigned.suffix)
    assert np.array_equal(
        again.quantiser.encode(clusters.vectors()), made.artefact.quantiser.encode(clusters.vectors())
    )
    assert again.digests == made.artefact.digests
    assert len(again.assigned.trie) == 200


@pytest.mark.parametrize("kind", SMALL)
def test_the_same_seed_gives_the_same_artefact_and_the_global_generators_are_not_touched(kind):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = tokenise(TokeniseConfig(quantiser=SMALL[kind], seed=7), sources())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    np.random.seed(3)
    second = tokenise(TokeniseConfig(quantiser=SMALL[kind], seed=7), sources())
    other = tokenise(TokeniseConfig(quantiser=SMALL[kind], seed=8), sources())
    assert first.artefact.digests == second.artefact.digests
    assert first.history == second.history
    assert first.artefact.digests != other.artefact.digests


def test_the_seed_and_the_configuration_are_written_down(tmp_path):
    tokenise(TokeniseConfig(quantiser=SMALL["rqkmeans"], seed=7), sources()).artefact.save(tmp_path)
    manifest = json.loads((tmp_path / artefact.MANIFEST).read_text(encoding="utf-8"))
    assert manifest["seeds"] == {"tokenise": 7}
    assert manifest["config"]["quantiser"]["codes"] == 16


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("assignment", ["shared", "unique"])
@pytest.mark.parametrize("count", [1, 20])
def test_a_catalogue_smaller_than_the_codebook_is_tokenised(kind, assignment, count):
    few = sources()
    made = tokenise(
        TokeniseConfig(quantiser=SMALL[kind], assignment=assignment),
        few._replace(tools=few.tools[:count], vectors=few.vectors[:count], usages=()),
    )
    assert made.artefact.assigned.codes.shape == (count, 2)
    assert all(len(level) <= count for level in made.artefact.quantiser.codebook)


@pytest.mark.parametrize("kind", SMALL)
def test_co_usage_reaches_the_codes_and_their_numbers(kind):
    used, unused = (tokenise(TokeniseConfig(quantiser=SMALL[kind]), each) for each in (sources(), alone()))
    shares = [each.diagnostics.levels[0].neighbours_together for each in (used, unused)]
    assert np.isfinite(shares).tolist() == [True, False]
    assert used.artefact.digests != unused.artefact.digests


def alone():
    return sources()._replace(usages=())


def test_vectors_of_another_number_of_tools_are_refused():
    with pytest.raises(TrainingError, match="200 vectors do not fit 3 tools"):
        tokenise(TokeniseConfig(), sources()._replace(tools=clusters.names(3)))
