"""A live run's pure parts: which tasks, what an answer tells, what a transcript keeps, and the table."""

import json
from pathlib import Path

import pytest
from benchmarks.agent.live import chosen, read, shown, table, tells
from benchmarks.agent.run import Record
from benchmarks.agent.task import Task
from benchmarks.agent.transcripts import Exchange, Kept, programs, transcript, unquoted, withheld, without_paths

from toolweft_client.model.base import Message, Reply, Usage
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.trace import Trace

TASKS = [Task(f"t-{n:02}", "Who wrote it?" if n % 2 else "How long is it?", "1") for n in range(40)]


def record(task="t-01", *, hit=True, tokens=100, told=None):
    measures = {"accuracy": hit} | ({} if told is None else {"told": told})
    return Record(task, "", [], "answered", "", measures, 2, tokens, 50, 1, 3, [], 0, 1, [], 1.0, 0.5, "00001.jsonl")


def exchange(stage, reply, *messages):
    roles = ("system", "user", "assistant", "user")
    held = [Message(role, text) for role, text in zip(roles, messages, strict=False)]
    return Exchange(stage, held, Reply(reply, Usage(10, 2)))


def test_tasks_are_spread_over_the_list_and_the_same_for_a_seed():
    ids = chosen(TASKS, 4, seed=7)
    assert [int(each[-2:]) // 10 for each in ids] == [0, 1, 2, 3]
    assert ids == chosen(TASKS, 4, seed=7)
    assert all(int(each[-2:]) % 2 == 0 for each in chosen(TASKS, 4, seed=7, without="^Who"))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("Directed by Ada R. Otter.", "Ada R. Otter"),
        ({"director": "ada r. otter", "year": 1999}, "Ada R. Otter"),
        ("It runs 90 minutes, first shown on 2001-02-03.", ["2001-02-03", 90]),
        (["x", 7.5], {"rating": 7.5}),
        ([], []),
    ],
)
def test_an_answer_tells_what_it_holds_in_whatever_form(answer, gold):
    assert tells(answer, gold)


@pytest.mark.parametrize(("answer", "gold"), [("in 1990", 90), ("Ada", ["Ada", "Bela"]), (None, "Ada"), ("one", [])])
def test_what_is_not_there_is_not_told(answer, gold):
    assert not tells(answer, gold)


def test_the_first_prompt_with_any_gold_tool_says_what_the_search_found():
    exchanges = [exchange("scaffold", "", "frame"), exchange("plan", "", "shop.a() shop.b()"), exchange("code", "", "")]
    assert shown(["shop.a", "shop.c"], exchanges) == 0.5
    assert shown([], exchanges) == 1.0


async def test_a_model_that_is_kept_answers_as_before():
    kept = Kept(ScriptedModel(["one"]))
    reply = await kept.complete([Message("user", "Say one.")], max_tokens=5, stage="design")
    assert reply.text == "one"
    assert [(each.stage, each.messages[0].text, each.reply.text) for each in kept.exchanges] == [
        ("design", "Say one.", "one")
    ]


def test_a_transcript_shows_of_a_growing_prompt_what_is_new():
    exchanges = [exchange("act", '{"tool": "a"}', "Rules.", "Task."),
                 exchange("act", "done", "Rules.", "Task.", '{"tool": "a"}', "Result ```x```.")]  # fmt: skip
    text = transcript({"task": "t"}, exchanges, [], ours=True)
    assert text.startswith("- task: t\n")
    assert text.count("Rules.") == text.count("Task.") == text.count('{"tool": "a"}') == 1
    assert "````text\nResult ```x```.\n````" in text
    assert text.endswith("## Programs that ran\n\nNone.\n")


def test_a_transcript_of_others_keeps_neither_their_prompt_nor_long_quotes():
    theirs = "The caller wants every single word of this long sentence kept out of it."
    mine = "call(x)  # I wrote these eight words and they may come back"
    exchanges = [exchange("design", f"{theirs}\n{mine}", theirs), exchange("code", mine, f"{theirs}\n{mine}")]
    text = transcript({"task": "t"}, exchanges, [], ours=False)
    assert "long sentence" not in text
    assert text.count(mine) == 2
    assert withheld(theirs) in text


def test_short_words_in_common_are_no_quote():
    assert unquoted("pay(to='Ada Otter', amount=12)", "Pay 12 to Ada Otter please, she is waiting for it.") == (
        "pay(to='Ada Otter', amount=12)"
    )
    assert unquoted("a b c d e f g h! x", "so: a b c d e f g h! end") == "[words of the prompt] x"


def test_programs_are_told_by_status_and_calls():
    trace = Trace()
    calls = [{"tool": "shop.a", "status": "ok", "replayed": True}, {"tool": "shop.b", "status": "tool"}]
    trace.add("run", status="error", error={"type": "KeyError"}, calls=calls)
    trace.add("run", status="ok", error=None, calls=[])
    assert programs(trace.steps) == ["error (KeyError): shop.a ok replayed, shop.b tool", "ok: no call"]


def test_machine_paths_are_named():
    folders = {"<run>": Path("/x/y"), "<checkout>": Path("/x/y/z")}
    assert without_paths("/x/y/z/a and /x/y/b", folders) == "<checkout>/a and <run>/b"


def test_the_table_sums_up_by_mode_and_compares_the_same_tasks(tmp_path):
    kept = {
        "shop-program": [record("a", tokens=100, told=True, hit=False), record("b", tokens=300, told=True)],
        "shop-react": [record("a", tokens=400, told=False, hit=False)],
    }
    for name, records in kept.items():
        (tmp_path / name).mkdir()
        lines = "\n".join(json.dumps(each.json()) for each in records)
        (tmp_path / name / "runs.jsonl").write_text(f"{lines}\n", encoding="utf-8")
    lines = table(read(tmp_path)).splitlines()
    assert (
        "| shop | program | 1/2 = 50.0 % [9.5, 90.5] | 2/2 = 100.0 % [34.2, 100.0] | 2 (mean 2, most 2) |" in lines[2]
    )
    assert [line.split(" | ")[:2] for line in lines[4:6]] == [["| all", "program"], ["| all", "react"]]
    assert lines[-1] == (
        "The same 1 tasks, input tokens, median: program 100, react 400: 25 %; sum: 25 %; told: program 1, react 0."
    )
    assert "2/4" in table(read(tmp_path, tmp_path)).splitlines()[2]
