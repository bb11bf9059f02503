"""Many upstreams as one caller."""

import anyio
import pytest

from toolweft_catalog.call import Result
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.base import Manifest
from toolweft_server.upstream.gateway import Gateway


class Counting:
    """An upstream that says how many of its calls ran side by side."""

    def __init__(self, name="odd", *, broken=False):
        self.name, self.on_change, self.broken = name, None, broken
        self.now = self.most = 0
        self.arrived, self.go = anyio.Event(), anyio.Event()
        self.closed = False

    async def manifest(self):
        await self.__call__(None)
        if self.broken:
            raise UpstreamError(self.name, "no_start", "it is broken.")
        return Manifest(())

    async def __call__(self, call):
        self.now += 1
        self.most = max(self.most, self.now)
        self.arrived.set()
        await self.go.wait()
        self.now -= 1
        if self.broken:
            raise RuntimeError("a defect")
        return Result(self.name)

    async def aclose(self):
        self.closed = True
        if self.broken:
            raise RuntimeError("cannot stop")


async def side_by_side(gateway, upstream, calls) -> int:
    async with anyio.create_task_group() as tasks:
        for each in calls:
            tasks.start_soon(gateway, each)
        await anyio.wait_all_tasks_blocked()
        upstream.go.set()
    return upstream.most


@pytest.mark.parametrize(
    ("effect", "configured", "most"), [("read", None, 8), ("write", None, 1), ("write", 3, 3), ("read", 1, 1)]
)
async def test_read_only_calls_run_side_by_side_and_others_in_turn(call, effect, configured, most):
    upstream = Counting()
    gateway = Gateway({"odd": upstream}, concurrency={"odd": configured})
    assert await side_by_side(gateway, upstream, [call("a", effect=effect) for _ in range(12)]) == most


async def test_a_server_that_is_listed_but_not_configured_is_named(call):
    failure = (await Gateway({"git": Counting("git")})(call("a", server="gone"))).failure
    assert (failure.kind, failure.sent) == ("unavailable", False)
    assert "gone.a is listed, but no server 'gone' is configured here" in failure.message
    assert "configured: git" in failure.message


async def test_a_defect_in_one_upstream_costs_itself_alone(call, caplog):
    broken, sound = Counting("broken", broken=True), Counting("sound")
    gateway = Gateway({"broken": broken, "sound": sound})
    for upstream in (broken, sound):
        upstream.go.set()
    assert (await gateway(call("a", server="broken"))).failure.kind == "unavailable"
    assert (await gateway(call("a", server="sound"))).value == "sound"
    await gateway.aclose()
    assert (broken.closed, sound.closed) == (True, True)


async def test_manifests_come_four_at_a_time_each_as_soon_as_it_is_there():
    upstreams = {f"s{n}": Counting(f"s{n}", broken=n == 2) for n in range(6)}
    gateway, answers = Gateway(upstreams), {}

    async def read():
        answers.update({name: answer async for name, answer in gateway.manifests([*upstreams, "unknown"])})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        assert sum(each.arrived.is_set() for each in upstreams.values()) == 4
        for each in upstreams.values():
            each.go.set()
    broken = {name for name, answer in answers.items() if isinstance(answer, UpstreamError)}
    assert (len(answers), broken) == (7, {"s2", "unknown"})


async def test_leaving_the_manifests_early_cancels_the_rest():
    upstreams = {f"s{n}": Counting(f"s{n}") for n in range(3)}
    upstreams["s0"].go.set()
    manifests = Gateway(upstreams).manifests(upstreams)
    assert (await anext(manifests))[0] == "s0"
    await manifests.aclose()
