"""How good codes are, in numbers."""

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.diagnostics import diagnose, perplexity

pytestmark = pytest.mark.torch

CODEBOOK = (np.array([[0.0, 0.0], [4.0, 0.0], [9.0, 9.0]]), np.array([[0.0, 1.0], [0.0, -1.0]]))
CODES = np.array([[0, 0], [0, 0], [0, 1], [1, 0]], np.int32)
LATENT = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, -1.0], [4.0, 3.0]])
IDS = ["a", "b", "c", "d"]


def test_the_numbers_of_a_catalogue_that_can_be_counted_by_hand():
    usages = [Usage(("a", "b"), "train", 3), Usage(("a", "d"), "train", 1)]
    found = diagnose(LATENT, CODES, CODEBOOK, affinity(AffinityConfig(), usages, IDS))
    first, second = found.levels
    assert (found.tools, found.edges) == (4, 2)
    assert first.usage.tolist() == [3, 1, 0]
    assert first.dead == 1
    assert first.perplexity == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    assert (first.collision_rate, second.collision_rate) == (0.75, 0.5)
    assert (first.largest_bucket, second.largest_bucket) == (3, 2)
    assert first.distortion == pytest.approx((1 + 1 + 1 + 9) / 4)
    assert second.distortion == pytest.approx(4 / 4)
    assert first.chance_together == pytest.approx(6 / 12)
    assert second.chance_together == pytest.approx(2 / 12)
    ab, ad = 3 / (math.sqrt(4 * 3) + 2), 1 / (math.sqrt(4 * 1) + 2)
    assert first.neighbours_together == pytest.approx(ab / (ab + ad))


def test_even_usage_has_the_perplexity_of_its_codes():
    assert perplexity(np.array([5, 5, 5, 5])) == pytest.approx(4.0)
    assert perplexity(np.array([5, 0, 0])) == pytest.approx(1.0)
    assert perplexity(np.array([0, 0])) == 0.0


def test_without_co_usage_there_is_no_share_of_neighbours():
    found = diagnose(LATENT, CODES, CODEBOOK)
    assert found.edges == 0
    assert math.isnan(found.levels[0].neighbours_together)


def test_no_tools_and_one_tool_have_numbers_too():
    none = diagnose(np.empty((0, 2)), np.empty((0, 2), np.int32), CODEBOOK)
    assert (none.tools, none.levels[0].dead, none.levels[0].largest_bucket) == (0, 3, 0)
    one = diagnose(LATENT[:1], CODES[:1], CODEBOOK)
    assert one.levels[1].collision_rate == 0.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit together"):
        diagnose(LATENT, CODES[:2], CODEBOOK)
