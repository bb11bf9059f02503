"""What a ranking is worth."""

import math

import numpy as np
import pytest

from toolweft_server.evaluation import metrics
from toolweft_server.evaluation.data import Request


def score(ranking, gold, group=None):
    group = group or {tool: tool for tool in [*ranking, *gold]}
    request = Request("q", "text", frozenset(group[each] for each in gold))
    scores = metrics.score(metrics.judge([ranking], [request], group))
    return {name: float(values[0]) for name, values in scores.items()}


def test_one_of_three_right_tools_at_rank_one_is_worth_047_in_full_and_1_in_the_released_variant():
    found = score(["a", "x", "y", "z", "w"], ["a", "b", "c"])
    assert found["N@5"] == pytest.approx(0.469, abs=5e-4)
    assert found["N@5 released"] == 1.0


def test_one_of_three_right_tools_at_rank_two_is_worth_030_in_full_and_063_in_the_released_variant():
    found = score(["x", "a", "y", "z", "w"], ["a", "b", "c"])
    assert found["N@5"] == pytest.approx(0.296, abs=5e-4)
    assert found["N@5 released"] == pytest.approx(0.631, abs=5e-4)


def test_a_right_tool_beyond_the_first_five_is_no_miss_in_the_released_variant_only():
    found = score(["a", "x", "y", "z", "w", "b"], ["a", "b"])
    assert found["N@5 released"] == 1.0
    assert found["N@5"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_a_perfect_ranking_scores_one_everywhere_it_has_room():
    found = score(["a", "b"], ["a", "b"])
    assert {name: value for name, value in found.items() if value < 1} == {"R@1": 0.5}


def test_all_right_tools_among_the_first_k_make_a_complete_answer():
    found = score(["a", "x", "b", "y", "c"], ["a", "b", "c"])
    assert (found["COMP@3"], found["COMP@5"], found["R@3"], found["R@5"]) == (0, 1, pytest.approx(2 / 3), 1)


def test_the_reciprocal_rank_is_that_of_the_first_right_tool():
    assert score(["x", "y", "a"], ["a"])["MRR"] == pytest.approx(1 / 3)


def test_an_empty_ranking_scores_nothing():
    assert set(score([], ["a"]).values()) == {0.0}


def test_a_twin_of_a_right_tool_is_as_right_and_counts_once():
    group = {"a": "A", "twin": "A", "x": "X", "b": "B"}
    found = score(["twin", "a", "b"], ["a", "b"], group)
    assert found["N@3"] == 1.0
    assert found["R@1"] == 0.5


def test_more_right_tools_than_places_still_allow_a_full_score():
    gold = [f"t{n}" for n in range(8)]
    assert score(gold, gold)["N@5"] == pytest.approx(1.0)


def test_every_request_keeps_its_own_score():
    requests = [Request("1", "", frozenset("a")), Request("2", "", frozenset("b"))]
    scores = metrics.score(metrics.judge([["a"], ["a"]], requests, {"a": "a", "b": "b"}))
    assert set(scores) == set(metrics.NAMES)
    np.testing.assert_array_equal(scores["hit@1"], [1, 0])
