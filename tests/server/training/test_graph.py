"""Losses over co-usage."""

import pytest

pytest.importorskip("torch")

import torch

from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.graph import contrast, laplacian, not_negatives

pytestmark = pytest.mark.torch


def graph(tools):
    ids = [f"s.t{n}" for n in range(tools)]
    return affinity(AffinityConfig(), [Usage((ids[0], ids[1]), "train", 4), Usage((ids[2], ids[3]), "train", 4)], ids)


def scaled_by_the_batch(points, found):
    """The defect: every pair of a mostly empty matrix counts in the divisor."""
    total = points.new_zeros(())
    for u in range(len(found)):
        for v, weight in zip(*found.neighbours(u), strict=True):
            total = total + weight * (points[u] - points[v]).square().sum()
    return total / len(points) ** 2


def test_tools_without_edges_do_not_dilute_the_laplacian():
    points = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    few, many = graph(4), graph(200)
    assert scaled_by_the_batch(points, many) < scaled_by_the_batch(points[:4], few) / 1_000
    pairs = [each.edges().sample(4_000, torch.Generator().manual_seed(1)) for each in (few, many)]
    ours = [laplacian(points[each.u], points[each.v]) for each in pairs]
    assert ours[0] == pytest.approx(float(ours[1]))
    assert float(ours[0]) > 1.0


def test_shrinking_everything_lowers_the_laplacian_and_not_the_contrast():
    points = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    edges = graph(4).edges()
    blocked = not_negatives(edges, edges.sample(2, torch.Generator().manual_seed(0)), 4)
    big, small = points[:2], points[2:]
    assert laplacian(big * 0.1, small * 0.1) < laplacian(big, small) / 50
    apart = contrast(big, small, blocked, temperature=0.1)
    assert contrast(big * 0.1, small * 0.1, blocked, temperature=0.1) == pytest.approx(float(apart), rel=1e-4)


def test_neighbours_and_a_tool_itself_are_no_negatives():
    edges = graph(6).edges()
    pairs = edges.sample(30, torch.Generator().manual_seed(2))
    blocked = not_negatives(edges, pairs, 6)
    for i in range(30):
        for j in range(30):
            together = {int(pairs.u[i]), int(pairs.v[j])}
            assert bool(blocked[i, j]) == (len(together) == 1 or together in ({0, 1}, {2, 3}))


def test_without_edges_every_term_is_zero():
    none = torch.empty(0, 8, requires_grad=True)
    assert laplacian(none, none) == 0
    assert contrast(none, none, torch.empty(0, 0, dtype=torch.bool), temperature=0.1) == 0
