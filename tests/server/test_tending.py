"""Lists of tools are read when their servers say so, and a server that says so all the time is read now and then."""

from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from toolweft_catalog.tool import Tool
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.live import LiveCatalog
from toolweft_server.store.store import Store
from toolweft_server.tending import Readings
from toolweft_server.upstream.base import Manifest
from toolweft_server.upstream.gateway import Gateway


class Server:
    """Counts how often its tools are listed; `restless` says each time that they changed, `hung` never answers.
    `growing` has one more each time.
    """

    def __init__(self, name, *, restless=False, hung=False, growing=False):
        self.name, self.restless, self.hung, self.growing = name, restless, hung, growing
        self.on_change = None
        self.listed, self.news = 0, anyio.Event()

    async def manifest(self):
        self.listed += 1
        self.news.set()
        self.news = anyio.Event()
        if self.hung:
            await anyio.sleep_forever()
        if self.restless:
            self.on_change()
        tools = [Tool("", f"tool_{n}", self.name, "One.") for n in range(self.listed if self.growing else 0)]
        return Manifest(tools=tuple(tools))

    async def reach(self, times):
        with anyio.fail_after(20):
            while self.listed < times:
                await self.news.wait()

    async def aclose(self):
        pass


class Words:
    """The index that there is."""

    note = None

    def open(self, catalog):
        return LexicalIndex.build(catalog.tools([each.id for each in catalog]))

    def save(self, index):
        pass


@pytest.fixture
def reading(tmp_path):
    @asynccontextmanager
    async def reading(*servers):
        store = Store.open(tmp_path / "t.db")
        gateway = Gateway({each.name: each for each in servers})
        live = LiveCatalog(store, gateway, Words(), library=list, entries={each.name: "entry" for each in servers})
        await live.open()
        async with anyio.create_task_group() as tasks:
            readings = Readings(live, tasks)
            for each in servers:
                each.on_change = partial(readings.changed, each.name)
            yield readings, live
            tasks.cancel_scope.cancel()
        store.close()

    return reading


async def test_a_server_that_changes_whenever_it_is_read_is_read_once_more_and_then_after_a_pause(reading, monkeypatch):
    monkeypatch.setattr(Readings, "pauses", (0.0, 3600.0))
    server = Server("restless", restless=True)
    async with reading(server) as (readings, live):
        readings.begin(["restless"])
        await server.reach(2)
        with anyio.move_on_after(0.5):
            await server.reach(3)
        assert server.listed == 2
        assert await live.settled(0) == []  # nobody who searches waits for the pause


async def test_a_restless_server_is_read_again_when_its_pause_is_over(reading, monkeypatch):
    monkeypatch.setattr(Readings, "pauses", (0.0, 0.01, 0.02))
    server = Server("restless", restless=True)
    async with reading(server) as (readings, _):
        readings.begin(["restless"])
        await server.reach(6)


async def test_a_server_whose_tools_do_change_is_read_soon_each_time(reading, monkeypatch):
    monkeypatch.setattr(Readings, "pauses", (0.01, 3600.0))
    server = Server("growing", restless=True, growing=True)
    async with reading(server) as (readings, _):
        readings.begin(["growing"])
        await server.reach(6)


async def test_what_a_server_says_while_it_pauses_is_one_reading(reading, monkeypatch):
    monkeypatch.setattr(Readings, "pauses", (0.3, 3600.0))
    server = Server("busy")
    async with reading(server) as (readings, live):
        readings.begin(["busy"])
        await server.reach(1)
        await live.settled(20)
        for _ in range(5):
            readings.changed("busy")
        await server.reach(2)
        with anyio.move_on_after(0.5):
            await server.reach(3)
        assert server.listed == 2


async def test_a_change_is_read_while_another_server_hangs(reading):
    hung, lively = Server("hung", hung=True), Server("lively", restless=True)
    async with reading(hung, lively) as (readings, live):
        readings.begin(["hung", "lively"])
        await lively.reach(2)
        assert "hung" in await live.settled(0)
