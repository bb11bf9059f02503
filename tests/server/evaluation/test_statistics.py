"""How sure a mean is."""

import numpy as np
import pytest

from toolweft_server.evaluation import statistics


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide_on_each_side():
    values = np.random.default_rng(1).random(400)
    found = statistics.interval(values)
    error = values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.mean - found.low == pytest.approx(1.96 * error, rel=0.1)
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.1)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(1).random(50)
    assert statistics.interval(values, seed=3) == statistics.interval(values, seed=3)
    assert statistics.interval(values, seed=3) != statistics.interval(values, seed=4)


def test_values_that_are_all_alike_are_sure():
    assert statistics.interval(np.full(5, 0.25)) == (0.25, 0.25, 0.25)


def test_what_makes_requests_hard_for_both_systems_cancels_in_a_paired_difference():
    hard = np.random.default_rng(2).random(200)
    found = statistics.paired(hard + 0.01, hard)
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.01)


def test_a_pool_weighs_requests_and_not_sets():
    found = statistics.pooled([np.zeros(30), np.ones(10)])
    assert found == (0.25, 0.25, 0.25)  # each set is drawn from by itself, and neither varies


def test_a_set_without_requests_adds_nothing_to_a_pool():
    values = np.arange(10.0)
    assert statistics.pooled([values, np.zeros(0)]) == statistics.pooled([values])


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        statistics.pooled([np.zeros(0)])


@pytest.mark.parametrize(("won", "lost", "p"), [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 2 / 64), (8, 2, 112 / 1024)])
def test_mcnemar_is_the_exact_two_sided_sign_test(won, lost, p):
    mine, theirs = np.array([1.0] * won + [0.0] * lost + [1.0]), np.array([0.0] * won + [1.0] * lost + [1.0])
    assert statistics.mcnemar(mine, theirs) == (won, lost, pytest.approx(p))


def test_mcnemar_stays_a_number_on_many_requests():
    mine = np.concatenate([np.ones(3000), np.zeros(2000)])
    assert 0 < statistics.mcnemar(mine, 1 - mine).p < 1e-40
