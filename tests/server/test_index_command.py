"""`toolweft index learn|ab|rollback|explain` over a store: what a person sees, and what goes when they say so."""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pytest

from toolweft_server.commands import index
from toolweft_server.store.store import Store


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "toolweft.json"
    path.write_text(json.dumps({"mcpServers": {}, "store": str(tmp_path / "t.db")}), encoding="utf-8")
    with Store.open(tmp_path / "t.db") as store:
        for day, query in enumerate(["send it", "read it", "send it again"]):
            at = time.time() - (3 - day) * 86_400
            number = store.requests.asked("local", "c", "", ["m.send", "m.read"], at)
            store.uses.asked(number, query, "e", np.ones(4, np.float32) / 2)
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
