"""Which tools are used together: sparse, shrunk, from the training split only."""

import itertools
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch

IDS = ["a.one", "a.two", "b.one", "b.two", "c.alone"]


def train(*tools, times=1):
    return Usage(tools, "train", times)


def dense(found):
    matrix = np.zeros((len(found), len(found)))
    for row in range(len(found)):
        columns, weights = found.neighbours(row)
        matrix[row, columns] = weights
    return matrix


def test_affinity_is_shrunk_co_usage_divided_by_what_each_is_used():
    usages = [train("a.one", "a.two", times=6), train("a.one", "b.one", times=2), train("a.two")]
    matrix = dense(affinity(AffinityConfig(kappa=2.0), usages, IDS))
    assert matrix[0, 1] == pytest.approx(6 / (np.sqrt(8 * 7) + 2))
    assert matrix[0, 2] == pytest.approx(2 / (np.sqrt(8 * 2) + 2))
    assert np.array_equal(matrix, matrix.T)
    assert not matrix.diagonal().any()
    assert not matrix[4].any()


def test_it_agrees_with_a_dense_count():
    random = np.random.default_rng(3)
    ids = [f"s.t{n}" for n in range(12)]
    sets = [random.choice(12, random.integers(1, 5), replace=False) for _ in range(200)]
    count = np.zeros((12, 12))
    for each in sets:
        count[np.ix_(each, each)] += 1
    expected = count / (np.sqrt(np.outer(count.diagonal(), count.diagonal())) + 0.5)
    np.fill_diagonal(expected, 0.0)
    usages = [train(*(ids[n] for n in each)) for each in sets]
    assert np.allclose(dense(affinity(AffinityConfig(kappa=0.5), usages, ids)), expected)


def without_shrinkage(together, u, v):
    return together / np.sqrt(u * v)


def test_a_pair_seen_once_is_not_as_close_as_tools_can_be():
    seen_once = affinity(AffinityConfig(kappa=2.0), [train("a.one", "a.two")], IDS)
    often = affinity(AffinityConfig(kappa=2.0), [train("a.one", "a.two", times=100)], IDS)
    assert without_shrinkage(1, 1, 1) == without_shrinkage(100, 100, 100) == 1.0
    assert dense(seen_once)[0, 1] == pytest.approx(1 / 3)
    assert dense(often)[0, 1] > 0.97


@pytest.mark.parametrize("split", ["dev", "test"])
def test_usage_of_another_split_is_refused(split):
    with pytest.raises(TrainingError, match=f"train split only.*'{split}'"):
        affinity(AffinityConfig(), [train("a.one", "a.two"), Usage(("a.one", "b.one"), split)], IDS)


def test_repeated_unknown_and_too_many_tools_in_one_set():
    usages = [train("a.one", "a.one", "a.two", "gone.tool"), train(*IDS)]
    found = affinity(AffinityConfig(largest_set=4), usages, IDS)
    assert found.unknown == 1
    assert found.too_large == 1
    assert found.alone.tolist() == [1, 1, 0, 0, 0]


def test_each_edge_is_listed_once():
    found = affinity(AffinityConfig(), [train("a.one", "a.two", "b.one"), train("b.two", "a.one")], IDS)
    edges = found.edges()
    assert list(zip(edges.u.tolist(), edges.v.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 2)]


def test_edges_are_drawn_in_proportion_to_their_weight_and_the_same_for_the_same_seed():
    edges = affinity(AffinityConfig(), [train("a.one", "a.two", times=50), train("b.one", "b.two")], IDS).edges()
    drawn = edges.sample(20_000, torch.Generator().manual_seed(5))
    share = float((drawn.u == 0).double().mean())
    assert share == pytest.approx(float(edges.weights[0] / edges.weights.sum()), abs=0.01)
    torch.manual_seed(99)
    again = edges.sample(20_000, torch.Generator().manual_seed(5))
    assert torch.equal(drawn.u, again.u)
    assert torch.equal(drawn.v, again.v)


def test_connected_knows_neighbours_and_a_tool_itself():
    found = affinity(AffinityConfig(), [train("a.one", "b.one"), train("a.two", "b.two")], IDS)
    edges, pairs = found.edges(), list(itertools.product(range(5), range(5)))
    a, b = (torch.tensor(side) for side in zip(*pairs, strict=True))
    together = {(a, b) for a, b in pairs if a == b or {a, b} in ({0, 2}, {1, 3})}
    assert {pair for pair, is_one in zip(pairs, edges.connected(a, b, 5).tolist(), strict=True) if is_one} == together


def test_without_usage_there_is_a_graph_without_edges():
    edges = affinity(AffinityConfig(), [], IDS).edges()
    assert len(edges.u) == 0
    assert len(edges.sample(10, torch.Generator()).u) == 0
    assert edges.connected(torch.tensor([0, 0]), torch.tensor([0, 1]), 5).tolist() == [True, False]
    assert len(affinity(AffinityConfig(), [], []).edges().u) == 0


def test_fifty_thousand_tools_cost_what_their_edges_cost():
    ids = [f"s.t{n}" for n in range(50_000)]
    usages = [train(ids[n], ids[n + 1]) for n in range(0, 49_999, 7)]
    tracemalloc.start()
    try:
        found = affinity(AffinityConfig(), usages, ids)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.columns.nbytes + found.weights.nbytes + found.starts.nbytes < 2_000_000
    assert peak < 100_000_000  # a matrix of all pairs would be 20 GB


def test_a_configuration_that_makes_no_sense_is_refused():
    with pytest.raises(TrainingError, match="kappa must be above 0"):
        AffinityConfig(kappa=0)
    with pytest.raises(TrainingError, match="largest_set"):
        AffinityConfig(largest_set=1)
    with pytest.raises(TrainingError, match="given twice"):
        affinity(AffinityConfig(), [], ["a.one", "a.one"])
