"""No worker of Monty's outlives the server, not even its `kill -9`, and none takes the server with it."""

import _thread
import asyncio
import os
import signal
import subprocess
import sys
import threading

import anyio
import pytest

from toolweft_server.sandbox.backends.monty import MontySandbox
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty import workers
from toolweft_server.upstream import leash

pytest.importorskip("pydantic_monty", reason="the extra `monty` is not installed")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are looked at through /proc or ps")

SERVER = """
import sys
import anyio
from toolweft_catalog.call import Result
from toolweft_server.sandbox.backends.monty import MontySandbox
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

class Host:
    async def call(self, tool, args, kwargs):
        print(tool, flush=True)
        if tool == "box.wait":
            await anyio.sleep_forever()
        return Result(None)

async def main():
    backend = MontySandbox()
    async with anyio.create_task_group() as tasks:
        for code in sys.argv[1:]:
            session = await backend.open(Limits())
            tasks.start_soon(session.run, Program("a", code, ("box",)), Host())

anyio.run(main)
"""
LOOPING = "box.loop()\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass"
WAITING = "box.wait()"

ENDS = """
import sys
import anyio
from toolweft_server.sandbox.backends.monty import MontySandbox
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

async def main():
    backend = MontySandbox()
    session = await backend.open(Limits(wall=0.1))
    outcome = await session.run(Program("a", "while True: pass"), None)
    assert outcome.status == "timeout", outcome
    if "closed" in sys.argv:
        await backend.aclose()
    elif "open" in sys.argv:
        await backend.open(Limits())

anyio.run(main)
"""


def family(process):
    """The process ids of everything that a process has started."""
    found, everyone = {process.pid}, list(leash.processes())
    for _ in everyone:
        found |= {each.pid for each in everyone if each.parent in found}
    return found - {process.pid}


def living(pids):
    return {each.pid for each in leash.processes()} & pids


@pytest.mark.parametrize("programs", [[LOOPING], [WAITING], [LOOPING, WAITING]], ids=["looping", "waiting", "both"])
async def test_workers_die_with_a_killed_server(programs, until):
    server = await anyio.open_process([sys.executable, "-c", SERVER, *programs], stdin=None, stderr=None)
    try:
        with anyio.fail_after(30):
            seen = b""
            while seen.count(b"\n") < len(programs):
                seen += await server.stdout.receive()
        started = family(server)
        assert len(started) > len(programs)  # their guard, too
    finally:
        server.kill()
        await server.aclose()
    try:
        await until(lambda: not living(started))
    finally:
        for pid in living(started):
            os.kill(pid, signal.SIGKILL)


async def test_guard_that_was_killed_is_replaced_and_holds_those_that_ran_before(until):
    backend = MontySandbox()
    try:
        first = await backend.open(Limits())
        held = backend._workers._guard
        os.kill(held.pid, signal.SIGKILL)
        await until(lambda: held.pid not in living({held.pid}))
        second = await backend.open(Limits())
        replaced = backend._workers._guard
        assert replaced.pid != held.pid
        replaced.stdin.close()  # as the server's end would
        await until(lambda: not living({first._pid, second._pid, replaced.pid}))
    finally:
        await backend.aclose()


@pytest.mark.parametrize(("end", "rounds"), [("closed", 2), ("left", 1), ("open", 1)])
async def test_server_that_ran_monty_exits_cleanly_right_after_it_killed_a_worker(end, rounds):
    done = []

    async def one():
        done.append(await anyio.run_process([sys.executable, "-c", ENDS, end], stderr=subprocess.PIPE, check=False))

    with anyio.fail_after(120):
        for _ in range(rounds):  # five at a time: they get into each other's way
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(one)
    assert [(each.returncode, each.stderr) for each in done] == [(0, b"")] * 5 * rounds


async def test_closing_waits_for_threads_that_still_tell_the_event_loop_something(until, monkeypatch):
    """As Monty's do, which Python does not know: `_thread` starts such ones, too."""
    monkeypatch.setattr(workers, "SETTLE_GRACE", 60)
    entered, leave, closed = anyio.Event(), threading.Lock(), []
    loop = asyncio.get_running_loop()

    class Loop:
        def call_soon_threadsafe(self):
            loop.call_soon_threadsafe(entered.set)
            leave.acquire(timeout=30)

    backend = MontySandbox()
    await backend.open(Limits())
    leave.acquire()

    async def close():
        await backend.aclose()
        closed.append(True)

    async with anyio.create_task_group() as tasks:
        _thread.start_new_thread(Loop().call_soon_threadsafe, ())
        await entered.wait()
        tasks.start_soon(close)
        await until(lambda: backend._workers._guard is None)
        assert closed == []
        leave.release()
    assert closed == [True]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits a process from outside")
async def test_the_kernel_ends_a_session_that_used_its_processor_time():
    backend = MontySandbox()
    try:
        session = await backend.open(Limits(session_cpu=1))
        outcome = await session.run(Program("a", "while True: pass"), None)
    finally:
        await backend.aclose()
    assert (outcome.status, outcome.limits, outcome.kept) == ("limit", ("session_cpu",), False)
    assert "processor time" in outcome.reset_reason
