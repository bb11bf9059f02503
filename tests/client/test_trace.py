"""Traces: what is in them, that every step is on disk at once, and how they are shown."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from toolweft_catalog import cli
from toolweft_client.account import account_of
from toolweft_client.agent import Agent
from toolweft_client.commands.trace import tree
from toolweft_client.errors import TraceError
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.progress import describe, display
from toolweft_client.redact import Redactor
from toolweft_client.session import Session
from toolweft_client.trace import VERSION, Trace, folder, new_path, read

DESIGN = "```python\norders = shop.list_orders(customer='Ada')\n```"
WRONG = "```python\nshop.list_orders(customer='Ada')[0]['when']\n```"
PROGRAM = "```python\nshop.list_orders(customer='Ada')[0]['id']\n```"


async def solved(server, path, *replies) -> Trace:
    trace = Trace.to(path)
    async with Session.connect(server) as session:
        await Agent(ScriptedModel(replies or [DESIGN, WRONG, PROGRAM]), session).run("orders of Ada?", trace=trace)
    return trace


async def test_every_stage_and_event_is_in_the_file_with_its_parent(server, tmp_path):
    await solved(server, tmp_path / "run.jsonl")
    steps = read(tmp_path / "run.jsonl")
    assert [each.stage for each in steps if each.event == "stage"] == [
        "discover", "design", "implement", "run", "repair", "run", "learn", "answer",
    ]  # fmt: skip
    once = ["stage", "check", "begin", "run"]
    assert [each.event for each in steps if each.stage == "run"] == [*once, "failure", *once]
    assert [each.seq for each in steps] == list(range(len(steps)))
    by_seq = {each.seq: each for each in steps}
    for step in steps[1:]:
        parent = by_seq[step.parent if step.parent is not None else -1]
        assert parent.event == ("task.start" if step.event in ("stage", "task.end") else "stage")
        assert parent.seq < step.seq


async def test_model_calls_carry_tokens_prompt_and_reply(server, tmp_path):
    trace = await solved(server, tmp_path / "run.jsonl")
    call = next(each for each in trace.steps if each.event == "llm")
    assert call.data["gen_ai.operation.name"] == "chat"
    assert call.data["gen_ai.request.model"] == "scripted"
    assert call.data["gen_ai.usage.input_tokens"] > 100
    assert call.data["reply"] == DESIGN
    assert call.data["messages"][0]["role"] == "system"


def timeless(path: Path) -> str:
    """A trace's text without its times."""
    return re.sub(r'"(at|ms|seconds)": ("[^"]*"|[\d.]+)', "", path.read_text(encoding="utf-8"))


async def test_equal_runs_write_the_same_bytes_times_aside(new_shop, tmp_path):
    for number in "12":
        trace = Trace.to(tmp_path / f"{number}.jsonl", run="0123456789ab")
        async with Session.connect(new_shop()[0]) as session:
            await Agent(ScriptedModel([DESIGN, WRONG, PROGRAM]), session).run("orders of Ada?", trace=trace)
    assert timeless(tmp_path / "1.jsonl") == timeless(tmp_path / "2.jsonl")
    assert len(read(tmp_path / "1.jsonl")) > 20


async def test_a_run_is_named_on_every_line_and_two_runs_differ_in_what_they_name_themselves(new_shop, tmp_path):
    texts, runs = [], []
    for number in "12":
        path = tmp_path / f"{number}.jsonl"
        await solved(new_shop()[0], path)
        (run,) = {each.run for each in read(path)}
        runs.append(run)
        texts.append(re.sub(r"ex_[0-9a-f]{12}", "EX", timeless(path).replace(run, "RUN")))
    assert runs[0] != runs[1]
    assert texts[0] == texts[1]


async def test_a_model_is_named_with_its_provider_beside_it(server):
    trace = Trace()
    async with Session.connect(server) as session:
        await Agent(ScriptedModel([DESIGN, PROGRAM], name="openai:org/gpt:5"), session).run("orders?", trace=trace)
    told = [each.data for each in trace.steps if each.event in ("task.start", "llm")]
    assert len(told) == 3
    for each in told:
        assert (each["gen_ai.provider.name"], each["gen_ai.request.model"]) == ("openai", "org/gpt:5")
    assert account_of(trace.steps).model == "openai:org/gpt:5"


def test_step_is_readable_before_the_next_one_happens(tmp_path):
    trace = Trace.to(tmp_path / "run.jsonl")
    trace.add("task.start", task="t")
    trace.enter("discover")
    assert [each.event for each in read(tmp_path / "run.jsonl")] == ["task.start", "stage"]
    trace.end(status="answered")


def test_secrets_are_masked_before_they_are_written(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "hunter2-hunter2")
    trace = Trace.to(tmp_path / "run.jsonl")
    trace.add("task.start", task="use hunter2-hunter2", more=[{"sk-proj-abcdefghijklmnopqrstuvwx": "ghp_" + "a" * 36}])
    trace.end()
    text = (tmp_path / "run.jsonl").read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert "sk-proj" not in text
    assert "ghp_" not in text
    assert text.count("[secret]") == 3


def test_ordinary_words_are_left_alone():
    text = "the basic idea: token 12, sk-ip, author=me, https://user@host/path"
    assert Redactor(["short"]).text(text) == text


def test_text_that_is_not_unicode_does_not_end_the_trace(tmp_path):
    trace = Trace.to(tmp_path / "run.jsonl")
    trace.add("task.start", task="a \ud800 lone surrogate")
    trace.end()
    assert len(read(tmp_path / "run.jsonl")) == 2


def test_file_is_its_owners_alone_and_never_written_over(tmp_path):
    Trace.to(tmp_path / "new" / "run.jsonl").end()
    if sys.platform != "win32":
        assert (tmp_path / "new" / "run.jsonl").stat().st_mode & 0o777 == 0o600
    with pytest.raises(TraceError, match="never written over"):
        Trace.to(tmp_path / "new" / "run.jsonl")


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TraceError, match=r"run\.jsonl cannot be written"):
        Trace.to(tmp_path / "file" / "run.jsonl")


def test_full_disk_ends_the_trace_and_not_the_run():
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    trace = Trace(sink=Full())
    trace.add("task.start", task="t")
    trace.end()
    assert trace.broken
    assert "No space left" in trace.broken
    assert len(trace.steps) == 2


def test_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "run.jsonl"
    trace = Trace.to(path)
    trace.add("task.start", task="t")
    trace.close()
    with path.open("a", encoding="utf-8") as file:
        file.write('{"v": 1, "seq": 1, "par')
    assert len(read(path)) == 1


LINE = {"v": 1, "run": "r", "seq": 0, "parent": None, "event": "task.start", "stage": "", "at": "", "ms": 0, "data": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no steps"),
        ("hello\n", "line 1: not a step"),
        ("[]\n", "line 1: not a step"),
        ("{}\n", "line 1: not a step"),
        (json.dumps(LINE | {"data": []}) + "\n", "line 1: not a step"),
        (json.dumps(LINE | {"seq": "x"}) + "\n", "line 1: not a step"),
        (json.dumps(LINE | {"v": VERSION + 1}) + "\n", "newer than this toolweft"),
        ("\xff", "cannot be read"),
    ],
)
def test_file_that_is_no_trace_is_a_clear_error(tmp_path, text, said):
    (tmp_path / "run.jsonl").write_bytes(text.encode("latin-1"))
    with pytest.raises(TraceError, match=said):
        read(tmp_path / "run.jsonl")


def shown(trace: Trace, *, full: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(tree(trace.steps, full=full))
    return console.file.getvalue()


async def test_tree_shows_stages_and_what_happened_in_them(server, tmp_path):
    text = shown(await solved(server, tmp_path / "run.jsonl"))
    for each in (
        "orders of Ada?",
        "discover",
        "scripted: ",
        "error, 1 calls: KeyError: 'when'",
        "repair",
        "answered: 7",
    ):
        assert each in text
    assert "You solve a task" not in text


@pytest.mark.parametrize("full", [False, True])
def test_tree_shows_a_program_that_was_sent_only_where_nothing_came_of_it(full):
    trace = Trace()
    trace.add("task.start", task="t")
    trace.enter("run")
    trace.add("begin", execution="ex_1", retry_of=None)
    trace.add("run", execution="ex_1", status="ok", calls=[])
    trace.add("begin", execution="ex_2", retry_of="ex_1")
    text = shown(trace, full=full)
    assert "begin" not in text
    assert "sent as ex_1" not in text
    assert "sent as ex_2, as a retry of ex_1; what came of it is not in this trace" in text


async def test_full_tree_shows_prompts_and_programs_without_markup(server, tmp_path):
    text = shown(await solved(server, tmp_path / "run.jsonl", DESIGN, "```python\n'[red]x[/red]'\n```"), full=True)
    assert "You solve a task" in text
    assert "[red]x[/red]" in text


@pytest.mark.parametrize(
    "data", [{}, {"tools": 3, "query": None}, {"error": 1, "calls": 2}, {"problems": 7, "saved": 1}]
)
@pytest.mark.parametrize("event", ["find", "llm", "check", "run", "library", "unheard-of"])
def test_step_of_any_content_can_be_described(event, data):
    trace = Trace()
    assert isinstance(describe(trace.add(event, **data)), str)


async def test_progress_is_plain_lines_where_no_terminal_watches(server, capsys):
    with display() as shown:
        assert shown.heard is None
        async with Session.connect(server) as session:
            trace = Trace(watchers=[shown.watch])
            await Agent(ScriptedModel([DESIGN, PROGRAM]), session).run("orders of Ada?", trace=trace)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "discover  orders of Ada?: shop.list_orders"
    assert lines[-1] == "run       ok, 1 calls"


def test_a_terminal_shows_the_line_that_the_model_is_writing(monkeypatch):
    shows = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("rich.status.Status.update", lambda _self, status: shows.append(status.plain))
    trace = Trace()
    with display() as shown:
        trace = Trace(watchers=[shown.watch])
        trace.enter("design")
        for piece in ("def f(", "x):\n", "    return \x1b[2J", "x" * 100, "\n\n"):
            shown.heard(piece)
        trace.enter("run")
    assert shows[:4] == ["designing", "designing  def f(", "designing  def f(x):", "designing      return \\x1b[2J"]
    assert len(shows[4]) < 100
    assert shows[5:] == [shows[4], "running"]


async def test_list_and_show_find_traces_in_the_state_folder(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("toolweft_client.trace.folder", lambda: tmp_path / "traces")
    assert cli.main(["trace", "list"]) == 0
    assert "No traces yet" in capsys.readouterr().out
    path = new_path("Orders of Ada/Bob, très vite?")
    assert path.name.endswith("-orders-of-ada-bob-tr-s-vite.jsonl")
    await solved(server, path)
    cut = Trace.to(tmp_path / "traces" / "00-cut.jsonl")
    cut.add("task.start", task="cut\nshort")
    cut.close()
    (tmp_path / "traces" / "00-broken.jsonl").write_text("hello\n", encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["trace", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("  ")[1].strip() for row in rows] == ["answered", "unfinished", "unreadable"]
    assert cli.main(["trace", "list", "--json", "--limit", "1"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["task"] == "orders of Ada?"
    assert cli.main(["trace", "show"]) == 0
    assert "answered: 7" in capsys.readouterr().out
    assert cli.main(["trace", "show", "00-cut"]) == 0
    assert "unfinished: the process ended here" in capsys.readouterr().out
    assert cli.main(["trace", "show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["event"] == "task.start"


@pytest.mark.parametrize(("which", "said"), [("99", "There is no trace '99'"), ("00", "2 traces begin with '00'")])
def test_trace_that_cannot_be_told_is_said(tmp_path, monkeypatch, capsys, which, said):
    monkeypatch.setattr("toolweft_client.trace.folder", lambda: tmp_path)
    for name in ("00-a", "00-b"):
        (tmp_path / f"{name}.jsonl").write_text("", encoding="utf-8")
    assert cli.main(["trace", "show", which]) == 1
    assert said in capsys.readouterr().err


def test_folder_is_the_platforms_state_folder():
    assert folder().name == "traces"
    assert "toolweft" in str(folder())


def test_what_a_program_printed_does_not_steer_the_terminal_that_shows_the_trace():
    trace = Trace()
    trace.add("task.start", task="x")
    trace.enter("run")
    trace.add(
        "run", execution="ex_1", status="ok", program="1", stdout="\x1b]0;title\x07\x9bred", calls=[], value="\x1b[2J"
    )
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(tree(trace.steps, full=True))
    shown = console.export_text()
    assert "\x1b" not in shown
    assert "\\x1b]0;title\\x07\\x9bred" in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_costs_the_trace_and_not_the_run():
    with open("/dev/full", "w", encoding="utf-8") as full:
        trace = Trace(sink=full)
        trace.add("task.start", task="x")
        assert trace.broken
        trace.end(status="answered")
    assert trace.steps[-1].event == "task.end"


def test_a_trace_nested_beyond_reason_is_no_trace(tmp_path):
    path = tmp_path / "deep.jsonl"
    path.write_text('{"v": 1, "data": ' + "[" * 100_000 + "]" * 100_000 + "}\n{}\n", encoding="utf-8")
    with pytest.raises(TraceError, match="line 1: not a step of a trace"):
        read(path)
