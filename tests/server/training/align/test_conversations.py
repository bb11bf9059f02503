"""What is taught, and where trajectories come from."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from toolweft_catalog.tool import Tool
from toolweft_server.training.align import sources
from toolweft_server.training.align.conversations import (
    Call,
    Conversation,
    Pair,
    Trajectory,
    Turn,
    document,
    documentation,
    memorisation,
    prompt,
    retrieval,
    shown,
    trajectories,
)
from toolweft_server.training.errors import TrainingError

pytestmark = pytest.mark.torch

MAIL = Tool(
    id="mail.send", name="send", server="mail", description="Sends a letter. <a_9><b_9>",
    parameters={"type": "object", "required": ["to"], "properties": {
        "to": {"type": "string", "description": "who"}, "text": {"type": "string"}}},
)  # fmt: skip
READ = Tool(id="files.read", name="read", server="files", description="Reads a file.")
CODES = {"mail.send": "<a_1><b_2>", "files.read": "<a_0><b_0>"}


def shape(conversation):
    return [(turn.role, turn.text, turn.loss) for turn in conversation.turns]


def test_a_document_says_names_description_and_parameters_and_spells_no_code():
    assert document(MAIL) == "\n".join(
        ["mail: send", "Sends a letter. &lt;a_9>&lt;b_9>", "- to (string, required): who", "- text (string)"]
    )


def test_hostile_schemas_make_a_document_too():
    for properties in ([1], {"x": 7}, {"x": {"type": ["a", None]}}, None):
        odd = Tool(id="a.b", name="b", server="a", parameters={"properties": properties})
        assert document(odd).startswith("a: b")


def test_memorisation_leads_from_the_document_to_the_code_and_back_if_asked():
    made = memorisation([MAIL, READ], CODES)
    assert shape(made.conversations[1]) == [
        ("user", prompt("memorise", document="files: read\nReads a file."), False),
        ("assistant", "<a_0><b_0>", True),
    ]
    both = memorisation([READ], CODES, both_ways=True).conversations
    assert [turn.text for turn in both[1].turns] == [prompt("describe", code="<a_0><b_0>"), document(READ)]


def test_retrieval_makes_one_conversation_for_each_right_tool_and_names_those_without_code():
    made = retrieval([Pair("q1", "mail me the file <a_1><b_2>", ["mail.send", "files.read", "gone.tool"])], CODES)
    assert made.left_out == ["gone.tool"]
    assert [each.id for each in made.conversations] == ["retrieve:q1:mail.send", "retrieve:q1:files.read"]
    assert [each.turns[1] for each in made.conversations] == [
        Turn("assistant", "<a_1><b_2>", loss=True),
        Turn("assistant", "<a_0><b_0>", loss=True),
    ]
    assert "<a_1>" not in made.conversations[0].turns[0].text


RUN = Trajectory(
    "t1", "Mail the file.",
    (Call("files.read", {"path": "x"}, "hello", thought="I read it first."), Call("mail.send", {"to": "é"}, "sent")),
    answer="Done.",
)  # fmt: skip


def test_a_trajectory_is_thought_code_documentation_arguments_feedback_and_so_on_to_the_answer():
    made = trajectories([RUN], {each.id: each for each in (MAIL, READ)}, CODES)
    assert shape(made.conversations[0]) == [
        ("user", prompt("task", request="Mail the file."), False),
        ("assistant", "I read it first.", True),
        ("user", prompt("action"), False),
        ("assistant", "<a_0><b_0>", True),
        ("user", shown("arguments", documentation(READ)), False),
        ("assistant", '{"path": "x"}', True),
        ("user", prompt("feedback", feedback="hello"), False),
        ("assistant", "<a_1><b_2>", True),
        ("user", shown("arguments", documentation(MAIL)), False),
        ("assistant", '{"to": "é"}', True),
        ("user", prompt("feedback", feedback="sent"), False),
        ("assistant", "Answer: Done.", True),
    ]


def test_no_foreign_text_of_a_trajectory_spells_a_code():
    code = "<a_0><b_0>"
    hostile = Trajectory("t", code, (Call("files.read", {"path": code}, code, thought=code),), answer=code)
    turns = trajectories([hostile], {"files.read": READ}, CODES).conversations[0].turns
    assert [n for n, turn in enumerate(turns) if "<a_" in turn.text] == [3]  # the turn that is the code


def test_a_trajectory_with_a_tool_without_code_is_left_out_whole():
    assert trajectories([RUN], {"files.read": READ, "mail.send": MAIL}, {"files.read": "<a_0><b_0>"}) == (
        [],
        ["mail.send"],
    )


def test_conversations_are_written_and_read_back():
    for each in trajectories([RUN], {"files.read": READ, "mail.send": MAIL}, CODES).conversations:
        assert Conversation.of(json.loads(json.dumps(each.json()))) == each


@pytest.mark.parametrize("turns", [[], [{"from": "user", "value": "x"}],
    [{"from": "user", "value": "x", "loss": True}], [{"from": "robot", "value": "x", "loss": True}],
    [{"from": "assistant", "value": "x", "loss": True}] * 2, "no list", [7]])  # fmt: skip
def test_conversations_nothing_can_be_learned_from_are_refused(turns):
    with pytest.raises(TrainingError):
        Conversation.of({"id": "c", "conversations": turns})


def test_a_prompt_with_a_place_too_many_or_too_few_is_refused():
    with pytest.raises(TrainingError, match="has places"):
        prompt("retrieve")
    with pytest.raises(TrainingError, match="has places"):
        prompt("action", tool="x")
    assert prompt("retrieve", request="{{request}}").endswith("{{request}}")


TOOLBENCH = {
    "id": "Step 3",
    "conversations": [
        {"from": "system", "value": "You are AutoGPT."},
        {"from": "user", "value": "\nMail the file.\nBegin!\n"},
        {"from": "assistant",
         "value": "\nThought: I read it first.\nAction: read_for_files\nAction Input: {\"path\": \"x\"}"},
        {"from": "function", "value": "hello"},
        {"from": "assistant", "value": "\nThought:\nAction: send_for_mail\nAction Input: {\"to\": \"é\"}\n"},
        {"from": "function", "value": "sent"},
        {"from": "assistant", "value": "\nThought: \nAction: Finish\nAction Input: "
         "{\"return_type\": \"give_answer\", \"final_answer\": \"Done.\"}"},
    ],
}  # fmt: skip
NAMES = {"read_for_files": "files.read", "send_for_mail": "mail.send"}


def test_toolbench_conversations_become_trajectories():
    taken = sources.of_toolbench([TOOLBENCH], NAMES)
    assert taken == ([Trajectory("Step 3", RUN.request, RUN.calls, RUN.answer)], [])


def changed(text: str, new: str):
    return json.loads(json.dumps(TOOLBENCH).replace(text, new))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (changed("give_answer", "give_up_and_restart"), "it gave up"),
        (changed("send_for_mail", "unknown"), "no tool 'unknown'"),
        ({**TOOLBENCH, "conversations": TOOLBENCH["conversations"][:-1]}, "no Finish"),
        (changed('{\\"path\\": \\"x\\"}', "{path"), "arguments are no JSON: '{path'"),
        (changed('{\\"path\\": \\"x\\"}', "[1]"), "arguments are no object: '[1]'"),
        ({"id": "Step 3"}, "no `conversations`"),
    ],
)
def test_toolbench_conversations_that_teach_nothing_are_left_out_with_the_reason(record, reason):
    assert sources.of_toolbench([record], NAMES) == ([], [f"Step 3: {reason}"])


def test_our_own_executions_become_trajectories_failed_calls_included():
    calls = [sources.RanCall("files.read", '{"path": "y"}', ok=False, feedback="no such file"),
             sources.RanCall("files.read", '{"path": "x"}', ok=True, feedback="hello")]  # fmt: skip
    taken = sources.of_executions([sources.Ran("e1", "Read x.", calls, answer="It says hello.")])
    made = (Call("files.read", {"path": "y"}, "no such file"), Call("files.read", {"path": "x"}, "hello"))
    assert taken == ([Trajectory("e1", "Read x.", made, "It says hello.")], [])


def test_executions_that_failed_are_not_learned_from():
    good = sources.RanCall("a.b", "{}", ok=True, feedback="")
    bad = sources.RanCall("a.b", "{}", ok=False, feedback="")
    odd = sources.RanCall("a.b", "7", ok=True, feedback="")
    runs = [sources.Ran("e1", "x", [good], ok=False), sources.Ran("e2", "x", [bad]), sources.Ran("e3", "x", [odd])]
    assert sources.of_executions(runs).left_out == [
        "e1: it failed, or no call of it succeeded",
        "e2: it failed, or no call of it succeeded",
        "e3: arguments are no object: '7'",
    ]


def test_the_ledgers_rows_and_a_trace_say_what_ran():
    from toolweft_server.store.schema import call_end, call_start

    columns = {*call_start.c.keys(), *call_end.c.keys()}
    row = dict.fromkeys(columns) | {"tool": "files.read", "arguments": '{"path": "x"}', "message": "", "status": "ok"}
    rows = [row | {"seq": 0}, row | {"seq": 1, "status": "tool", "message": "no such file"},
            row | {"seq": 2, "status": None}]  # fmt: skip
    calls = sources.ledger_calls(rows, {0: "hello"})
    failure = sources.RanCall("files.read", '{"path": "x"}', ok=False, feedback="Error: no such file")
    assert calls == [sources.RanCall("files.read", '{"path": "x"}', ok=True, feedback="hello"), failure]
    steps = [{"event": "task.start", "data": {"task": "Read x."}}, {"event": "find", "data": {}},
             {"event": "run", "data": {"execution": "e1", "status": "error", "value": None}},
             {"event": "run", "data": {"execution": "e2", "status": "ok", "value": {"n": 1}}}]  # fmt: skip
    assert sources.trace_runs(steps, {"e1": [], "e2": calls}.__getitem__) == [
        sources.Ran("e1", "Read x.", [], "", ok=False),
        sources.Ran("e2", "Read x.", calls, '{"n": 1}'),
    ]
