"""What can go wrong and what the agent does about it, row by row; and what it does to let less go wrong."""

from __future__ import annotations

import pytest

from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.modes import mode
from toolweft_client.session import Session
from toolweft_client.stages.answer import Answer
from toolweft_client.stages.design import whole
from toolweft_client.stages.probe import brief
from toolweft_client.trace import Trace
from toolweft_client.work import Design

TASK = "Which orders of Ada were placed before 2026-03-01?"
READ = "shop.list_orders(customer='Ada')"
SEND = "mail.send(to='Ada', text='x')"


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


DESIGN = fenced(f"orders = {READ}")
GOOD = fenced(f"{READ}[0]['id']")


async def solve(server, *replies, task=TASK, trace=None, **budget) -> tuple[Answer, ScriptedModel]:
    model = ScriptedModel(replies)
    async with Session.connect(server) as session:
        answer = await Agent(model, session, budget=Budget(**{"pause": 0, **budget})).run(task, trace=trace)
    return answer, model


def asked(model: ScriptedModel, number: int = -1) -> str:
    return model.prompts[number][-1].text


async def test_slip_with_one_mending_costs_no_model_call(server, shop):
    answer, _ = await solve(server, DESIGN, fenced("shop.listOrders(Customer='Ada')[0]['id']"))
    assert (answer.text, answer.spent.model_calls, answer.spent.repairs) == ("7", 2, 0)
    assert shop.programs[0]["code"].strip() == f"{READ}[0]['id']"
    assert "list_orders" in answer.program


async def test_literal_of_a_wrong_type_is_repaired_without_running(server, shop):
    answer, model = await solve(server, DESIGN, fenced("shop.cancel_order(order_id='the first')"), GOOD)
    assert "takes int as order_id, not 'the first'" in asked(model)
    assert (answer.text, len(shop.programs)) == ("7", 1)


async def test_read_that_fails_for_the_moment_is_tried_again_without_the_model(server, shop):
    shop.failures["shop.list_orders"] = ["503 service unavailable", "backend busy, try again"]
    answer, _ = await solve(server, DESIGN, fenced(f"{SEND}\n{READ}[0]['id']"))
    assert (answer.text, answer.spent.model_calls, answer.spent.retries) == ("7", 2, 2)
    assert [tool for tool, _ in shop.done] == ["mail.send", "shop.list_orders"]


async def test_read_that_goes_on_failing_for_the_moment_is_repaired_around(server, shop):
    shop.failures["shop.list_orders"] = ["rate limit"] * 9
    answer, model = await solve(server, DESIGN, GOOD, fenced("'could not read'"))
    assert (answer.text, answer.spent.retries, answer.spent.repairs) == ("could not read", 2, 1)
    assert "not available several times" in asked(model)


async def test_write_that_fails_is_never_tried_again_unasked(server, shop):
    shop.failures["mail.send"] = ["busy, try again"]
    answer, model = await solve(server, DESIGN, fenced(SEND), fenced("'not sent'"))
    assert (answer.text, answer.spent.retries, len(shop.programs)) == ("not sent", 0, 2)
    assert "The tool says that it was busy; most likely nothing was changed" in asked(model)


@pytest.mark.parametrize(
    "said",
    [
        "504 gateway timeout", "upstream answered 502", "the request timed out", "503 Service Unavailable",
        "the service is temporarily unavailable", "Connection reset by peer", "the connection was dropped",
        "ReadTimeout", "booking 429: gateway time-out", "the backend did not respond",
    ],
)  # fmt: skip
async def test_of_a_write_that_tells_of_a_time_out_nobody_knows_whether_it_took_effect(server, shop, said):
    shop.failures["mail.send"] = [said]
    answer, model = await solve(server, DESIGN, fenced(SEND), fenced(SEND))
    assert "Nobody knows whether the call that may write took effect. Do not call it again" in asked(model)
    assert (answer.status, answer.reason, len(shop.programs)) == ("failed", "stuck", 1)


@pytest.mark.parametrize("said", ["503 busy, try again", "HTTP 429", "429 Too Many Requests", "rate limited"])
async def test_a_write_that_was_busy_or_called_too_often_may_be_sent_again_as_it_was(server, shop, said):
    shop.failures["mail.send"] = [said]
    answer, _ = await solve(server, DESIGN, fenced(SEND), fenced(SEND))
    assert (answer.status, answer.text, answer.spent.repairs) == ("answered", "mail.send done", 1)
    assert [tool for tool, _ in shop.done] == ["mail.send"]


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(
    "said", ["Room 5 is unavailable on that date", "invalid date, try again", "no temporary names"]
)
async def test_a_write_that_refuses_its_arguments_is_called_with_others(server, shop, said, silent):
    shop.failures["mail.send"] = [said]
    shop.silent |= {"mail.send"} if silent else set()
    answer, model = await solve(server, DESIGN, fenced(SEND), fenced("mail.send(to='Ada', text='y')"))
    assert "The tool refused. Use other arguments" in asked(model)
    assert (answer.text, shop.done) == ("mail.send done", [("mail.send", {"to": "Ada", "text": "y"})])


async def test_a_repair_is_shown_further_tools_that_were_found(server):
    wrong = fenced(f"{READ}[0]['nothing']")
    _, model = await solve(server, DESIGN, wrong, GOOD, task="Look at all orders of Ada, then cancels one order")
    assert "Further tools that were found; they may be called, too:" in asked(model)
    assert "shop.cancel_order(order_id: int, reason: str = 'none') -> str" in asked(model)


async def test_a_design_is_shown_which_tools_may_write(server):
    _, model = await solve(server, DESIGN, GOOD, task="Look at all orders of Ada, then cancels one order")
    assert "shop.list_orders(customer: str) -> list[dict]\n" in asked(model, 0)
    assert "shop.cancel_order(order_id: int, reason: str = 'none') -> str  # may write\n" in asked(model, 0)


async def test_another_key_is_another_assert_once_it_has_failed(server):
    def demanding(key):
        return fenced(f"row = {READ}[0]\nassert row['{key}'] == 7, row\nrow['id']")

    answer, model = await solve(server, DESIGN, demanding("total"), demanding("id"), demanding("id"))
    assert "it drops or changes `assert row['total'] == 7`" in asked(model)
    assert (answer.status, answer.reason) == ("failed", "reply")
    answer, _ = await solve(server, DESIGN, demanding("number"), demanding("id"))
    assert answer.text == "7"


async def test_a_repair_that_writes_once_more_is_not_run(server, shop):
    wrong, twice = fenced(f"{SEND}\n{READ}[0]['nothing']"), fenced(f"{SEND}\n{SEND}\n{READ}[0]['id']")
    answer, model = await solve(server, DESIGN, wrong, twice, fenced(f"{SEND}\n{READ}[0]['id']"))
    assert "calls mail.send once more than before" in asked(model)
    assert (answer.text, [tool for tool, _ in shop.done].count("mail.send")) == ("7", 1)


async def test_write_without_an_answer_is_found_out_by_reading_and_told(server, shop):
    shop.unanswered["mail.send"] = "timeout"
    wrong = fenced(SEND)
    answer, model = await solve(server, DESIGN, wrong, wrong)
    assert "Nobody knows whether the call that may write took effect. Do not call it again" in asked(model)
    assert "Nobody knows whether these took effect:\n1. mail.send write timeout" in asked(model)
    assert (answer.status, answer.reason) == ("failed", "stuck")
    assert "Nobody knows whether these took effect: mail.send" in answer.text
    assert shop.done == []


SHAPE = fenced(f"def first(rows):\n    return rows[0]['when']\n\n\nfirst({READ})")


async def test_wrong_shape_is_repaired_by_the_function_alone_with_the_shape_observed(server, shop):
    shop.observed["shop.list_orders"] = "def list_orders(customer: str) -> list[{'id': int, 'date': str}]:\n    ..."
    answer, model = await solve(server, DESIGN, SHAPE, fenced("def first(rows):\n    return rows[0]['date']"))
    assert answer.text == "2026-02-11"
    assert "list[{'id': int, 'date': str}]" in asked(model)
    assert "Compare the failing line with what the tool returned" in asked(model)
    assert shop.programs[-1]["code"].strip().endswith(f"first({READ})")


GUARDED = f"rows = {READ}\nassert len(rows) == 1, rows\nrows[0]['id']"


@pytest.mark.parametrize(
    ("text", "instead"),
    [("== 1", ">= 1"), ("assert", "if False: assert"), ("assert", "try: 1\nexcept KeyError: 1\nelse: assert")],
    ids=["changed", "under an if", "behind a try"],
)
async def test_assert_is_never_weakened(server, shop, text, instead):
    weak = fenced(GUARDED.replace(text, instead))
    better = fenced(GUARDED.replace(READ, f"[r for r in {READ} if r['id'] == 7]"))
    answer, model = await solve(server, DESIGN, fenced(GUARDED), weak, better)
    assert "What is computed is wrong, not the assert" in asked(model, 2)
    assert "drops or changes `assert len(rows) == 1`" in asked(model, 3)
    assert (answer.text, answer.spent.repairs, len(shop.programs)) == ("7", 1, 2)


async def test_assert_weakened_twice_ends_the_run(server, shop):
    weak = fenced(GUARDED.replace("== 1", ">= 1"))
    answer, _ = await solve(server, DESIGN, fenced(GUARDED), weak, weak)
    assert (answer.status, answer.reason, len(shop.programs)) == ("failed", "reply", 1)


LOST = "shop.list_orders(customer='Bob')"


async def test_empty_result_is_looked_at_once_more_and_another_query_counts(server):
    answer, model = await solve(server, DESIGN, fenced(LOST), GOOD)
    assert "its result is []" in asked(model)
    assert "do not make anything up" in asked(model)
    assert answer.text == "7"


async def test_empty_result_that_the_model_stands_by_is_the_answer(server, shop):
    answer, _ = await solve(server, DESIGN, fenced(LOST), fenced(LOST))
    assert (answer.status, answer.value, len(shop.programs)) == ("answered", [], 1)
    assert "nothing was found" in answer.notes


async def test_empty_result_is_the_answer_when_no_repair_is_left(server):
    answer, _ = await solve(server, DESIGN, fenced(LOST), repairs=0)
    assert (answer.status, answer.value) == ("answered", [])


async def test_write_that_returns_nothing_is_done(server):
    answer, _ = await solve(server, DESIGN, fenced(f"done = {SEND}"))
    assert (answer.status, answer.spent.model_calls) == ("answered", 2)


def failing(number: int) -> str:
    return fenced(f"number = {number}\n{READ}[0]['when']")


async def test_same_error_after_another_edit_draws_a_new_design_that_knows_of_it(server):
    trace = Trace()
    answer, model = await solve(server, DESIGN, failing(1), failing(2), DESIGN, GOOD, trace=trace)
    assert model.stages == ["design", "implement", "repair", "design", "implement"]
    assert "failed twice in the same way" in asked(model, 3)
    assert "KeyError: 'when'" in asked(model, 3)
    assert "1. shop.list_orders read ok" in asked(model, 3)
    assert (answer.text, answer.spent.replans) == ("7", 1)
    assert [each.event for each in trace.steps if each.event in ("repair", "replan")] == ["repair", "replan"]


async def test_same_error_a_third_time_ends_the_run(server):
    answer, _ = await solve(server, DESIGN, failing(1), failing(2), DESIGN, failing(3))
    assert (answer.status, answer.reason, answer.spent.replans) == ("failed", "stuck", 1)


async def test_same_error_without_a_design_left_ends_the_run(server):
    answer, _ = await solve(server, DESIGN, failing(1), failing(2), replans=0)
    assert (answer.status, answer.reason) == ("failed", "stuck")


def told(trace: Trace, *events: str) -> list[tuple[str, object, object]]:
    return [
        (each.event, each.data.get("kind"), each.data.get("signature")) for each in trace.steps if each.event in events
    ]


@pytest.mark.parametrize(
    ("plan", "signature"),
    [
        (fenced("shop.order_list(customer='Ada')"), ["unknown_tool shop.order_list"]),
        (fenced("# missing: send a letter\n..."), ["missing send a letter"]),
    ],
    ids=["unknown tool", "missing capability"],
)
async def test_design_that_is_drawn_again_is_in_the_trace(server, plan, signature):
    trace = Trace()
    answer, _ = await solve(server, plan, DESIGN, GOOD, trace=trace)
    assert told(trace, "replan") == [("replan", None, signature)]
    assert answer.spent.replans == 1


async def test_every_failure_is_in_the_trace_whatever_follows_from_it(server, shop):
    trace = Trace()
    shop.failures["shop.list_orders"] = ["503 service unavailable"]
    await solve(server, DESIGN, fenced("shop.order_list()"), failing(1), failing(2), DESIGN, failing(3), trace=trace)
    shape = ["KeyError", f"{READ}[0]['when']", ""]
    assert told(trace, "failure", "repair", "replan", "task.end") == [
        ("failure", "unknown_tool", ["unknown_tool shop.order_list"]),
        ("repair", "unknown_tool", ["unknown_tool shop.order_list"]),
        ("failure", "moment", ["ToolError", f"{READ}[0]['when']", "shop.list_orders"]),
        ("failure", "shape", shape), ("repair", "shape", shape), ("failure", "shape", shape), ("replan", None, shape),
        ("failure", "shape", shape), ("task.end", None, None),
    ]  # fmt: skip


async def test_failure_that_ends_the_run_is_in_the_trace(server, shop):
    trace = Trace()
    shop.refused.add("mail.send")
    answer, _ = await solve(server, DESIGN, fenced(SEND), trace=trace)
    assert told(trace, "failure") == [("failure", "policy", ["ToolError", SEND, "mail.send"])]
    assert answer.reason == "refused"


@pytest.mark.parametrize(
    ("name", "replies"),
    [("paper", [DESIGN, DESIGN, DESIGN, failing(1), GOOD]), ("codeact", [failing(1), GOOD, "Order 7."])],
)
async def test_failure_is_in_the_trace_of_other_modes_too(server, name, replies):
    trace = Trace()
    async with Session.connect(server) as session:
        answer = await Agent(ScriptedModel(replies), session, loop=mode(name).solve).run(TASK, trace=trace)
    assert answer.status == "answered"
    assert [kind for _, kind, _ in told(trace, "failure")] == ["shape"]


@pytest.mark.parametrize("status", ["timeout", "limit", "crashed"])
async def test_limit_and_crash_are_repaired_with_smaller_portions(server, shop, status):
    shop.status = status

    def mend(_messages) -> str:
        shop.status = None
        return GOOD

    answer, model = await solve(server, DESIGN, fenced("list(range(3))"), mend)
    assert answer.text == "7"
    assert "smaller portions" in asked(model)


async def test_part_that_no_tool_can_do_is_said_in_the_answer(server):
    plan = fenced(f"orders = {READ}\n# missing: launch a rocket")
    answer, _ = await solve(server, plan, plan, GOOD)
    assert answer.text == "7\n\nNot done, because no tool was found for it: launch a rocket."
    assert answer.value == 7


LACKING = fenced("# missing: send a letter")


async def test_tool_that_the_program_lacks_is_searched_for_and_a_new_design_drawn(server, shop):
    answer, model = await solve(server, DESIGN, LACKING, DESIGN, GOOD)
    assert model.stages == ["design", "implement", "design", "implement"]
    assert "It lacked: send a letter" in asked(model, 2)
    assert "mail.send(to: str" in asked(model, 2)
    assert "mail.send(to: str" not in asked(model, 0)
    assert (answer.text, answer.spent.replans) == ("7", 1)


async def test_tool_that_a_repair_lacks_is_searched_for_and_what_was_done_is_told(server, shop):
    answer, model = await solve(server, DESIGN, fenced(f"{READ}[0]['nothing']"), LACKING, DESIGN, GOOD)
    assert model.stages == ["design", "implement", "repair", "design", "implement"]
    assert "1. shop.list_orders read ok" in asked(model, 3)
    assert (answer.text, answer.spent.replans, answer.spent.tool_calls) == ("7", 1, 1)


@pytest.mark.parametrize(("lacking", "replans"), [(fenced("# missing: launch rockets\n..."), 2), (LACKING, 0)])
async def test_tool_that_no_search_finds_or_no_design_is_left_for_ends_the_run(server, lacking, replans):
    answer, _ = await solve(server, DESIGN, lacking, replans=replans)
    assert (answer.status, answer.reason) == ("failed", "missing")
    assert "No tool was found for: " in answer.text


STEPS = fenced('''def early(customer: str) -> list:
    """Early orders.

    Success: all are early.
    """
    # 1. read: all orders
    orders = shop.list_orders(customer=customer)
    # 2. write: a letter
    mail.send(to=customer, text=...)
    return ...


early("Ada")''')


async def test_reading_beginning_of_a_design_is_run_first_where_shapes_are_unknown(server, shop):
    answer, model = await solve(server, STEPS, fenced(f"{READ}[0]['id']"))
    probe, program = shop.programs
    assert "mail" not in probe["code"]
    assert program["retry_of"] == "ex_1"
    assert '{"orders": [{"id": 7, "customer": "Ada", "date": "2026-02-11"' in asked(model)
    assert [tool for tool, _ in shop.done] == ["shop.list_orders"]
    assert (answer.text, answer.spent.probes, answer.spent.model_calls) == ("7", 1, 2)


def test_of_what_a_reading_beginning_brings_every_key_is_shown_and_examples_of_values():
    rows = [{"id": n, "note": "x" * 500} for n in range(9)]
    assert brief({"rows": rows, "none": None}) == {
        "rows": [{"id": 0, "note": "x" * 120 + "…"}, {"id": 1, "note": "x" * 120 + "…"}, "… 7 more"], "none": None,
    }  # fmt: skip
    assert brief([[[["deep"]]]], depth=2) == [["…"]]


async def test_nothing_is_run_first_where_the_shape_is_known_or_no_probe_is_left(server, shop):
    answer, _ = await solve(server, STEPS, GOOD, probes=0)
    assert (answer.spent.probes, len(shop.programs)) == (0, 1)
    shop.observed["shop.list_orders"] = "def list_orders(customer: str) -> list[{'id': int}]:\n    ..."
    answer, _ = await solve(server, STEPS, GOOD)
    assert (answer.spent.probes, len(shop.programs)) == (0, 2)


GAPS = fenced('''from string import capwords


def early(customer: str) -> list:
    """Early orders."""
    # 1. read: all orders
    orders = shop.list_orders(customer=customer)
    first = ...
    # 2. read: those of another spelling
    name = capwords(customer)
    unused = 1 / 0
    others = [order for order in shop.list_orders(customer=name)]
    # 3. read: those of the first one
    theirs = shop.list_orders(customer=first)
    # 4. write: a letter
    mail.send(to=customer, text=...)
    # 5. read: what is left
    left = shop.list_orders(customer="Bela")
    return ...


early("ada")''')


async def test_what_a_design_leaves_open_does_not_keep_other_reads_from_being_run_first(server, shop):
    _, model = await solve(server, GAPS, GOOD)
    assert [arguments["customer"] for _, arguments in shop.done] == ["ada", "Ada"]
    assert '{"orders": [], "others": [{"id": 7' in asked(model)


async def test_model_may_ask_to_see_a_result_first(server, shop):
    answer, model = await solve(server, DESIGN, fenced(f"# probe\n{READ}"), GOOD)
    assert model.stages == ["design", "implement", "implement"]
    assert '"date": "2026-02-11"' in asked(model)
    assert (answer.text, answer.spent.probes) == ("7", 1)


async def test_reading_part_is_no_answer_when_no_probe_is_left(server, shop):
    answer, model = await solve(server, DESIGN, fenced(f"# probe\n{READ}"), GOOD, probes=0)
    assert "write the whole program" in asked(model)
    assert (answer.text, len(shop.programs)) == ("7", 1)


async def test_reading_part_that_would_write_is_not_run(server, shop):
    plan = fenced(f"# 1. write: a letter\n{SEND}")
    answer, _ = await solve(server, plan, fenced(f"# probe\n{SEND}"), GOOD)
    assert (answer.text, [tool for tool, _ in shop.done]) == ("7", ["shop.list_orders"])


@pytest.mark.parametrize("plan", [STEPS, DESIGN], ids=["of the design", "of the model"])
async def test_reading_part_with_a_tool_that_does_not_say_what_it_does_is_not_run_first(server, shop, plan):
    shop.silent.add("shop.list_orders")
    part = fenced(f"# probe\n{READ}")
    answer, _ = await solve(server, plan, part, GOOD)
    assert (answer.text, answer.spent.probes, len(shop.programs)) == ("7", 0, 1)


async def test_tool_that_does_not_say_what_it_does_counts_as_one_that_writes(server, shop):
    shop.silent |= {"shop.list_orders", "mail.send"}
    trace, note = Trace(), "mail.send(to='Ada', text='y')"
    wrong, twice = fenced("[][1]"), fenced(f"{note}\n{note}")
    answer, model = await solve(server, DESIGN, wrong, twice, fenced(note), trace=trace)
    assert "calls mail.send once more than before" in asked(model)
    assert [step.data["writes"] for step in trace.steps if step.event == "check"] == [
        ["shop.list_orders"], [], ["mail.send"],
    ]  # fmt: skip
    assert answer.status == "answered"


ONE = "list every one of the orders of Ada"


async def test_obvious_tool_needs_one_model_call(server, shop):
    shop.scores = [1.0, 0.2]
    answer, model = await solve(server, GOOD, task=ONE)
    assert (model.stages, answer.text) == (["direct"], "7")
    assert "def shop.list_orders" in asked(model)


async def test_model_may_say_that_the_obvious_tool_is_not_enough(server, shop):
    shop.scores = [1.0, 0.2]
    answer, model = await solve(server, fenced("# more: a letter"), DESIGN, GOOD, task=ONE)
    assert (model.stages, answer.text) == (["direct", "design", "implement"], "7")
    assert "What else is needed: a letter" in asked(model, 1)


@pytest.mark.parametrize(
    ("source", "uses", "is_whole"),
    [
        ("functions.first(customer='Ada')", ("functions.first",), True),
        ("functions.first(customer=...)", ("functions.first",), False),
        ("shop.list_orders(customer='Ada')", ("shop.list_orders",), False),
        ("found = functions.first(customer='Ada')", ("functions.first",), False),
        ("functions.first(shop.list_orders(customer='Ada'))", ("functions.first", "shop.list_orders"), False),
    ],
)
def test_design_that_only_calls_a_saved_function_with_values_is_a_program(source, uses, is_whole):
    assert whole(Design(source, uses=uses)) is is_whole


async def test_task_of_several_clauses_is_designed(server, shop):
    shop.scores = [1.0, 0.2]
    task = "List all orders of Ada, then send a letter to Ada"
    _, model = await solve(server, DESIGN, GOOD, task=task)
    assert model.stages == ["design", "implement"]


MUCH = f"""
mail.send(to='Ada', text='{"w" * 200}')
for number in range(37):
    shop.list_orders(customer=f'{"r" * 200}{{number}}')
mail.send(to='Bob', text='{"w" * 200}')
"""
WRITTEN = [f"mail.send write ok [('text', '{'w' * 200}'), ('to', '{who}')]" for who in ("Ada", "Bob")]


AGAIN = [DESIGN, fenced(f"{MUCH}[][1]"), fenced(f"{MUCH}two = 2\n[][1]"), DESIGN, GOOD]


async def test_what_was_written_is_told_in_full_however_much_was_read(server):
    answer, model = await solve(server, *AGAIN)
    assert model.stages == ["design", "implement", "repair", "design", "implement"]
    for number in (2, 3):
        text = asked(model, number)
        assert f"Already done, not to be done again:\n1. {WRITTEN[0]}\n39. {WRITTEN[1]}\n</data>" in text
        assert "earlier reads are left out" in text
        assert "38. shop.list_orders read ok" in text
        assert "\n2. shop.list_orders" not in text
    assert answer.text == "7"


@pytest.mark.parametrize(("stage", "number"), [("repair", 2), ("design", 3)])
async def test_what_was_written_is_told_in_full_in_the_shortest_prompt(server, stage, number):
    _, model = await solve(server, *AGAIN)
    tokens = sum(len(each.text) for each in model.prompts[number]) // 4
    while len(model.prompts) > number:
        shortest = asked(model, number)
        assert all(each in shortest for each in WRITTEN)
        assert TASK in shortest
        tokens -= 150
        answer, model = await solve(server, *AGAIN, **{f"{stage}_tokens": tokens})
    assert "(37 earlier reads are left out)" in shortest
    assert answer.reason == "budget"


async def test_how_a_tool_was_called_with_success_is_told_where_its_arguments_are_rejected(server, shop):
    def rejects(reply: str):
        def answer(_messages) -> str:
            shop.failures["shop.list_orders"] = ["no such customer"]
            return reply

        return answer

    look, wrong = fenced(f"# probe\n{READ}"), fenced("shop.list_orders(customer='ada')[0]['id']")
    answer, model = await solve(server, DESIGN, look, rejects(wrong), GOOD)
    assert f"Calls that succeeded before, as they were written:\n{READ}\n" in asked(model)
    assert answer.text == "7"


async def test_calls_that_the_program_still_makes_are_no_examples(server, shop):
    shop.failures["mail.send"] = ["no such address"]
    _, model = await solve(server, DESIGN, fenced(f"# probe\n{READ}"), fenced(f"{READ}\n{SEND}"), GOOD)
    assert "no such address" in asked(model)
    assert "Calls that succeeded before" not in asked(model)


@pytest.mark.parametrize("stage", ["design", "implement", "repair"])
async def test_no_prompt_is_longer_than_its_budget(server, shop, stage):
    shop.observed["shop.list_orders"] = (
        'def list_orders(customer: str) -> list[dict]:\n    """' + "word " * 3_000 + '"""'
    )
    replies = [DESIGN, fenced("[][1]"), GOOD]
    _, model = await solve(server, *replies, **{f"{stage}_tokens": 1_500})
    prompt = model.prompts[model.stages.index(stage)]
    assert sum(len(each.text) for each in prompt) // 4 <= 1_500
    assert TASK in prompt[-1].text


async def test_task_that_fits_no_prompt_ends_the_run_before_the_model_is_asked(server):
    answer, model = await solve(server, task="Order " + "very " * 9_000 + "much.")
    assert (answer.status, answer.reason, model.prompts) == ("failed", "budget", [])
    assert "the budget is 6000" in answer.text
