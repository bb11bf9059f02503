"""Learning from use in a running server: what is kept, what it does to later answers, and how it is undone."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from random import Random

import anyio
import pytest

import tiny_woven
from toolweft_catalog.call import Result
from toolweft_server import config as configuration
from toolweft_server import trial as trial_module
from toolweft_server.app import App
from toolweft_server.errors import StoreError
from toolweft_server.executions import Request
from toolweft_server.index.base import Hit, Matches
from toolweft_server.index.woven import kind
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.fusion import Weights
from toolweft_server.serving import Asker
from toolweft_server.trial import FIRST, Trial
from toolweft_server.using import Using

ANNA, BERT = Asker("anna", "a", "a"), Asker("bert", "b", "b")
TOOLS = '''
"""Tools for tests."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def alpha_report() -> str:
    """Weekly figures of the company."""
    return "alpha"


@tool(read_only=True)
def beta_report() -> str:
    """Weekly figures of the company."""
    return "beta"


@tool(read_only=True)
def gamma_weather() -> str:
    """Tells about rain and sunshine."""
    return "gamma"
'''
QUERY, ALIKE = "weekly figures please", "the figures of this week, weekly"


class Heads(Random):
    """The challenger, which ranks with use, always goes first."""

    def random(self):
        return 0.0


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens a server over two servers of the same tools, with the woven index and a tiny engine."""

    def shipped(_cls, folder=None):
        return tiny_woven.engine(folder)

    monkeypatch.setattr(Engine, "shipped", classmethod(shipped))
    monkeypatch.setattr(kind, "WEIGHTS", Weights(use=0.5, sets=1.0))
    monkeypatch.setattr(trial_module, "Random", Heads)
    monkeypatch.setattr("toolweft_server.using.NOTING", 30.0)
    for name in ("one", "two"):
        (tmp_path / f"{name}_tools.py").write_text(TOOLS, encoding="utf-8")

    @asynccontextmanager
    async def opening(**index):
        document = {
            "python": {name: {"module": str(tmp_path / f"{name}_tools.py")} for name in ("one", "two")},
            "store": str(tmp_path / "t.db"),
            "index": {"kind": "woven", **index},
            "sandbox": {"backend": "unsafe-process"},
        }
        path = tmp_path / "toolweft.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        async with App.open(configuration.load(path)) as app:
            await app.live.settled(30)
            while app.live.index.unfinished():
                await app.live.further()
            yield app

    return opening


async def find(app, query, asker=ANNA):
    reply = await app.find_tools({"query": query}, asker)
    return [each["id"] for each in reply.structured["tools"]]


async def call(app, *tools, asker=ANNA, code=""):
    """What a program leaves that calls these tools, and they succeed."""
    request = Request(code or " ".join(tools), owner=asker.owner, connection=asker.connection)
    for tool in await app.live.tools(tools):
        app.learning.observed(tool, Result(tool.name), request)
    await app.learning.settled(request)


async def teach(app, tool, times=3):
    for n in range(times):
        await find(app, f"{QUERY} {n}")
        await call(app, tool)
    await app.using.learn()


def evidence(app):
    """What speaks for each tool, before it is weighed against what speaks for others."""
    return {each.tool: (each.lexical, each.dense, each.use) for each in app.live.index.explain(ALIKE, 5).tools}


def rows(app):
    with sqlite3.connect(app.store.path) as db:
        names = "request", "request_call", "request_vector", "call_digest", "together", "interleaved", "trial"
        return {name: db.execute(f"select count(*) from {name}").fetchone()[0] for name in names}


async def test_a_tool_that_served_requests_stands_higher_for_a_similar_one_and_for_no_other(opened):
    async with opened() as app:
        before, weather = evidence(app), await find(app, "rain and sunshine")
        last = (await find(app, ALIKE))[-1]
        await teach(app, last)
        assert (await find(app, ALIKE))[0] == last
        after = evidence(app)
        assert after.pop(last) != before.pop(last)
        assert after == before
        assert await find(app, "rain and sunshine") == weather
        explained = next(each for each in app.live.index.explain(ALIKE, 5).tools if each.tool == last)
        assert explained.shares["use"] > 0


async def test_evidence_of_one_server_does_not_move_the_tools_of_another(opened):
    async with opened() as app:
        before = [hit for hit in app.live.index.search(ALIKE, 9).hits if hit.tool.startswith("two.")]
        await teach(app, "one.beta_report")
        usage = app.live.index.use.usage
        assert {tool for tool, _ in usage.used} == {tool for tool, _ in usage.moves} == {"one.beta_report"}
        after = [hit for hit in app.live.index.search(ALIKE, 9).hits if hit.tool.startswith("two.")]
        assert [hit.tool for hit in after] == [hit.tool for hit in before]
        assert not any("use" in hit.why for hit in after)


async def test_a_call_does_not_follow_from_the_request_of_another_owner(opened):
    async with opened() as app:
        await find(app, QUERY, ANNA)
        await call(app, "one.beta_report", asker=BERT)
        await app.using.learn()
        assert rows(app)["request_call"] == 0
        assert app.live.index.use.usage.used == {}


async def test_another_server_on_the_store_learns_from_it_and_one_with_another_encoder_does_not(opened, monkeypatch):
    async with opened() as one, opened() as other:
        await teach(one, "one.beta_report")
        await other.using.learn()
        assert other.live.index.search(ALIKE, 5) == one.live.index.search(ALIKE, 5)
        assert other.live.index.use.usage.used
    async with opened() as app:
        await app.using.learn()
        assert app.live.index.use.usage.used
    monkeypatch.setattr(tiny_woven.HashedWords, "digest", "f" * 32)
    async with opened() as app:
        await app.using.learn()
        assert app.live.index.use.usage.used == {}


async def test_what_is_forgotten_counts_no_more(opened):
    async with opened() as app:
        before = app.live.index.search(ALIKE, 5)
        await teach(app, "two.beta_report")
        assert app.live.index.search(ALIKE, 5) != before
        app.store.uses.forget()
        await app.using.learn()
        assert app.live.index.search(ALIKE, 5) == before


async def test_a_running_server_notices_evidence_by_itself_and_that_it_was_forgotten(opened, monkeypatch):
    monkeypatch.setattr(Using, "every", 0.01)
    async with opened() as app, anyio.create_task_group() as tasks:
        tasks.start_soon(app.using.run)
        with anyio.fail_after(10):
            await find(app, QUERY)
            await call(app, "one.beta_report")
            while not app.live.index.use.usage.used:
                await anyio.sleep(0.01)
            app.store.uses.forget()
            while app.live.index.use.usage.used:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_what_is_learned_stays_when_tools_come_and_go(opened):
    async with opened() as app:
        await teach(app, "one.beta_report")
        await app.live.reload()
        await app.live.further()
        assert app.live.index.use.usage.used


async def test_where_learning_is_off_nothing_is_kept_and_nothing_is_used(opened):
    async with opened() as app:
        await teach(app, "one.beta_report")
        kept = rows(app)
    async with opened(learn=False) as app:
        await find(app, QUERY)
        await call(app, "one.beta_report", "two.beta_report")
        await app.using.learn()
        assert rows(app) == kept
        assert app.live.index.use.usage.used == {}
        assert app.using.notes() == ["Nothing is learned from use: the configuration says so (index.learn)."]


@pytest.mark.parametrize("keep", [False, True])
async def test_the_text_of_a_request_is_in_no_file_unless_it_may_be_kept(opened, tmp_path, keep):
    async with opened(keep_requests=keep) as app:
        await find(app, "weekly figures of Wolpertinger")
        await call(app, "one.beta_report", code="program about Wolpertinger")
        await app.using.learn()
        assert rows(app)["request_vector"] == 1
        found = [path.name for path in tmp_path.rglob("*") if path.is_file() and b"olpertinge" in path.read_bytes()]
        assert bool(found) == keep
        assert [pair.query for pair in app.store.requests.pairs()] == ["weekly figures of Wolpertinger" if keep else ""]


async def test_texts_that_may_not_be_kept_any_more_are_deleted(opened):
    async with opened(keep_requests=True) as app:
        await find(app, QUERY)
        await call(app, "one.beta_report")
        assert app.store.requests.erase() == 1
        assert app.store.requests.erase() == 0
        assert [pair.query for pair in app.store.requests.pairs()] == [""]


async def test_tools_that_succeed_in_one_program_were_used_together(opened):
    async def report(*_):
        pass

    async with opened() as app:
        await find(app, QUERY)
        code = "one.beta_report(), two.gamma_weather()"
        reply = await app.execute_code({"code": code}, ANNA, report)
        assert reply.structured["status"] == "ok", reply.text
        await app.using.learn()
        assert [each.tools for each in app.store.uses.together()] == [{"one.beta_report", "two.gamma_weather"}]
        assert rows(app)["call_digest"] == 2


async def test_programs_side_by_side_do_not_use_their_tools_together(opened):
    async with opened() as app:
        programs = [Request(code, owner="anna", connection="a") for code in ("first", "second")]
        for program, tool in zip(programs, await app.live.tools(["one.beta_report", "two.gamma_weather"]), strict=True):
            app.learning.observed(tool, Result("x"), program)
        for program in programs:
            await app.learning.settled(program)
        assert app.store.uses.together() == []


async def test_a_store_that_cannot_be_written_costs_a_warning_and_no_answer(opened, monkeypatch, caplog):
    def locked(*_args):
        raise StoreError("the store is locked")

    async with opened() as app:
        monkeypatch.setattr(app.store.uses, "vector", locked)
        assert await find(app, QUERY)
        await app.using.learn()
        assert "nothing will be learned from this request: the store is locked" in caplog.text


async def test_a_store_that_another_process_writes_to_delays_no_answer_and_loses_no_request(opened, monkeypatch):
    noting, note = threading.Event(), Using._note

    def told(*args):
        noting.set()
        note(*args)

    monkeypatch.setattr(Using, "_note", told)
    async with opened() as app:
        with closing(sqlite3.connect(app.store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await find(app, QUERY)
            assert await anyio.to_thread.run_sync(noting.wait, 30)
            monkeypatch.setattr("toolweft_server.using.NOTING", 0.0)
            await app.using.settled()
            assert rows(app)["request"] == 0
            other.execute("ROLLBACK")
        monkeypatch.setattr("toolweft_server.using.NOTING", 30.0)
        await call(app, "one.beta_report")
        assert rows(app)["call_digest"] == 1


async def test_requests_that_the_end_does_not_wait_for_are_said(opened, monkeypatch, caplog):
    noting, ended, note = threading.Event(), threading.Event(), Using._note

    def stuck(*args):
        noting.set()
        ended.wait(30)
        note(*args)

    monkeypatch.setattr(Using, "_note", stuck)
    async with opened() as app:
        monkeypatch.setattr("toolweft_server.using.NOTING", 0.0)
        for n in range(3):
            await find(app, f"{QUERY} {n}")
            if not n:
                assert await anyio.to_thread.run_sync(noting.wait, 30)
        await app.using.aclose()
        ended.set()
        monkeypatch.setattr("toolweft_server.using.NOTING", 30.0)
        await app.using.settled()
    assert "2 requests were not noted: the store stayed locked until the end" in caplog.text


async def test_requests_beyond_those_that_may_wait_are_not_noted_and_answered_all_the_same(opened, monkeypatch, caplog):
    monkeypatch.setattr("toolweft_server.using.MOST_WAITING", 0)
    async with opened() as app:
        assert await find(app, QUERY)
    assert "a request was not noted: 0 others wait for the store" in caplog.text


async def test_whatever_goes_wrong_in_noting_the_next_request_is_noted(opened, monkeypatch, caplog):
    async with opened() as app:
        with monkeypatch.context() as broken:
            broken.setattr(app.store.requests, "asked", lambda _rows: 1 // 0)
            assert await find(app, QUERY)
            await app.using.settled()
        assert "ZeroDivisionError" in caplog.text
        await find(app, QUERY)
        await call(app, "one.beta_report")
        assert rows(app)["call_digest"] == 1


async def test_a_request_just_before_the_end_is_kept(opened):
    async with opened() as app:
        await find(app, QUERY)
    async with opened() as app:
        assert rows(app)["request_vector"] == 1


async def losing(app, requests):
    """Asks, and each time uses a tool that ranking without use has placed."""
    for n in range(requests):
        await find(app, f"{ALIKE} in month {n}")
        await app.using.settled()
        answer = app.store.uses.answered(app.store.uses.trials()[0].name)[-1]
        await call(app, next(tool for tool in answer.shown if tool not in answer.challenger))


async def test_answers_are_mixed_while_use_is_on_trial_and_it_is_switched_off_for_good_when_it_loses(opened):
    async with opened() as app:
        without = app.live.index
        await teach(app, (await find(app, ALIKE))[-1])
        assert rows(app)["interleaved"] == 0
        await losing(app, 6)
        await app.using.learn()
        assert app.live.index.use.usage.used
        assert "Use is on trial: 6 answers were mixed" in app.using.notes()[0]
        await losing(app, 1)
        await app.using.learn()
        assert app.store.uses.trials()[0].verdict == "worse"
    async with opened() as app:
        await app.using.learn()
        assert app.live.index.search(ALIKE, 5) == without.search(ALIKE, 5)
        assert app.using.notes()[0].startswith("Use is switched off: on real requests ranking without it was better")
        mixed = rows(app)["interleaved"]
        await find(app, ALIKE)
        await app.using.learn()
        assert rows(app)["interleaved"] == mixed
        app.store.uses.forget(0.0)
        await teach(app, "one.beta_report")
        assert app.live.index.use.usage.used


async def test_a_trial_that_use_wins_ends_and_use_stays(opened):
    async with opened() as app:
        last = (await find(app, ALIKE))[-1]
        await teach(app, last)
        for n in range(7):
            await find(app, f"{ALIKE} in month {n}")
            await call(app, last)
        await app.using.learn()
        assert app.store.uses.trials()[0].verdict == "better"
        assert app.using.notes() == []
        assert (await find(app, ALIKE))[0] == last
        assert rows(app)["interleaved"] == 7


def test_a_mixed_answer_has_the_tools_of_both_rankings_with_scores_that_fall():
    trial = Trial(None)
    mine = Matches([Hit(tool, 1 - n / 10, ("lexical",)) for n, tool in enumerate("abcd")], 9, [])
    other = Matches([Hit(tool, 1 - n / 10, ("dense",)) for n, tool in enumerate("abdx")], 7, [])
    found, mix = trial.mixed("greet", mine, other, 4)
    assert [hit.tool for hit in found.hits][:2] == ["a", "b"]
    assert {hit.tool for hit in found.hits} <= set("abcdx")
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    assert (mix.alike, found.total) == (2, 9)
    assert trial.mixed("greet", mine, mine, 4) == (mine, None)
    answers = [trial.mixed(query, mine, other, 4)[0].hits for query in ["greet", "greet", *map(str, range(20))]]
    assert answers[0] == answers[1] == found.hits
    assert any(each != found.hits for each in answers)
    trial._verdict, trial._answered = "open", FIRST
    later = [query for query in map(str, range(400)) if trial.wanted(query)]
    firsts = {trial.mixed(query, mine, other, 4)[1].answer.challenger for query in later}
    assert (10 < len(later) < 100, len(firsts) > 1) == (True, True)
    assert not trial.wanted("greet")  # nothing was read from the store yet
