"""Queries made from a task, and how the answers to several become one list."""

from __future__ import annotations

from toolweft_catalog.wire import FoundTool, FoundTools
from toolweft_client.budget import Budget
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_client.stages.discover import LONGEST_QUERY, MOST_FUNCTIONS, MOST_TOOLS, discover, kinds, merge, queries
from toolweft_client.trace import Trace
from toolweft_client.work import Work


def found(*ids: str) -> FoundTools:
    tools = [
        FoundTool(id=id_, call=f"{id_}()", summary="", origin="library" if id_.startswith("functions.") else "mcp",
                  score=1, why=[])
        for id_ in ids
    ]  # fmt: skip
    return FoundTools(tools=tools, total=len(ids), catalogue=9, index="lexical")


def test_short_task_is_its_own_query():
    assert queries("What time is it in Oslo?") == ["What time is it in Oslo?"]


def test_task_of_several_clauses_is_asked_for_whole_and_in_parts():
    task = "Find the oldest open issue, then write its title into notes.md and then mail it to Ada."
    assert queries(task) == [
        task,
        "Find the oldest open issue",
        "write its title into notes.md",
    ]


def test_at_most_three_queries_of_bounded_length():
    many = queries(". ".join(f"do the thing number {n} in a long way" for n in range(50)))
    assert len(many) == 3
    assert all(len(each) <= LONGEST_QUERY for each in many)


def test_addresses_and_long_quotes_are_no_search_words():
    (query,) = queries(
        'Fetch https://example.org/a/b?c and say "a very long text that nobody should search for at all"'
    )
    assert query == "Fetch and say"


def test_task_of_nothing_but_an_address_is_still_a_query():
    assert queries("https://example.org") == ["https://example.org"]


def test_best_of_each_query_come_first():
    merged = merge([found("a.x", "a.y", "a.z"), found("b.x", "a.x"), found("c.x")])
    assert [each.id for each in merged] == ["a.x", "b.x", "c.x", "a.y", "a.z"]


def test_number_of_tools_and_of_saved_functions_is_bounded():
    tools = [f"a.t{n}" for n in range(30)]
    functions = [f"functions.f{n}" for n in range(30)]
    merged = merge([found(*tools), found(*functions)])
    assert len(merged) == MOST_TOOLS
    assert sum(each.origin == "library" for each in merged) == MOST_FUNCTIONS


def calling(*calls: str) -> list[FoundTool]:
    return [FoundTool(id=call.split("(")[0], call=call, summary="", origin="mcp", score=1, why=[]) for call in calls]


def test_kinds_of_ids_that_tools_need_are_told_the_most_needed_first():
    tools = calling(
        "a.one(userPlaylistId: str) -> Any", "a.two(movie_id: int, *, person_id: int = …) -> Any",
        "a.three(movie_ids: list[int]) -> Any", "a.four(ids: list[int], valid: bool, paid: bool) -> Any",
    )  # fmt: skip
    assert kinds(tools) == ["movie", "user playlist"]


async def test_tool_that_finds_what_another_needs_the_id_of_is_found_too(server, shop, monkeypatch):
    finds = {"search order by name": ["shop.list_orders", "mail.send"]}
    monkeypatch.setattr(shop, "search", lambda query, limit: finds.get(query, ["shop.cancel_order"])[:limit])
    async with Session.connect(server) as session:
        work = Work("Cancel what Ada ordered.", ScriptedModel([]), session, Budget(), Trace())
        await discover(work)
    assert list(work.tools) == ["shop.cancel_order", "shop.list_orders"]
