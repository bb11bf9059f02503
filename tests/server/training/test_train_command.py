"""`toolweft train tokenize`: the catalogue in the store becomes codes in a folder."""

import argparse
import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import tiny_encoder
from toolweft_catalog.tool import Tool
from toolweft_server.commands import train, train_tokenize
from toolweft_server.index.lexical import fingerprint
from toolweft_server.store.store import Store
from toolweft_server.training import artefact
from toolweft_server.training.rqkmeans import RqKMeansConfig

pytestmark = pytest.mark.torch


def parsed(*words):
    parser = argparse.ArgumentParser()
    train.add(parser)
    return parser.parse_args(["tokenize", "--encoder", "e", "--out", "o", *words])


@pytest.fixture
def place(tmp_path):
    """An encoder, a store with twelve tools, and the configuration that names it."""
    tiny_encoder.model().save_pretrained(tmp_path / "encoder")
    tiny_encoder.tokenizer().save_pretrained(tmp_path / "encoder")
    (tmp_path / "toolweft.json").write_text(json.dumps({"store": str(tmp_path / "tools.db")}), encoding="utf-8")
    with Store.open(tmp_path / "tools.db") as store:
        texts = ["list issues", "create a new issue", "where it goes", "repo name"]
        store.manifests.write("git", "e", [Tool("", f"tool_{n}", "git", texts[n % 4] + " x" * n) for n in range(12)])
    return tmp_path


def run(place, *words):
    parser = argparse.ArgumentParser()
    train.add(parser)
    folders = ["--encoder", str(place / "encoder"), "--out", str(place / "woven")]
    return train.run(parser.parse_args(["tokenize", *folders, "--config", str(place / "toolweft.json"), *words]))


def report(*words):
    parser = argparse.ArgumentParser()
    train.add(parser)
    return train.run(parser.parse_args(["report", *map(str, words)]))


@pytest.mark.parametrize("kind", ["rqkmeans", "rqvae"])
def test_the_catalogue_in_the_store_becomes_an_artefact(place, kind, capsys):
    assert run(place, "--quantiser", kind, "--codes", "4", "--steps", "20", "--unique", "--json") == 0
    with Store.open(place / "tools.db") as store:
        catalogue = fingerprint(store.manifests.catalog())
    woven = artefact.load(place / "woven", catalogue=catalogue)
    said = json.loads(capsys.readouterr().out)
    assert said["tools"] == len(woven.tools) == 12
    assert said["digests"] == woven.digests._asdict()
    assert woven.quantiser.kind == kind
    assert said["levels"][0]["neighbours_together"] is None


def test_what_is_printed_for_people_has_a_line_for_each_level(place, capsys):
    (place / "usages.jsonl").write_text('{"tools": ["git.tool_1", "git.tool_2"], "split": "train"}', encoding="utf-8")
    assert run(place, "--codes", "4", "--levels", "2", "--steps", "5", "--usages", str(place / "usages.jsonl")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"12 tools woven into {place / 'woven'}"
    assert [line.split(":")[0] for line in lines[1:]] == ["level 1", "level 2"]


def test_a_value_that_makes_no_sense_is_told_in_one_line(place, capsys):
    assert run(place, "--codes", "0") == 1
    assert capsys.readouterr().err == "toolweft: codes must be above 0, not 0\n"


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_never_had(place, capsys, monkeypatch):
    words = ("--quantiser", "rqvae", "--codes", "4", "--steps", "40", "--json")
    assert run(place, *words) == 0
    straight = json.loads(capsys.readouterr().out)
    (place / "woven").rename(place / "first")
    encoded, steps = [], []

    def interrupted(step):
        if step.stage == "rqvae" and step.done == 25:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_tokenize, "told", interrupted)
        assert run(place, *words) == 130
    assert "the same command with --resume goes on" in capsys.readouterr().err
    assert not (place / "woven").exists()
    assert run(place, *words) == 1
    assert "an unfinished run lies in" in capsys.readouterr().err
    assert run(place, *words, "--levels", "1", "--resume") == 1
    assert "cannot go on with" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(train_tokenize, "told", lambda step: steps.append(step.done) if step.stage == "rqvae" else None)
        patch.setattr("toolweft_server.training.encode._encoded", lambda *given: encoded.append(given))
        assert run(place, *words, "--resume") == 0
    assert not encoded
    assert steps[0] == 25
    resumed = json.loads(capsys.readouterr().out)
    assert resumed["digests"] == straight["digests"]
    assert resumed["levels"] == straight["levels"]
    assert not (place / "woven.training").exists()


def test_a_report_is_written_beside_the_artefact_and_says_its_numbers(place, capsys):
    assert run(place, "--codes", "4", "--levels", "2", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert report(place / "woven", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["digests"] == said["digests"]
    assert [each["perplexity"] for each in shown["levels"]] == pytest.approx(
        [each["perplexity"] for each in said["levels"]], abs=1e-4
    )
    assert (place / "woven" / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert report(place / "woven", "-o", str(place / "page.html")) == 0
    assert capsys.readouterr().out == f"12 tools: {place / 'page.html'}\n"
    assert (place / "page.html").read_bytes() == (place / "woven" / "report.html").read_bytes()


def test_a_report_about_nothing_says_what_to_run(place, capsys):
    assert report(place / "nowhere") == 1
    assert "run `toolweft train tokenize`" in capsys.readouterr().err


def test_an_encoder_that_is_not_there_is_told_in_one_line(place, capsys):
    assert run(place, "--encoder", str(place / "nowhere")) == 1
    assert "no encoder of `transformers` can be read from" in capsys.readouterr().err


def test_without_the_extra_the_command_to_run_is_told(monkeypatch, capsys):
    monkeypatch.setattr(train, "NEEDED", {"tokenize": ("torch", "no_such_package")})
    assert train.run(parsed()) == 1
    assert capsys.readouterr().err == "toolweft: training needs no_such_package: pip install 'toolweft[train]'\n"


def test_a_switch_that_is_off_is_off():
    broken = argparse.ArgumentParser()
    broken.add_argument("--graph_loss", type=bool, default=True)
    assert broken.parse_args(["--graph_loss", "False"]).graph_loss is True
    off = train_tokenize.quantiser_of(parsed("--quantiser", "rqvae", "--no-graph", "--no-balance"))
    assert (off.graph, off.contrast, off.balance) == (0.0, 0.0, 0.0)
    on = train_tokenize.quantiser_of(parsed("--quantiser", "rqvae"))
    assert min(on.graph, on.contrast, on.balance) > 0
    assert train_tokenize.quantiser_of(parsed("--no-graph")).projection_steps == 0
    assert train_tokenize.quantiser_of(parsed()) == RqKMeansConfig()


def test_a_word_after_a_switch_is_refused(capsys):
    with pytest.raises(SystemExit):
        parsed("--graph", "False")
    assert "unrecognized arguments: False" in capsys.readouterr().err
