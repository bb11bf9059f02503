"""Programs that break things: each ends in a defined outcome, and the next run is fine.

On `unsafe-process`, where nothing but the server's own rules holds them; `tests/escape` has the tiers that isolate.
"""

import json
import os
import struct

import anyio
import pytest
import pytest_asyncio

from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import MIB, Limits
from toolweft_server.sandbox.texts import limit_hit

SEND = """
import json, os, struct, time
def send(frame, body=None):
    body = body if body is not None else json.dumps(frame).encode()
    os.write(3, struct.pack(">I", len(body)) + body)
"""

CRASHES = {
    "exit": ("import os\nos._exit(7)", "exit status 7"),
    "abort": ("import os\nos.abort()", "SIGABRT"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    "own_group_killed": ("import os, signal\nos.killpg(0, signal.SIGKILL)", "killed from outside"),
    "alarm": ("import signal, time\nsignal.alarm(1)\ntime.sleep(30)", "SIGALRM"),
}

FORGED = {
    "not_json": ("send(None, b'{')", "not JSON"),
    "not_utf8": ("send(None, b'\\xff\\xfe')", "not JSON"),
    "not_an_object": ("send([1])", "not an object"),
    "unknown_kind": ("send({'kind': 'root'})", "unknown kind"),
    "no_kind": ("send({})", "unknown kind"),
    "too_long": ("os.write(3, b'\\xff\\xff\\xff\\xff')", "above the cap"),
    "nan": ('send(None, b\'{"kind":"done","value":NaN}\')', "not JSON"),
    "infinite": ('send(None, b\'{"kind":"done","value":1e999}\')', "not JSON"),
    "deep": ("send(None, b'{\"kind\":\"call\",\"a\":' + b'[' * 5000 + b']' * 5000 + b'}')", "frame"),
    "deeper": ("send(None, b'[' * 1000000)", "not JSON"),
    "wrong_run": (
        "send({'kind': 'done', 'id': 'other', 'status': 'ok', 'error': None, 'repr': None, 'limits': []})",
        "another run",
    ),
    "bool_as_id": ("send({'kind': 'call', 'c': True, 'f': 'box.gate', 'a': [], 'k': {}})", "'c' is bool"),
    "huge_id": ("send({'kind': 'call', 'c': 2**60, 'f': 'box.gate', 'a': [], 'k': {}})", "out of range"),
    "same_id_twice": ("[send({'kind': 'call', 'c': 9, 'f': 'box.gate', 'a': [], 'k': {}}) for _ in '12']", "twice"),
    "extra_key": ("send({'kind': 'save', 'c': 9, 'name': 'x', 'admin': True})", "unknown keys"),
    "second_hello": ("send({'kind': 'hello', 'version': 1, 'guarded': True})", "second hello"),
    "file_outside": ("send({'kind': 'file', 'name': '../x', 'data': ''})", "no relative path"),
    "file_absolute": ("send({'kind': 'file', 'name': '/etc/x', 'data': ''})", "no relative path"),
    "bad_base64": ("send({'kind': 'file', 'name': 'x', 'data': '!'})", "not base64"),
    "contradiction": (
        "send({'kind': 'done', 'id': 'ex_1', 'status': 'error', 'error': None, 'repr': None, 'limits': []})",
        "contradicts",
    ),
    "blob_off_the_path": (
        "send({'kind': 'done', 'id': 'ex_1', 'status': 'ok', 'error': None, 'repr': None, 'limits': [],"
        " 'value': [1], 'b': [[[5], 'a/b', '']]})",
        "leads nowhere",
    ),
    "blobs_without_end": (
        "send({'kind': 'done', 'id': 'ex_1', 'status': 'ok', 'error': None, 'repr': None, 'limits': [],"
        " 'value': [None] * 101, 'b': [[[n], 'a/b', ''] for n in range(101)]})",
        "101 blobs",
    ),
    "files_without_end": ("[send({'kind': 'file', 'name': f'f{n}', 'data': ''}) for n in range(101)]", "more files"),
    "speaking_on": (
        "d = {'kind': 'done', 'id': 'ex_1', 'status': 'ok', 'error': None, 'repr': None, 'limits': []}\n"
        "b = json.dumps(d).encode(); b = struct.pack('>I', len(b)) + b\nos.write(3, b + b)",
        "after its end",
    ),
}


@pytest_asyncio.fixture(loop_scope="session")
async def backend(tmp_path):
    return UnsafeProcess(folder=tmp_path)


@pytest.mark.parametrize("name", CRASHES)
async def test_crash_is_named_and_stays_inside(name, run, open_session, host):
    code, said = CRASHES[name]
    outcome = await run(code)
    assert (outcome.status, outcome.kept) == ("crashed", False)
    assert said in outcome.error.message
    assert outcome.reset_reason == outcome.error.message
    assert (await (await open_session()).run(Program("next", "1 + 1"), host)).value == 2


@pytest.mark.parametrize("name", FORGED)
async def test_forged_frame_ends_the_program(name, run):
    code, said = FORGED[name]
    outcome = await run(SEND + code + "\ntime.sleep(60)")
    assert (outcome.status, outcome.kept) == ("violation", False)
    assert said in outcome.error.message


async def test_closed_channel_is_a_violation(run):
    outcome = await run("import os\nos.close(3)\nbox.echo(1)")
    assert (outcome.status, outcome.kept) == ("violation", False)
    assert "closed its channel" in outcome.error.message


async def test_text_before_a_crash_is_kept(run):
    outcome = await run("print('before')\nimport os\nos._exit(1)")
    assert outcome.stdout == "before\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_much_output_is_cut_and_a_flood_ends_the_program(stream, open_session, host):
    session = await open_session(stdout=1000)
    cut = await session.run(Program("a", f"import sys\nsys.{stream}.write('x' * 5000)\nNone"), host)
    assert (cut.status, len(getattr(cut, stream)), cut.limits) == ("ok", 1000, (f"{stream}=1000 bytes",))
    flood = await session.run(Program("b", f"import sys\nwhile True: print('x' * 99, file=sys.{stream})"), host)
    assert (flood.status, flood.kept, len(getattr(flood, stream))) == ("limit", False, 1000)


async def test_endless_loop_ends_and_variables_survive(open_session, host):
    session = await open_session(wall=0.3)
    outcome = await session.run(Program("a", "x = 5\nwhile True:\n    pass"), host)
    assert (outcome.status, outcome.kept, outcome.limits) == ("timeout", True, ("wall=0.3 s",))
    assert (outcome.error.type, outcome.error.message) == (
        "TimeoutError",
        "the program ran longer than 0.3 s (waiting for tools aside)",
    )
    assert (await session.run(Program("b", "x"), host)).value == 5


async def test_endless_await_ends_and_the_loop_still_works(open_session, host):
    session = await open_session(wall=0.3)
    outcome = await session.run(Program("a", "import asyncio\nx = 5\nawait asyncio.sleep(60)"), host)
    assert (outcome.status, outcome.kept) == ("timeout", True)
    assert (await session.run(Program("b", "await asyncio.sleep(0, x)"), host)).value == 5


async def test_loop_that_swallows_the_interrupt_is_killed(open_session, host):
    session = await open_session(wall=0.3)
    # CPython blames an interrupt at a backward jump on the instruction before its target: that one is inside `try` too.
    code = "while True:\n    try:\n        x = 0\n        while True: sum(range(99))\n    except BaseException: pass"
    outcome = await session.run(Program("a", code), host)
    assert (outcome.status, outcome.kept) == ("timeout", False)
    assert outcome.reset_reason == "the program ran longer than 0.3 s (waiting for tools aside)"


async def test_call_that_never_returns_from_c_is_killed(open_session, host):
    session = await open_session(wall=0.3)
    outcome = await session.run(Program("a", "sum(range(10**15))"), host)
    assert (outcome.status, outcome.kept) == ("timeout", False)


async def test_timeout_of_the_program_wins_over_the_limit(open_session, host):
    session = await open_session()
    outcome = await session.run(Program("a", "while True: pass", timeout=0.2), host)
    assert outcome.limits == ("wall=0.2 s",)


async def test_processor_time_counts_while_a_tool_is_waited_for(open_session, host):
    session = await open_session(cpu=0.5)
    code = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()\nbox.gate()"
    outcome = await session.run(Program("a", code, ("box",)), host)
    assert (outcome.status, outcome.limits) == ("timeout", ("cpu=0.5 s",))


async def test_wall_clock_stops_while_a_tool_is_waited_for(open_session, host):
    session = await open_session(wall=0.5)
    async with anyio.create_task_group() as tasks:

        async def open_late():
            await host.arrived.wait()
            await anyio.sleep(1)  # twice what the program itself has
            host.open.set()

        tasks.start_soon(open_late)
        outcome = await session.run(Program("a", "box.gate()", ("box",)), host)
    assert (outcome.status, outcome.value) == ("ok", "opened")
    assert outcome.seconds < 0.5


async def test_endless_waiting_ends_at_the_total(open_session, host):
    session = await open_session(total=0.3)
    outcome = await session.run(Program("a", "box.gate()", ("box",)), host)
    assert (outcome.status, outcome.limits, outcome.kept) == ("timeout", ("total=0.3 s",), True)


async def test_descriptors_are_limited_and_the_limit_is_named(open_session, host):
    session = await open_session(open_files=32)
    outcome = await session.run(Program("a", "import os\nheld = []\nwhile True: held += os.pipe()"), host)
    assert (outcome.status, outcome.error.type, outcome.limits) == ("error", "OSError", ("open_files=32",))
    assert (await session.run(Program("b", "[os.close(each) for each in held]\n'free'"), host)).value == "free"


@pytest.mark.parametrize(
    ("error", "message", "told"),
    [
        ("OSError", "[Errno 28] No space left on device", "disk=64 MiB or inodes=4096"),
        ("OSError", "[Errno 27] File too large", "file_size=64 MiB"),
        ("RuntimeError", "can't start new thread", "threads=64"),
        ("OSError", "[Errno 2] No such file or directory: '[Errno 28]'", None),
        ("ValueError", "[Errno 28] No space left on device", None),
    ],
)
def test_an_error_of_pythons_is_told_as_the_limit_behind_it(error, message, told):
    assert limit_hit(Limits(), error, message) == told


async def test_memory_is_limited_and_variables_survive(open_session, host):
    session = await open_session(memory=256 * MIB)
    outcome = await session.run(Program("a", "x = 5\ny = 'y' * (1 << 29)"), host)
    assert (outcome.status, outcome.error.type, outcome.limits) == ("error", "MemoryError", ("memory=256 MiB",))
    grown = await session.run(Program("b", "z = []\nwhile True: z.append(bytes(1 << 20))"), host)
    assert grown.error.type == "MemoryError"
    assert (await session.run(Program("c", "z = None\nx"), host)).value == 5


async def test_many_threads_fit_the_memory(run):
    code = "import threading\ngo = threading.Event()\nts = [threading.Thread(target=go.wait) for _ in range(60)]\n"
    assert (await run(code + "[t.start() for t in ts]\ngo.set()\n[t.join() for t in ts]\nlen(ts)")).value == 60


async def test_flood_of_calls_waits_in_the_child(open_session, host):
    session = await open_session(pending_calls=4)
    host.crowd = 4
    code = "import asyncio\nlen(await asyncio.gather(*(box.meet(n) for n in range(200))))"
    outcome = await session.run(Program("a", code, ("box",)), host)
    assert (outcome.value, host.most) == (200, 4)


async def test_calls_above_the_limit_are_refused_and_twice_as_many_end_the_program(open_session, host):
    session = await open_session(calls=3)
    code = (
        "ok = 0\nfor n in range({}):\n    try: ok += bool(box.echo(n))\n"
        "    except ToolError as e: last = e.kind\n[ok, last]"
    )
    outcome = await session.run(Program("a", code.format(5), ("box",)), host)
    assert (outcome.value, outcome.limits) == ([3, "limit"], ("calls=3",))
    outcome = await session.run(Program("b", code.format(99), ("box",)), host)
    assert (outcome.status, outcome.kept) == ("limit", False)


async def test_a_program_that_ends_by_itself_while_it_is_being_ended_does_not_live_on(open_session, host):
    session = await open_session(calls=20)
    code = (
        "import asyncio\nfor n in range(45):\n    call = asyncio.create_task(tools.box.echo(n))\n"
        "await asyncio.sleep(0)\nawait asyncio.sleep(0)\n7"
    )
    outcome = await session.run(Program("p", code, ("box",)), host)
    assert (outcome.status, outcome.error.type, outcome.value) == ("limit", "LimitExceeded", None)
    assert (outcome.kept, session.alive) == (False, False)


async def test_what_an_open_call_takes_to_end_is_no_time_of_the_program(open_session, host):
    class Slow:
        async def call(self, tool, args, kwargs):
            host.arrived.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.8)

    session = await open_session(total=0.5, wall=0.5)
    code = "import threading\nthreading.Thread(target=box.gate, daemon=True).start()\n7"
    outcome = await session.run(Program("p", code, ("box",)), Slow())
    assert (outcome.status, outcome.value, outcome.kept) == ("ok", 7, True)


async def test_result_and_arguments_above_their_limits_are_tool_errors(open_session, host):
    session = await open_session(result=100_000, arguments=1000)
    code = "try: box.{}\nexcept ToolError as e: r = [e.kind, str(e)]\nr"
    kind, text = (await session.run(Program("a", code.format("big(300_000)"), ("box",)), host)).value
    assert (kind, "limit `result`" in text) == ("limit", True)
    kind, text = (await session.run(Program("b", code.format("echo('x' * 2000)"), ("box",)), host)).value
    assert (kind, "1000 are allowed" in text) == ("limit", True)


async def test_patched_library_does_not_change_how_results_travel(run):
    code = (
        "import json, os, sys, signal\njson.dumps = json.loads = None\njson.JSONEncoder.encode = None\n"
        "json.JSONEncoder.default = lambda self, o: 'x'\njson.JSONDecoder.decode = None\n"
        "os.write = os.read = os._exit = None\nsys.setrecursionlimit(60)\nsys.stdout = sys.stderr = None\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nbox.echo({'a': 1})"
    )
    assert (await run(code)).value == [{"a": 1}, {}]
    assert (await run("print('back')\n2")).stdout == "back\n"


async def test_closed_output_comes_back_in_the_next_run(run):
    await run("import sys\nsys.stdout.close()")
    assert (await run("print('back')")).stdout == "back\n"


async def test_forked_process_neither_speaks_nor_stays(run):
    code = (
        "import os\npid = os.fork()\nif pid == 0:\n    print('child', flush=True)\n"
        "else:\n    os.waitpid(pid, 0)\npid > 0"
    )
    outcome = await run(code)
    assert (outcome.status, outcome.value, outcome.stdout) == ("ok", True, "child\n")
    assert (await run("1 + 1")).value == 2


async def test_what_a_program_started_ends_with_its_session(open_session, host, until):
    session = await open_session()
    code = "import subprocess\nsubprocess.Popen(['sleep', '600']).pid"
    pid = (await session.run(Program("a", code), host)).value
    await session.aclose()
    await until(lambda: not _runs(pid))


async def test_threads_left_over_are_frozen_between_runs(open_session, host):
    session = await open_session()
    code = (
        "import threading\nn = 0\ndef count():\n    global n\n    while True: n += 1\n"
        "threading.Thread(target=count, daemon=True).start()"
    )
    await session.run(Program("a", code), host)
    stat = anyio.Path(f"/proc/{session.child.popen.pid}/stat")
    with anyio.fail_after(10):
        # The kernel stops a busy thread at its next tick, not within the call that asks for it.
        while (await stat.read_text(encoding="utf-8")).rpartition(")")[2].split()[0] != "T":
            await anyio.sleep(0.005)
    assert (await session.run(Program("b", "n > 0"), host)).value is True


async def test_thread_left_over_asks_in_the_next_run_only(open_session, host):
    session = await open_session()
    code = (
        "import threading\ngo = threading.Event()\ndone = threading.Event()\n"
        "def ask():\n    go.wait()\n    box.echo('late')\n    done.set()\n"
        "threading.Thread(target=ask, daemon=True).start()"
    )
    assert (await session.run(Program("a", code, ("box",)), host)).status == "ok"
    assert host.calls == []
    assert (await session.run(Program("b", "go.set()\ndone.wait()", ("box",)), host)).value is True
    assert [call[1] for call in host.calls] == [["late"]]


async def test_call_still_open_at_the_end_is_cancelled(run, host):
    code = "import threading\nthreading.Thread(target=box.gate, daemon=True).start()\nbox.echo(1)\n"
    outcome = await run(code + "import time\ntime.sleep(0.1)")
    assert outcome.status == "ok"
    assert host.inside == 0
    assert (await run("2")).value == 2


async def test_cancelled_run_ends_the_program_and_its_calls(open_session, host, until):
    session = await open_session()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run, Program("a", "box.gate()", ("box",)), host)
        await host.arrived.wait()
        tasks.cancel_scope.cancel()
    assert host.inside == 0
    assert not session.alive
    await until(lambda: not _runs(session.child.popen.pid))


async def test_work_directory_goes_with_the_session(open_session, host, tmp_path):
    session = await open_session()
    await session.run(Program("a", "open('x', 'w').write('y')"), host)
    assert [path.name for path in session.child.folder.iterdir() if path.is_file()] == ["x"]
    await session.aclose()
    assert not any(path.name.startswith("toolweft-run-") for path in tmp_path.iterdir())


async def test_environment_holds_nothing_of_ours(run, monkeypatch):
    code = "import os, sys\n[sorted(os.environ), sys.flags.isolated, 'toolweft_server' in sys.modules]"
    assert (await run(code)).value == [["HOME", "LANG", "PYTHONUTF8", "TMPDIR"], 1, False]
    assert (await run("import pydantic")).error.hint.startswith("Only the standard library")


def test_frame_of_the_tests_is_the_frame_of_the_product():
    from toolweft_server.sandbox import frames

    body = json.dumps({"kind": "x"}, separators=(",", ":")).encode()
    assert frames.encode({"kind": "x"}) == struct.pack(">I", len(body)) + body


def _runs(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
