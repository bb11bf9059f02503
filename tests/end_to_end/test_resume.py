"""A run of the agent that was killed goes on where it was, on the real server: nothing is lost, nothing done twice."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.errors import TraceError
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_client.tape import Tape
from toolweft_client.trace import Trace, read
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

TASK = "Write a note that says milk, and tell how many notes there are."


def fenced(code):
    return f"```python\n{code}\n```"


REPLIES = [
    fenced("desk.write_note(text='milk')\nlen(desk.read_notes())"),
    fenced("count = desk.write_note(text='milk')\nlen(desk.read_notes()) / (count - 1)"),
    fenced("desk.write_note(text='milk')\nlen(desk.read_notes())"),
]


NOTED = '''def noted(text: str) -> int:
    """Writes a note.

    Success: there are more than before.
    """
    # 1. read: what is there
    notes = desk.read_notes()
    # 2. write: one more
    count = desk.write_note(text=text)
    return count


noted("milk")'''
CROOKED = [
    "I would write a note.",
    fenced("desk.look_at_all()"),
    fenced(NOTED),
    fenced("# probe\ndesk.read_notes()"),
    fenced("desk.write_note(text='milk')\n{}['how many']"),
    fenced("desk.write_note(text='milk')\nlen(desk.read_notes())"),
    fenced("# right"),
]
"""Asked again for a fence, a new design for a tool that does not exist, a probe, a repair, a second reading."""


class KilledError(BaseException):
    """Stands for `kill -9`: nothing of the agent's own must catch it."""


async def run(config, *, steps=(), killed_after=None, replies=REPLIES, budget=Budget()):  # noqa: B008
    """The answer and the trace. Killed after a step, the trace has no further one."""
    loaded = configuration.load(config)
    seen = []

    def watch(step):
        seen.append(step)
        if len(seen) == killed_after:
            raise KilledError

    tape = Tape(steps)
    model = ScriptedModel(replies[tape.count("llm") :])
    trace = Trace(watchers=[watch])
    answer = None
    async with Session.connect(serving.build(Lazy(loaded), servers=list(loaded.servers))) as session:
        while not (await session.find_tools("notes")).tools:
            pass  # on a machine under load the first answer may be too early
        try:
            answer = await Agent(model, session, budget=budget).run(TASK, trace=trace, tape=tape)
        except KilledError:
            return None, trace.steps[:killed_after]
    return answer, trace.steps


def told(steps):
    """Everything but times and ids."""
    ids = {}
    for step in steps:
        if step.event == "begin":
            ids[str(step.data["execution"])] = f"ex {len(ids)}"
    data = json.loads(json.dumps([[each.event, each.stage, dict(each.data)] for each in steps]))
    for _, _, each in data:
        each.pop("seconds", None)
        each.pop("spent", None)
        for call in each.get("calls", ()):
            call.pop("ms")
    text = json.dumps(data)
    for known, name in ids.items():
        text = text.replace(known, name)
    return json.loads(text)


def begun(steps):
    """How many programs; a resumed run may have begun one once more, which is one event more."""
    return sum(each.event == "begin" for each in steps)


@pytest.mark.soak
@pytest.mark.parametrize(("replies", "some"), [(REPLIES, 5), (CROOKED, 9)], ids=["straight", "crooked"])
async def test_a_run_killed_after_any_event_goes_on_as_if_it_had_not_been(
    write_config, desk, tmp_path, soak_runs, replies, some
):
    given = {"replies": replies, "budget": Budget(readings=1 if replies is CROOKED else 0)}
    notes = desk / "notes.txt"

    def config(number):
        notes.unlink(missing_ok=True)
        store = str(tmp_path / f"store{number}.db")
        return write_config(store=store, index={"kind": "lexical"}, policy={"default": "trust"})

    whole, steps = await run(config(0), **given)
    assert (whole.text, notes.read_text(encoding="utf-8")) == ("1", "milk\n")
    assert len(steps) > 20
    if replies is CROOKED:
        assert {"probe", "repair", "reading"} <= {each.stage for each in steps}
        assert {"replan", "failure"} <= {each.event for each in steps}
    # Most of its time goes into starting servers: some of the events are taken here, the others with `make soak`.
    for killed_after in range(1, len(steps), some if soak_runs <= 10 else 1):
        used = config(killed_after)
        _, before = await run(used, killed_after=killed_after, **given)
        assert len(before) == killed_after
        answer, after = await run(used, steps=before, **given)
        where = f"killed after {before[-1].event} in stage {before[-1].stage!r}"
        assert (answer.status, answer.text, notes.read_text(encoding="utf-8")) == ("answered", "1", "milk\n"), where
        if begun(after) == begun(steps):
            assert told(after) == told(steps), where


async def test_a_program_that_never_arrived_may_be_resumed_again_and_again(write_config, desk):
    config = write_config(index={"kind": "lexical"}, policy={"default": "trust"})
    _, steps = await run(config)
    (desk / "notes.txt").unlink()
    other = write_config(index={"kind": "lexical"}, policy={"default": "trust"}, store=str(desk / "other.db"))
    begun = next(n for n, each in enumerate(steps) if each.event == "begin")
    steps = steps[: begun + 1]
    for more in (1, 2, 3):  # killed each time a little later; the first program is on record nowhere
        _, steps = await run(other, steps=steps, killed_after=begun + 1 + more)
    answer, _ = await run(other, steps=steps)
    assert (answer.text, (desk / "notes.txt").read_text(encoding="utf-8")) == ("1", "milk\n")


async def test_a_run_whose_model_failed_goes_on_and_writes_nothing_again(write_config, desk):
    config = write_config(index={"kind": "lexical"}, policy={"default": "trust"})
    failed, steps = await run(config, replies=REPLIES[:2])
    assert (failed.status, failed.reason, steps[-1].event) == ("failed", "model", "task.end")
    assert "Already done: desk.write_note" in failed.text
    answer, _ = await run(config, steps=steps)
    assert (answer.text, (desk / "notes.txt").read_text(encoding="utf-8")) == ("1", "milk\n")


async def test_a_trace_of_another_task_is_refused(write_config):
    config = write_config(index={"kind": "lexical"})
    _, steps = await run(config)
    others = [each for each in steps if each.event != "find"]
    with pytest.raises(TraceError, match=r"step .* of its trace is a llm, and a find was due now"):
        await run(config, steps=others)


VAULT = '''
"""A vault, for tests: it kills whoever asked, at the worst moment."""

import os
import signal
import time
from pathlib import Path

from toolweft_catalog.ingest.python import tool

NOTES = Path(__file__).with_name("vault.txt")


def kill(moment):
    if os.environ.get("VAULT_KILLS") == moment:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)


@tool(read_only=False)
def store_note(text: str) -> int:
    """Store a note in the vault; how many there are."""
    kill("before")
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(text + "\\n")
    kill("after")
    return len(NOTES.read_text(encoding="utf-8").splitlines())


@tool(read_only=True)
def count_notes() -> int:
    """How many notes are in the vault."""
    count = len(NOTES.read_text(encoding="utf-8").splitlines()) if NOTES.exists() else 0
    kill("read")
    return count
'''
VAULT_REPLIES = [fenced("vault.store_note(text='gold')\nvault.count_notes()")] * 2


@pytest.fixture
def vault(tmp_path):
    """Runs `toolweft` with a command line in a process of its own; its exit code and what it printed."""
    (tmp_path / "vault.py").write_text(VAULT, encoding="utf-8")
    (tmp_path / "replies.json").write_text(json.dumps(VAULT_REPLIES), encoding="utf-8")
    document = {"python": {"vault": {"module": "vault.py"}}, "store": "v.db", "index": {"kind": "lexical"}}
    (tmp_path / "toolweft.json").write_text(json.dumps({**document, "policy": {"default": "trust"}}), encoding="utf-8")

    def toolweft(*words, kills="", killed_after=0):
        python = [sys.executable, *(("-c", KILLING) if killed_after else ("-m", "toolweft_catalog.cli"))]
        done = subprocess.run(
            [*python, *words], cwd=tmp_path, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
            env={**os.environ, "VAULT_KILLS": kills, "KILLED_AFTER": str(killed_after)}, check=False, timeout=100,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    toolweft.folder = tmp_path
    return toolweft


ASK = ("ask", "Store a note that says gold in the vault and count the notes.", "--model", "scripted:replies.json",
       "--config", "toolweft.json", "--trace", "run.jsonl", "--quiet")  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize(("moment", "stored"), [("before", 0), ("after", 1)])
def test_between_start_and_end_of_a_write_a_resumed_run_stops_and_writes_nothing(vault, moment, stored):
    assert vault(*ASK, kills=moment)[0] == -9
    code, out, _ = vault("resume", "run.jsonl", "--quiet", "--json")
    answer = json.loads(out)
    assert (code, answer["status"], answer["reason"]) == (1, "failed", "refused")
    assert "an earlier attempt began this very call, and nobody knows whether it took effect" in answer["text"]
    path = Path(vault.folder / "vault.txt")
    assert (len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0) == stored


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_program_killed_after_its_write_is_resumed_and_writes_nothing_again(vault):
    assert vault(*ASK, kills="read")[0] == -9
    assert read(vault.folder / "run.jsonl")[-1].event == "begin"
    code, out, err = vault("resume", "run.jsonl", "--trace", "again.jsonl")
    assert (code, out) == (0, "1\n"), err
    assert (vault.folder / "vault.txt").read_text(encoding="utf-8") == "gold\n"
    calls = next(each for each in read(vault.folder / "again.jsonl") if each.event == "run").data["calls"]
    assert [each["replayed"] for each in calls] == [True, False]
    code, _, err = vault("resume", "again.jsonl")
    assert (code, "has ended: answered. There is nothing left to do." in err) == (2, True)


def test_a_task_that_failed_for_want_of_its_model_is_resumed_to_the_same_answer(vault):
    wrong = fenced("vault.store_note(text='gold')\n1 / 0")
    script = vault.folder / "replies.json"
    script.write_text(json.dumps([VAULT_REPLIES[0], wrong]), encoding="utf-8")
    code, _, err = vault(*ASK)
    assert (code, "`toolweft resume run.jsonl` goes on from there" in err) == (1, True), err
    script.write_text(json.dumps([VAULT_REPLIES[0], wrong, VAULT_REPLIES[1]]), encoding="utf-8")
    code, out, err = vault("resume", "run.jsonl", "--trace", "again.jsonl", "--json")
    assert (code, json.loads(out)["text"]) == (0, "1"), err
    assert (vault.folder / "vault.txt").read_text(encoding="utf-8") == "gold\n"
    code, _, err = vault("resume", "again.jsonl")
    assert (code, "has ended: answered. There is nothing left to do." in err) == (2, True)


@pytest.mark.parametrize("reason", ["budget", "stuck"])
def test_a_task_that_failed_for_a_reason_of_its_own_has_ended(vault, reason):
    trace = Trace.to(vault.folder / "failed.jsonl")
    trace.add("task.start", task="x", budget={"repairs": 1}, setup={"model": "scripted:replies.json"})
    trace.end(status="failed", reason=reason)
    code, _, err = vault("resume", "failed.jsonl")
    assert (code, "has ended: failed. There is nothing left to do." in err) == (2, True)


def test_what_cannot_be_resumed_is_said(vault):
    secret = "ghp_" + "a1" * 18
    begun = {"model": "scripted:replies.json", "mode": "program"}
    for name, task, status, words in (
        ("masked", f"use {secret}", None, "are masked"),
        ("misfit", "x", "unresumable", "did not fit its trace"),
        ("codeact", "x", None, "A run in mode codeact cannot be resumed"),
    ):
        trace = Trace.to(vault.folder / f"{name}.jsonl")
        mode = {**begun, "mode": "codeact"} if name == "codeact" else begun
        trace.add("task.start", task=task, budget={"repairs": 1}, setup=mode)
        trace.end(status=status) if status else trace.close()
        code, _, err = vault("resume", f"{name}.jsonl")
        assert (code, words in err) == (2, True), err
    code, _, err = vault("resume", "nothing.jsonl")
    assert (code, "There is no trace 'nothing.jsonl'" in err) == (2, True)
    mine = Trace.to(vault.folder / "mine.jsonl")
    mine.add("task.start", task="x", budget={"repairs": 1}, setup={})
    mine.close()
    code, _, err = vault("resume", "mine.jsonl")
    assert (code, "does not say how its model and server are found" in err) == (2, True)


KILLING = """
import os, signal, sys
from toolweft_client.trace import Trace
from toolweft_catalog.cli import main

left, write = int(os.environ["KILLED_AFTER"]), Trace._write


def killing(self, step):
    global left
    write(self, step)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)


Trace._write = killing
sys.exit(main())
"""
VAULT_PROGRAMS = [
    fenced("vault.store_note(text='gold')\nvault.count_notes()"),
    fenced("vault.store_note(text='gold')\n{}['how many']"),
    fenced("vault.store_note(text='gold')\nvault.count_notes()"),
]


@pytest.mark.soak
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_process_killed_after_any_event_is_resumed_and_ends_as_if_it_had_not_been(vault, soak_runs):
    notes, trace = vault.folder / "vault.txt", vault.folder / "run.jsonl"
    (vault.folder / "replies.json").write_text(json.dumps(VAULT_PROGRAMS), encoding="utf-8")

    def fresh():
        for each in (notes, trace, vault.folder / "again.jsonl", *vault.folder.glob("v.db*")):
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)

    fresh()
    assert vault(*ASK)[:2] == (0, "1\n")
    whole = read(trace)
    assert "repair" in {each.stage for each in whole}
    for killed_after in range(1, len(whole), 12 if soak_runs <= 10 else 1):
        fresh()
        assert vault(*ASK, killed_after=killed_after)[0] == -9
        steps = read(trace)
        assert len(steps) == killed_after
        where = f"killed after {steps[-1].event} in stage {steps[-1].stage!r}"
        resumed = vault("resume", "run.jsonl", "--trace", "again.jsonl", "--quiet")
        assert resumed[:2] == (0, "1\n"), f"{where}: {resumed}"
        assert notes.read_text(encoding="utf-8") == "gold\n", where
        after = read(vault.folder / "again.jsonl")
        if begun(after) == begun(whole):
            assert told(after)[1:] == told(whole)[1:], where  # the first says what is resumed
