"""Vectors become codes by a codebook, the same ones in any company."""

import numpy as np
import pytest

from toolweft_server.index.woven import residual

RANDOM = np.random.default_rng(11)
CODEBOOK = RANDOM.standard_normal((3, 16, 8)).astype(np.float32)
VECTORS = RANDOM.standard_normal((500, 8)).astype(np.float32)


def test_distances_are_those_of_the_textbook():
    dense = ((VECTORS[:, None, :].astype(np.float64) - CODEBOOK[0][None]) ** 2).sum(2)
    assert np.allclose(residual.distances(VECTORS, CODEBOOK[0]), dense, atol=1e-12)


def test_each_level_takes_the_nearest_code_of_what_is_left():
    codes = residual.encode(VECTORS, CODEBOOK)
    left = VECTORS[7].astype(np.float64)
    for level in range(3):
        nearest = ((CODEBOOK[level] - left) ** 2).sum(1).argmin()
        assert codes[7, level] == nearest
        left = left - CODEBOOK[level][nearest]


def test_decoding_is_the_sum_of_the_codewords_of_the_levels_that_are_there():
    codes = residual.encode(VECTORS, CODEBOOK)
    assert np.allclose(residual.decode(codes[:, :1], CODEBOOK), CODEBOOK[0][codes[:, 0]])
    assert np.allclose(residual.decode(codes, CODEBOOK), sum(CODEBOOK[n][codes[:, n]] for n in range(3)))


def test_a_vector_has_the_same_code_alone_in_company_and_in_any_order():
    codes = residual.encode(VECTORS, CODEBOOK)
    alone = np.concatenate([residual.encode(VECTORS[n : n + 1], CODEBOOK) for n in range(len(VECTORS))])
    order = np.random.default_rng(1).permutation(len(VECTORS))
    assert np.array_equal(codes, alone)
    assert np.array_equal(codes[order], residual.encode(VECTORS[order], CODEBOOK))


def sinkhorn_codes(vectors, codewords, epsilon=0.01, rounds=50):
    """The defect: a batch is spread evenly over the codes while training, and nearest codes are taken afterwards."""
    squares = residual.distances(vectors, codewords)
    squares = 2 * (squares - squares.min()) / (squares.max() - squares.min()) - 1
    plan = np.exp(-squares / epsilon)
    for _ in range(rounds):
        plan /= plan.sum(0) * len(codewords) / len(vectors)
        plan /= plan.sum(1, keepdims=True)
    return plan.argmax(1)


def test_codes_do_not_depend_on_the_batch_as_balanced_ones_did():
    half, codewords = VECTORS[:250], CODEBOOK[0]
    assert (sinkhorn_codes(VECTORS, codewords)[:250] != sinkhorn_codes(half, codewords)).any()
    assert np.array_equal(residual.encode(VECTORS, CODEBOOK)[:250], residual.encode(half, CODEBOOK))


def test_of_equally_near_codes_the_lowest_is_taken():
    twins = np.stack([CODEBOOK[0][:4], CODEBOOK[0][:4]]).reshape(1, 8, 8)
    assert residual.encode(VECTORS, twins).max() < 4


def test_levels_may_have_different_numbers_of_codes():
    ragged = [CODEBOOK[0], CODEBOOK[1][:2], CODEBOOK[2][:1]]
    codes = residual.encode(VECTORS, ragged)
    assert codes.max(0).tolist() == [15, 1, 0]
    assert residual.decode(codes, ragged).shape == (500, 8)


def test_no_vectors_have_no_codes():
    assert residual.encode(np.empty((0, 8)), CODEBOOK).shape == (0, 3)
    assert residual.decode(np.empty((0, 3), np.int32), CODEBOOK).shape == (0, 8)


def test_what_does_not_fit_is_refused_and_named():
    broken = VECTORS.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="vector 3 holds NaN"):
        residual.encode(broken, CODEBOOK)
    with pytest.raises(ValueError, match=r"\(500, 7\) do not fit"):
        residual.encode(VECTORS[:, :7], CODEBOOK)
    with pytest.raises(ValueError, match=r"level 1 has codes 0\.\.15, not 16\.\.16"):
        residual.decode(np.array([[0, 16]]), CODEBOOK)
    with pytest.raises(ValueError, match="codebook of 3 levels"):
        residual.decode(np.zeros((1, 4), np.int32), CODEBOOK)
