"""A second reading of the answer: what the model says to it, and what follows from that."""

from __future__ import annotations

import anyio
import pytest

from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_client.trace import Trace

READ, SEND = "shop.list_orders(customer='Ada')", "mail.send(to='Ada', text='x')"


def fenced(code):
    return f"```python\n{code}\n```"


DESIGN, GOOD = fenced(f"orders = {READ}"), fenced(f"{READ}[0]['id']")
OTHER = fenced(f"{READ}[1]['id']")
RIGHT, WRONG = fenced("# right"), fenced("# wrong: the first order is another one,\n# take the second")
DOUBT = "the first order is another one, take the second"


class Silent(ScriptedModel):
    """One that says nothing more when its replies are given."""

    async def complete(self, messages, *, max_tokens, stop=None, stage=""):
        if len(self.prompts) == self.given:
            await anyio.sleep_forever()
        return await super().complete(messages, max_tokens=max_tokens, stop=stop, stage=stage)

    def __init__(self, replies):
        super().__init__(replies)
        self.given = len(replies)


async def solve(server, *replies, trace=None, model_of=ScriptedModel, **budget):
    model = model_of(replies)
    async with Session.connect(server) as session:
        answer = await Agent(model, session, budget=Budget(**budget)).run("Which order is Ada's?", trace=trace)
    return answer, model


def asked(model, number=-1):
    return model.prompts[number][-1].text


async def test_an_answer_is_read_again_only_where_the_budget_says_so(server):
    assert (await solve(server, DESIGN, GOOD))[0].spent.readings == 0
    answer, model = await solve(server, DESIGN, GOOD, RIGHT, readings=1)
    assert (answer.text, answer.spent.model_calls, answer.spent.readings) == ("7", 3, 1)
    assert answer.notes == ()
    assert f"{READ}[0]['id']" in asked(model)
    assert '<data from="run">\n7\n</data>' in asked(model)
    assert "shop.list_orders read ok" in asked(model)


async def test_an_answer_in_doubt_is_designed_anew_and_what_happened_is_replayed(server, shop):
    trace, first = Trace(), fenced(f"{SEND}\n{READ}[0]['id']")
    again = fenced(f"{SEND}\n{READ}[1]['id']")
    answer, model = await solve(server, DESIGN, first, WRONG, DESIGN, again, readings=1, trace=trace)
    assert (answer.text, answer.spent.replans, answer.spent.readings) == ("9", 1, 1)
    assert f"It answered: 7\nIn doubt, because: {DOUBT}" in asked(model, 3)
    assert [tool for tool, _ in shop.done].count("mail.send") == 1
    assert answer.notes == (f"a second reading doubted an earlier answer: {DOUBT}",)
    assert [step.data["doubt"] for step in trace.steps if step.event == "reading"] == [DOUBT]


async def test_each_answer_is_read_as_long_as_there_are_readings(server):
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, DESIGN, OTHER, RIGHT, readings=2)
    assert (answer.text, answer.spent.readings) == ("9", 2)


@pytest.mark.parametrize("budget", [{"replans": 0}, {"model_calls": 3}, {"model_calls": 4}])
async def test_an_answer_in_doubt_stands_with_a_note_where_no_new_design_is_left(server, budget):
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, readings=1, **budget)
    assert (answer.status, answer.text) == ("answered", "7")
    assert answer.notes == (f"a second reading doubts this answer: {DOUBT}",)


FAILS = fenced(f"{READ}[0]['nothing']")


@pytest.mark.parametrize(
    ("replies", "budget", "why"),
    [
        ([fenced("# missing: launch rockets\n...")] * 2, {}, "No tool was found for: launch rockets"),
        ([DESIGN, FAILS], {"repairs": 0}, "still fails after 0 repairs"),
        ([DESIGN, FAILS], {"model_calls": 5}, "budget of 5 model calls is used up"),
    ],
)
async def test_an_answer_in_doubt_stands_with_a_note_where_no_other_program_ends_well(server, replies, budget, why):
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, *replies, readings=1, pause=0, **budget)
    assert (answer.status, answer.text) == ("answered", "7")
    assert f"a second reading doubts this answer: {DOUBT} Another program came to nothing: " in answer.notes[-1]
    assert why in answer.notes[-1]


async def test_a_model_that_is_gone_takes_no_answer_away(server):
    for replies in ([], [WRONG]):
        answer, _ = await solve(server, DESIGN, GOOD, *replies, readings=1)
        assert (answer.status, answer.text) == ("answered", "7")
        assert "came to nothing: scripted: the script has" in answer.notes[-1]


async def test_after_a_doubt_the_program_that_was_doubted_may_be_written_again(server):
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, DESIGN, FAILS, GOOD, readings=1)
    assert (answer.status, answer.text, answer.spent.repairs) == ("answered", "7", 1)


async def test_a_reading_that_says_neither_is_asked_for_once_more_and_takes_no_answer_away(server):
    answer, model = await solve(server, DESIGN, GOOD, fenced("2 + 2"), RIGHT, readings=1)
    assert "it is neither the one line `# right` nor the one line `# wrong: …`" in asked(model)
    assert (answer.text, answer.notes) == ("7", ())
    answer, _ = await solve(server, DESIGN, GOOD, fenced("2 + 2"), "so be it", readings=1)
    assert (answer.status, answer.text) == ("answered", "7")
    assert "came to nothing" in answer.notes[0]


async def test_no_call_is_left_for_a_reading(server):
    answer, _ = await solve(server, DESIGN, GOOD, readings=1, model_calls=2)
    assert (answer.text, answer.spent.readings) == ("7", 0)


SENDS = fenced(f"{SEND}\n{READ}[0]['nothing']")


async def test_what_was_written_after_a_doubt_is_told_where_the_first_answer_stands(server, shop):
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, DESIGN, SENDS, readings=1, repairs=0)
    assert (answer.status, answer.text) == ("answered", "7")
    assert [tool for tool, _ in shop.done].count("mail.send") == 1
    assert "Another program failed: The program still fails after 0 repairs" in answer.notes[-1]
    assert "Already done: mail.send [('text', 'x'), ('to', 'Ada')]." in answer.notes[-1]
    assert "came to nothing" not in answer.notes[-1]


async def test_a_write_without_an_answer_after_a_doubt_is_told_where_the_first_answer_stands(server, shop):
    shop.unanswered["mail.send"] = "timeout"
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, DESIGN, fenced(SEND), readings=1, repairs=0)
    assert (answer.status, answer.text) == ("answered", "7")
    assert "Another program failed: " in answer.notes[-1]
    assert "Nobody knows whether these took effect: mail.send." in answer.notes[-1]


async def test_what_the_doubted_program_wrote_is_not_told_as_done_by_another(server):
    first = fenced(f"{SEND}\n{READ}[0]['id']")
    answer, _ = await solve(server, DESIGN, first, WRONG, DESIGN, SENDS, readings=1, repairs=0)
    assert [call.tool for call in answer.calls] == ["mail.send", "shop.list_orders"]
    assert "Another program came to nothing: " in answer.notes[-1]
    assert "Already done" not in answer.notes[-1]


async def test_what_a_later_design_lacks_is_not_lacking_in_the_answer_that_stands(server):
    lacks = fenced(f"# missing: launch rockets\norders = {READ}")
    answer, _ = await solve(server, DESIGN, GOOD, WRONG, lacks, FAILS, readings=1, repairs=0)
    assert (answer.status, answer.text) == ("answered", "7")


@pytest.mark.parametrize(
    ("replies", "note"),
    [
        ([], "a second reading of the answer came to nothing: The budget of 2 seconds is used up."),
        ([WRONG], f"a second reading doubts this answer: {DOUBT} "
                  "Another program came to nothing: The budget of 2 seconds is used up."),
        ([WRONG, DESIGN, SENDS], f"a second reading doubts this answer: {DOUBT} "
                                 "Another program failed: The budget of 2 seconds is used up. "
                                 "Already done: mail.send [('text', 'x'), ('to', 'Ada')]."),
    ],
)  # fmt: skip
async def test_an_answer_stands_where_time_runs_out_while_it_is_looked_at_again(server, replies, note):
    trace = Trace()
    answer, _ = await solve(server, DESIGN, GOOD, *replies, readings=1, seconds=2, model_of=Silent, trace=trace)
    assert (answer.status, answer.text, answer.value, answer.reason) == ("answered", "7", 7, None)
    assert answer.notes == (note,)
    assert trace.steps[-1].data["status"] == "answered"


async def test_what_a_program_may_have_written_that_had_not_ended_is_told(server, shop):
    def hanging(_messages):
        shop.before = anyio.sleep_forever
        return fenced(f"{SEND}\n{READ}[1]['id']")

    answer, _ = await solve(server, DESIGN, GOOD, WRONG, DESIGN, hanging, readings=1, seconds=2)
    assert (answer.status, answer.text) == ("answered", "7")
    assert "Another program failed: The budget of 2 seconds is used up." in answer.notes[-1]
    assert "had not ended; nobody knows which of its calls took effect: mail.send." in answer.notes[-1]
    shop.before, replies = None, [DESIGN, hanging]
    answer, _ = await solve(server, *replies, seconds=2)
    assert (answer.status, answer.reason) == ("failed", "budget")
    assert "had not ended; nobody knows which of its calls took effect: mail.send." in answer.text
