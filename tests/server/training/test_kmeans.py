"""k-means: the codebook of one level."""

import pytest

pytest.importorskip("torch")

import torch

import clusters
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.kmeans import kmeans, nearest, squared_distances

pytestmark = pytest.mark.torch


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def points(each=20, spread=0.05):
    return torch.from_numpy(clusters.vectors(clusters=8, each=each, spread=spread))


def test_clusters_that_are_there_are_found():
    found = kmeans(points(), 8, seeded())
    assert [len(set(found.codes[n : n + 20].tolist())) for n in range(0, 160, 20)] == [1] * 8
    assert len(set(found.codes.tolist())) == 8


def test_distances_are_those_of_the_textbook_and_have_a_gradient():
    a, b = points()[:30].double().requires_grad_(), points()[30:40].double()
    found = squared_distances(a, b)
    assert torch.allclose(found, (a[:, None] - b[None]).square().sum(2))
    found.sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("count", [1, 2, 20])
def test_there_are_never_more_clusters_than_different_points(count):
    found = kmeans(points()[:count].repeat(3, 1), 1024, seeded())
    assert len(found.centres) == count
    assert found.distortion == pytest.approx(0.0, abs=1e-6)


def test_no_cluster_is_empty():
    found = kmeans(points(spread=0.4), 64, seeded(3))
    assert torch.bincount(found.codes, minlength=64).min() > 0


def test_the_same_seed_finds_the_same_clusters():
    assert torch.equal(kmeans(points(), 12, seeded(1)).centres, kmeans(points(), 12, seeded(1)).centres)


def test_codes_are_the_nearest_centres():
    found = kmeans(points(), 12, seeded())
    assert torch.equal(found.codes, nearest(points(), found.centres).codes)


def test_points_that_make_no_sense_are_refused():
    with pytest.raises(TrainingError, match="at least one point"):
        kmeans(torch.empty(0, 4), 2, seeded())
    with pytest.raises(TrainingError, match="finite points"):
        kmeans(torch.full((3, 4), float("nan")), 2, seeded())
    with pytest.raises(TrainingError, match="at least one cluster, not 0"):
        kmeans(points(), 0, seeded())
