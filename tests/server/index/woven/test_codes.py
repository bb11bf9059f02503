"""A catalogue laid out by its codes: what a search reads, and that coming and going leaves no trace."""

import numpy as np
import pytest

from toolweft_server.index.woven import codes as layout
from toolweft_server.index.woven import residual
from toolweft_server.index.woven.codes import FEW, Woven
from toolweft_server.index.woven.trie import END

FIRSTS = 16
RANDOM = np.random.default_rng(5)
CENTRES = np.linalg.qr(RANDOM.standard_normal((24, 24)))[0][:FIRSTS].astype(np.float32)
CODEBOOK = [CENTRES, 0.2 * RANDOM.standard_normal((8, 24)).astype(np.float32)]


@pytest.fixture(autouse=True, params=["floats", "halved"])
def kept(request, monkeypatch):
    """Each test twice: with vectors that stand as floats, and as 16-bit fractions, as those of many tools do."""
    monkeypatch.setattr(layout, "HALVED_FROM", {"floats": 20_000, "halved": 250}[request.param])


def unit(vectors):
    """As the cache gives them: in steps of 1 / 32767."""
    return np.rint(vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * 32767).astype(np.float32) / np.float32(
        32767
    )


def some(count, seed=1):
    random = np.random.default_rng(seed)
    vectors = CENTRES[random.integers(0, FIRSTS, count)] + 0.2 * random.standard_normal((count, 24))
    return unit(vectors), residual.encode(unit(vectors), CODEBOOK)


def woven(count, seed=1):
    return Woven.build(*some(count, seed), firsts=FIRSTS)


def likely(request):
    return -residual.distances(request[None], CENTRES)[0]


def test_every_tool_has_its_exact_dot_product_in_its_own_row():
    vectors, codes = some(700)
    request = vectors[3]
    found = Woven.build(vectors, codes, firsts=FIRSTS).scores(request)
    assert np.allclose(found, vectors @ request, atol=1e-6)


def test_candidates_are_the_tools_below_the_best_first_digits_within_the_budget():
    vectors, codes = some(2000)
    index = Woven.build(vectors, codes, firsts=FIRSTS)
    first = likely(vectors[7])
    found = index.candidates(vectors[7], first, budget=400)
    taken = np.unique(codes[found.rows, 0])
    assert np.array_equal(np.sort(found.rows), np.flatnonzero(np.isin(codes[:, 0], taken)))
    assert len(found.rows) <= 400
    assert first[taken].min() > np.delete(first, taken).max()
    assert np.allclose(found.scores, vectors[found.rows] @ vectors[7], atol=1e-6)


def tables(request):
    return [level @ request for level in CODEBOOK]


def test_drafts_are_the_tools_whose_codes_promise_most():
    vectors, codes = some(2000)
    index = Woven.build(vectors, codes, firsts=FIRSTS)
    found = index.drafts(vectors[7], tables(vectors[7]), budget=100)
    promises = residual.decode(codes, CODEBOOK) @ vectors[7]
    assert 100 <= len(found.rows) < 200  # tools of one code promise the same
    assert promises[found.rows].min() >= np.delete(promises, found.rows).max() - 1e-6
    assert np.allclose(found.scores, vectors[found.rows] @ vectors[7], atol=1e-6)


def test_drafts_hold_nearly_all_of_the_truly_nearest_tools():
    vectors, codes = some(3000)
    index = Woven.build(vectors, codes, firsts=FIRSTS)
    held = []
    for request in some(20, seed=50)[0]:
        nearest = np.argsort(-(vectors @ request))[:5]
        held.append(np.isin(nearest, index.drafts(request, tables(request), budget=300).rows).mean())
    assert np.mean(held) > 0.9


def test_the_best_block_is_read_even_when_it_is_larger_than_the_budget():
    vectors, codes = some(2000)
    found = Woven.build(vectors, codes, firsts=FIRSTS).candidates(vectors[7], likely(vectors[7]), budget=1)
    assert set(codes[found.rows, 0]) == {codes[7, 0]}


def test_empty_blocks_cost_nothing_of_the_budget_and_are_never_the_best_one():
    vectors, codes = some(2000)
    keep = codes[:, 0] != codes[7, 0]
    index = Woven.build(vectors[keep], codes[keep], firsts=FIRSTS)
    assert len(index.candidates(vectors[7], likely(vectors[7]), budget=1).rows) > 0


@pytest.mark.parametrize("count", [0, 1, 2, FEW])
def test_few_tools_are_all_read(count):
    vectors, codes = some(count)
    index = Woven.build(vectors, codes, firsts=FIRSTS)
    for found in (
        index.candidates(CENTRES[0], likely(CENTRES[0]), budget=1),
        index.drafts(CENTRES[0], tables(CENTRES[0]), budget=1),
    ):
        assert sorted(found.rows.tolist()) == list(range(count))
    assert len(index) == len(index.scores(CENTRES[0])) == len(index.trie) == count


def test_tools_without_a_vector_are_known_to_be_unknown_and_never_candidates():
    vectors, codes = some(600)
    codes[10:20], vectors[10:20] = END, np.nan
    index = Woven.build(vectors, codes, firsts=FIRSTS)
    found = index.candidates(CENTRES[0], likely(CENTRES[0]), budget=10_000)
    assert sorted(found.rows.tolist()) == [*range(10), *range(20, 600)]
    assert not np.isin(np.arange(10, 20), index.drafts(CENTRES[0], tables(CENTRES[0]), budget=599).rows).any()
    assert not index.scores(CENTRES[0])[10:20].any()
    assert not index.vectors(np.arange(10, 20)).any()
    assert np.flatnonzero(~index.known).tolist() == list(range(10, 20))
    assert np.array_equal(np.sort(index.trie.tools(index.trie.walk([END]))), np.arange(10, 20))


def same(one, other):
    """Equal in all that can be seen from outside."""
    assert np.array_equal(one.codes, other.codes)
    assert one.trie.digest == other.trie.digest
    everyone = np.arange(len(one))
    assert np.array_equal(one.vectors(everyone), other.vectors(everyone))
    for request in some(5, seed=77)[0]:
        assert np.allclose(one.scores(request), other.scores(request), atol=1e-6)
        mine, theirs = (each.candidates(request, likely(request), budget=150) for each in (one, other))
        assert np.array_equal(np.sort(mine.rows), np.sort(theirs.rows))
        mine, theirs = (each.drafts(request, tables(request), budget=150) for each in (one, other))
        assert np.array_equal(np.sort(mine.rows), np.sort(theirs.rows))


@pytest.mark.parametrize("came", [1, 60, 900])
def test_what_came_and_went_is_as_if_built_anew(came):
    vectors, codes = some(1500)
    more, more_codes = some(came, seed=2)
    kept = np.delete(np.random.default_rng(3).permutation(1500), [4, 40, 400])
    changed = woven(1500).updated(kept, more, more_codes)
    anew = Woven.build(np.concatenate([vectors[kept], more]), np.concatenate([codes[kept], more_codes]), firsts=FIRSTS)
    same(changed, anew)


def test_many_small_changes_are_as_if_built_anew_and_leave_old_snapshots_alone():
    vectors, codes = some(1200)
    random = np.random.default_rng(9)
    first = index = woven(1200)
    for step in range(30):
        kept = np.delete(np.arange(len(index)), random.integers(0, len(index), 5))
        more, more_codes = some(7, seed=100 + step)
        index = index.updated(kept, more, more_codes)
        vectors, codes = np.concatenate([vectors[kept], more]), np.concatenate([codes[kept], more_codes])
    same(index, Woven.build(vectors, codes, firsts=FIRSTS))
    same(first, woven(1200))


def test_a_tool_that_gets_its_vector_later_is_as_if_it_always_had_it():
    vectors, codes = some(300)
    late = codes.copy()
    late[5] = END
    index = Woven.build(vectors, late, firsts=FIRSTS)
    order = [*range(5), *range(6, 300)]
    index = index.updated(np.array(order), vectors[5:6], codes[5:6])
    order = np.array([*order, 5])
    same(index, Woven.build(vectors[order], codes[order], firsts=FIRSTS))


def test_everything_may_go_and_come_back():
    index = woven(500).updated(np.array([], int), *some(0))
    assert len(index) == 0
    assert len(index.candidates(CENTRES[0], likely(CENTRES[0]), budget=10).rows) == 0
    same(index.updated(np.array([], int), *some(500)), woven(500))


def test_what_does_not_fit_is_refused_and_named():
    vectors, codes = some(5)
    with pytest.raises(ValueError, match=r"\(4, 24\) do not fit codes of shape \(5, 2\)"):
        Woven.build(vectors[:4], codes, firsts=FIRSTS)
    with pytest.raises(ValueError, match=r"first digits are 0\.\.2"):
        Woven.build(vectors, codes + 3, firsts=3)
    for kept in ([0, 0], [5], [-1]):
        with pytest.raises(ValueError, match=r"different ones of 0\.\.4"):
            Woven.build(vectors, codes, firsts=FIRSTS).updated(np.array(kept), *some(0))
