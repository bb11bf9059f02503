"""The best scores are the best, however they lie: the short way to them gives what sorting gives."""

import numpy as np
import pytest

from toolweft_server.index.woven.best import least, top

KINDS = {
    "any": lambda random, size: random.normal(size=size),
    "few values": lambda random, size: random.integers(-2, 3, size),
    "nearly all nothing": lambda random, size: random.normal(size=size) * (random.random(size) < 0.02),
    "all equal": lambda _random, size: np.ones(size),
    "sorted": lambda random, size: np.sort(random.normal(size=size)),
    # One in 32 is looked at to guess: here those are all the best ones, or all the worst.
    "best where it looks": lambda random, size: random.random(size) + 9 * (np.arange(size) % 32 == 0),
    "worst where it looks": lambda random, size: random.random(size) - 9 * (np.arange(size) % 32 == 0),
    "some gone": lambda random, size: np.where(random.random(size) < 0.5, -np.inf, random.normal(size=size)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 7, 100, 1000, 4999])
@pytest.mark.parametrize("size", [0, 1, 999, 5000])
def test_the_edge_and_the_rows_are_those_of_sorting(kind, count, size):
    given = KINDS[kind](np.random.default_rng(size + count), size).astype(np.float32)
    ordered = np.sort(given)[::-1]
    assert least(given, count) == (ordered[count - 1] if count < size else -np.inf)
    rows = top(given, count, str)
    assert len(rows) == min(count, int((given > 0).sum()))
    assert np.sort(given[rows])[::-1].tolist() == ordered[: len(rows)].tolist()
    assert len(set(rows.tolist())) == len(rows)


def test_of_none_there_are_none():
    assert top(np.ones(9, np.float32), 0, str).tolist() == []


def test_of_equals_at_the_edge_those_are_taken_whose_names_come_first():
    names = ["e", "b", "d", "a", "c"]
    scores = np.array([1, 1, 2, 1, 1], np.float32)
    assert [names[row] for row in top(scores, 3, names.__getitem__)] == ["b", "d", "a"]
