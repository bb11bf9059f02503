"""The plan that spreads a batch evenly: checked against the dense textbook form."""

import itertools

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

from toolweft_server.training.errors import TrainingError
from toolweft_server.training.sinkhorn import balance_loss, centred, sinkhorn

pytestmark = pytest.mark.torch


def costs(rows=40, columns=8, seed=0):
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(costs, epsilon, rounds):
    """Sinkhorn and Knopp on the kernel itself, as in the textbook."""
    kernel = torch.exp(-costs / epsilon)
    rows, columns = torch.ones(len(costs), dtype=torch.float64), torch.ones(costs.shape[1], dtype=torch.float64)
    for _ in range(rounds):
        columns = (len(costs) / costs.shape[1]) / (kernel.T @ rows)
        rows = 1.0 / (kernel @ columns)
    return rows[:, None] * kernel * columns[None]


@pytest.mark.parametrize("epsilon", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("rounds", [1, 7, 50])
def test_the_plan_equals_the_dense_reference(epsilon, rounds):
    assert torch.allclose(sinkhorn(costs(), epsilon=epsilon, rounds=rounds).weights, dense(costs(), epsilon, rounds))


@pytest.mark.parametrize("epsilon", [0.05, 0.2, 1.0])
def test_the_plan_equals_that_of_the_library_for_optimal_transport(epsilon):
    ot = pytest.importorskip("ot")
    shares = np.full(40, 1 / 40), np.full(8, 1 / 8)
    theirs = ot.sinkhorn(*shares, costs().numpy(), epsilon, method="sinkhorn_log", numItermax=10_000, stopThr=1e-13)
    ours = sinkhorn(costs(), epsilon=epsilon, rounds=2_000).weights.numpy()
    np.testing.assert_allclose(ours / 40, theirs, atol=1e-9)


def test_every_vector_is_given_away_whole_and_every_code_gets_its_share():
    plan = sinkhorn(costs(), epsilon=0.05, rounds=500)
    assert torch.allclose(plan.weights.sum(1), torch.ones(40, dtype=torch.float64))
    assert torch.allclose(plan.weights.sum(0), torch.full((8,), 5.0, dtype=torch.float64), rtol=1e-3)
    assert plan.row_error < 1e-9
    assert plan.column_error < 1e-3


def test_a_tiny_epsilon_neither_overflows_nor_vanishes():
    plan = sinkhorn(costs() * 100, epsilon=1e-3, rounds=20)
    assert not torch.isfinite(dense(costs() * 100, 1e-3, 20)).all()
    assert torch.isfinite(plan.weights).all()
    assert plan.row_error < 1e-9


def test_the_plan_costs_as_little_as_the_best_even_assignment_when_epsilon_is_small():
    few = costs(6, 3)
    best = min(
        sum(float(few[row, column]) for row, column in enumerate(choice))
        for choice in itertools.product(range(3), repeat=6)
        if all(choice.count(column) == 2 for column in range(3))
    )
    plan = sinkhorn(few, epsilon=1e-3, rounds=5_000)
    assert float((plan.weights * few).sum()) == pytest.approx(best, abs=1e-2)


def test_the_balancing_loss_moves_vectors_away_from_a_code_that_everybody_chooses():
    squares = torch.tensor([[0.1, 1.0], [0.2, 0.9], [0.3, 0.8], [0.4, 0.7]], requires_grad=True)
    balance_loss(squares, epsilon=0.05, temperature=0.2).backward()
    step = -squares.grad
    assert step[3, 1] < 0 < step[3, 0]  # the one that fits the crowded code worst comes nearer to the empty one
    assert torch.isfinite(step).all()


def test_costs_are_stretched_to_the_same_range_whatever_their_scale():
    assert centred(costs()).min() == -1.0
    assert centred(costs()).max() == pytest.approx(1.0)
    assert torch.isfinite(centred(torch.ones(3, 3))).all()


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_an_epsilon_that_makes_no_sense_is_refused(epsilon):
    with pytest.raises(TrainingError, match="epsilon > 0"):
        sinkhorn(costs(), epsilon=epsilon)


@pytest.mark.parametrize("matrix", [torch.empty(0, 3), torch.tensor([[float("nan")]]), torch.zeros(3)])
def test_costs_that_make_no_sense_are_refused(matrix):
    with pytest.raises(TrainingError, match="finite matrix"):
        sinkhorn(matrix, epsilon=0.1)
