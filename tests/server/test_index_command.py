"""`toolweft index` over a store: what a person sees, and what goes when they say so."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pytest

import tiny_woven
from toolweft_catalog import cli
from toolweft_server.commands import index
from toolweft_server.errors import EncoderError
from toolweft_server.index.woven.engine import Engine
from toolweft_server.store.requests import Asked
from toolweft_server.store.store import Store


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "toolweft.json"
    path.write_text(json.dumps({"mcpServers": {}, "store": str(tmp_path / "t.db")}), encoding="utf-8")
    with Store.open(tmp_path / "t.db") as store:
        for day, query in enumerate(["send it", "read it", "send it again"]):
            at = time.time() - (3 - day) * 86_400
            vector = store.uses.vector(query, "e", np.ones(4, np.float32) / 2)
            [number] = store.requests.asked([Asked("local", "c", "", ["m.send", "m.read"], at, vector)])
            store.requests.called("local", "c", [("m.send", True)], at)
            store.uses.called("local", "c", {"m.send": "d"}, at)
            store.uses.executed("local", f"program {day}", ["m.send", "m.read"], at)
            store.uses.mixed(number, "woven against lexical", ["m.send", "m.read"], ["m.send"])
    return path


@pytest.fixture
def toolweft(config, capsys):
    def run(*words):
        parser = argparse.ArgumentParser()
        index.add(parser)
        code = index.run(parser.parse_args([*words, "--config", str(config)]))
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_learn_shows_each_tool_and_what_is_used_together(toolweft):
    code, out, _ = toolweft("learn")
    assert code == 0
    assert "learned from 3 requests and 3 executions" in out
    assert "m.send: served" in out
    assert "m.read + m.send: used together" in out
    found = json.loads(toolweft("learn", "--json")[1])
    assert [each["tool"] for each in found["tools"]] == ["m.send"]


def test_ab_shows_where_the_comparison_stands(toolweft):
    assert toolweft("ab")[1] == "woven against lexical: open; won 3, lost 0, tied 0 of 3 requests\n"


def test_rollback_changes_nothing_until_one_says_yes(toolweft):
    assert toolweft("rollback", "--all")[1] == (
        "would forget 3 requests, 3 calls, 3 executions, 1 trials; nothing was changed: add --yes to do it\n"
    )
    assert toolweft("rollback", "--all", "--yes")[1] == "forgot 3 requests, 3 calls, 3 executions, 1 trials\n"
    assert "learned from 0 requests" in toolweft("learn")[1]
    assert toolweft("ab")[1] == "nothing was compared yet\n"


def test_rollback_to_a_date_keeps_what_was_learned_before(toolweft):
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() - 1.5 * 86_400))
    toolweft("rollback", "--to", date, "--yes")
    assert "learned from 2 requests and 2 executions" in toolweft("learn")[1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["rollback"], "rollback needs either --to DATE or --all"),
        (["rollback", "--all", "--to", "2026-01-01"], "rollback needs either"),
        (["rollback", "--to", "yesterday"], "such as 2026-11-30 or 2026-11-30T12:00, not 'yesterday'"),
        (["explain"], "explain needs a request"),
        (["status", "what"], "status takes no request"),
        (["explain", "x", "--limit", "0"], "--limit must be 1 to 50, not 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_line(toolweft, words, complaint):
    code, out, err = toolweft(*words)
    assert (code, out) == (2, "")
    assert complaint in err


TOOLS = '''
"""Tools for tests."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def send_letter(to: str) -> str:
    """Sends a letter to somebody."""
    return to


@tool(read_only=True)
def read_letters() -> list[str]:
    """Reads the letters of today."""
    return []
'''


@pytest.fixture
def woven(tmp_path, config, monkeypatch):
    """The same store, served by a woven index over two tools."""
    monkeypatch.setattr(Engine, "shipped", classmethod(lambda _cls, folder=None: tiny_woven.engine(folder)))
    (tmp_path / "m_tools.py").write_text(TOOLS, encoding="utf-8")
    document = json.loads(config.read_text(encoding="utf-8"))
    document |= {"python": {"m": {"module": str(tmp_path / "m_tools.py")}}, "index": {"kind": "woven"}}
    config.write_text(json.dumps(document), encoding="utf-8")


def test_explain_prints_every_part_of_the_woven_index(woven, toolweft):
    code, out, _ = toolweft("explain", "a", "letter", "to", "somebody", "--limit", "1")
    assert code == 0
    assert out.startswith("'a letter to somebody', ranked by the woven index\n\n1. m.send_letter")
    for part in ("score    lexical", "lexical  1.000  (", "dense    0.", "code     <a_"):
        assert f"\n   {part}" in out
    assert json.loads(toolweft("explain", "letter", "--json")[1])["tools"][0]["dense"] is not None


def test_status_and_rebuild_tell_what_the_woven_index_has(woven, toolweft):
    toolweft("explain", "letter")  # reads the tools
    before = json.loads(toolweft("status", "--json")[1])
    assert before["index"] == "woven"
    assert (before["tools"], before["encoder"]) == (2, "e" * 32)
    assert before["learned"] == "from 3 calls and 3 executions"
    assert set(before["weights"]) >= {"dense", "codes", "use", "sets"}
    code, out, err = toolweft("rebuild", "--json")
    assert (code, json.loads(out)["vectors"]) == (0, 2)
    assert "2 tools have no vector yet" in err
    assert json.loads(toolweft("status", "--json")[1])["vectors"] == 2


def test_status_says_why_the_encoder_cannot_be_used(woven, toolweft, monkeypatch):
    def broken(_cls, folder=None):
        raise EncoderError("there is no encoder; reinstall toolweft")

    monkeypatch.setattr(Engine, "shipped", classmethod(broken))
    code, out, _ = toolweft("status")
    assert code == 0
    assert "problem: there is no encoder; reinstall toolweft" in out


def test_learn_says_when_learning_is_off(config, toolweft):
    document = json.loads(config.read_text(encoding="utf-8")) | {"index": {"learn": False}}
    config.write_text(json.dumps(document), encoding="utf-8")
    assert toolweft("learn")[1].startswith("learning is off (index.learn): this is kept from before, and not used\n")


def test_find_in_the_terminal_knows_what_new_tools_mean(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Engine, "shipped", classmethod(lambda _cls, folder=None: tiny_woven.engine(folder)))
    (tmp_path / "post.py").write_text(
        "from toolweft_catalog.ingest.python import tool\n\n\n"
        '@tool(read_only=True)\ndef post(to: str) -> str:\n    """Send a letter."""\n    return to\n',
        encoding="utf-8",
    )
    document = {"python": {"post": {"module": "post.py"}}, "store": "t.db"}
    (tmp_path / "toolweft.json").write_text(json.dumps(document), encoding="utf-8")
    argv = ["find", "send a letter", "--json", "--config", str(tmp_path / "toolweft.json")]
    assert cli.main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["note"], "dense" in found["tools"][0]["why"]) == (None, True)
