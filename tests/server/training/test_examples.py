"""Which train requests are kept as examples, and that the file says the same as the requests did."""

import numpy as np
import pytest

from toolweft_server.index.woven.examples import Examples, unpacked, whitened
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.examples import ExamplesConfig, fit

ENCODER = "e" * 32
SIZE = 16


def vectors(count=200, seed=0):
    """Requests that lie in one corner and vary along some axes more than along others."""
    random = np.random.default_rng(seed)
    raw = 3 + random.standard_normal((count, SIZE)) * np.geomspace(1, 0.05, SIZE)
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def made(folder, wanted, **config):
    return fit(ExamplesConfig(**config), vectors(len(wanted)), wanted, folder, encoder=ENCODER)


def test_tools_that_were_seldom_asked_for_and_tools_that_say_too_little_get_no_examples(tmp_path):
    wanted = [[7]] * 5 + [[9]] * 4 + [[0]] * 50 + [[11, 7]] * 141
    found = made(tmp_path, wanted, least=5)
    assert found.tools.tolist() == [7, 11]
    assert np.diff(found.starts).tolist() == [146, 141]


def test_a_tool_that_stands_twice_among_the_right_ones_has_the_example_once(tmp_path):
    assert len(made(tmp_path, [[7, 7]] * 40).bits) == 40


def test_kept_examples_are_near_to_their_requests_and_whitening_tells_requests_apart(tmp_path):
    wanted = [[7]] * 200
    found = made(tmp_path, wanted)
    white = whitened(vectors(), found.centre, found.whitening)
    assert ((white * unpacked(found.bits)).sum(1) > 0.8).all()
    assert (vectors() @ vectors()[0]).mean() > 0.9
    assert abs((white @ white[0])[1:].mean()) < 0.1
    assert np.allclose((white * white).mean(0), 1 / SIZE, atol=0.03)  # no axis is louder than another


def test_the_same_requests_give_the_same_file_and_it_is_read_for_its_encoder(tmp_path):
    wanted = [[7, 9]] * 200
    made(tmp_path / "a", wanted)
    made(tmp_path / "b", wanted)
    assert (tmp_path / "a" / "examples.npz").read_bytes() == (tmp_path / "b" / "examples.npz").read_bytes()
    assert Examples.load(tmp_path / "a", encoder=ENCODER).tools.tolist() == [7, 9]


def test_without_enough_requests_nothing_is_written_and_the_error_says_how_many_there_are(tmp_path):
    with pytest.raises(TrainingError, match="16 vectors of 16 numbers for 16 requests"):
        made(tmp_path, [[7]] * SIZE)
    with pytest.raises(TrainingError, match="200 vectors of 16 numbers for 3 requests"):
        fit(ExamplesConfig(), vectors(), [[7]] * 3, tmp_path, encoder=ENCODER)
    with pytest.raises(TrainingError, match="a multiple of 8 numbers, not 12"):
        fit(ExamplesConfig(), vectors()[:, :12], [[7]] * 200, tmp_path, encoder=ENCODER)
    with pytest.raises(TrainingError, match="the requests hardly differ"):
        fit(ExamplesConfig(), np.tile(vectors(1), (200, 1)), [[7]] * 200, tmp_path, encoder=ENCODER)
    assert not list(tmp_path.iterdir())


def test_no_tool_with_enough_requests_leaves_a_file_without_examples(tmp_path):
    found = made(tmp_path, [[n + 1] for n in range(40)])
    assert (len(found.tools), len(found.bits)) == (0, 0)
