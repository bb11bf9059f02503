"""`toolweft ask` as a command: over stdio, with exit codes, and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

from toolweft_catalog import cli
from toolweft_client.budget import Budget
from toolweft_client.trace import read

REPLIES = ["```python\nshop.list_orders(customer='Ada')\n```", "```python\nlen(shop.list_orders(customer='Ada'))\n```"]
TASK = "How many orders has Ada?"


@pytest.fixture
def server(tmp_path) -> str:
    """A command that serves the shop of `conftest` over stdio. With SHOP_HANGS its programs never end."""
    script = tmp_path / "server.py"
    conftest = Path(__file__).with_name("conftest.py")
    script.write_text(
        "import anyio, os, runpy\n"
        f"names = runpy.run_path({str(conftest)!r})\n"
        "shop = names['Shop']()\n"
        "shop.before = anyio.sleep_forever if os.environ.get('SHOP_HANGS') else None\n"
        "names['serve'](shop).run('stdio')\n",
        encoding="utf-8",
    )
    return f'"{sys.executable}" "{script}"' if sys.platform == "win32" else f"{sys.executable} {script}"


@pytest.fixture
def replies(tmp_path) -> str:
    (tmp_path / "replies.json").write_text(json.dumps(REPLIES), encoding="utf-8")
    return f"scripted:{tmp_path / 'replies.json'}"


def test_answer_is_on_stdout_and_all_else_on_stderr(server, replies, tmp_path, capsys):
    trace = tmp_path / "run.jsonl"
    assert cli.main(["ask", TASK, "--server", server, "--model", replies, "--trace", str(trace)]) == 0
    out, err = capsys.readouterr()
    assert out == "2\n"
    assert "answered: 2 model calls" in err
    assert f"trace: {trace}" in err
    assert read(trace)[-1].data["status"] == "answered"


def test_json_is_the_whole_answer(server, replies, tmp_path, capsys):
    argv = [
        "ask",
        TASK,
        "--server",
        server,
        "--model",
        replies,
        "--trace",
        str(tmp_path / "t.jsonl"),
        "--json",
        "--quiet",
    ]
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["status"], answer["value"], answer["spent"]["model_calls"]) == ("answered", 2, 2)
    assert answer["calls"][0]["tool"] == "shop.list_orders"
    assert err == ""


def test_failed_task_is_exit_code_one(server, replies, tmp_path, capsys):
    argv = [
        "ask",
        TASK,
        "--server",
        server,
        "--model",
        replies,
        "--trace",
        str(tmp_path / "t.jsonl"),
        "--model-calls",
        "1",
    ]
    assert cli.main(argv) == 1
    assert "budget of 1 model calls" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["ask", " "], "task is empty"),
        (["ask", "x"], "No model"),
        (["ask", "x", "--model", "gpt"], "'gpt' is no model"),
        (["ask", "x", "--model", "scripted:/no/such/file"], "cannot be read"),
    ],
)
def test_wrong_usage_is_exit_code_two(argv, said, capsys, monkeypatch):
    monkeypatch.delenv("TOOLWEFT_MODEL", raising=False)
    assert cli.main(argv) == 2
    assert said in capsys.readouterr().err


def test_server_that_does_not_start_is_exit_code_two(replies, capsys):
    assert cli.main(["ask", "x", "--model", replies, "--server", "/no/such/server"]) == 2
    assert "/no/such/server: FileNotFoundError" in capsys.readouterr().err


def test_trace_that_exists_is_exit_code_two(server, replies, tmp_path, capsys):
    (tmp_path / "old.jsonl").write_text("", encoding="utf-8")
    argv = ["ask", "x", "--model", replies, "--server", server, "--trace", str(tmp_path / "old.jsonl")]
    assert cli.main(argv) == 2
    assert "never written over" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a whole console, not to a process")
def test_ctrl_c_leaves_a_readable_trace_and_exit_code_130(server, replies, tmp_path):
    trace = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "toolweft_catalog.cli", "ask", TASK]
    process = subprocess.Popen(
        [*command, "--server", server, "--model", replies, "--trace", str(trace)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        env=os.environ | {"SHOP_HANGS": "1"}, start_new_session=True,
    )  # fmt: skip
    try:
        # Another process is waited for: bounded polling of the one thing it shows, its trace.
        until = time.monotonic() + 60
        while not (trace.exists() and '"stage": "run"' in trace.read_text(encoding="utf-8")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (130, "")
    assert f"interrupted; the trace so far: {trace}" in err
    assert "Traceback" not in err
    steps = read(trace)
    assert steps[-1].event == "task.end"
    assert steps[-1].data["status"] == "interrupted"


GIVEN = {field.name: 2.5 if isinstance(field.default, float) else 2 for field in fields(Budget)}


def test_every_budget_can_be_set_and_is_held_to(server, replies, tmp_path):
    trace = tmp_path / "run.jsonl"
    argv = ["ask", TASK, "--server", server, "--model", replies, "--trace", str(trace), "--quiet"]
    given = GIVEN | {"design_tokens": 1_500, "implement_tokens": 1_500, "seconds": 300.0}
    for name, value in given.items():
        argv += [f"--{name.replace('_', '-')}", str(value)]
    assert cli.main(argv) == 0
    assert read(trace)[0].data["budget"] == given


@pytest.mark.parametrize("command", ["ask", "solve-server"])
def test_budgets_stand_in_a_group_of_their_own_with_their_defaults(command, capsys):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    group = capsys.readouterr().out.partition("\nbudgets:\n")[2].partition("\nexamples:")[0]
    for field in fields(Budget):
        assert f"--{field.name.replace('_', '-')} N" in group
    calls = {"ask": "8; paper 12, codeact 20", "solve-server": "6"}[command]
    assert f"(default: {calls}" in " ".join(group.split())
    assert "(default: 8000)" in group


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--retries", "-1", "-1 is less than nothing"),
        ("--reply-tokens", "0", "0 is not at least 1"),
        ("--run-seconds", "inf", "inf is no time that ends"),
        ("--pause", "-2", "-2 is no time to wait"),
    ],
)
def test_a_budget_that_makes_no_sense_is_said(flag, value, said, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["ask", "x", "--model", "scripted:x", flag, value])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ask", "trace"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"examples:\n  toolweft {command}" in capsys.readouterr().out
