"""What the agent may do: writes are asked about once, before the program runs, and budgets hold inside it."""

import math

import anyio
import mcp_types as types
import pytest

from toolweft_client.account import account_of
from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_client.tape import Tape
from toolweft_client.trace import Trace
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

TASK = "Write two notes and burn them."
PROGRAM = "desk.write_note(text='one')\ndesk.write_note(text='two')\ndesk.burn_notes()\n'burnt'"


def fenced(code):
    return f"```python\n{code}\n```"


class Person:
    def __init__(self, decision, meanwhile=None):
        self.decision, self.meanwhile, self.asked = decision, meanwhile, []

    async def __call__(self, _context, params):
        self.asked.append(params.message)
        if self.meanwhile:
            await self.meanwhile()
        if self.decision is None:
            return types.ElicitResult(action="decline")
        return types.ElicitResult(action="accept", content={"decision": self.decision})


async def solve(config, *codes, person=None, trace=None, tape=None, **budget):
    loaded = configuration.load(config)
    server = serving.build(Lazy(loaded), servers=list(loaded.servers))
    async with Session.connect(server, ask=person) as session:
        agent = Agent(ScriptedModel([fenced(each) for each in codes]), session, budget=Budget(**budget))
        return await agent.run(TASK, trace=trace, tape=tape)


@pytest.fixture
def config(write_config):
    return write_config(index={"kind": "lexical"})


async def test_all_calls_that_ask_are_shown_at_once_and_asked_about_once(config, desk):
    person, trace = Person("allow them"), Trace()
    answer = await solve(config, PROGRAM, PROGRAM, person=person, trace=trace)
    assert (answer.status, answer.text, (desk / "notes.txt").exists()) == ("answered", "burnt", False)
    (asked,) = person.asked
    assert f"The task: {TASK}" in asked
    assert "line 1, writes: desk.write_note(text='one')" in asked
    assert "line 3, writes: desk.burn_notes()" in asked
    (event,) = [each.data for each in trace.steps if each.event == "approval"]
    assert event == {"tools": ["desk.write_note", "desk.burn_notes"], "decision": "allow them"}


async def test_what_a_saved_function_would_write_is_asked_about_with_the_rest(config, write_config, desk):
    twice = "def note_twice(text: str) -> int:\n    desk.write_note(text=text)\n    return desk.write_note(text=text)\n"
    again = "def note_again(text: str) -> int:\n    return functions.note_twice(text=text)\n"
    loaded, person, trace = configuration.load(config), Person("allow them"), Trace()
    async with Session.connect(serving.build(Lazy(loaded), servers=list(loaded.servers)), ask=person) as session:
        (saved,) = (await session.execute_code(f"{twice}\nnote_twice('one')")).saved
        assert saved.state == "active"
        assert (await session.execute_code(f"{again}\nnote_again('one')")).saved[0].state == "active"
        model = ScriptedModel([fenced("functions.note_again(text='two')\ndesk.burn_notes()\n'burnt'")] * 2)
        answer = await Agent(model, session).run(TASK, trace=trace)
    assert (answer.status, answer.text, len(person.asked)) == ("answered", "burnt", 1)
    assert "line 1, writes: functions.note_again(text='two'), which calls desk.write_note" in person.asked[0]
    assert "line 2, writes: desk.burn_notes()" in person.asked[0]
    resumed = await solve(write_config(store=str(desk / "other.db")), tape=Tape(trace.steps))
    assert (resumed.status, resumed.text) == ("answered", "burnt")


@pytest.mark.parametrize("decision", ["refuse", None, "perhaps"])
async def test_what_is_not_allowed_is_not_run(config, desk, decision):
    answer = await solve(config, PROGRAM, PROGRAM, person=Person(decision))
    assert (answer.status, answer.reason, (desk / "notes.txt").exists()) == ("failed", "refused", False)
    assert "the calls of desk.write_note, desk.burn_notes; the program was not run" in answer.text


async def test_a_decision_is_part_of_the_trace_and_is_not_asked_for_again_when_the_run_is_resumed(config, desk):
    trace = Trace()
    await solve(config, PROGRAM, PROGRAM, person=Person("allow them"), trace=trace)
    person = Person("refuse")
    resumed = await solve(config, person=person, tape=Tape(trace.steps))
    assert (resumed.text, person.asked) == ("burnt", [])


async def test_a_run_that_a_person_allowed_is_resumed_as_it_went_where_nobody_can_be_asked(config, desk):
    trace, program = Trace(), "desk.write_note(text='one')"
    await solve(config, program, program, person=Person("allow them"), trace=trace)
    cut = [each for each in trace.steps if each.event not in ("library", "task.end")]
    resumed = await solve(config, tape=Tape(cut))
    assert (resumed.status, (desk / "notes.txt").read_text(encoding="utf-8")) == ("answered", "one\n")


async def test_a_run_that_nobody_could_be_asked_about_is_resumed_as_it_went_where_somebody_can(config, desk):
    trace, program, person = Trace(), "desk.write_note(text='one')", Person("allow them")
    await solve(config, program, program, trace=trace)
    begun = next(n for n, each in enumerate(trace.steps) if each.event == "begin")
    resumed = await solve(config, person=person, tape=Tape(trace.steps[: begun + 1]))
    assert (len(person.asked), resumed.reason) == (1, "refused")  # by the server's form, which knows no "allow them"
    assert "A program wants to call desk.write_note" in person.asked[0]
    assert not (desk / "notes.txt").exists()


async def test_where_nobody_can_be_asked_the_line_that_allows_it_is_named(config, desk):
    answer = await solve(config, PROGRAM, PROGRAM)
    assert (answer.status, answer.reason, (desk / "notes.txt").exists()) == ("failed", "refused", False)
    assert '"policy": {"desk.write_note": "allow"}' in answer.text


@pytest.mark.parametrize("policy", [{"default": "host"}, {"desk.write_note": "allow"}])
async def test_what_the_person_wrote_into_the_configuration_is_stronger_than_care(write_config, desk, policy):
    config = write_config(index={"kind": "lexical"}, policy=policy)
    answer = await solve(config, *["desk.write_note(text='one')"] * 2)
    assert (answer.status, (desk / "notes.txt").read_text(encoding="utf-8")) == ("answered", "one\n")


async def test_a_program_is_stopped_at_the_budget_of_writes_and_at_that_of_calls(write_config, desk):
    config = write_config(index={"kind": "lexical"}, policy={"default": "trust"})
    many = "for n in range(9):\n    desk.write_note(text=str(n))"
    answer = await solve(config, many, many, many.replace("9", "8"), writes=3)
    assert (answer.status, answer.reason, answer.spent.writes) == ("failed", "budget", 3)
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "0\n1\n2\n"
    reads = "[desk.read_notes() for n in range(9)]"
    answer = await solve(config, reads, reads, reads.replace("9", "8"), tool_calls=4, probes=0)
    assert (answer.status, answer.reason, answer.spent.tool_calls) == ("failed", "budget", 4)


async def test_a_program_whose_calls_are_on_record_is_mended_though_the_budget_is_used_up(write_config, desk):
    config = write_config(index={"kind": "lexical"}, policy={"default": "trust"})
    many = "for n in range(5):\n    desk.write_note(text=str(n))\n"
    answer = await solve(config, many, f"{many}{{}}['key']", f"{many}len(desk.read_notes())", writes=5, tool_calls=6)
    assert (answer.status, answer.value, answer.spent.repairs) == ("answered", 5, 1)
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "".join(f"{n}\n" for n in range(5))


async def test_a_call_beyond_the_budget_ends_the_run_and_says_so(write_config, desk):
    config = write_config(index={"kind": "lexical"}, policy={"default": "trust"})
    answer = await solve(config, *["for n in range(9):\n    desk.write_note(text=str(n))"] * 2, writes=3)
    assert (answer.reason, answer.spent.repairs, answer.spent.model_calls) == ("budget", 0, 2)
    assert "client's limit on calls that may write in this program is reached" in answer.text
    assert "The budget of a task is 40 calls, 3 of them such that write" in answer.text
    assert "Already done: desk.write_note" in answer.text


async def test_a_batch_that_a_person_allowed_is_made_whole_though_it_writes_more_than_the_budget(config, desk):
    person, trace = Person("allow them"), Trace()
    seven = "\n".join(f"desk.write_note(text='{number}')" for number in range(7)) + "\n'done'"
    answer = await solve(config, seven, seven, person=person, trace=trace)
    assert (answer.status, answer.text, len(person.asked)) == ("answered", "done", 1)
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "".join(f"{number}\n" for number in range(7))
    assert (answer.spent.writes, answer.spent.tool_calls) == (0, 7)
    assert account_of(trace.steps).exceeded == ()


async def test_the_clock_stops_while_a_person_thinks(config, monkeypatch):
    scopes, running = [], []
    real = Session.clock

    def watched(self, scope):
        scopes.append(scope)
        return real(self, scope)

    async def think():
        running.extend(scope for scope in scopes if not math.isinf(scope.deadline))

    monkeypatch.setattr(Session, "clock", watched)
    answer = await solve(config, PROGRAM, PROGRAM, person=Person("allow them", think), seconds=300)
    assert (answer.status, len(scopes), running) == ("answered", 1, [])
    assert scopes[0].deadline < anyio.current_time() + 301
