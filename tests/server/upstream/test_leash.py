"""Whatever ends, and however: no process of an upstream is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from toolweft_server.upstream import leash

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows starts upstreams without a leash")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to the leash")

USER = """
import asyncio, sys
from toolweft_catalog.call import Call
from toolweft_catalog.tool import Tool
from toolweft_server.upstream.mcp import McpUpstream, StdioEntry

async def main():
    upstream = McpUpstream("odd", config=StdioEntry(sys.executable, ["-I", *sys.argv[1:]]))
    await upstream(Call(Tool(id="odd.echo", name="echo", server="odd"), {}))
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def run_leash(*command: str, **options) -> tuple[subprocess.Popen, int]:
    """The leash over a command, and our end of its lifeline."""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", leash.__file__, str(reader), "--", *command],
        pass_fds=[reader], start_new_session=True, **options,
    )  # fmt: skip
    os.close(reader)
    return process, writer


@pytest.fixture
def odd(tmp_path):
    """The script of a server that ignores SIGTERM and EOF, as its child does, and how to read both pids."""
    notes = tmp_path / "pids"

    def pids() -> list[int]:
        return [int(pid) for pid in notes.read_text(encoding="utf-8").split()] if notes.exists() else []

    return [str(Path(__file__).parent / "servers/odd.py"), "stubborn", str(notes)], pids


@linux
async def test_kill_9_of_the_process_that_uses_an_upstream_leaves_nobody(odd, alive, until):
    script, pids = odd
    user = subprocess.Popen([sys.executable, "-c", USER, *script], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert await anyio.to_thread.run_sync(user.stdout.readline) == b"ready\n"
    family = pids()
    assert len(family) == 2
    assert all(alive(pid) for pid in family)
    user.kill()
    user.wait()
    user.stdout.close()
    await until(lambda: not any(alive(pid) for pid in family))


@linux
async def test_stopping_an_upstream_that_ignores_everything_leaves_nobody(start, call, odd, alive):
    script, pids = odd
    upstream = start("stubborn", script[-1])
    assert (await upstream(call("echo"))).ok
    family = pids()
    await upstream.aclose()
    assert [alive(pid) for pid in family] == [False, False]


@linux
async def test_kill_9_of_the_leash_ends_its_upstream_and_the_next_call_works(start, call, tmp_path, until, alive):
    me = os.getpid()
    others = {each.pid for each in leash.processes() if each.parent == me}  # what earlier tests share
    upstream = start("good")
    assert (await upstream(call("echo"))).ok
    (held,) = [
        each.pid
        for each in leash.processes()
        if each.parent == me and each.session == each.pid and each.pid not in others
    ]
    (server,) = [each.pid for each in leash.processes() if each.parent == held]
    os.kill(held, signal.SIGKILL)
    await until(lambda: not alive(server))
    await until(lambda: not upstream.running)
    assert (await upstream(call("echo", {"text": "next"}))).value == "next"


@linux
async def test_children_that_an_upstream_leaves_behind_end_with_it(tmp_path, alive, until):
    notes = tmp_path / "pid"
    leaver = f"(setsid sleep 600 & echo $! > {notes}); exit 7"
    process, lifeline = run_leash("sh", "-c", leaver)
    assert await anyio.to_thread.run_sync(process.wait) == 7
    os.close(lifeline)
    await until(lambda: not alive(int(notes.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("stop", ["lifeline", "SIGTERM", "SIGINT"])
async def test_the_leash_ends_when_it_is_told_to(stop, until):
    process, lifeline = run_leash("sleep", "600")
    if stop == "lifeline":
        os.close(lifeline)
    else:
        await until(lambda: [each for each in leash.processes() if each.parent == process.pid])
        process.send_signal(getattr(signal, stop))
    code = await anyio.to_thread.run_sync(process.wait)
    if stop != "lifeline":
        os.close(lifeline)
    assert code == 128 + signal.SIGTERM


@pytest.mark.parametrize(("program", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_code_passes_through(program, code):
    process, lifeline = run_leash("sh", "-c", program)
    assert process.wait() == code
    os.close(lifeline)


def test_standard_streams_pass_through_and_the_lifeline_does_not():
    listing = "import os, sys; print(sorted(os.listdir('/proc/self/fd')) if os.path.exists('/proc/self/fd') else 0)"
    process, lifeline = run_leash(
        sys.executable, "-I", "-S", "-c", f"{listing}; print(sys.stdin.read(), file=sys.stderr)",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = process.communicate(b"hello", timeout=30)
    os.close(lifeline)
    # The fourth is that of the listing itself.
    assert out.strip() in (b"['0', '1', '2', '3']", b"0")
    assert err.strip() == b"hello"


def test_signals_reach_the_upstream_with_their_usual_meaning():
    shown = "import signal; print(signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    process, lifeline = run_leash(sys.executable, "-I", "-S", "-c", shown, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=30)
    os.close(lifeline)
    assert out.strip() == b"0 set()" or b"SIG_DFL set()" in out


def test_without_proc_the_table_of_ps_says_the_same(monkeypatch):
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    seen = {each.pid: each for each in leash.processes()}[sleeper.pid]
    monkeypatch.setattr(leash.os, "listdir", lambda _: [])
    asked = {each.pid: each for each in leash.processes()}[sleeper.pid]
    sleeper.kill()
    sleeper.wait()
    assert (asked.parent, asked.group) == (seen.parent, seen.group) == (os.getpid(), sleeper.pid)
