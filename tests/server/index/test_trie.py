"""`Trie`: which codes exist, and who stands below a prefix."""

import numpy as np
import pytest

from toolweft_server.index.woven.trie import END, ROOT, Trie

PATHS = np.array([[1, 4, END], [0, 2, END], [1, 4, 1], [1, 3, END], [0, 2, END]], np.int32)


def random_paths(seed, tools=300, levels=3, size=7):
    return np.random.default_rng(seed).integers(0, size, (tools, levels)).astype(np.int32)


def test_children_are_the_digits_that_exist_in_ascending_order():
    trie = Trie.build(PATHS)
    assert trie.children().digits.tolist() == [0, 1]
    assert trie.children(trie.walk([1])).digits.tolist() == [3, 4]
    assert trie.children(trie.walk([1, 4])).digits.tolist() == [END, 1]


def test_the_tools_below_a_prefix_are_those_that_begin_with_it():
    trie = Trie.build(PATHS)
    assert trie.tools().tolist() == [1, 4, 3, 0, 2]
    assert trie.tools(trie.walk([0, 2])).tolist() == [1, 4]
    assert trie.tools(trie.walk([1, 4, 1])).tolist() == [2]
    assert trie.tools(trie.walk([1, 4, END])).tolist() == [0]


def test_a_path_that_does_not_exist_leads_nowhere():
    trie = Trie.build(PATHS)
    assert trie.walk([2]) is None
    assert trie.walk([1, 4, 7]) is None
    assert trie.walk([1, 4, 1, 0]) is None
    assert trie.walk([]) == ROOT


@pytest.mark.parametrize("seed", range(5))
def test_a_trie_agrees_with_a_scan_of_the_paths(seed):
    paths = random_paths(seed)
    trie = Trie.build(paths)
    for path in paths[:40]:
        for depth in range(4):
            node = trie.walk(path[:depth].tolist())
            below = np.flatnonzero((paths[:, :depth] == path[:depth]).all(1))
            assert sorted(trie.tools(node).tolist()) == below.tolist()
            if depth < 3:
                assert trie.children(node).digits.tolist() == sorted(set(paths[below, depth].tolist()))


def test_nothing_follows_the_end_of_a_path():
    trie = Trie.build(np.array([[3, END, END], [3, 1, 2]]))
    ended = trie.walk([3, END])
    assert trie.children(ended).digits.tolist() == []
    assert trie.tools(ended).tolist() == [0]


def test_a_mask_marks_exactly_the_legal_digits_and_the_end_in_its_last_column():
    trie = Trie.build(PATHS)
    mask = trie.mask([ROOT, trie.walk([1, 4])], 5)
    assert np.flatnonzero(mask[0]).tolist() == [0, 1]
    assert np.flatnonzero(mask[1]).tolist() == [1, 5]


def test_a_mask_too_narrow_for_a_digit_is_refused():
    trie = Trie.build(PATHS)
    with pytest.raises(ValueError, match="digit 4 does not fit into 4"):
        trie.mask([trie.walk([1])], 4)


def test_an_empty_catalogue_has_a_trie_with_nothing_in_it():
    trie = Trie.build(np.empty((0, 3), np.int32))
    assert len(trie) == 0
    assert trie.children().digits.tolist() == []
    assert trie.tools().tolist() == []
    assert trie.walk([0]) is None


def test_the_digest_changes_with_a_path_and_with_who_stands_at_it():
    digests = {Trie.build(paths).digest for paths in (PATHS, PATHS[::-1], PATHS[:-1], PATHS[:, :2])}
    assert len(digests) == 4
    assert Trie.build(PATHS.astype(np.int64)).digest == Trie.build(PATHS).digest


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (np.array([[END, 1]]), "a digit after its end"),
        (np.array([[-2, 1]]), "at least -1"),
        (np.array([1, 2]), "integer matrix"),
        (np.array([[0.5]]), "integer matrix"),
    ],
)
def test_paths_that_are_none_are_refused(paths, message):
    with pytest.raises(ValueError, match=message):
        Trie.build(paths)
