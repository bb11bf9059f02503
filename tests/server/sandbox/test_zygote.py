"""What becomes of sessions, descriptors and processes when a zygote dies, or is given up, at any moment."""

import asyncio
import os
import resource
import select
import signal
import sys
from contextlib import suppress

import anyio
import pytest
import pytest_asyncio

import census
import tiers
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="zygotes are Linux's")


class Watched:
    """A tier that forks, and what it added to this process since it was made."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.strangers = set(census.descendants(os.getpid()))
        self.descriptors = census.descriptors()
        self.backend = None

    def processes(self):
        return {pid: line for pid, line in census.descendants(os.getpid()).items() if pid not in self.strangers}

    def kill(self):
        """Without a turn of the loop, which would notice."""
        dead = [os.pidfd_open(pid) for pid in self.processes()]  # the waiter, and the zygote that outlives it a bit
        for each in dead:
            signal.pidfd_send_signal(each, signal.SIGKILL)
        for each in dead:
            select.select([each], [], [])
            os.close(each)

    async def answers(self, host):
        session = await self.backend.open(Limits())
        outcome = await session.run(Program("x", "1 + 1"), host)
        await session.aclose()
        return outcome.value == 2


@pytest_asyncio.fixture(params=["namespaces", "chroot", "landlock"], loop_scope="session")
async def tier(request, tmp_path_factory):
    watched = Watched(request.param, tmp_path_factory.getbasetemp() / f"zygote-{request.param}")
    watched.backend = await tiers.start(request.param, watched.folder)
    yield watched
    await watched.backend.aclose()
    assert watched.processes() == {}
    assert census.descriptors() == watched.descriptors


async def test_sessions_die_with_their_zygote_and_the_next_open_starts_another(tier, host, until):
    zygote = list(tier.processes())
    sessions = [await tier.backend.open(Limits()) for _ in range(3)]
    await sessions[0].run(Program("x", "1"), host)  # frozen now
    born = set(tier.processes())
    async with anyio.create_task_group() as tasks:
        outcomes = []

        async def loop():
            outcomes.append(await sessions[1].run(Program("x", "box.gate()\nwhile True: pass", ("box",)), host))

        tasks.start_soon(loop)
        await host.arrived.wait()
        host.open.set()
        os.kill(zygote[0], signal.SIGKILL)
    assert [outcome.status for outcome in outcomes] == ["crashed"]
    await until(lambda: not any(session.alive for session in sessions))
    for session in sessions:
        await session.aclose()
    assert await tier.answers(host)
    await until(lambda: not born & set(tier.processes()))


async def test_zygote_that_dies_unnoticed_costs_the_next_open_nothing(tier, host):
    for _ in range(2):
        tier.kill()
        assert await tier.answers(host)


async def test_zygote_is_renewed_after_many_sessions_and_the_old_one_ends_with_its_last(tier, host, until, monkeypatch):
    monkeypatch.setattr("toolweft_server.sandbox.backends.linux.RENEWED", 3)
    fresh, before = tiers.backend(tier.name, tier.folder), tier.processes()
    try:
        kept = await fresh.open(Limits())
        await kept.run(Program("x", "x = 41"), host)
        first = next(iter(tier.processes().keys() - before.keys()))
        for _ in range(2):
            await (await fresh.open(Limits())).aclose()
        last = await fresh.open(Limits())  # by the old one still, while another starts
        await last.aclose()
        await until(lambda: fresh._renewing is None)
        assert (await kept.run(Program("x", "x + 1"), host)).value == 42
        assert first in tier.processes()
        session = await fresh.open(Limits())
        assert (await session.run(Program("x", "1 + 1"), host)).value == 2
        await kept.aclose()
        await until(lambda: first not in tier.processes())
        assert (await session.run(Program("x", "1 + 2"), host)).value == 3
        await session.aclose()
    finally:
        await fresh.aclose()
    await until(lambda: not tier.processes().keys() - before.keys())


async def test_tier_closed_in_the_moment_of_a_renewal_leaves_neither_zygote(tier, until, monkeypatch):
    monkeypatch.setattr("toolweft_server.sandbox.backends.linux.RENEWED", 1)
    fresh, before = tiers.backend(tier.name, tier.folder), tier.processes()
    kept = [await fresh.open(Limits()) for _ in range(2)]
    while fresh._renewing is not None:  # to the very turn of the loop
        await asyncio.sleep(0)
    await fresh.aclose()
    for each in kept:
        await each.aclose()
    await until(lambda: not tier.processes().keys() - before.keys())


async def test_zygote_that_cannot_be_replaced_is_tried_once_and_said(tier, host, tmp_path, monkeypatch):
    script, starts = tmp_path / "broken.py", tmp_path / "starts"
    script.write_text(f"open({str(starts)!r}, 'a').write('x')\nraise SystemExit('no luck')", encoding="utf-8")
    monkeypatch.setattr("toolweft_server.sandbox.backends.linux.RUNNER", script)
    tier.kill()
    with pytest.raises(SandboxError, match="no luck"):
        await tier.backend.open(Limits())
    assert starts.read_text(encoding="utf-8") == "x"
    monkeypatch.undo()
    assert await tier.answers(host)


async def test_open_cancelled_at_any_step_leaves_no_process_and_no_descriptor(tier, host, until):
    assert await tier.answers(host)
    zygote, descriptors = tier.processes(), census.descriptors()
    for step in range(20):
        opening = asyncio.create_task(tier.backend.open(Limits()))
        with anyio.move_on_after(0.0015 * step):
            await asyncio.wait([opening])
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await (await opening).aclose()
    await until(lambda: tier.processes() == zygote)
    assert census.descriptors() == descriptors
    assert await tier.answers(host)


@pytest.mark.parametrize("steps", [0, 1, 3, 10])
async def test_tier_closed_while_it_starts_starts_nothing(tier, steps):
    fresh = tiers.backend(tier.name, tier.folder)
    before = tier.processes()
    opening = [asyncio.create_task(fresh.open(Limits())) for _ in range(3)]
    for _ in range(steps):
        await asyncio.sleep(0)
    await asyncio.gather(fresh.aclose(), fresh.aclose())
    for each in opening:
        with pytest.raises(SandboxError, match="closed"):
            await each
    assert tier.processes() == before
    with pytest.raises(SandboxError, match="closed"):
        await fresh.open(Limits())


async def test_session_closed_by_two_at_once_is_closed_once(tier, host):
    descriptors = census.descriptors()
    session = await tier.backend.open(Limits())
    await asyncio.gather(*(session.aclose() for _ in range(3)), session.child.exit_status(), session.child.aclose())
    assert census.descriptors() == descriptors


async def test_full_descriptor_table_is_an_error_that_passes(tier, host, until):
    zygote, descriptors = tier.processes(), census.descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0) for _ in range(64)]  # no gaps are left below the last of these
    errors = []
    for spare in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + spare + 1, hard))
        try:
            await (await tier.backend.open(Limits())).aclose()
        except SandboxError as error:
            errors.append(str(error))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for descriptor in taken:
        os.close(descriptor)
    assert errors
    assert all("descriptor" in error for error in errors)
    await until(lambda: tier.processes() == zygote)
    assert census.descriptors() == descriptors
    assert await tier.answers(host)


async def test_sessions_work_beyond_a_thousand_descriptors(tier, host):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip(f"this process may have {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    taken = [os.dup(0) for _ in range(1100)]
    try:
        assert await tier.answers(host)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_half_made_trees_of_dead_servers_are_swept(tmp_path):
    import fcntl

    (tmp_path / "root-1-dead.half" / "usr").mkdir(parents=True)
    (tmp_path / "root-1-made.half").mkdir()
    busy = os.open(tmp_path / "root-1-made.half", os.O_RDONLY)
    fcntl.flock(busy, fcntl.LOCK_EX)
    await (await tiers.start("chroot", tmp_path)).aclose()
    os.close(busy)
    assert [path.name for path in tmp_path.glob("*.half")] == ["root-1-made.half"]
