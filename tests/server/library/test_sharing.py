"""`toolweft functions publish` and `pull` as a person types them: what they show, and what they do once confirmed."""

import argparse
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial

import anyio
import pytest

from toolweft_catalog.tool import Annotations, Tool
from toolweft_catalog.wire import FunctionCard
from toolweft_server import peer
from toolweft_server.commands import functions
from toolweft_server.errors import LibraryError
from toolweft_server.library.extract import extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store

TOOLS = {
    "git.log": Tool("git.log", "log", "git", annotations=Annotations(read_only=True)),
    "git.push": Tool("git.push", "push", "git", annotations=Annotations(read_only=False)),
}
TITLES = 'import re\n\n\ndef titles(n: int = 3):\n    """Titles."""\n    return re.findall("a", git.log(n))\n'
REPORT = "def report():\n    git.push()\n    return functions.titles(1)\n"


class Desk:
    """One person's toolweft."""

    def __init__(self, folder, capsys, tools=()):
        self.folder, self.capsys = folder, capsys
        folder.mkdir()
        self.config = folder / "toolweft.json"
        document = {"mcpServers": {}, "store": str(folder / "t.db"), "index": {"kind": "lexical"}}
        self.config.write_text(json.dumps(document), encoding="utf-8")
        with self.store() as store:
            store.manifests.write("git", "e", list(tools))

    def store(self):
        return Store.open(self.folder / "t.db")

    def save(self, program):
        with self.store() as store:
            provenance = {"task": "Ada's own words", "owner": "ada", "date": "2026-01-01"}
            FunctionStore(store).admit(extract(program, servers=["git"]).functions, tools=TOOLS, provenance=provenance)

    def library(self):
        with self.store() as store:
            return {f"{each.name}@{each.version}": each for each in FunctionStore(store).list()}

    def functions(self, *words):
        """(exit code, stdout, stderr)"""
        parser = argparse.ArgumentParser()
        functions.add(parser)
        code = functions.run(parser.parse_args([*map(str, words), "--config", str(self.config)]))
        return code, *self.capsys.readouterr()


@pytest.fixture
def ada(tmp_path, capsys):
    desk = Desk(tmp_path / "ada", capsys, TOOLS.values())
    desk.save(TITLES)
    desk.save(REPORT)
    return desk


@pytest.fixture
def bob(tmp_path, capsys):
    return Desk(tmp_path / "bob", capsys, [TOOLS["git.log"]])


def test_what_may_be_called_is_shown_and_nothing_is_done_until_it_is_confirmed(ada, bob, tmp_path):
    team = tmp_path / "team"
    code, out, err = ada.functions("publish", team, "titles", "report")
    assert (code, err) == (1, "toolweft: nothing was done; say --yes to agree to what is shown\n")
    assert out.splitlines() == [
        "titles(n: int=3)  6 lines; new there",
        "  calls git.log, which reads",
        "  imports re",
        "report()  3 lines; new there",
        "  calls git.push, which may write",
        "  calls functions.titles",
    ]
    assert not team.exists()
    assert ada.functions("publish", team, "titles", "report", "--yes")[0] == 0
    assert sorted(each.name for each in team.iterdir()) == ["report", "titles"]
    code, out, _ = bob.functions("pull", team, "--json")
    assert (code, json.loads(out)["functions"][0]["tools"]) == (1, {"git.push": "is not connected here"})
    assert bob.library() == {}


def test_what_is_pulled_waits_as_a_candidate_and_no_word_of_a_person_comes_along(ada, bob, tmp_path):
    ada.functions("publish", tmp_path / "team", "titles", "report", "--yes")
    code, out, _ = bob.functions("pull", tmp_path / "team", "--yes")
    told = [line for line in out.splitlines() if "candidate" in line]
    assert (code, told) == (0, [f"{each}@1  candidate; programs may call it once the same code has run clean here"
                                for each in ("titles", "report")])  # fmt: skip
    taken = bob.library()["titles@1"]
    assert taken.source == TITLES
    assert taken.provenance.keys() == {"date", "imported"}


def test_a_name_in_use_with_other_code_gets_a_new_version_and_the_old_one_stays_in_use(ada, bob, tmp_path):
    ada.functions("publish", tmp_path / "team", "titles", "--yes")
    bob.save(TITLES.replace('"a"', '"b"'))
    code, out, _ = bob.functions("pull", tmp_path / "team", "titles", "--yes")
    assert "its name has other code here, which stays" in out
    assert (code, [*bob.library()]) == (0, ["titles@1"])
    assert "titles@2  candidate" in out
    assert "here already as titles@2, candidate" in bob.functions("pull", tmp_path / "team", "--yes")[1]


def test_a_folder_that_was_changed_by_hand_is_refused_and_the_others_are_taken(ada, bob, tmp_path):
    ada.save("def other(n: int):\n    return git.log(n)\n")
    ada.functions("publish", tmp_path / "team", "titles", "other", "--yes")
    file = tmp_path / "team" / "titles" / "functions.py"
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    code, _, err = bob.functions("pull", tmp_path / "team", "--yes")
    assert (code, [*bob.library()]) == (1, ["other@1"])
    assert "its content address is another one" in err


def git(folder, *words):
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    run = subprocess.run(
        ["git", *who, "-C", str(folder), *words], capture_output=True, text=True, encoding="utf-8", check=True
    )
    return run.stdout


def test_in_a_git_work_tree_only_the_functions_are_committed_and_only_when_told_to(ada, tmp_path, monkeypatch):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    team = tmp_path / "team"
    team.mkdir()
    code, _, err = ada.functions("publish", team, "titles", "--commit", "--yes")
    assert (code, "is no git work tree" in err, [*team.iterdir()]) == (1, True, [])
    git(team, "init", "-q")
    (team / "notes.txt").write_text("mine", encoding="utf-8")
    assert ada.functions("publish", team, "titles", "--yes")[0] == 0
    assert git(team, "status", "--short").split() == ["??", "notes.txt", "??", "titles/"]
    assert ada.functions("publish", team, "titles", "--commit", "--yes")[1].endswith("  committed\n")
    assert git(team, "log", "--format=%s").splitlines() == ["Functions: titles"]
    assert git(team, "status", "--short").split() == ["??", "notes.txt"]
    out = ada.functions("publish", team, "titles", "--commit", "--yes")[1]
    assert "the same code is there already" in out
    assert "committed" not in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("publish", "http://127.0.0.1:9/mcp", "titles", "--yes"),
            "no functions could be read from http://127.0.0.1:9/mcp",
        ),
        (("publish", "http://127.0.0.1:9/mcp", "titles", "--commit"), "--commit goes with a folder"),
        (("publish", "x", "nope", "--yes"), "there is no saved function 'nope' here; there are: report, titles"),
        (("pull", "nowhere", "--yes"), "is not a folder"),
        (("pull", "http://127.0.0.1:9/mcp", "--yes"), "no functions could be read from http://127.0.0.1:9/mcp"),
        (("pull", "http://127.0.0.1:9/mcp", "--token-env", "NO_SUCH"), "'NO_SUCH' holds no token"),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0],
)
def test_what_cannot_be_done_is_one_clear_line(ada, words, why):
    code, out, err = ada.functions(*words)
    assert (bool(code), out, why in err, err.count("\n")) == (True, "", True, 1), err


@contextmanager
def serving(desk, token, *options):
    command = [sys.executable, "-m", "toolweft_catalog.cli", "serve", "--config", str(desk.config), "--http", "0"]
    process = subprocess.Popen(
        [*command, "--token-env", "TITLES_TOKEN", *options], stderr=subprocess.PIPE, text=True, encoding="utf-8",
        env={**os.environ, "TITLES_TOKEN": token},
    )  # fmt: skip
    try:
        yield next(line.split()[-1] for line in process.stderr if "serving http" in line)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_functions_are_pulled_from_another_toolweft_over_http(ada, bob, monkeypatch):
    token = "0123456789abcdef"
    monkeypatch.setenv("THEIRS", token)
    with serving(ada, token) as url:
        assert "It asks for a token: name its variable with --token-env." in bob.functions("pull", url)[2]
        code, _, err = bob.functions("pull", url, "nope", "--token-env", "THEIRS")
        assert (code, "there is no function 'nope'" in err) == (1, True)
        code, out, _ = bob.functions("pull", url, "titles", "--yes", "--token-env", "THEIRS")
    assert code == 0
    assert "  calls git.log, which reads\n" in out
    taken = bob.library()["titles@1"]
    assert (taken.state, taken.source, taken.tools) == ("candidate", TITLES, {"git.log": TOOLS["git.log"].digest})
    assert "task" not in taken.provenance


def test_functions_are_published_to_another_toolweft_that_takes_them_and_wait_there_as_candidates(
    ada, bob, monkeypatch
):
    token = "0123456789abcdef"
    monkeypatch.setenv("THEIRS", token)
    bob.save(TITLES.replace('"a"', '"b"'))
    to = ("titles", "report", "--token-env", "THEIRS")
    with serving(bob, token, "--accept-functions") as url:
        assert "It asks for a token: name its variable with --token-env." in ada.functions("publish", url, "titles")[2]
        code, out, err = ada.functions("publish", url, *to)
        assert (code, err) == (1, "toolweft: nothing was done; say --yes to agree to what is shown\n")
        assert "titles(n: int=3)  6 lines; its name has other code there, which stays\n  calls git.log" in out
        assert "report()  3 lines; new there\n  calls git.push, which may write\n  calls functions.titles" in out
        assert [*bob.library()] == ["titles@1"]
        code, out, _ = ada.functions("publish", url, *to, "--yes")
        assert (code, out.splitlines()[-2:]) == (0, ["titles@2  candidate there", "report@1  candidate there"])
        assert "report()  3 lines; the same code is there already" in ada.functions("publish", url, *to)[1]
    assert [*bob.library()] == ["report@1", "titles@1"]
    taken = bob.library()["report@1"]
    assert (taken.state, taken.source, taken.functions) == ("candidate", REPORT, {"titles": 2})
    assert taken.provenance.keys() == {"date", "imported"}


def card(name, source, tools):
    return FunctionCard(
        name=name, version=1, state="active", signature="()", description="", source=source, stub="", tools=tools
    )


def test_what_a_stranger_publishes_is_refused_function_by_function_when_it_fails_a_check(bob):
    token, reads = "0123456789abcdef", {"git.log": TOOLS["git.log"].digest}
    sent = [
        card("runs", "import os\nos.remove('x')\n\n\ndef runs():\n    return git.log(1)\n", reads),
        card("hides", "def hides():\n    git.push()\n    return git.log(1)\n", reads),
        card("../up", "def up():\n    return git.log(1)\n", reads),
        card("tells", 'def tells():\n    return git.log("ghp_0123456789abcdefghijABCDEFGHIJ012345")\n', reads),
        card("plain", "def plain(n: int):\n    return git.log(n)\n", reads),
    ]
    with serving(bob, token, "--accept-functions") as url:
        published = anyio.run(partial(peer.publish, url, sent, token=token))
        with pytest.raises(LibraryError, match="nothing could be published"):
            anyio.run(partial(peer.publish, url, [sent[-1].model_copy(update={"name": 7})], token=token))
    assert [(each.name, each.state) for each in published.saved] == [("plain", "candidate")]
    assert {each.name for each in published.rejected} == {"runs", "hides", "../up", "tells"}
    assert [*bob.library()] == ["plain@1"]


def test_a_toolweft_that_was_not_told_to_takes_no_functions(ada, bob, monkeypatch):
    token = "0123456789abcdef"
    monkeypatch.setenv("THEIRS", token)
    with serving(bob, token) as url:
        code, _, err = ada.functions("publish", url, "titles", "--token-env", "THEIRS", "--yes")
    assert (code, "takes no functions" in err, "--accept-functions" in err, bob.library()) == (1, True, True, {})
