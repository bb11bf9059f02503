"""Solved tasks, as a host sees them: the program that ended a task is an example for whoever has one like it."""

import json
import sys
from contextlib import asynccontextmanager
from urllib.parse import quote

import numpy as np
import pytest
from mcp import Client

from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy
from toolweft_server.scrub import Scrubber
from toolweft_server.store import solved
from toolweft_server.store.store import Store

TASK = "How much did Ada spend on orders?"
LIKE = "How much did Bob spend on all his orders?"
PROGRAM = 'sum(each["total"] for each in shop.list_orders(customer="Ada"))'
SHOP = '''
"""A shop, for tests."""
from toolweft_catalog.ingest.python import tool

@tool(read_only=True)
def list_orders(customer: str) -> list[dict]:
    """List the orders of a customer."""
    if not customer:
        raise ValueError("whose orders?")
    return [{"customer": customer, "total": 20}]
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def toolweft(folder, *, owner="local", index=None, **more):
    document = {"python": {"shop": {"module": "shop.py"}}, "store": str(folder / "t.db"), **more}
    document["index"] = {"kind": "lexical", "keep_requests": True, **(index or {})}
    (folder / "toolweft.json").write_text(json.dumps(document), encoding="utf-8")
    loaded = configuration.load(folder / "toolweft.json")
    async with Client(serving.build(Lazy(loaded), servers=list(loaded.servers), owner=owner)) as client:
        yield Host(client)


class Host:
    def __init__(self, client):
        self.client = client

    async def execute(self, code, task=TASK, **arguments):
        meta = {"dev.toolweft/task": task} if task else None
        ran = (await self.client.call_tool("execute_code", {"code": code, **arguments}, meta=meta)).structured_content
        return ran["id"], ran["status"]

    async def like(self, task):
        (content,) = (await self.client.read_resource(f"toolweft://solved_tasks/{quote(task, safe='')}")).contents
        return json.loads(content.text)["examples"]


async def test_the_program_that_ended_a_task_is_an_example_for_one_like_it(folder):
    async with toolweft(folder) as host:
        assert await host.like(LIKE) == []
        await host.execute(PROGRAM)
        assert await host.like(LIKE) == [{"task": TASK, "program": PROGRAM, "tools": ["shop.list_orders"]}]
        assert await host.like("Send a letter to the moon") == []
        templates = (await host.client.list_resource_templates()).resource_templates
        assert "toolweft://solved_tasks/{task}" in [each.uri_template for each in templates]


async def test_at_most_two_are_given_the_most_alike_first(folder):
    async with toolweft(folder) as host:
        for task in ("How much did Ada spend?", "How much did Eve spend on orders of books?", LIKE):
            await host.execute(PROGRAM, task)
            assert task in [each["task"] for each in await host.like(task)]
        most = [LIKE, "How much did Eve spend on orders of books?"]
        assert [each["task"] for each in await host.like(LIKE)] == most


async def test_a_later_program_for_the_same_task_takes_the_place_of_the_earlier_one(folder):
    async with toolweft(folder) as host:
        await host.execute(PROGRAM)
        await host.execute(f"{PROGRAM}  # again", "how much did  ADA spend on orders?")
        assert [each["program"] for each in await host.like(LIKE)] == [f"{PROGRAM}  # again"]


async def test_a_program_that_another_attempt_follows_was_not_the_end_of_its_task(folder):
    async with toolweft(folder) as host:
        probe, _ = await host.execute(PROGRAM)
        assert (await host.execute("1 / 0", retry_of=probe))[1] == "error"
        assert await host.like(LIKE) == []


NO_EXAMPLE = {
    "no task": (PROGRAM, None),
    "a failed program": (f"{PROGRAM}\n1 / 0", TASK),
    "no call": ("1 + 1", TASK),
    "a call that failed": (f"try:\n    shop.list_orders(customer='')\nexcept ToolError:\n    {PROGRAM}", TASK),
    "errors that pass in silence": (f"try:\n    {PROGRAM}\nexcept Exception:\n    pass", TASK),
    "a secret": (f"key = 'ghp_{'a1' * 18}'\n{PROGRAM}", TASK),
}


async def test_only_a_clean_program_that_stands_alone_is_kept(folder):
    async with toolweft(folder) as host:
        for case, given in NO_EXAMPLE.items():
            await host.execute(*given)
            assert await host.like(LIKE) == [], case
        await host.execute("who = 'Ada'", session="s")
        await host.execute("shop.list_orders(customer=who)", session="s")
        assert await host.like(LIKE) == []


async def test_an_example_whose_tool_changed_or_is_gone_is_not_offered(folder):
    async with toolweft(folder) as host:
        await host.execute(PROGRAM)
    text = SHOP.replace("List the orders", "Lists all orders")
    for changed, offered in ((text, 0), (SHOP.replace("def list_orders", "def list_all"), 0), (SHOP, 1)):
        (folder / "shop.py").write_text(changed, encoding="utf-8")
        sys.modules.pop("shop", None)
        async with toolweft(folder) as host:
            await host.client.call_tool("find_tools", {"query": "orders"})
            assert len(await host.like(LIKE)) == offered


async def test_an_example_whose_function_is_out_of_use_is_not_offered(folder):
    async with toolweft(folder) as host:
        await host.execute("def spent(c: str) -> list:\n    return shop.list_orders(customer=c)\nspent('Ada')", None)
        await host.execute("functions.spent('Ada')")
        assert len(await host.like(LIKE)) == 1
        for _ in range(3):
            await host.execute("functions.spent('')", None)
        assert await host.like(LIKE) == []


async def test_what_one_person_solved_is_not_shown_to_another(folder):
    async with toolweft(folder) as host:
        await host.execute(PROGRAM)
    async with toolweft(folder, owner="eve") as host:
        assert await host.like(TASK) == []


async def test_without_leave_to_keep_texts_nothing_is_kept_and_what_was_is_erased(folder):
    async with toolweft(folder, index={"keep_requests": False}) as host:
        await host.execute(PROGRAM)
        assert await host.like(TASK) == []
    with Store.open(folder / "t.db") as store:
        assert store.solved.of("local") == []
        store.solved.keep("local", TASK, PROGRAM, tools={}, functions=[], execution="ex_1", placed=None)
        store.requests.erase()
        assert store.solved.of("local") == []


def test_beyond_the_cap_those_go_that_were_kept_or_chosen_longest_ago(tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(solved.time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(solved, "CAP", 3)
    with Store.open(tmp_path / "t.db", scrub=Scrubber(["hunter22"])) as store:

        def keep(task):
            placed = solved.Placed("e", np.ones(2, np.float32))
            store.solved.keep("local", task, "p", tools={"a.b": "0"}, functions=[], execution="ex_1", placed=placed)

        for task in ("one", "two", "three"):
            keep(task)
        store.solved.chosen("local", [store.solved.of("local")[-1].hash])
        keep("four with hunter22")
        assert [(each.task, each.uses) for each in store.solved.of("local")] == [
            ("four with [secret]", 0), ("one", 1), ("three", 0),
        ]  # fmt: skip


async def test_the_encoder_finds_tasks_alike_that_share_no_word(folder):
    async with toolweft(folder, index={"kind": "woven"}) as host:
        await host.execute(PROGRAM, "List every purchase of a client")
        await host.client.call_tool("find_tools", {"query": "orders"})
        assert len(await host.like("Show all purchases made by our clients")) == 1
        assert await host.like("What is the weather in Paris tomorrow?") == []
