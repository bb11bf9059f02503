"""`toolweft ask` at a real terminal: the question appears there, and the answer or Ctrl-C counts."""

import json
import os
import select
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

REPLIES = ['```python\ndesk.write_note(text="x")\n```'] * 2


@pytest.fixture
def at_a_terminal(write_config, tmp_path):
    """The command with a terminal as its input and its errors, our end of the terminal, and what was shown."""
    import pty

    replies = tmp_path / "replies.json"
    replies.write_text(json.dumps(REPLIES), encoding="utf-8")
    config = write_config(policy={"desk.write_note": "ask"})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "toolweft_catalog.cli", "ask", "Write the note x", "--config", str(config)]
    process = subprocess.Popen(
        [*command, "--model", f"scripted:{replies}", "--trace", str(tmp_path / "run.jsonl")],
        stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env={**os.environ, "TERM": "dumb"}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    yield process, ours
    process.kill()
    process.communicate()
    os.close(ours)


def shown(ours, words):
    """What the terminal shows, up to these words. Another process is waited for: bounded."""
    text, until = "", time.monotonic() + 60
    while words not in text:
        assert time.monotonic() < until, text
        if select.select([ours], [], [], 0.1)[0]:
            try:
                text += os.read(ours, 4096).decode("utf-8", "replace")
            except OSError as ended:
                raise AssertionError(text) from ended
    return text


def notes(desk):
    return (desk / "notes.txt").read_text(encoding="utf-8") if (desk / "notes.txt").exists() else ""


def test_the_question_is_answered_at_the_terminal(at_a_terminal, desk):
    process, ours = at_a_terminal
    question = shown(ours, "Enter declines")
    assert "The task: Write the note x" in question
    assert """line 1, writes: desk.write_note(text='x')""" in question
    assert notes(desk) == ""
    os.write(ours, b"1\n")
    shown(ours, "answered")
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, notes(desk)) == (0, "x\n")
    assert out.strip() == b"1"


def test_ctrl_c_at_the_question_ends_the_command_and_nothing_is_called(at_a_terminal, desk):
    process, ours = at_a_terminal
    shown(ours, "Enter declines")
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in shown(ours, "interrupted")
    process.communicate(timeout=60)
    assert (process.returncode, notes(desk)) == (130, "")
