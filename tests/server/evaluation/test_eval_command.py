"""`toolweft eval retrieval`, as a person runs it."""

import json

import pytest

from toolweft_catalog import cli
from toolweft_server.commands import eval as command


def run(*words):
    return command.run(cli.parser_of("eval", command).parse_args(["retrieval", *map(str, words)]))


def test_a_table_names_the_set_the_systems_and_the_baseline(folder, capsys):
    assert run(folder) == 0
    out = capsys.readouterr().out
    assert out.startswith("small: 8 tools, split dev, 4 requests; percent, 95 %")
    assert "minus bm25f" in out
    for name in ("bm25", "bm25f", "lexical"):
        assert f"\n{name} " in out


def test_json_holds_every_metric_that_was_asked_for_and_each_part(folder, capsys):
    assert run(folder, "--systems", "bm25f,lexical", "--k", "1,5", "--by", "style,seen", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["set"], found["tools"], found["requests"]) == ("small", 8, 4)
    parts = {part["part"]: part["systems"] for part in found["parts"]}
    assert list(parts) == ["all", "style: agent", "style: multi", "style: user", "seen: seen", "seen: unseen"]
    lexical = parts["all"][1]
    assert list(lexical["metrics"]) == ["N@1", "R@1", "N@5", "R@5", "COMP@5"]
    assert lexical["against"]["baseline"] == "bm25f"
    assert set(lexical["against"]["hit@1"]) == {"won", "lost", "p"}


def test_a_scenario_is_told_stage_by_stage(folder, capsys):
    assert run(folder, "--scenario", "U6", "--systems", "lexical,bm25f", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(stage["stage"], stage["system"]) for stage in found["stages"]] == [
        ("before", "lexical"),
        ("removed", "lexical"),
        ("before", "bm25f"),
        ("removed", "bm25f"),
    ]
    assert run(folder, "--scenario", "U6", "--systems", "lexical") == 0
    assert "of the catalogue" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--split", "devel"], 1, "no request has split 'devel'; there are dev 4, test 1, train 1"),
        (["--systems", "bm26"], 2, "there is no system 'bm26'; there are bm25,"),
        (["--systems", "mix"], 2, "need an untrained encoder, and none was given"),
        (["--metrics", "N@7"], 2, "there is no metric 'N@7'; there are N@1"),
        (["--k", "7"], 2, "nothing is measured at k = 7; use 1, 3, 5, 10, 50"),
        (["--by", "colour"], 2, "requests cannot be sorted by 'colour'; use style, kind, tier, seen"),
        (["--baseline", "mix"], 2, "the baseline 'mix' is not among the systems"),
        (["--encoder", "/nowhere"], 1, "there is no encoder in '/nowhere'"),
        (["--heads", "/nowhere"], 1, "/nowhere"),
        (["--systems", "generative"], 2, "needs a trained model, and none was given"),
    ],
)
def test_what_cannot_be_measured_is_said_with_what_can(folder, capsys, words, code, said):
    assert run(folder, *words) == code
    assert said in capsys.readouterr().err


def test_a_folder_that_holds_nothing_is_named(tmp_path, capsys):
    assert run(tmp_path / "nowhere") == 1
    assert "is no folder; it should hold tools.jsonl" in capsys.readouterr().err


def test_numbers_that_are_none_are_wrong_usage(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(folder, "--k", "five")
    assert stopped.value.code == 2
    assert "whole numbers are needed" in capsys.readouterr().err
