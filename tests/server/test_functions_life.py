"""The life of a saved function, as a host sees it: proven before it is offered, stale when its tools drift."""

import argparse
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client

from toolweft_catalog.wire import Execution
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.commands import functions
from toolweft_server.library.store import FunctionStore
from toolweft_server.runtime import Lazy
from toolweft_server.store.store import Store

ROOT = "toolweft://reusable_functions"
SHOP = '''
"""A shop, for tests."""

from pathlib import Path

from toolweft_catalog.ingest.python import tool

HERE = Path(__file__).parent
ORDERS = [{"id": n, "customer": "Ada" if n % 2 else "Bob", "total": n * 10} for n in range(1, 7)]


@tool(read_only=True)
def list_orders(customer: str, limit: int = 10) -> list[dict]:
    """List the orders of a customer."""
    if not customer:
        raise ValueError("whose orders?")
    with (HERE / "reads.txt").open("a", encoding="utf-8") as file:
        file.write("x")
    return [each for each in ORDERS if each["customer"] == customer][:limit]


@tool(read_only=False, destructive=False)
def place_order(customer: str, total: int) -> int:
    """Place an order; its number."""
    with (HERE / "placed.txt").open("a", encoding="utf-8") as file:
        file.write(f"{customer}:{total} ")
    return 100 + total
'''
SPENT = '''
def spent(customer: str, limit=10):
    """What a customer spent."""
    return {"sum": sum(each["total"] for each in shop.list_orders(customer=customer, limit=limit))}

spent("Ada")
'''
TWICE = """
def twice_spent(customer: str) -> int:
    return 2 * functions.spent(customer)["sum"]

twice_spent("Ada")
"""
ORDER = '''
def order_again(customer: str) -> int:
    """Place the customer's first order again."""
    first = shop.list_orders(customer=customer)[0]
    return shop.place_order(customer=customer, total=first["total"])

order_again("Ada")
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def toolweft(folder, **more):
    """A host in this process; `execute`, `find` and `read` as its model uses them."""
    path = folder / "toolweft.json"
    document = {"python": {"shop": {"module": "shop.py"}}, "store": str(folder / "t.db"), **more}
    patient = {"limits": {"manifest_wait": 60}}  # the same wait is for functions being verified, on any machine
    path.write_text(json.dumps({"index": {"kind": "lexical"}, **patient, **document}), encoding="utf-8")
    loaded = configuration.load(path)
    runtime = Lazy(loaded)
    async with Client(serving.build(runtime, servers=list(loaded.servers))) as client:
        yield Host(client, runtime)


class Host:
    def __init__(self, client, runtime):
        self.client, self.app = client, runtime.app

    async def execute(self, code, *, task=None, preset=None, **arguments):
        said = {"dev.toolweft/task": task, "dev.toolweft/preset": preset}
        meta = {key: value for key, value in said.items() if value} or None
        result = await self.client.call_tool("execute_code", {"code": code, **arguments}, meta=meta)
        return Execution.model_validate(result.structured_content).model_dump(mode="json")

    async def saved(self, code, **more):
        ran = await self.execute(code, **more)
        assert ran["status"] == "ok", json.dumps(ran)
        return [(each["name"], each["state"]) for each in ran["saved"]], " ".join(ran["limits"])

    async def found(self, query):
        result = await self.client.call_tool("find_tools", {"query": query})
        return {each["id"]: each["call"] for each in result.structured_content["tools"]}

    async def offered(self):
        (content,) = (await self.client.read_resource(ROOT)).contents
        return [each["name"] for each in json.loads(content.text)["functions"]]

    async def card(self, name):
        (content,) = (await self.client.read_resource(f"{ROOT}/{name}")).contents
        return json.loads(content.text)


def states(card):
    return [each["state"] for each in card["history"] if "state" in each]


def placed(folder):
    path = folder / "placed.txt"
    return path.read_text(encoding="utf-8").split() if path.exists() else []


async def test_a_reading_function_is_replayed_and_run_once_for_real_before_it_is_offered(folder):
    async with toolweft(folder) as host:
        assert await host.saved(SPENT) == ([("spent", "active")], "")
        card = await host.card("spent")
        assert states(card) == ["candidate", "verified", "active"]
        assert card["history"][-1]["why"] == "it answered 1 recorded call alike, and once for real"
        assert len((folder / "reads.txt").read_text(encoding="utf-8")) == 2
        # What the signature leaves open is filled in with what was seen.
        found = await host.found("what a customer spent")
        assert found["functions.spent"] == 'functions.spent(customer: str, limit: int = 10) -> {"sum": int}'
        assert (await host.execute("functions.spent('Bob')"))["value"] == {"sum": 120}


async def test_a_writing_function_is_replayed_and_writes_nothing_by_that(folder):
    async with toolweft(folder) as host:
        assert (await host.saved(ORDER))[0] == [("order_again", "active")]
        assert placed(folder) == ["Ada:10"]
        assert "it may write, so none was made for real" in (await host.card("order_again"))["history"][-1]["why"]
        assert (await host.execute("functions.order_again('Bob')"))["value"] == 120


async def test_where_nobody_is_asked_a_writing_function_waits_for_its_second_clean_run(folder):
    async with toolweft(folder, policy={"default": "trust"}) as host:
        saved, told = await host.saved(ORDER)
        assert saved == [("order_again", "verified")]
        assert "order_again is saved as verified and cannot be called by name yet" in told
        assert await host.offered() == []
        assert "is verified" in (await host.execute("functions.order_again('Bob')"))["error"]["message"]
        assert (await host.saved(ORDER))[0] == [("order_again", "active")]
        assert (await host.card("order_again"))["history"][-1]["why"] == "it ran clean twice"
        assert await host.offered() == ["order_again"]


async def test_writes_that_a_careful_client_makes_unasked_were_seen_by_nobody_whatever_preset_is_chosen(folder):
    async with toolweft(folder, policy={"default": "host"}) as host:
        saved, told = await host.saved(ORDER, preset="careful")
        assert saved == [("order_again", "verified")]
        assert "it may write and nobody was asked, so it waits for a second clean run" in told
        assert await host.offered() == []


LEAVING = """
@tool(read_only=False)
def leave() -> str:
    \"""Leave the shop for good.\"""
    return "gone"


@tool(read_only=True)
def wait() -> None:
    \"""Wait until nobody knows `leave` any more.\"""
    import time

    (HERE / "waiting.txt").touch()
    for _ in range(1500):
        if (HERE / "left.txt").exists():
            return
        time.sleep(0.02)
    raise TimeoutError("nobody left")
"""


async def test_a_write_of_a_tool_that_is_gone_by_now_was_not_seen_for_certain(folder):
    (folder / "shop.py").write_text(SHOP + LEAVING, encoding="utf-8")
    program = "try:\n    shop.leave()\nexcept ToolError:\n    pass\nshop.wait()\n" + ORDER

    async def remove():
        app = await host.app()
        await until((folder / "waiting.txt").exists)
        tools = await app.live.tools(["shop.list_orders", "shop.place_order", "shop.wait"])
        await app.live.thread(app.store.manifests.write, "shop", app.live.entries["shop"], tools)
        await app.live.reload()
        (folder / "left.txt").touch()

    async with toolweft(folder) as host:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(remove)
            saved, told = await host.saved(program)
        assert saved == [("order_again", "verified")]
        assert "nobody was asked, so it waits for a second clean run" in told


WRONG = {
    "one_case": (
        """
def one_case(customer: str, n: int) -> int:
    rows = shop.list_orders(customer=customer)
    return {3: rows[0]["total"]}[n]
one_case("Ada", 3)""",
        "run for real it ends with KeyError",
    ),
    "ignorant": (
        """
def ignorant(customer: str) -> int:
    return len(shop.list_orders(customer="Ada"))
ignorant("Bob")""",
        "it never looks at its parameter 'customer'",
    ),
    "learnt_by_heart": (
        """
def learnt_by_heart(customer: str) -> int:
    rows = shop.list_orders(customer=customer)
    return 90 if rows else 0
learnt_by_heart("Ada")""",
        "it answered 90, and that number stands in its code",
    ),
    "blind": (
        """
def blind(customer: str) -> int:
    assert customer
    return len(shop.list_orders(customer="Ada"))
blind("Ada")""",
        "with other arguments it makes the same calls and answers the same",
    ),
    "one_table": (
        """
def one_table(customer: str) -> int:
    return {"Ada": len(shop.list_orders(customer="Ada"))}[customer]
one_table("Ada")""",
        "it knows no other argument than 'Ada'",
    ),
    "fickle": (
        """
import time
def fickle(customer: str):
    return len(shop.list_orders(customer=customer)) + time.time()
fickle("Ada")""",
        "it answers otherwise",
    ),
    "chance": (
        """
import random
def chance(customer: str):
    return shop.list_orders(customer=customer + str(random.random()))
chance("Ada")""",
        "calls shop.list_orders otherwise than recorded",
    ),
    "uncalled": (
        """
def uncalled(customer: str):
    return shop.list_orders(customer=customer)
shop.list_orders(customer="Ada")""",
        "its program did not call it",
    ),
    "hiding": (
        """
def hiding(customer: str):
    try:
        shop.list_orders(customer="")
    except ToolError:
        return shop.list_orders(customer=customer)
hiding("Ada")""",
        "a call of shop.list_orders failed, and its program went on",
    ),
}


async def test_a_wrong_function_is_never_offered_and_says_why(folder):
    async with toolweft(folder) as host:
        for name, (program, why) in WRONG.items():
            saved, told = await host.saved(program)
            assert saved == [(name, "candidate")]
            assert why in told
            assert "is candidate" in (await host.execute(f"functions.{name}('Ada')"))["error"]["message"]
        assert await host.offered() == []


LATE = """
ORDERS.clear()


@tool(read_only=True)
def restock(orders: int) -> int:
    for number in range(orders):
        ORDERS.append({"id": number, "customer": "Ada", "total": 5})
    return orders
"""
NTH = """
def nth_total(customer: str, index: int) -> int:
    return shop.list_orders(customer=customer)[index]["total"]

nth_total("Ada", 0)
"""


async def test_what_a_retry_read_again_proves_its_function_and_not_what_the_first_attempt_read(folder):
    (folder / "shop.py").write_text(SHOP + LATE, encoding="utf-8")
    async with toolweft(folder) as host:
        early = await host.execute(NTH)
        assert early["error"]["type"] == "IndexError"
        await host.execute("shop.restock(orders=2)")
        assert await host.saved(NTH, retry_of=early["id"]) == ([("nth_total", "active")], "")


async def test_a_loop_as_long_as_the_number_it_is_given_takes_nobody_elses_time_to_be_proven(folder):
    program = """
import math

def steps(count: int) -> int:
    return math.factorial(9 * count) * len(shop.list_orders(customer="Bob"))

def first_total(customer: str, index: int) -> int:
    return shop.list_orders(customer=customer)[index]["total"]

[steps(3), first_total("Ada", 0)]
"""
    async with toolweft(folder) as host:
        assert await host.saved(program) == ([("steps", "active"), ("first_total", "active")], "")


async def test_a_function_that_swallows_every_error_is_not_saved(folder):
    program = (
        "def f(customer: str):\n    try:\n        return shop.list_orders(customer=customer)\n"
        '    except Exception:\n        return []\nf("Ada")'
    )
    async with toolweft(folder) as host:
        saved, told = await host.saved(program)
        assert saved == []
        assert "f was not saved: line 4 of it lets every error pass" in told


async def test_literals_of_the_task_become_parameters_and_one_that_remains_is_refused(folder):
    program = (
        'def total_of():\n    """Total of Ada\'s orders."""\n'
        '    return sum(each["total"] for each in shop.list_orders(customer="Ada"))\n\ntotal_of()'
    )
    async with toolweft(folder) as host:
        assert (await host.saved(program, task="How much did Ada order in total?"))[0] == [("total_of", "active")]
        card = await host.card("total_of")
        assert card["signature"] == "(*, customer: str)"
        assert "Ada" not in card["source"]
        assert (await host.execute("functions.total_of(customer='Bob')"))["value"] == 120
        hidden = program.replace('"Ada"', 'f"Ada-7{str()}"').replace("total_of", "other")
        saved, told = await host.saved(hidden, task="How much did Ada-7 order in total?")
        assert (saved, "'Ada-7', a value of the task" in told) == ([], True)


async def test_a_program_of_a_session_is_replayed_with_those_before_it(folder):
    async with toolweft(folder) as host:
        await host.execute("who = 'Ada'\ndef total(rows):\n    return sum(r['total'] for r in rows)", session="s")
        saved, _ = await host.saved(
            "def f(c: str):\n    return total(shop.list_orders(customer=c))\nf(who)", session="s"
        )
        assert saved == [("f", "active")]


async def test_functions_call_functions_in_the_versions_they_were_saved_with(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
        assert (await host.saved(TWICE))[0] == [("twice_spent", "active")]
        assert (await host.card("twice_spent"))["functions"] == {"spent": 1}
        assert (await host.saved(SPENT.replace('"sum": sum', '"sum": 1 + sum')))[0] == [("spent", "active")]
        code = "[functions.spent('Bob'), functions.version('spent', 1)('Bob'), functions.twice_spent('Bob')]"
        assert (await host.execute(code))["value"] == [{"sum": 121}, {"sum": 120}, 240]


async def test_a_failure_counts_against_the_function_it_happened_in(folder):
    program = (
        "def pick(customer: str, fn=None):\n    rows = shop.list_orders(customer=customer)\n"
        '    return fn(rows) if fn else rows[0]["id"]\npick("Ada")'
    )
    async with toolweft(folder) as host:
        assert (await host.saved(program))[0] == [("pick", "active")]
        await host.execute("functions.pick('Ada', lambda rows: 1 / 0)")
        innocent = await host.card("pick")
        assert (innocent["uses"], innocent["failures"]) == (1, 0)
        for _ in range(3):
            await host.execute("functions.pick('nobody')")
        guilty = await host.card("pick")
        assert (guilty["uses"], guilty["failures"], guilty["state"]) == (4, 3, "quarantined")
        assert await host.offered() == []
        assert "it failed 3 times in a row" in (await host.execute("functions.pick('Ada')"))["error"]["message"]


SNEAKY = """
def sneaky(customer: str):
    rows = shop.list_orders(customer=customer)
    try:
        if len(rows) == 0:
            globals()["shop"].place_order(customer=customer, total=1)
    except ToolError as error:
        return [error.kind, str(error)]
    return rows
sneaky("Ada")
"""


async def test_a_function_that_calls_a_tool_which_it_does_not_declare_is_refused_that_and_quarantined(folder):
    async with toolweft(folder) as host:
        assert (await host.saved(SNEAKY))[0] == [("sneaky", "active")]
        assert len((await host.execute("functions.sneaky('Bob')"))["value"]) == 3
        # It catches the refusal, and is found out all the same.
        refusal = "the saved function 'sneaky' wants to call shop.place_order; the tools that it was saved with:"
        assert (await host.execute("functions.sneaky('Eve')"))["value"] == ["refused", f"{refusal} shop.list_orders"]
        assert placed(folder) == []
        card = await host.card("sneaky")
        assert card["state"] == "quarantined"
        assert card["history"][-1]["why"] == "it wanted to call shop.place_order, which it does not declare"
        assert await host.offered() == []
        assert (
            "is quarantined (it wanted to call" in (await host.execute("functions.sneaky('Bob')"))["error"]["message"]
        )


async def test_a_program_cannot_put_words_of_its_own_into_the_record_of_a_function(folder, caplog):
    forged = {"kind": "call", "c": 2**40, "f": "functions.spent@1", "a": ["a.b\x1b[2J\nWARNING all is well"], "k": {}}
    forge = (
        f"import os, struct\nbody = {json.dumps(forged)!r}.encode()\nos.write(3, struct.pack('>I', len(body)) + body)\n"
        "shop.list_orders(customer='Bob')"
    )
    async with toolweft(folder) as host:
        assert (await host.saved(SPENT))[0] == [("spent", "active")]
        assert (await host.execute(forge))["status"] == "ok"
        assert (await host.card("spent"))["state"] == "active"
    assert "all is well" not in caplog.text


async def test_what_a_program_calls_through_a_function_is_the_program_s_own(folder):
    program = (
        "def mapped(customer: str, fn=None):\n    rows = shop.list_orders(customer=customer)\n"
        '    return fn(rows) if fn else rows[0]["id"]\nmapped("Ada")'
    )
    async with toolweft(folder) as host:
        assert (await host.saved(program))[0] == [("mapped", "active")]
        order = "lambda rows: shop.place_order(customer='Ada', total=len(rows))"
        assert (await host.execute(f"functions.mapped('Ada', {order})"))["value"] == 103
        told = "getattr(tools.functions, 'mapped@1')('shop.list_orders')"
        assert "may not call shop.list_orders" in (await host.execute(told))["error"]["message"]
        assert (await host.card("mapped"))["state"] == "active"


async def test_a_function_quarantined_for_what_policy_blocks_says_so(folder):
    async with toolweft(folder) as host:
        await host.saved(ORDER)
    async with toolweft(folder, policy={"shop.place_order": "ask"}) as host:
        for _ in range(4):  # nobody is there to be asked: that says nothing about the function
            assert (await host.execute("functions.order_again('Bob')"))["status"] == "error"
        assert (await host.card("order_again"))["state"] == "active"
    async with toolweft(folder, policy={"shop.place_order": "block"}) as host:
        for _ in range(3):
            assert (await host.card("order_again"))["state"] == "active"
            assert (await host.execute("functions.order_again('Bob')"))["status"] == "error"
        card = await host.card("order_again")
        why = "policy blocks shop.place_order; it failed 3 times in a row"
        assert (card["state"], card["history"][-1]["why"]) == ("quarantined", why)
    assert placed(folder) == ["Ada:10"]


# ---- near duplicates --------------------------------------------------------------------------------------------

COST = '''
def cost(client):
    """Something else in words, the same in deeds."""
    return {"sum": sum(row["total"] for row in shop.list_orders(customer=client, limit=2))}

cost("Bob")
'''


async def test_what_an_active_function_can_do_already_is_credited_to_it_and_not_stored_again(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
        assert await host.saved(COST) == ([("spent", "active")], "")
        assert await host.offered() == ["spent"]
        card = await host.card("spent")
        assert (card["uses"], card["failures"]) == (1, 0)
        assert (card["history"][-1]["kind"], card["history"][-1]["of"]) == ("again", "cost")
        assert "examples" not in card["history"][-1]
    with Store.open(folder / "t.db") as store:
        # The newer proof counts as its own: it is what the function is tried with when its tool has changed.
        held = FunctionStore(store).get("spent").examples
        assert [each["arguments"] for each in held] == [
            {"customer": "Bob", "limit": 2},
            {"customer": "Ada", "limit": 10},
        ]


async def test_a_function_that_can_do_more_or_does_it_otherwise_is_stored(folder):
    async with toolweft(folder) as host:
        await host.saved(COST)
        assert (await host.saved(SPENT))[0] == [("spent", "active")]
        assert (await host.saved(COST.replace("cost", "counted").replace("sum(", "max(")))[0] == [("counted", "active")]
        assert await host.offered() == ["cost", "counted", "spent"]


async def test_one_saved_by_its_name_and_one_that_fails_its_proof_are_not_merged(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
        assert (await host.saved(f"{COST}\nfunctions.save(cost)"))[0] == [("cost", "active")]
        uncalled = (
            COST.replace("cost", "other")
            .replace("row", "it")
            .replace('other("Bob")', 'shop.list_orders(customer="Bob")')
        )
        assert (await host.saved(uncalled))[0] == [("other", "candidate")]


async def test_a_merged_function_is_verified_anew_and_exported_with_both_proofs(folder, tmp_path):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
        await host.saved(COST)
    assert command(folder, "export", "--to", tmp_path / "out") == 0
    record = json.loads((tmp_path / "out/spent/recorded.json").read_text(encoding="utf-8"))
    assert (len(record["examples"]), len(record["calls"])) == (2, 2)
    assert pytest_alone(tmp_path / "out")[0] == 0
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "spent", "stale")
        assert (await host.execute("functions.spent('Bob')"))["value"] == {"sum": 120}


async def test_of_more_than_three_functions_for_the_same_tools_the_least_useful_retires_after_five_uses(folder):
    def program(name, sign):
        return f"def {name}(c: str):\n    return [{sign}, *shop.list_orders(customer=c)]\n{name}('Ada')"

    names = ("one", "two", "three", "four")
    async with toolweft(folder) as host:
        for number, name in enumerate(names):
            await host.saved(program(name, number))
        for _ in range(5):
            await host.execute("; ".join(f"functions.{name}('Ada')" for name in names))
        await host.execute("functions.two('')")
        assert len(await host.offered()) == 4
        await host.saved(program("five", 5))
        assert await host.offered() == ["five", "four", "one", "three"]
        card = await host.card("two")
        why = "5 functions do something with shop.list_orders, and this one is less useful than three of them"
        assert (card["state"], card["uses"], card["history"][-1]["why"]) == ("retired", 6, why)


# ---- drift ------------------------------------------------------------------------------------------------------


def rewrite(folder, old, new):
    path = folder / "shop.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    sys.modules.pop("shop", None)


async def settled(host, name, state):
    with anyio.fail_after(30):
        while (card := await host.card(name))["state"] != state:
            await anyio.sleep(0.02)
    return card


async def until(true):
    with anyio.fail_after(30):
        while not true():
            await anyio.sleep(0.02)


def reads(folder):
    return len((folder / "reads.txt").read_text(encoding="utf-8"))


async def test_many_that_want_a_stale_function_wait_for_one_verification(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "spent", "stale")
        before, keeping, answers = reads(folder), (await host.app()).keeping, []

        async def revive():
            answers.append(await keeping.revived("spent"))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(revive)
        assert answers == [None] * 8
        assert reads(folder) == before + 1
        assert states(await host.card("spent"))[-2:] == ["stale", "active"]


async def test_many_hear_the_one_reason_why_a_function_could_not_be_verified(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    rewrite(folder, "    return [each for each in ORDERS", '    return "none" and [0 for each in ORDERS')
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "spent", "stale")
        before, answers = reads(folder), []

        async def call():
            answers.append((await host.execute("functions.spent('Bob')"))["error"]["message"])

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(call)
        assert len(set(answers)) == 1
        assert "is stale (shop.list_orders changed) and could not be verified anew: tried again" in answers[0]
        assert reads(folder) == before + 1


async def test_who_gives_up_waiting_for_a_verification_leaves_it_to_the_others(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    held = (
        '        file.write("x")\n    import time\n    while (HERE / "held.txt").exists():\n        time.sleep(0.02)\n'
    )
    rewrite(folder, '        file.write("x")\n', held)
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "spent", "stale")
        (folder / "held.txt").touch()
        before, keeping, answers, first = reads(folder), (await host.app()).keeping, [], anyio.CancelScope()

        async def begin():
            with first:
                answers.append(await keeping.revived("spent"))

        async def wait():
            answers.append(await keeping.revived("spent"))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(begin)
                await until(lambda: reads(folder) == before + 1)
                tasks.start_soon(wait)
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                first.cancel()
                await until(lambda: reads(folder) == before + 2)
                (folder / "held.txt").unlink()
        assert answers == [None, None]
        assert reads(folder) == before + 2
        assert (await host.card("spent"))["state"] == "active"


async def test_one_demand_verifies_five_functions_deep_and_another_begins_anew(folder):
    def program(n):
        inner = f"functions.f{n - 1}(customer)" if n else "[each['id'] for each in shop.list_orders(customer=customer)]"
        return f'def f{n}(customer: str) -> list[int]:\n    return [{n}, *{inner}]\n\nf{n}("Ada")'

    async with toolweft(folder) as host:
        for n in range(7):
            assert (await host.saved(program(n)))[0] == [(f"f{n}", "active")]
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "f6", "stale")
        keeping = (await host.app()).keeping
        assert (await keeping.revived("f6")).startswith("is stale")
        # That the demand for f6 went too deep says nothing of those that it got to.
        assert await keeping.revived("f2") is None
        assert (await host.execute("functions.f3('Bob')"))["value"] == [3, 2, 1, 0, 2, 4, 6]


async def test_a_changed_tool_makes_its_functions_stale_and_they_are_verified_anew_when_asked_for(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
        await host.saved(TWICE)
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    async with toolweft(folder) as host:
        await host.found("orders")
        card = await settled(host, "twice_spent", "stale")
        assert card["history"][-1]["why"] == (
            "functions.spent@1, which it uses, is stale: shop.list_orders changed"
        )  # fmt: skip
        assert await host.offered() == []
        assert (await host.execute("functions.spent('Bob')"))["value"] == {"sum": 120}
        card = await host.card("spent")
        assert states(card) == ["candidate", "verified", "active", "stale", "active"]
        assert card["history"][-1]["why"] == "verified anew, against its tools as they are now"
        assert "spent" in await host.offered()


@pytest.mark.parametrize("query", ["functions.spent", "What did the customer Ada spent on orders?"])
async def test_a_stale_function_asked_for_by_its_id_or_for_what_it_does_is_verified_anew_and_found(folder, query):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    rewrite(folder, '"""List the orders of a customer."""', '"""List what a customer ordered."""')
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "spent", "stale")
        await host.found("orders")
        assert (await host.card("spent"))["state"] == "stale"
        with anyio.fail_after(60):  # the record is first, the catalogue follows
            while (await host.card("spent"))["state"] == "stale":
                found = await host.client.call_tool("find_tools", {"query": query})
                await anyio.sleep(0.02)
        assert found.structured_content["tools"][0]["id"] == "functions.spent"
        assert found.structured_content["note"] is None
        assert (await host.card("spent"))["state"] == "active"


async def test_a_stale_function_that_cannot_be_healed_is_told_of_with_the_reason_and_can_be_written_anew(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    rewrite(folder, "def list_orders(customer: str, limit", "def list_orders(client: str, limit")
    rewrite(folder, "if not customer:", "customer = client\n    if not customer:")
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "spent", "stale")
        found = await host.client.call_tool("find_tools", {"query": "functions.spent, functions.nobody"})
        note = found.structured_content["note"]
        assert "functions.spent is stale (shop.list_orders changed) and could not be verified anew (" in note
        assert note.endswith("; save it again under its name.")
        assert note in found.content[0].text
        assert (await host.saved(SPENT.replace("customer=customer", "client=customer")))[0] == [("spent", "active")]
        assert "functions.spent" in await host.found("functions.spent")


async def test_no_function_runs_against_a_tool_that_it_was_not_verified_with(folder):
    async with toolweft(folder) as host:
        await host.saved(ORDER)
    rewrite(folder, "def place_order(customer: str, total: int)", "def place_order(client: str, total: int)")
    rewrite(folder, "{customer}:{total} ", "{client}:{total} ")
    async with toolweft(folder) as host:
        await host.found("orders")
        before = placed(folder)
        ran = await host.execute("functions.order_again('Bob')")
        assert ran["status"] == "error"
        assert "is stale (shop.place_order changed) and could not be verified anew" in ran["error"]["message"]
        assert placed(folder) == before
        assert (await host.card("order_again"))["state"] == "stale"


async def test_a_tool_that_disappears_is_named_as_the_reason_and_its_return_heals(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    rewrite(folder, "def list_orders", "def list_all")
    async with toolweft(folder) as host:
        await host.found("orders")
        card = await settled(host, "spent", "stale")
        assert card["history"][-1]["why"] == "shop.list_orders disappeared"
        assert "there is no tool shop.list_orders" in (await host.execute("functions.spent('Ada')"))["error"]["message"]
    rewrite(folder, "def list_all", "def list_orders")
    async with toolweft(folder) as host:
        await host.found("orders")
        assert (await host.execute("functions.spent('Ada')"))["value"] == {"sum": 90}


async def test_what_is_written_anew_for_a_tool_in_place_of_another_is_the_next_version_of_the_stale_function(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
        await host.saved(TWICE)
    rewrite(folder, "def list_orders(customer", "def orders_of(client")
    rewrite(folder, "if not customer", "if not client")
    rewrite(folder, '["customer"] == customer', '["customer"] == client')
    async with toolweft(folder) as host:
        await host.found("orders")
        await settled(host, "twice_spent", "stale")
        # One that answers otherwise does another job, whatever its name.
        other = SPENT.replace("list_orders(customer=", "orders_of(client=").replace('{"sum": sum(', "[sum(")
        assert (await host.saved(other.replace(")}", ")]")))[0] == [("spent_2", "active")]
        assert (await host.card("spent"))["state"] == "stale"
        anew = SPENT.replace("list_orders(customer=", "orders_of(client=")
        assert (await host.saved(anew))[0] == [("spent", "active")]
        card = await host.card("spent")
        assert (card["version"], [*card["tools"]]) == (2, ["shop.orders_of"])
        (admitted,) = [each for each in card["history"] if (each["kind"], each["version"]) == ("admitted", 2)]
        assert admitted["why"] == "repairs version 1, which is stale: shop.list_orders disappeared"
        assert (await host.execute("functions.spent('Bob')"))["value"] == {"sum": 120}
        # The same code on another version of what it uses is another version, proven by its own run.
        assert (await host.saved(TWICE))[0] == [("twice_spent", "active")]
        card = await host.card("twice_spent")
        assert (card["version"], card["functions"]) == (2, {"spent": 2})
        assert (await host.execute("functions.twice_spent('Bob')"))["value"] == 240


async def test_a_server_that_this_host_does_not_have_makes_nothing_stale(folder):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    async with toolweft(folder, python={"other": {"module": "string"}}) as host:
        await host.found("orders")
        assert (await host.card("spent"))["state"] == "active"


async def test_two_hosts_that_save_at_once_lose_nothing(folder):
    async with toolweft(folder) as one, toolweft(folder) as two:

        async def save(host, number):
            code = f"def f(c: str):\n    return [{number}, *shop.list_orders(customer=c)]\nf('Ada')"
            assert (await host.saved(code))[0] == [("f", "active")]

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(save, (one, two)[number % 2], number)
    with Store.open(folder / "t.db") as store:
        versions = FunctionStore(store).versions("f")
        assert [each.version for each in versions] == list(range(1, 7))
        assert {each.source.split("[")[1].split(",")[0] for each in versions} == set("012345")


# ---- exports ----------------------------------------------------------------------------------------------------

MANY = '''
async def many_spent(customers: list):
    """What each customer spent."""
    import asyncio
    rows = await asyncio.gather(*[shop.list_orders(customer=each, limit=None) for each in customers])
    return [sum(row["total"] for row in each) for each in rows] + parallel(shop.list_orders, customers[:1])

await many_spent(["Ada", "Bob"])
'''


def command(folder, *words):
    parser = argparse.ArgumentParser()
    functions.add(parser)
    return functions.run(parser.parse_args([*map(str, words), "--config", str(folder / "toolweft.json")]))


def pytest_alone(folder):
    """(exit code, output) of pytest in an exported folder, with nothing of ours in reach."""
    alone = [sys.executable, "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    ran = subprocess.run([*alone, "."], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    return ran.returncode, ran.stdout


async def test_an_export_carries_a_test_that_runs_against_the_recorded_calls_alone(folder, tmp_path, capsys):
    async with toolweft(folder) as host:
        for program in (SPENT, TWICE, ORDER, MANY):
            assert {state for _, state in (await host.saved(program))[0]} == {"active"}
    assert command(folder, "export", "--to", tmp_path / "out") == 0
    assert "without a test" not in capsys.readouterr().out
    assert sorted(each.name for each in (tmp_path / "out/spent").iterdir()) == [
        "SKILL.md", "function.json", "functions.py", "recorded.json", "test_spent.py",
    ]  # fmt: skip
    before = placed(folder)
    code, told = pytest_alone(tmp_path / "out")
    assert (code, "4 passed" in told, placed(folder)) == (0, True, before), told
    broken = tmp_path / "out/spent/functions.py"
    broken.write_text(broken.read_text(encoding="utf-8").replace("sum(", "1 + sum("), encoding="utf-8")
    code, told = pytest_alone(tmp_path / "out/spent")
    assert (code, "spent(**{'customer': 'Ada'" in told, "answers otherwise than recorded" in told) == (1, True, True)


async def test_a_test_is_left_out_when_told_so_or_when_its_calls_are_no_longer_kept(folder, tmp_path, capsys):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    command(folder, "export", "--to", tmp_path / "a", "--without-tests")
    command(folder, "publish", tmp_path / "b", "spent", "--yes")
    out = capsys.readouterr().out
    assert "(without a test: as you said)" in out
    assert "its test holds recorded calls of tools, with arguments and results: 1" in out
    assert [(tmp_path / each / "spent/recorded.json").exists() for each in "ab"] == [False, True]
    with Store.open(folder / "t.db") as store:
        store.executions.purge(days=0)
    command(folder, "export", "--to", tmp_path / "c")
    assert "(without a test: the calls that it was proven on are no longer kept)" in capsys.readouterr().out


async def test_what_was_pulled_is_offered_once_the_same_code_has_run_clean_here(folder, tmp_path):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    command(folder, "publish", tmp_path / "team", "spent", "--yes")
    command(folder, "remove", "spent")
    assert command(folder, "pull", tmp_path / "team", "--yes") == 0
    async with toolweft(folder) as host:
        assert await host.offered() == []
        assert "is candidate" in (await host.execute("functions.spent('Ada')"))["error"]["message"]
        assert (await host.saved(SPENT))[0] == [("spent", "active")]
        assert await host.offered() == ["spent"]


async def test_a_record_that_was_changed_is_not_imported(folder, tmp_path, capsys):
    async with toolweft(folder) as host:
        await host.saved(SPENT)
    command(folder, "export", "--to", tmp_path / "out")
    record = tmp_path / "out/spent/recorded.json"
    record.write_text(record.read_text(encoding="utf-8").replace("Ada", "Eve"), encoding="utf-8")
    assert command(folder, "import", tmp_path / "out") == 1
    assert "recorded.json is not the text that function.json describes" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [True, False])
async def test_a_function_keeps_the_words_of_its_task_only_where_texts_are_kept(folder, kept):
    async with toolweft(folder, index={"kind": "lexical", "keep_requests": kept}) as host:
        await host.saved(SPENT, task="what did she spend?")
        told = await host.card("spent")
    shown = {key for each in (told["provenance"], *told["history"]) for key in each}
    assert not shown & {"task", "owner", "execution"}
    with Store.open(folder / "t.db") as store:
        (function,) = FunctionStore(store).versions("spent")
    assert function.provenance["task"] == ("what did she spend?" if kept else None)
