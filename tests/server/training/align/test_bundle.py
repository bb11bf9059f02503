"""A trained model and what must fit it, on disk."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from toolweft_server.training.align import bundle as bundles  # noqa: E402
from toolweft_server.training.align.bundle import Bundle, Coded  # noqa: E402
from toolweft_server.training.align.conversations import Turn  # noqa: E402
from toolweft_server.training.errors import ArtefactError  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(params=[False, True], ids=["plain", "chat"])
def bundle(make, world, request):
    made = make(chat=request.param)
    tools = {each.id: Coded(each.digest, world.codes[each.id]) for each in world.tools}
    return Bundle(made.model, made.encoder, tools, "c" * 32, {"train": 1}, {"epochs": 2})


def test_a_saved_bundle_comes_back_the_same(bundle, tmp_path):
    bundle.save(tmp_path / "lm")
    bundle.save(tmp_path / "lm")
    back = bundles.load(tmp_path / "lm", codebook="c" * 32)
    assert (dict(back.tools), back.codebook, back.seeds) == (dict(bundle.tools), bundle.codebook, bundle.seeds)
    assert back.encoder.prompt([Turn("user", "a song")]) == bundle.encoder.prompt([Turn("user", "a song")])
    assert back.encoder.end == bundle.encoder.end
    ours, theirs = bundle.model.state_dict(), back.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [each.name for each in tmp_path.iterdir()] == ["lm"]
    assert not list((tmp_path / "lm").glob("*.bin"))


def test_codes_of_another_codebook_are_refused_and_both_are_named(bundle, tmp_path):
    bundle.save(tmp_path)
    with pytest.raises(ArtefactError, match=f"the codebook is {'d' * 32}, and it was made with {'c' * 32}"):
        bundles.load(tmp_path, codebook="d" * 32)


def test_other_prompts_than_the_model_was_trained_with_are_refused(bundle, tmp_path, monkeypatch):
    bundle.save(tmp_path)
    monkeypatch.setattr(bundles, "prompts_digest", lambda: "other")
    with pytest.raises(ArtefactError, match="the digest of the prompts is other"):
        bundles.load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "align.json"])
def test_a_damaged_or_missing_file_is_refused(bundle, tmp_path, name):
    bundle.save(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match="train it again"):
        bundles.load(tmp_path)
    file.unlink()
    with pytest.raises(ArtefactError):
        bundles.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [("format", 9, "format 9"), ("trie", "x", "the trie is"), ("sizes", [5], "spells|levels|lacks|code"),
     ("suffixes", 90, "lacks 89"), ("tools", {"a.b": ["d", "<a_9><b_0>"]}, "level 'a'")],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(bundle, tmp_path, key, value, says):
    bundle.save(tmp_path)
    path = tmp_path / bundles.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), encoding="utf-8")
    with pytest.raises(ArtefactError, match=says):
        bundles.load(tmp_path)
