"""Approvals inside running programs, in both eras of the protocol: whatever is answered, a program runs once."""


import mcp_types as types
import pytest

BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
ONCE, RUN, ALWAYS, REFUSE = "allow once", "allow for this run", "always allow this tool", "refuse"
ASKS = {"policy": {"desk.write_note": "ask"}}


class Person:
    """Answers as the test says: a decision, a whole answer, or a function of the question."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, _context, params):
        self.asked.append(params.message)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = await answer(params)
        if isinstance(answer, str):
            return types.ElicitResult(action="accept", content={"decision": answer})
        return answer


def notes(desk):
    path = desk / "notes.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@BOTH
async def test_an_allowed_call_is_made_and_the_question_shows_tool_and_arguments(write_config, in_process, desk, mode):
    person = Person(ONCE)
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        ran = await host.execute('print("before")\ndesk.write_note("buy milk", urgent=True)')
    assert (ran["status"], ran["value"], ran["stdout"]) == ("ok", 1, "before\n")
    assert notes(desk) == ["! buy milk"]
    (asked,) = person.asked
    assert "desk.write_note (the policy says 'desk.write_note': 'ask')" in asked
    assert '"text": "buy milk"' in asked
    assert '"urgent": true' in asked


NO = {
    "refuse": (REFUSE, "a person refused the call of desk.write_note"),
    "decline": (types.ElicitResult(action="decline"), "a person refused the call of desk.write_note"),
    "cancel": (types.ElicitResult(action="cancel"), "closed without an answer"),
    "nonsense": ("whatever", "'whatever', which is no decision"),
    "nothing": (types.ElicitResult(action="accept"), "None, which is no decision"),
}


@BOTH
@pytest.mark.parametrize("answer", NO)
async def test_a_call_that_is_not_allowed_is_refused_and_the_program_goes_on(
    write_config, in_process, desk, mode, answer
):
    given, words = NO[answer]
    code = """
        try:
            desk.write_note("no")
        except ToolError as error:
            said = (error.kind, str(error))
        said
    """
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=Person(given)) as host:
        ran = await host.execute(code)
    kind, message = ran["value"]
    assert (ran["status"], kind, notes(desk)) == ("ok", "refused", [])
    assert words in message
    assert [call["status"] for call in ran["calls"]] == ["refused"]


@BOTH
async def test_for_this_run_covers_later_calls_of_the_same_tool_and_no_other_run(write_config, in_process, desk, mode):
    person = Person(RUN)
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        await host.execute('[desk.write_note(n) for n in ("a", "b", "c")]')
        assert (len(person.asked), notes(desk)) == (1, ["a", "b", "c"])
        await host.execute('desk.write_note("d")')
    assert len(person.asked) == 2


@BOTH
async def test_without_anybody_to_ask_the_line_to_write_is_named(write_config, in_process, desk, mode):
    async with in_process(write_config(**ASKS), mode=mode) as host:
        ran = await host.execute('desk.write_note("x")')
    assert '"policy": {"desk.write_note": "allow"}' in ran["error"]["message"]
    assert notes(desk) == []
