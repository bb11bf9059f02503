"""Requests read as codes: probabilities over what exists, the same ones by every way, and files that must be whole."""

import io
import json

import numpy as np
import pytest

from toolweft_server.errors import HeadsError
from toolweft_server.index.woven import packed, residual
from toolweft_server.index.woven.codes import Woven
from toolweft_server.index.woven.heads import Heads
from toolweft_server.index.woven.trie import END

SIZE, HIDDEN = 12, 5
RANDOM = np.random.default_rng(8)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def arrays(trained=True):
    """Three levels of 6, 5 and 4 codes; untrained networks give 0."""
    random = np.random.default_rng(2)
    made = {"projection": np.eye(SIZE) + 0.1 * random.standard_normal((SIZE, SIZE)), "temperatures": np.arange(2, 6)}
    for n, size in enumerate((6, 5, 4)):
        made[f"level.{n}"] = random.standard_normal((size, SIZE)) / (n + 2)
    for n in range(4):
        made[f"network.{n}.inner"] = random.standard_normal((2 * SIZE, HIDDEN))
        made[f"network.{n}.bias"] = random.standard_normal(HIDDEN)
        made[f"network.{n}.outer"] = 0.2 * random.standard_normal((HIDDEN, SIZE)) * trained
    return {name: each.astype(np.float16) for name, each in made.items()}


def heads(trained=True):
    return Heads.of(arrays(trained), encoder="e" * 32, digest="d" * 64)


def catalogue(count, own=None):
    vectors = unit(np.random.default_rng(4).standard_normal((count, SIZE)))
    own = own or heads()
    return vectors, Woven.build(vectors, own.encode(vectors), firsts=own.firsts)


REQUESTS = unit(RANDOM.standard_normal((6, SIZE)))


def textbook(own, request, vectors, codes):
    """Log P of every tool by the formula, with distances in full and one softmax after another."""

    def head(level, so_far):
        inner, bias, outer = own.networks[level]
        return (
            own.projection @ request - so_far + np.maximum(np.concatenate([request, so_far]) @ inner + bias, 0) @ outer
        )

    def share(logits, choices, mine):
        return logits[mine] - np.log(sum(np.exp(logits[each]) for each in choices))

    out = []
    for row, code in enumerate(codes.tolist()):
        logp, so_far = 0.0, np.zeros(SIZE)
        for level, digit in enumerate(code):
            logits = -own.temperatures[level] * ((head(level, so_far) - own.levels[level]) ** 2).sum(1)
            logp += share(logits, {c[level] for c in codes.tolist() if c[:level] == code[:level]}, digit)
            so_far = so_far + own.levels[level][digit]
        bucket = [n for n, c in enumerate(codes.tolist()) if c == code]
        left = vectors[bucket] @ own.projection.T - so_far
        logits = -own.temperatures[-1] * ((head(len(own.levels), so_far) - left) ** 2).sum(1)
        out.append(logp + share(logits, range(len(bucket)), bucket.index(row)))
    return np.array(out)


@pytest.mark.parametrize("count", [1, 2, 40, 150])
def test_log_probabilities_are_those_of_the_formula_and_add_up_to_one(count):
    own = heads()
    vectors, woven = catalogue(count)
    for request in REQUESTS[:2]:
        found = own.verify(request, woven, np.arange(count)).sum(1)
        assert np.allclose(found, textbook(own, request, vectors, woven.codes), atol=1e-3)
        assert np.exp(found.astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-4)


def test_a_tool_has_the_same_probability_in_any_company_of_candidates():
    own = heads()
    _, woven = catalogue(300)
    everyone = own.verify(REQUESTS[0], woven, np.arange(300))
    some = np.array([7, 3, 250, 3])
    assert np.allclose(own.verify(REQUESTS[0], woven, some), everyone[some], atol=1e-5)
    assert own.verify(REQUESTS[0], woven, np.array([], int)).shape == (0, 4)


def test_generated_tools_are_those_of_the_highest_probability():
    own = heads()
    _, woven = catalogue(400)
    for request in REQUESTS:
        every = own.verify(request, woven, np.arange(400)).sum(1)
        drafts = own.generate(request, woven, 10, beam=1000)
        assert drafts.rows.tolist() == np.lexsort((np.arange(400), -every))[:10].tolist()
        assert np.allclose(drafts.scores, every[drafts.rows], atol=1e-4)


def test_a_narrow_beam_misses_little_and_invents_nothing():
    own = heads()
    _, woven = catalogue(400)
    wide, narrow = (own.generate(REQUESTS[1], woven, 5, beam=beam) for beam in (1000, 8))
    assert len(set(wide.rows) & set(narrow.rows)) >= 3
    assert np.allclose(own.verify(REQUESTS[1], woven, narrow.rows).sum(1), narrow.scores, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_catalogues_are_no_special_case(count):
    own = heads()
    _, woven = catalogue(count)
    drafts = own.generate(REQUESTS[0], woven, 5)
    assert sorted(drafts.rows.tolist()) == list(range(count))
    assert np.isfinite(drafts.scores).all()


def test_untrained_heads_prefer_the_nearest_code_of_the_codebook():
    own = heads(trained=False)
    for request in REQUESTS:
        nearest = residual.distances((own.projection @ request)[None], own.levels[0])[0].argmin()
        assert own.first(request).argmax() == nearest


def test_a_tool_that_has_no_code_yet_is_neither_likely_nor_generated_and_takes_nothing_from_others():
    own = heads()
    vectors, woven = catalogue(30)
    codes = np.concatenate([woven.codes, np.full((2, 3), END, np.int32)])
    late = Woven.build(np.concatenate([vectors, np.zeros((2, SIZE), np.float32)]), codes, firsts=own.firsts)
    steps = own.verify(REQUESTS[0], late, np.arange(32))
    assert np.isneginf(steps[30:]).all()
    assert np.allclose(steps[:30], own.verify(REQUESTS[0], woven, np.arange(30)), atol=1e-5)
    assert own.generate(REQUESTS[0], late, 50, beam=500).rows.max() < 30


def test_a_new_tool_is_scored_at_once_and_by_what_it_is():
    own = heads()
    vectors, woven = catalogue(50)
    fresh = unit(REQUESTS[:1] + 0.01)
    later = woven.updated(np.arange(50), fresh, own.encode(fresh))
    anew = Woven.build(np.concatenate([vectors, fresh]), own.encode(np.concatenate([vectors, fresh])), firsts=6)
    rows = np.arange(51)
    assert np.allclose(own.verify(REQUESTS[0], later, rows), own.verify(REQUESTS[0], anew, rows), atol=1e-5)


def write(folder, made=None, **changed):
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **(arrays() if made is None else made))
    content = buffer.getvalue()
    manifest = {"format": packed.FORMAT, "encoder": "e" * 32, "arrays": packed.digest(content)} | changed
    folder.mkdir(exist_ok=True)
    (folder / "heads.npz").write_bytes(content)
    (folder / "heads.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_loaded_heads_are_the_written_ones(tmp_path):
    found = Heads.load(write(tmp_path), encoder="e" * 32)
    vectors, woven = catalogue(60)
    assert np.array_equal(found.encode(vectors), woven.codes)
    rows = np.arange(60)
    assert np.array_equal(found.verify(REQUESTS[0], woven, rows), heads().verify(REQUESTS[0], woven, rows))
    assert found.digest == packed.digest((tmp_path / "heads.npz").read_bytes())


def cut(folder):
    content = (write(folder) / "heads.npz").read_bytes()
    (folder / "heads.npz").write_bytes(content[:-100])


def changed(name, value):
    return lambda folder: write(folder, arrays() | {name: value})


SPOILT = {
    "nothing": (lambda _: None, r"there are no heads in .* \(heads.json is missing\)"),
    "manifest": (lambda f: (write(f) / "heads.json").write_text("{", encoding="utf-8"), "heads.json: "),
    "list": (lambda f: (write(f) / "heads.json").write_text("[]", encoding="utf-8"), "format None"),
    "format": (lambda f: write(f, format=99), "format 99, and this version reads format 1"),
    "unnamed": (lambda f: write(f, encoder=None), "does not name the digests"),
    "arrays": (lambda f: (write(f) / "heads.npz").unlink(), "heads.npz: .*No such file"),
    "cut": (cut, "cut, damaged or of another save: its digest is [0-9a-f]{64}, expected [0-9a-f]{64}"),
    "nan": (changed("level.1", np.full((5, SIZE), np.nan)), "'level.1' holds NaN"),
    "shape": (changed("level.2", np.ones((4, SIZE + 1))), r"'level.2' is of shape \(4, 13\), and \(4, 12\) is wanted"),
    "network": (changed("network.0.outer", np.ones((3, SIZE))), r"'network.0.outer' is of shape \(3, 12\)"),
    "temperature": (changed("temperatures", np.array([1, 0, 1, 1])), "temperatures are above 0"),
    "missing": (lambda f: write(f, {k: v for k, v in arrays().items() if k != "projection"}), "no array 'projection'"),
    "levels": (lambda f: write(f, {k: v for k, v in arrays().items() if "level" not in k}), "no array 'level.0'"),
    "no archive": (
        lambda f: (write(f, arrays=packed.digest(b"x")) / "heads.npz").write_bytes(b"x"),
        "heads.npz: ",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_heads_that_cannot_be_used_are_refused_with_the_reason_and_the_remedy(tmp_path, spoilt):
    spoil, message = SPOILT[spoilt]
    spoil(tmp_path)
    with pytest.raises(HeadsError, match=message) as refused:
        Heads.load(tmp_path)
    assert "reinstall toolweft" in str(refused.value)


def test_heads_made_for_another_encoder_are_refused_and_both_are_named(tmp_path):
    with pytest.raises(HeadsError, match=f"encoder {'e' * 32}, and this is {'f' * 32}"):
        Heads.load(write(tmp_path), encoder="f" * 32)


def test_arrays_that_would_have_to_be_unpickled_are_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, projection=np.array([{}], object))
    write(tmp_path, arrays=packed.digest(buffer.getvalue()))
    (tmp_path / "heads.npz").write_bytes(buffer.getvalue())
    with pytest.raises(HeadsError, match="allow_pickle"):
        Heads.load(tmp_path)
