"""What can be asked of a host: rounds of questions on 2026-07-28, and another server's questions passed on."""

from __future__ import annotations

import anyio
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from toolweft_client import host, solves
from toolweft_client.host import Rounds, passed_on
from toolweft_client.solves import Solves

FORM = types.ElicitRequestFormParams(message="May I?", requested_schema={"type": "object", "properties": {}})
URL = types.ElicitRequestURLParams(message="Sign in", url="https://example.org/in")
YES = types.ElicitResult(action="accept")


def shows(**kinds) -> types.ClientCapabilities:
    return types.ClientCapabilities(elicitation=types.ElicitationCapability(**kinds))


FORMS, URLS = {"form": types.FormElicitationCapability()}, {"url": types.UrlElicitationCapability()}


def question(text: str) -> types.ElicitRequest:
    return types.ElicitRequest(params=FORM.model_copy(update={"message": text}))


async def test_a_question_that_comes_while_a_round_is_out_waits_for_the_next_one():
    rounds, got = Rounds(lambda: None), {}

    async def ask(text):
        got[text] = await rounds.ask(question(text))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "one")
        tasks.start_soon(ask, "two")
        await anyio.wait_all_tasks_blocked()
        first = rounds.give_out()
        tasks.start_soon(ask, "three")
        await anyio.wait_all_tasks_blocked()
        assert rounds.waiting
        rounds.take(dict.fromkeys(first, YES))
        await anyio.wait_all_tasks_blocked()
        assert list(got) == ["one", "two"]
        second = rounds.give_out()
        assert [each.params.message for each in second.values()] == ["three"]
        assert (rounds.number, rounds.give_out(), rounds.number) == (2, {}, 2)
        rounds.take(dict.fromkeys(second, YES))
    assert list(got) == ["one", "two", "three"]
    assert not first.keys() & second.keys()


async def test_a_question_that_nobody_answers_in_time_is_an_error(monkeypatch):
    monkeypatch.setattr(host, "OPEN_SECONDS", 0.01)
    rounds = Rounds(lambda: None)
    with pytest.raises(MCPError, match=r"no reply came within 0\.01 seconds"):
        await rounds.ask(question("anybody?"))
    assert rounds.give_out() == {}


async def test_questions_that_come_side_by_side_cost_one_round(monkeypatch):
    monkeypatch.setattr(solves, "TOGETHER", 0.3)

    async def solver(task, *, model, ask, watch):
        async def later(number):
            for _ in range(number):
                await anyio.lowlevel.checkpoint()
            await ask(None, FORM)

        async with anyio.create_task_group() as asking:
            for number in range(3):
                asking.start_soon(later, number)

    async def report(number, message):
        pass

    both = types.ClientCapabilities(
        sampling=types.SamplingCapability(), elicitation=types.ElicitationCapability(**FORMS)
    )
    async with anyio.create_task_group() as tasks:
        table = Solves(solver, tasks)
        asked = await table.wait(table.begin("x", "me", both, None), report)
        assert len(asked.requests) == 3
        tasks.cancel_scope.cancel()


async def put(params, capabilities, answer=YES):
    """What the server gets, what the host was asked, and the notes."""
    asked, notes = [], []

    async def asking(request):
        asked.append(request.params)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return await passed_on(asking, capabilities, notes)(None, params), asked, notes


@pytest.mark.parametrize("capabilities", [shows(), shows(**FORMS)], ids=["before there were kinds", "forms"])
async def test_a_form_is_passed_on_without_what_belongs_to_its_connection(capabilities):
    given = FORM.model_copy(update={"meta": {"progressToken": 7}})
    answer, (asked,), notes = await put(given, capabilities)
    assert (answer, asked, notes) == (YES, FORM, [])


async def test_an_address_is_passed_on_with_an_id_which_older_hosts_need():
    answer, (asked,), _ = await put(URL, shows(**URLS))
    assert (answer, asked.url) == (YES, URL.url)
    assert asked.elicitation_id
    _, (again,), _ = await put(URL.model_copy(update={"elicitation_id": "given"}), shows(**URLS))
    assert again.elicitation_id == "given"


@pytest.mark.parametrize(
    ("params", "capabilities", "kind"), [(URL, shows(**FORMS), "url"), (FORM, shows(**URLS), "form")]
)
async def test_a_question_of_a_kind_that_the_host_does_not_show_is_cancelled_and_noted(params, capabilities, kind):
    answer, asked, notes = await put(params, capabilities)
    assert (answer.action, asked) == ("cancel", [])
    assert notes == [f"a question was not put to you: this host shows no questions of the kind '{kind}'"]


async def test_a_host_that_fails_or_answers_something_else_cancels_the_question():
    answer, _, notes = await put(FORM, shows(), MCPError(-1, "not now"))
    assert (answer.action, notes) == ("cancel", ["a question was not put to you: not now"])
    answer, _, notes = await put(FORM, shows(), types.ListRootsResult(roots=[]))
    assert answer.action == "cancel"
    assert "answered it with ListRootsResult" in notes[0]


def test_a_host_without_questions_has_nobody_to_ask():
    assert passed_on(None, types.ClientCapabilities(), []) is None
    assert passed_on(None, None, []) is None
