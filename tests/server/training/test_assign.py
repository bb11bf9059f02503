"""Who owns which code: decided once, nobody twice, and nobody is moved."""

import numpy as np
import pytest

import clusters
from toolweft_server.index.woven import residual
from toolweft_server.training import assign
from toolweft_server.training.assign import Assigned, Owned
from toolweft_server.training.errors import TrainingError

LATENT = clusters.vectors(clusters=6, each=20, width=8, spread=0.2)
RANDOM = np.random.default_rng(4)
CODEBOOK = (LATENT[RANDOM.choice(120, 32)], 0.3 * RANDOM.standard_normal((32, 8)).astype(np.float32))


def rows(assigned):
    return np.concatenate([assigned.codes, assigned.suffix[:, None]], 1)


def crowded(tools=12):
    """Tools so alike that they all have one nearest code."""
    return np.repeat(LATENT[:1], tools, 0) + 1e-4 * np.random.default_rng(5).standard_normal((tools, 8))


def test_shared_codes_are_the_nearest_ones_whoever_else_is_there():
    together = assign.shared(LATENT, CODEBOOK)
    alone = assign.shared(LATENT[17:18], CODEBOOK)
    assert np.array_equal(together.codes, residual.encode(LATENT, CODEBOOK))
    assert np.array_equal(together.codes[17], alone.codes[0])
    assert not together.suffix.any()
    assert together.paths.shape == (120, 2)


def test_unique_codes_belong_to_one_tool_each():
    found = assign.unique(LATENT, CODEBOOK)
    assert len(np.unique(rows(found), axis=0)) == 120


def test_unique_codes_keep_the_prefix_and_without_need_the_whole_code():
    nearest, found = assign.shared(LATENT, CODEBOOK), assign.unique(LATENT, CODEBOOK)
    assert np.array_equal(found.codes[:, 0], nearest.codes[:, 0])
    _, where, counts = np.unique(nearest.codes, axis=0, return_inverse=True, return_counts=True)
    alone = np.flatnonzero(counts[where.reshape(-1)] == 1)
    stayed = (found.codes[alone] == nearest.codes[alone]).all(1)
    assert stayed.mean() > 0.5


def test_tools_that_differ_get_codes_that_differ_and_no_suffix_while_there_is_room():
    found = assign.unique(crowded(12), CODEBOOK)
    assert len(np.unique(found.codes, axis=0)) == 12
    assert not found.suffix.any()


def test_the_same_tools_get_the_same_codes_in_any_order():
    order = np.random.default_rng(6).permutation(len(LATENT))
    assert np.array_equal(assign.unique(LATENT, CODEBOOK).codes[order], assign.unique(LATENT[order], CODEBOOK).codes)


# The collision loop that ended when there was something left to do.


def loop_with_the_inverted_check(codes, rounds=20):
    def check_collision(rows):
        return len(np.unique(rows, axis=0)) == len(rows)

    for n in range(rounds):
        if not check_collision(codes):
            break
        codes[n] += 1
    return codes


def test_codes_that_still_collide_are_refused_as_the_inverted_check_never_did():
    left = loop_with_the_inverted_check(assign.shared(LATENT, CODEBOOK).codes)
    with pytest.raises(TrainingError, match=r"tools have the code \[\d+, \d+\] with suffix 0"):
        assign.require_unique(Assigned(left, np.zeros(120, np.int32)))
    assign.require_unique(assign.unique(LATENT, CODEBOOK))


# The suffix that was appended to a row of strings, and counted per tool.


def test_a_suffix_makes_no_ragged_rows_and_needs_no_list():
    row = np.array(["<a_1>", "<b_2>"])
    with pytest.raises(AttributeError):
        row.append("<f_1>")
    twins = assign.unique(np.repeat(LATENT[:1], 3, 0), CODEBOOK)
    assert twins.codes.dtype == np.int32
    assert twins.paths.shape == (3, 3)
    assert twins.paths[:, 2].tolist() == [-1, 1, 2]
    assert len(twins.trie) == 3


def suffixes_counted_per_tool(codes):
    found = np.zeros(len(codes), np.int32)
    for group in [np.flatnonzero((codes == code).all(1)) for code in np.unique(codes, axis=0)]:
        for tool in group if len(group) > 1 else []:
            counter = 1
            found[tool] = counter
    return found


def test_true_duplicates_are_numbered_per_code_and_not_all_alike():
    twins = np.concatenate([np.repeat(LATENT[:1], 3, 0), np.repeat(LATENT[50:51], 2, 0)])
    codes = assign.shared(twins, CODEBOOK).codes
    with pytest.raises(TrainingError, match="3 tools have the code"):
        assign.require_unique(Assigned(codes, suffixes_counted_per_tool(codes)))
    assert assign.unique(twins, CODEBOOK).suffix.tolist() == [0, 1, 2, 0, 1]


def test_what_is_handed_out_is_checked_whatever_made_it(monkeypatch):
    monkeypatch.setattr(assign._Taken, "number", lambda taken, code: 1)  # the counter per tool, once more
    with pytest.raises(TrainingError, match=r"3 tools have the code \[\d+, \d+\] with suffix 1"):
        assign.unique(np.repeat(LATENT[:1], 3, 0), CODEBOOK)


# Sinkhorn inside each collision group, with as many columns as there are codes.


def regrouped_by_sinkhorn(latent, codebook):
    codes = residual.encode(latent, codebook)
    left = latent - codebook[0][codes[:, 0]]
    for code in np.unique(codes, axis=0):
        group = np.flatnonzero((codes == code).all(1))
        if len(group) > 1:
            squares = residual.distances(left[group], codebook[1])
            plan = np.exp(-(2 * (squares - squares.min()) / np.ptp(squares) - 1) / 0.01)
            for _ in range(50):
                plan /= plan.sum(0) * len(codebook[1]) / len(group)
                plan /= plan.sum(1, keepdims=True)
            codes[group, 1] = plan.argmax(1)
    return codes


def distance_ranks(codes, latent, codebook, moved):
    left = latent - codebook[0][codes[:, 0]]
    ranks = residual.distances(left, codebook[1]).argsort(1).argsort(1)
    return ranks[np.arange(len(codes)), codes[:, 1]][moved]


def test_a_tool_that_must_move_goes_to_a_near_code_and_not_to_the_most_telling_one():
    latent = np.concatenate([LATENT, LATENT + 1e-3 * np.random.default_rng(8).standard_normal(LATENT.shape)])
    codebook = (CODEBOOK[0], 0.3 * np.random.default_rng(9).standard_normal((128, 8)).astype(np.float32))
    before = residual.encode(latent, codebook)
    regrouped = regrouped_by_sinkhorn(latent, codebook)
    ours = assign.unique(latent, codebook).codes
    moved = (regrouped != before).any(1)
    assert np.median(distance_ranks(regrouped, latent, codebook, moved)) > 16
    assert np.median(distance_ranks(ours, latent, codebook, (ours != before).any(1))) <= 4


def test_a_new_code_is_nobody_elses_and_equal_vectors_are_told_apart():
    twins = np.repeat(LATENT[:1], 2, 0)
    everyone = np.concatenate([LATENT, twins, crowded()])
    once = regrouped_by_sinkhorn(everyone, CODEBOOK)
    assert len(np.unique(once, axis=0)) < len(everyone)  # taken from tools outside the group, and equal for equals
    again = [regrouped_by_sinkhorn(twins, CODEBOOK) for _ in range(3)]  # a second round repeats the first
    assert all(np.array_equal(each[0], each[1]) and np.array_equal(each, again[0]) for each in again)
    assert len(np.unique(rows(assign.unique(everyone, CODEBOOK)), axis=0)) == len(everyone)


# Tools that have a code.


def test_tools_that_have_a_code_keep_it_and_new_ones_find_a_free_one():
    old = assign.unique(LATENT, CODEBOOK)
    added = assign.unique(crowded(), CODEBOOK, Owned(LATENT, old))
    assert not added.suffix.any()  # there is room: no code is anybody's twice
    both = np.concatenate([rows(old), rows(added)])
    assert len(np.unique(both, axis=0)) == len(both)


def test_a_new_tool_equal_to_an_old_one_gets_its_code_and_the_next_suffix():
    old = assign.unique(LATENT, CODEBOOK)
    added = assign.unique(LATENT[[3, 3, 40]], CODEBOOK, Owned(LATENT, old))
    assert np.array_equal(added.codes, old.codes[[3, 3, 40]])
    assert added.suffix.tolist() == [1, 2, 1]


def test_a_suffix_above_one_that_was_removed_is_not_given_again_to_somebody_else():
    old = assign.unique(np.repeat(LATENT[:1], 3, 0), CODEBOOK)
    left = Owned(LATENT[[0, 0]], Assigned(old.codes[[0, 2]], old.suffix[[0, 2]]))
    assert assign.unique(LATENT[:1], CODEBOOK, left).suffix.tolist() == [3]


def test_more_tools_below_a_prefix_than_it_has_codes_are_told_apart_by_suffix():
    few = (CODEBOOK[0], CODEBOOK[1][:4])
    found = assign.unique(crowded(12), few)
    assert len(np.unique(rows(found), axis=0)) == 12
    assert set(found.codes[:, 1].tolist()) == {0, 1, 2, 3}
    assert found.suffix.any()


def test_owners_that_already_collide_are_refused():
    twice = Assigned(np.zeros((2, 2), np.int32), np.zeros(2, np.int32))
    with pytest.raises(TrainingError, match=r"2 tools have the code \[0, 0\]"):
        assign.unique(LATENT[:1], CODEBOOK, Owned(LATENT[:2], twice))


@pytest.mark.parametrize("how", [assign.shared, assign.unique])
def test_no_tools_need_no_codes(how):
    found = how(np.empty((0, 8)), CODEBOOK)
    assert found.codes.shape == (0, 2)
    assert len(found.trie) == 0


@pytest.mark.parametrize("how", [assign.shared, assign.unique])
def test_one_level_is_enough(how):
    assert how(LATENT, CODEBOOK[:1]).codes.shape == (120, 1)
