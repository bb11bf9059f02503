"""`Sessions`: names, owners, one at a time, what is closed when, and what is said about it."""

from contextlib import suppress

import anyio
import pytest
import pytest_asyncio

from toolweft_catalog.wire import SessionState
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.pool import Sessions


@pytest_asyncio.fixture(loop_scope="session")
async def sessions(backend):
    async with Sessions(backend, Limits(), warm=0) as opened:
        yield opened


def program(code):
    return Program("ex_1", code, ("box",))


def child_of(sessions, name):
    return sessions._named["me", name].session.child


async def test_named_session_keeps_variables_and_one_shot_runs_do_not(sessions, host):
    await sessions.run(program("x = 5"), host, owner="me", session="s")
    ran = await sessions.run(program("x"), host, owner="me", session="s")
    assert (ran.outcome.value, ran.state) == (5, SessionState(name="s", state="kept"))
    await sessions.run(program("x = 5"), host, owner="me", session=None)
    ran = await sessions.run(program("x"), host, owner="me", session=None)
    assert (ran.outcome.error.type, ran.state) == ("NameError", None)


async def test_owners_with_the_same_session_name_share_nothing(sessions, host):
    await sessions.run(program("x = 5"), host, owner="me", session="s")
    ran = await sessions.run(program("x"), host, owner="you", session="s")
    assert ran.outcome.error.type == "NameError"


async def test_second_run_in_a_busy_session_is_told_so_and_does_not_disturb(sessions, host):
    first = []

    async def run_first():
        first.append(await sessions.run(program("x = box.gate()\nx"), host, owner="me", session="s"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_first)
        await host.arrived.wait()
        ran = await sessions.run(program("1"), host, owner="me", session="s")
        assert ran.outcome.error.type == "SessionBusy"
        assert ran.outcome.error.message == "session busy: another program runs in session 's'"
        host.open.set()
    assert first[0].outcome.value == "opened"


async def test_two_first_runs_of_one_name_open_one_child(sessions, host):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: sessions.run(program("box.gate()"), host, owner="me", session="s"))
        await anyio.lowlevel.checkpoint()
        ran = await sessions.run(program("1"), host, owner="me", session="s")
        assert ran.outcome.error.type == "SessionBusy"
        host.open.set()


ANSWERS_ON_THEIR_WAY = """
import threading
first = threading.Event()
def ask():
    box.big(3_000_000)
    first.set()
for _ in range(20):
    threading.Thread(target=ask, daemon=True).start()
first.wait()
x = 41
"""


async def test_session_goes_on_after_a_run_that_ended_while_answers_were_on_their_way(sessions, host):
    ran = await sessions.run(Program("a", ANSWERS_ON_THEIR_WAY, ("box",)), host, owner="o", session="s")
    assert (ran.outcome.status, ran.state.state) == ("ok", "kept")
    ran = await sessions.run(Program("b", "x + 1", ("box",), timeout=10.0), host, owner="o", session="s")
    assert (ran.outcome.value, ran.outcome.error, ran.state.state) == (42, None, "kept")


async def test_crash_is_said_once(sessions, host):
    ran = await sessions.run(program("import os; os._exit(3)"), host, owner="me", session="s")
    assert ran.state == SessionState(
        name="s", state="reset", reason="the program ended its process with exit status 3"
    )  # fmt: skip
    ran = await sessions.run(program("2"), host, owner="me", session="s")
    assert ran.state == SessionState(name="s", state="kept")


async def test_child_killed_between_runs_is_noticed_and_said(sessions, host, until):
    await sessions.run(program("x = 1"), host, owner="me", session="s")
    child = child_of(sessions, "s")
    child.kill()
    await until(lambda: not child.alive)
    ran = await sessions.run(program("2"), host, owner="me", session="s")
    assert ran.outcome.value == 2
    assert ran.state.state == "reset"
    assert ran.state.reason == "its process had ended; this run began without variables"


async def test_cancelled_run_resets_its_session_and_says_so_next_time(sessions, host):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: sessions.run(program("box.gate()"), host, owner="me", session="s"))
        await host.arrived.wait()
        tasks.cancel_scope.cancel()
    ran = await sessions.run(program("2"), host, owner="me", session="s")
    assert (ran.outcome.value, ran.state.state) == (2, "reset")
    assert ran.state.reason == "the run before was cancelled; this run began without variables"


async def test_session_idle_longest_makes_room(backend, host):
    async with Sessions(backend, Limits(sessions=2), warm=0) as sessions:
        for name in ("a", "b", "a", "c"):
            await sessions.run(program(f"x = {name!r}"), host, owner="me", session=name)
        assert (await sessions.run(program("x"), host, owner="me", session="a")).outcome.value == "a"
        ran = await sessions.run(program("2"), host, owner="me", session="b")
        assert ran.state.reason == "it was closed to make room for another session; this run began without variables"


async def test_all_sessions_busy_is_a_clear_error(backend, host):
    async with Sessions(backend, Limits(sessions=1), warm=0) as sessions, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: sessions.run(program("box.gate()"), host, owner="me", session=None))
        await host.arrived.wait()
        with pytest.raises(SandboxError, match=r"1 programs are running \(limit `sessions`\)"):
            await sessions.run(program("1"), host, owner="me", session=None)
        host.open.set()


async def test_idle_session_is_closed_and_the_next_run_says_why(backend, host, until):
    async with Sessions(backend, Limits(idle=0.05), warm=0) as sessions:
        await sessions.run(program("x = 1"), host, owner="me", session="s")
        child = child_of(sessions, "s")
        await until(lambda: not child.alive)
        ran = await sessions.run(program("2"), host, owner="me", session="s")
        assert ran.state.reason == "it was closed after 0.05 s without use; this run began without variables"


async def test_waiting_child_is_used_once_and_replaced(backend, host):
    async with Sessions(backend, Limits(), warm=1) as sessions:
        await sessions.prepare()
        code = "first = 'x' not in globals()\nx = 1\nfirst"
        ran = [await sessions.run(program(code), host, owner="me", session=None) for _ in range(3)]
        assert [each.outcome.value for each in ran] == [True, True, True]


async def test_closed_sessions_leave_nothing_and_refuse_work(host, tmp_path):
    sessions = Sessions(UnsafeProcess(folder=tmp_path), Limits(), warm=1)
    await sessions.prepare()
    await sessions.run(program("1"), host, owner="me", session="s")
    await sessions.aclose()
    await sessions.aclose()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SandboxError, match="closed"):
        await sessions.run(program("1"), host, owner="me", session="s")


async def test_reset_on_request_is_said(sessions, host):
    await sessions.run(program("x = 1"), host, owner="me", session="s")
    sessions.reset("me", "s")
    ran = await sessions.run(program("2"), host, owner="me", session="s")
    assert ran.state.reason == "it was reset on request; this run began without variables"


async def test_session_closed_while_it_opens_or_runs_leaves_no_child(host, tmp_path):
    sessions = Sessions(UnsafeProcess(folder=tmp_path), Limits(), warm=0)
    raised = []

    async def try_run(code):
        try:
            raised.append(await sessions.run(program(code), host, owner="me", session=code))
        except SandboxError as error:
            raised.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(try_run, "box.gate()")
        await host.arrived.wait()
        tasks.start_soon(try_run, "1")
        await anyio.lowlevel.checkpoint()
        await sessions.aclose()
    assert len(raised) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps", [1, 10, 100])
async def test_child_that_starts_while_sessions_are_closed_is_ended_by_then(tmp_path, steps):
    sessions = Sessions(UnsafeProcess(folder=tmp_path), Limits(), warm=1)

    async def prepare():
        with suppress(SandboxError):  # closed
            await sessions.prepare()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prepare)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        await sessions.aclose()
        assert list(tmp_path.iterdir()) == []


async def test_thousands_of_empty_files_do_not_hold_the_server(sessions, host):
    code = (
        "import json, os, struct\nb = json.dumps({'kind': 'file', 'name': 'x', 'data': ''}).encode()\n"
        "b = (struct.pack('>I', len(b)) + b) * 1000\nwhile True: os.write(3, b)"
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: sessions.run(program(code), host, owner="me", session="flood"))
        ran = await sessions.run(program("1 + 1"), host, owner="me", session="s")
        assert ran.outcome.value == 2
        tasks.cancel_scope.cancel()
