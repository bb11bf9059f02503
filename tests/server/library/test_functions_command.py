"""`toolweft functions …` as a person types it."""

import argparse
import json

import pytest

from toolweft_catalog.tool import Tool
from toolweft_server.commands import functions
from toolweft_server.library.extract import extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store

LOG = Tool("git.log", "log", "git")


@pytest.fixture
def call(tmp_path, capsys):
    """Runs the command over a store with two functions; (exit code, stdout, stderr)."""
    path = tmp_path / "toolweft.json"
    path.write_text(json.dumps({"mcpServers": {}, "store": str(tmp_path / "t.db")}), encoding="utf-8")
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "e", [LOG])
        found = extract('def titles(n: int = 3):\n    """Titles."""\n    return git.log(n)\n', servers=["git"])
        FunctionStore(store).admit(found.functions, tools={"git.log": LOG})
        found = extract("def report(): return functions.titles(1)")
        FunctionStore(store).admit(found.functions, tools={})

    def run(*words):
        parser = argparse.ArgumentParser()
        functions.add(parser)
        code = functions.run(parser.parse_args([*words, "--config", str(path)]))
        return code, *capsys.readouterr()

    return run


def test_listing_shows_each_function_on_its_line(call):
    code, out, _ = call("list")
    assert (code, out) == (0, "report@1  active  used 0, failed 0\ntitles@1  active  used 0, failed 0  Titles.\n")
    listed = json.loads(call("list", "--json")[1])
    assert [(each["name"], each["tools"]) for each in listed] == [("report", []), ("titles", ["git.log"])]


def test_showing_one_prints_its_facts_and_its_source(call):
    code, out, _ = call("show", "titles@1")
    assert code == 0
    assert "# titles(n: int=3)\n# calls git.log (" in out
    assert out.endswith('def titles(n: int = 3):\n    """Titles."""\n    return git.log(n)\n')
    assert json.loads(call("show", "report", "--json")[1])["functions"] == {"titles": 1}


@pytest.mark.parametrize(
    "words",
    [
        ("show", "nope"),
        ("show", "titles@9"),
        ("show", "titles@x"),
        ("history", "nope"),
        ("export", "nope"),
        ("diff", "nope"),
    ],
)
def test_a_function_that_is_not_there_is_named_with_those_that_are(call, words):
    code, out, err = call(*words)
    assert (code, out) == (1, "")
    assert "there are: report, titles" in err


def test_health_names_changed_and_lost_tools(call, tmp_path):
    assert call("health")[:2] == (0, "report: well\ntitles: well\n")
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.write("git", "e", [Tool("", "log", "git", "other")])
    assert call("health")[:2] == (1, "report: well\ntitles: git.log changed\n")
    with Store.open(tmp_path / "t.db") as store:
        store.manifests.remove("git")
        FunctionStore(store).mark("titles", 1, "stale", "git.log changed")
    assert json.loads(call("health", "--json")[1]) == {
        "report": ["functions.titles cannot be called"], "titles": ["stale (git.log changed)", "git.log disappeared"],
    }  # fmt: skip


def test_versions_are_compared_and_an_earlier_one_is_offered_again(call, tmp_path):
    assert call("diff", "titles")[:2] == (0, "titles@1 (active) and titles@1 (active) have the same source\n")
    with Store.open(tmp_path / "t.db") as store:
        found = extract('def titles(n: int = 3):\n    """Titles."""\n    return git.log(n)[:n]\n', servers=["git"])
        FunctionStore(store).admit(found.functions, tools={"git.log": LOG})
    code, out, _ = call("diff", "titles")
    assert (code, out.splitlines()[:2]) == (0, ["--- titles@1 (active)", "+++ titles@2 (active)"])
    assert out.splitlines()[-2:] == ["-    return git.log(n)", "+    return git.log(n)[:n]"]
    assert json.loads(call("diff", "titles", "2", "1", "--json")[1])["diff"][-1] == "+    return git.log(n)"
    assert "there is no version 3 of 'titles'; there are: 1, 2" in call("diff", "titles", "1", "3")[2]
    assert call("rollback", "titles", "1")[:2] == (0, "titles@1 is offered; retired: 2\n")
    assert call("show", "titles")[1].endswith("return git.log(n)\n")
    assert "version 2  state  state=retired why=rolled back to version 1" in call("history", "titles")[1]
    code, out, err = call("rollback", "titles", "9")
    assert (code, out) == (1, "")
    assert "there is no version 9 of 'titles'; there are: 1, 2" in err


def test_export_remove_and_import_lead_back_to_where_it_began(call, tmp_path):
    folder = tmp_path / "skills"
    assert call("export", "--to", str(folder))[0] == 0
    code, out, _ = call("remove", "titles", "report")
    assert (code, out) == (0, "removed titles; report used it and will fail\nremoved report\n")
    code, out, _ = call("import", str(folder))
    assert "titles@2  candidate; import again with --trust" in out
    code, out, _ = call("import", str(folder), "--trust")
    assert (code, out) == (0, "titles@2  active\nreport@2  active\n")
    assert [line.split("  ")[1] for line in call("history", "titles")[1].splitlines()] == [
        "version 1", "version 1", "version 2", "version 2", "version 2",
    ]  # fmt: skip


def test_a_broken_folder_is_one_clear_line(call, tmp_path):
    code, out, err = call("import", str(tmp_path / "nowhere"))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "is not a folder" in err
