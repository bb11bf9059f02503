"""What training leaves behind: read again as it was, or refused with a reason."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.numpy import load_file, save_file

import clusters
from toolweft_catalog.catalog import Card
from toolweft_server.index.lexical import fingerprint
from toolweft_server.training import artefact, assign
from toolweft_server.training.artefact import ARRAYS, MANIFEST, Artefact
from toolweft_server.training.assign import Assigned
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.rqkmeans import RqKMeans

pytestmark = pytest.mark.torch

VECTORS = clusters.vectors(clusters=4, each=10, width=8)
ENCODER, OTHER = "e" * 32, "0" * 32


def made():
    random = np.random.default_rng(2)
    levels = (VECTORS[::5].copy(), 0.3 * random.standard_normal((6, 8)).astype(np.float32))
    quantiser = RqKMeans(np.eye(8, dtype=np.float32), levels)
    assigned = assign.unique(quantiser.project(VECTORS), levels)
    return Artefact(quantiser, assigned, tuple(clusters.names(40)), ENCODER, {"tokenise": 5}, {"levels": 2})


@pytest.fixture
def saved(tmp_path):
    made().save(tmp_path)
    return tmp_path


def rewrite(folder, **changes):
    """Changes the manifest and, where arrays change, the digest that it gives for them."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")


def rewrite_arrays(folder, **changes):
    arrays = load_file(folder / ARRAYS) | changes
    save_file({name: each for name, each in arrays.items() if each is not None}, folder / ARRAYS)
    rewrite(folder, arrays=hashlib.sha256((folder / ARRAYS).read_bytes()).hexdigest())


def test_what_is_loaded_is_what_was_saved(saved):
    before, after = made(), artefact.load(saved)
    assert np.array_equal(after.assigned.codes, before.assigned.codes)
    assert np.array_equal(after.assigned.suffix, before.assigned.suffix)
    assert np.array_equal(after.quantiser.encode(VECTORS), before.quantiser.encode(VECTORS))
    assert after.digests == before.digests
    assert (after.tools, dict(after.seeds), dict(after.config)) == (before.tools, {"tokenise": 5}, {"levels": 2})


def test_saving_twice_gives_the_same_bytes(saved, tmp_path):
    artefact.load(saved).save(tmp_path / "again")
    assert sorted(each.name for each in saved.iterdir() if each.is_file()) == [MANIFEST, ARRAYS]
    for name in (ARRAYS, MANIFEST):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_digest_of_the_catalogue_is_the_one_an_index_uses():
    cards = [Card(tool_id, "name", "server", digest) for tool_id, digest in clusters.names(40)]
    assert made().digests.catalogue == fingerprint(cards)


@pytest.mark.parametrize("part", ["encoder", "catalogue"])
def test_an_artefact_for_something_else_is_refused_and_both_are_named(saved, part):
    ours = getattr(made().digests, part)
    with pytest.raises(ArtefactError, match=f"made for {part} {ours}, and this is {part} {OTHER}"):
        artefact.load(saved, **{part: OTHER})
    artefact.load(saved, **{part: ours})


@pytest.mark.parametrize("part", ["codebook", "trie", "catalogue"])
def test_a_manifest_that_belongs_to_other_arrays_is_refused_and_both_are_named(saved, part):
    digests = made().digests
    rewrite(saved, digests=digests._replace(**{part: OTHER})._asdict())
    with pytest.raises(ArtefactError, match=f"its {part} is {getattr(digests, part)} and the manifest says {OTHER}"):
        artefact.load(saved)


def test_arrays_of_another_save_are_refused(saved, tmp_path):
    other = replace(made(), assigned=assign.shared(VECTORS, made().quantiser.codebook))
    other.save(tmp_path / "other")
    (saved / ARRAYS).write_bytes((tmp_path / "other" / ARRAYS).read_bytes())
    with pytest.raises(ArtefactError, match="cut, damaged or of another save"):
        artefact.load(saved)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("name", [ARRAYS, MANIFEST])
def test_a_file_that_is_cut_is_refused(saved, name, share):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ArtefactError, match=r"cannot be used: .*train it again"):
        artefact.load(saved)


@pytest.mark.parametrize("name", [ARRAYS, MANIFEST])
def test_a_file_that_is_missing_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(ArtefactError, match=r"train tokenize|woven\.safetensors"):
        artefact.load(saved)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_neither_saved_nor_loaded(saved, tmp_path, value):
    level = made().quantiser.levels[1].copy()
    level[2, 3] = value
    rewrite_arrays(saved, **{"quantiser.level.1": level})
    with pytest.raises(ArtefactError, match=r"'quantiser\.level\.1' holds NaN or infinity"):
        artefact.load(saved)
    good = made()
    bad = replace(good, quantiser=good.quantiser._replace(levels=(good.quantiser.levels[0], level)))
    with pytest.raises(ArtefactError, match="NaN or infinity"):
        bad.save(tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"codes": None},
        {"codes": np.zeros((40, 2), np.float32)},
        {"codes": np.zeros((40, 9), np.int32)},
        {"codes": np.zeros(40, np.int32)},
        {"codes": np.zeros((39, 2), np.int32)},
        {"codes": np.full((40, 2), 99, np.int32)},
        {"suffix": np.zeros(3, np.int32)},
        {"quantiser.projection": None},
        {"quantiser.projection": np.eye(3, dtype=np.float32)},
        {"quantiser.level.1": np.zeros((6, 5), np.float32)},
        {"quantiser.level.0": np.zeros((6, 5), np.float32)},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(saved, changes):
    rewrite_arrays(saved, **changes)
    with pytest.raises(ArtefactError):
        artefact.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"quantiser": "vq"},
        {"digests": {}},
        {"digests": None},
        {"tools": [["a"]]},
        {"tools": None},
        {"arrays": None},
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(saved, changes):
    rewrite(saved, **changes)
    with pytest.raises(ArtefactError):
        artefact.load(saved)


@pytest.mark.parametrize("content", [b"[]", b"3", b"\xff\xfe", b'{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(saved, content):
    (saved / MANIFEST).write_bytes(content)
    with pytest.raises(ArtefactError, match="cannot be used"):
        artefact.load(saved)


def test_codes_of_another_number_of_tools_are_refused():
    with pytest.raises(ArtefactError, match="3 codes do not fit 40 tools"):
        replace(made(), assigned=Assigned(np.zeros((3, 2), np.int32), np.zeros(3, np.int32)))


def test_when_tools_go_the_others_keep_their_codes(saved):
    whole = artefact.load(saved)
    left = artefact.without(whole, [whole.tools[3][0], "never.there"])
    assert len(left.tools) == 39
    assert np.array_equal(left.assigned.codes, np.delete(whole.assigned.codes, 3, 0))
    assert left.digests.codebook == whole.digests.codebook
    assert left.digests.catalogue != whole.digests.catalogue
