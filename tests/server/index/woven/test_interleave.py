"""Two rankers compared fairly: how answers are mixed, who gets the credit, and when a worse one is switched off."""

from __future__ import annotations

import math
from random import Random

import pytest

from toolweft_server.index.woven.interleave import Comparison, Credit, Interleaved, compare, credit, draft, evidence

A, B = ["a1", "x", "a2", "a3"], ["x", "b1", "b2", "a1"]


def test_both_rankers_place_as_many_tools_and_none_twice():
    for seed in range(50):
        mixed = draft(A, B, 4, Random(seed))
        assert len(set(mixed.order)) == 4
        assert len(mixed.challenger) == 2
        assert mixed.order[0] in ("a1", "x")


def test_who_goes_first_is_a_fair_coin_and_the_same_coin_gives_the_same_answer():
    first = [draft(["a"], ["b"], 1, Random(seed)).order[0] for seed in range(400)]
    assert 150 < first.count("a") < 250
    assert draft(A, B, 4, Random(3)) == draft(A, B, 4, Random(3))


@pytest.mark.parametrize(("a", "b", "limit", "order"), [([], [], 5, ()), (["a"], [], 5, ("a",)), (A, B, 0, ())])
def test_short_and_empty_rankings_are_mixed_as_far_as_they_go(a, b, limit, order):
    assert draft(a, b, limit, Random(0)).order == order


def test_everything_both_know_is_in_a_long_answer():
    assert set(draft(A, B, 50, Random(1)).order) == {*A, *B}


def test_credit_goes_to_whoever_placed_what_was_executed():
    answer = Interleaved(("x", "a1", "b1"), frozenset({"a1"}))
    assert credit(answer, ["a1", "a1", "elsewhere"]) == Credit(1, 0)
    assert credit(answer, ["x", "b1", "a1"]) == Credit(1, 2)


def test_requests_after_which_nothing_was_executed_decide_nothing():
    assert compare([Credit(0, 0), Credit(1, 1), Credit(1, 0), Credit(0, 2)]) == Comparison(1, 1, 1)


def test_a_ranker_that_keeps_losing_is_worse_and_one_that_keeps_winning_is_better():
    assert compare([Credit(0, 1)] * 8).verdict == "worse"
    assert compare([Credit(1, 0)] * 8).verdict == "better"
    assert compare([Credit(0, 1)] * 3).verdict == "open"


def test_an_equal_ranker_is_hardly_ever_switched_off_however_often_one_looks():
    off = 0
    for seed in range(100):
        coin, wins, losses = Random(seed), 0, 0
        for _ in range(60):
            won = coin.random() < 0.5
            wins, losses = wins + won, losses + (not won)
            if Comparison(wins, losses, 0).verdict == "worse":
                off += 1
                break
    assert off <= 0.05 * 100


def test_the_evidence_is_the_mixture_of_likelihood_ratios():
    wins, losses = 3, 9
    steps = 2_000
    rates = [(n + 0.5) / (2 * steps) for n in range(steps)]
    mixed = sum(p**wins * (1 - p) ** losses for p in rates) / steps / 0.5 ** (wins + losses)
    assert evidence(wins, losses) == pytest.approx(mixed, rel=1e-5)
    assert evidence(0, 0) == 1
    assert evidence(0, 5_000) == math.inf
