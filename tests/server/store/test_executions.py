"""Executions and requests: scrubbed, found again, purged by age and size."""

import time

from toolweft_catalog.call import Call, Result
from toolweft_catalog.tool import Tool
from toolweft_server.ledger import Ledger
from toolweft_server.scrub import Scrubber
from toolweft_server.store.requests import WINDOW, Asked, Pair
from toolweft_server.store.store import Store

KEY = "sk-" + "a1" * 12


def test_an_execution_is_kept_without_secrets(tmp_path):
    with Store.open(tmp_path / "t.db", scrub=Scrubber(["hunter2-hunter2"])) as store:
        store.executions.start("ex_1", "local", "c", "s", f"login({KEY!r}, 'hunter2-hunter2')", None)
        assert store.executions.get("ex_1").status == "running"
        store.executions.finish("ex_1", "ok", {"value": {"password": "x", "n": 1}, "stdout": f"{KEY} \ud800"})
        store.executions.keep("ex_1", "stdout", f"my key {KEY}")
        store.executions.keep("ex_1", "files/a.bin", b"\xff\x00", mime="application/octet-stream")
        row = store.executions.get("ex_1", "local")
        assert row.code == "login('[secret]', '[secret]')"
        assert row.result == {"value": {"password": "[secret]", "n": 1}, "stdout": "[secret] \\ud800"}
        assert store.executions.output("ex_1", "stdout") == ("text/plain", b"my key [secret]")
        assert store.executions.output("ex_1", "files/a.bin") == ("application/octet-stream", b"\xff\x00")
        assert [each.name for each in store.executions.outputs("ex_1")] == ["files/a.bin", "stdout"]


def test_an_execution_of_another_owner_is_not_found(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.executions.start("ex_1", "ada", "c", None, "1")
        assert store.executions.get("ex_1", "bob") is None
        assert store.executions.recent("bob") == []
        assert [each.id for each in store.executions.recent("ada")] == ["ex_1"]
        assert store.executions.get("ex_2") is None


async def test_purging_takes_the_old_then_the_large_and_their_ledgers(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        for name in ("old", "big", "new", "running"):
            store.executions.start(name, "local", "c", None, "1")
            if name != "running":
                store.executions.finish(name, "ok", {})
        store.executions.keep("big", "stdout", "x" * 3_000_000)

        async def answer(call):
            return Result("y" * 1000)

        await Ledger(store).recorder("old")(answer)(Call(Tool("s.t", "t", "s")))
        with store.database.write() as db:
            db.exec_driver_sql("UPDATE execution SET started_at = started_at - 864000 WHERE id = 'old'")
            db.exec_driver_sql("UPDATE execution SET started_at = started_at - 10 WHERE id = 'big'")
        assert store.executions.purge(days=20, keep_bytes=10**9) == (0, 0)
        purged = store.executions.purge(keep_bytes=1_000_000)
        assert purged.executions == 2
        assert purged.bytes > 3_000_000
        assert {each.id for each in store.executions.recent()} == {"new", "running"}
        assert store.calls.of("old") == []
        assert store.path.stat().st_size < 2_000_000


async def test_what_a_program_passes_to_its_calls_counts_for_what_is_kept(tmp_path):
    with Store.open(tmp_path / "t.db") as store:
        store.executions.start("ex_1", "local", "c", None, "1")
        store.executions.finish("ex_1", "ok", {})

        async def answer(call):
            return Result(None)

        ledger = Ledger(store)
        await ledger.recorder("ex_1")(answer)(Call(Tool("s.t", "t", "s"), {"text": "x" * 2_000_000}))
        await ledger.settled()
        assert store.executions.purge(keep_bytes=3_000_000).executions == 0
        purged = store.executions.purge(keep_bytes=1_000_000)
        assert (purged.executions, purged.bytes > 2_000_000) == (1, True)


def test_a_call_is_linked_to_the_latest_request_that_showed_the_tool(tmp_path):
    now = time.time()
    with Store.open(tmp_path / "t.db") as store:
        called = store.requests.called
        first, second, _ = store.requests.asked(
            [
                Asked("local", "c", "make an issue", ["git.create_issue"], now - 50),
                Asked("local", "c", "what time is it", ["time.now"], now - 40),
                Asked("local", "other", "elsewhere", ["git.create_issue"], now - 1),
            ]
        )
        called("local", "c", [("git.create_issue", True)], now - 30)
        called("local", "c", [("git.log", False)], now - 20)
        called("ada", "c", [("git.log", True)], now)
        called("local", "c", [("git.log", True)], now + WINDOW)
        assert store.requests.pairs() == [
            Pair(first, "make an issue", "git.create_issue", True, True, now - 30),
            Pair(second, "what time is it", "git.log", False, False, now - 20),
        ]
        assert store.requests.purge(now - 45) == 1
        assert [pair.request for pair in store.requests.pairs()] == [second]
