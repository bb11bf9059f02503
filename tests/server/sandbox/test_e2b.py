"""The backend `e2b` against a local server built on the interfaces that the SDK ships; the real cloud by opting in."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import pytest_asyncio

from toolweft_server.config import parse
from toolweft_server.errors import ConfigError, SandboxError
from toolweft_server.sandbox.backends.e2b import E2BSandbox
from toolweft_server.sandbox.base import FileIn, Program
from toolweft_server.sandbox.e2b.settings import E2BEntry
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.pool import Sessions

pytest.importorskip("e2b", reason="the extra `e2b` is not installed")

from fake_e2b import KEY, FakeE2B

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fake finds its processes in /proc")

HOUR = 3600


@pytest_asyncio.fixture(loop_scope="session")  # the loop of all tests of this folder
async def fake(tmp_path, monkeypatch):
    (tmp_path / "cloud").mkdir()
    async with FakeE2B(tmp_path / "cloud") as server:
        monkeypatch.setenv("E2B_API_URL", server.url)
        monkeypatch.setenv("E2B_SANDBOX_URL", server.url)
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def make(fake, tmp_path):
    """Backends with the settings given by keyword."""
    made = []

    def make_one(packages=(), **settings):
        state, environ = tmp_path / "state", {"E2B_API_KEY": KEY}
        made.append(E2BSandbox(E2BEntry(**settings), state_folder=state, packages=packages, environ=environ))
        return made[-1]

    yield make_one
    for backend in made:
        await backend.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def run(make, host):
    """Runs programs as the server does, without spare children; `session=None` is a sandbox for the run alone."""
    pools = {}

    async def run_one(code, *, session="s", limits=None, files=(), **settings):
        key = json.dumps([limits, settings])
        if key not in pools:
            pools[key] = Sessions(make(**settings), Limits(**limits or {}), warm=0)
        with anyio.fail_after(60):
            return await pools[key].run(Program("ex_1", code, ("box",), files=files), host, owner="me", session=session)

    yield run_one
    for pool in pools.values():
        await pool.aclose()


async def test_three_tools_of_this_machine_answer_in_parallel(run, host):
    host.crowd = 3
    outcome, _ = await run("parallel(lambda n: box.meet(n), range(3))", session=None)
    assert (outcome.status, outcome.value) == ("ok", [0, 1, 2])
    assert host.most == 3


async def test_a_session_keeps_its_variables_in_one_sandbox(run, fake):
    await run("x = 41")
    outcome, state = await run("print('here')\nx + 1")
    assert (outcome.value, outcome.stdout, state.state) == (42, "here\n", "kept")
    assert len(fake.boxes) == 1


async def test_a_run_without_session_has_a_sandbox_of_its_own_that_ends_with_it(run, fake):
    await run("x = 1", session=None)
    outcome, _ = await run("'x' in globals()", session=None)
    assert outcome.value is False
    await fake.killed.wait()
    assert len(fake.boxes) == 2


async def test_an_endless_loop_times_out_and_the_variables_stay(run):
    outcome, state = await run("x = 7\nwhile True:\n    pass", limits={"wall": 0.5})
    assert (outcome.status, outcome.error.type, state.state) == ("timeout", "TimeoutError", "kept")
    outcome, _ = await run("x", limits={"wall": 0.5})
    assert outcome.value == 7


async def test_processor_time_counts_while_a_tool_is_waited_for(run):
    code = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()\nbox.gate()"
    outcome, _ = await run(code, limits={"cpu": 0.5})
    assert (outcome.status, outcome.limits) == ("timeout", ("cpu=0.5 s",))


async def test_threads_left_over_are_frozen_between_runs(run, fake, until):
    def state():
        (box,) = fake.boxes.values()
        (runner,) = box.processes(box.folder / ".toolweft" / "work")
        return (runner / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]

    await run("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()")
    await until(lambda: state() == "T")
    outcome, _ = await run("threading.active_count()")
    assert outcome.value > 1


async def test_a_crash_is_told_with_its_signal_and_the_sandbox_ends(run, fake):
    outcome, state = await run("import os\nprint('before', flush=True)\nos.abort()")
    assert (outcome.status, outcome.stdout, state.state) == ("crashed", "before\n", "reset")
    assert "SIGABRT" in outcome.reset_reason
    assert fake.running == []


async def test_a_program_goes_on_over_a_lost_connection(run, host, fake):
    async with anyio.create_task_group() as tasks:

        async def break_it():
            await host.arrived.wait()
            fake.drop()
            host.open.set()

        tasks.start_soon(break_it)
        outcome, state = await run("x = 1\nprint('before')\nanswer = box.gate()\nprint('after')\nanswer")
    assert (outcome.status, outcome.value, outcome.stdout) == ("ok", "opened", "before\nafter\n")
    assert state.state == "kept"
    assert [tool for tool, _, _ in host.calls] == ["box.gate"]


async def test_a_connection_that_is_lost_without_a_sign_is_noticed(run, host, fake, monkeypatch):
    monkeypatch.setattr("toolweft_server.sandbox.e2b.link.UNHEARD", 0.3)
    async with anyio.create_task_group() as tasks:

        async def answer_into_nothing():
            await host.arrived.wait()
            fake.deaf = True
            host.open.set()

        tasks.start_soon(answer_into_nothing)
        outcome, _ = await run("box.gate()")
    assert outcome.value == "opened"
    assert [what for what, _ in fake.seen].count("Start") == 2


async def test_nothing_is_lost_or_doubled_when_connections_break_all_the_time(run, host, fake):
    answer = host.call

    async def break_and_answer(tool, args, kwargs):
        if not len(host.calls) % 40:
            fake.drop()
        return await answer(tool, args, kwargs)

    host.call = break_and_answer
    outcome, _ = await run(
        "for n in range(118):\n    print(box.value(n))\nlarge = 'x' * 300_000\n"
        "[box.value(large) == large for _ in range(4)]"
    )
    assert (outcome.status, outcome.value) == ("ok", [True] * 4)
    assert outcome.stdout == "".join(f"{n}\n" for n in range(118))
    assert [args[0] for _, args, _ in host.calls[:118]] == list(range(118))
    assert len(host.calls) == 122


async def test_an_approval_longer_than_the_timeout_pauses_the_sandbox_and_resumes_it(run, host, fake):
    async with anyio.create_task_group() as tasks:

        async def approve_late():
            await host.arrived.wait()
            await fake.asleep()
            await fake.advance(HOUR)
            host.open.set()

        tasks.start_soon(approve_late)
        outcome, state = await run("x = 5\n[box.gate(), x]", timeout=60, pause_after=0.05)
    assert (outcome.status, outcome.value, state.state) == ("ok", ["opened", 5], "kept")
    assert fake.resumed.is_set()
    assert set(fake.streams_at_pause) == {0}  # a stream that is open in a pause is dead afterwards


async def test_two_answers_that_come_together_wake_the_sandbox_once(run, host, fake):
    async with anyio.create_task_group() as tasks:

        async def approve_late():
            await host.arrived.wait()
            await fake.asleep()
            host.open.set()

        tasks.start_soon(approve_late)
        outcome, _ = await run("parallel(lambda n: box.gate(), range(3))", pause_after=0.05)
    assert outcome.value == ["opened"] * 3
    assert len(host.calls) == 3


async def test_an_idle_session_is_paused_and_goes_on_with_the_next_run(run, fake):
    await run("x = 5", timeout=60, pause_after=0.05)
    with anyio.fail_after(10):
        await fake.asleep()
    await fake.advance(HOUR)
    outcome, _ = await run("x", timeout=60, pause_after=0.05)
    assert outcome.value == 5


async def test_a_time_limit_ends_a_program_that_is_paused(run, fake):
    outcome, _ = await run("box.gate()", limits={"total": 1.0}, pause_after=0.05)
    assert outcome.status == "timeout"
    assert fake.paused.is_set()


async def test_a_sandbox_that_the_cloud_ended_is_an_error_and_no_crash_of_the_program(run, host, fake):
    async with anyio.create_task_group() as tasks:

        async def end_it():
            await host.arrived.wait()
            await fake.advance(HOUR)
            fake.drop()

        tasks.start_soon(end_it)
        with pytest.raises(SandboxError, match="not found"):
            await run("box.gate()")
    outcome, state = await run("1")
    assert (outcome.value, state.state) == (1, "reset")


async def test_a_connection_that_does_not_come_back_is_an_error_and_no_timeout_of_the_program(run, host, fake):
    async with anyio.create_task_group() as tasks:

        async def cut():
            await host.arrived.wait()
            fake.refusal = 500
            fake.drop()
            host.open.set()

        tasks.start_soon(cut)
        with pytest.raises(SandboxError, match="the connection to the E2B sandbox was lost"):
            await run("box.gate()", limits={"wall": 1.0})
    fake.refusal = None


async def test_sessions_leave_no_descriptor_and_no_task(make, host, fake, until):
    backend = make()

    async def once():
        session = await backend.open(Limits())
        await session.run(Program("x", "1"), host)
        await session.aclose()

    def held():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())

    await once()
    descriptors, tasks = held()
    for _ in range(5):
        await once()
    fake.drop()  # the connections that the SDK keeps for later
    await until(lambda: held()[0] <= descriptors and held()[1] <= tasks)


async def test_a_cancelled_run_ends_its_sandbox(run, host, fake):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, "box.gate()")
        await host.arrived.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(10):
        await fake.killed.wait()
    assert fake.running == []


async def test_a_program_that_kills_the_relay_has_crashed(run, fake):
    outcome, _ = await run("import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)")
    assert outcome.status == "crashed"
    assert fake.running == []


async def test_a_forged_frame_ends_the_program(run):
    outcome, _ = await run("import os, time\nos.write(3, b'\\x00\\x00\\x00\\x02{}')\ntime.sleep(60)")
    assert outcome.status == "violation"


async def test_files_go_in_and_come_back(run):
    code = "open('out.bin', 'wb').write(open('in.txt', 'rb').read() * 2)"
    outcome, _ = await run(code, files=(FileIn("in.txt", b"\x00\xff"),))
    assert [(file.name, file.data) for file in outcome.files] == [("out.bin", b"\x00\xff\x00\xff")]


SANDBOX_CASES = sorted((Path(__file__).parents[2] / "sandbox_cases").glob("*.py"))
IN_ONE_SESSION = 26
"""Starting two interpreters for each of them all would take minutes."""


async def test_programs_give_the_same_as_in_a_plain_interpreter(run, tmp_path):
    plain = [sys.executable, "-I", "-X", "utf8", Path(__file__).with_name("plain_interpreter.py"), tmp_path / "plain"]
    (tmp_path / "plain").mkdir()
    expected = json.loads((await anyio.run_process([*plain, *SANDBOX_CASES], stderr=None)).stdout)
    given = {}

    wanted = {name: (each["error"], each["value"], each["output"]) for name, each in expected.items()}

    async def give(start):
        for case in SANDBOX_CASES[start : start + IN_ONE_SESSION]:
            # Alone where it may have found what one before it left.
            for session in (str(start), None):
                outcome, _ = await run(case.read_text(encoding="utf-8"), session=session)
                given[case.stem] = (outcome.error, outcome.value, outcome.stdout)
                if given[case.stem] == wanted[case.stem]:
                    break

    async with anyio.create_task_group() as tasks:
        for start in range(0, len(SANDBOX_CASES), IN_ONE_SESSION):
            tasks.start_soon(give, start)
    assert {name: (said, wanted[name]) for name, said in given.items() if said != wanted[name]} == {}
    assert len(given) == len(SANDBOX_CASES)


async def test_packages_of_the_template_can_be_imported_if_asked_for(run, fake):
    code = "try:\n    import pip\nexcept ImportError:\n    pip = None\npip is not None"
    assert (await run(code))[0].value is False
    assert (await run(code, packages=["pip>=1"]))[0].value is True
    with pytest.raises(SandboxError, match="the template does not have no-such-thing, nor-this"):
        await run(code, packages=["pip", "no-such-thing", "nor-this>=2"])
    assert len(fake.running) == 2


async def test_a_flood_of_output_ends_the_program(run, fake):
    outcome, _ = await run("while True:\n    print('x' * 4096)", limits={"stdout": 4096})
    assert (outcome.status, len(outcome.stdout)) == ("limit", 4096)
    assert fake.running == []


async def test_neither_key_nor_environment_gets_into_a_sandbox(run, fake):
    outcome, _ = await run("import os\nsorted(os.environ)")
    assert outcome.value == ["HOME", "LANG", "PYTHONUTF8", "TMPDIR"]
    (box,) = fake.boxes.values()
    assert box.asked["allow_internet_access"] is False
    assert not box.asked["envVars"]
    assert set(box.asked["metadata"]) == {"toolweft"}
    assert KEY not in repr(fake.seen)


async def test_the_cost_is_shown_at_the_configured_price(run):
    outcome, _ = await run("1", price_per_second=0.00005)
    assert outcome.cost.startswith("cost: ")
    assert "× $5e-05/s = $0.0" in outcome.cost
    outcome, _ = await run("1")
    assert "set sandbox.e2b.price_per_second" in outcome.cost


async def test_what_a_dead_server_left_is_ended_at_the_next_start(make, fake, tmp_path, host):
    # The other server: it notes its sandbox, and is gone without a word.
    code = (
        "import sys, os, anyio\nfrom pathlib import Path\n"
        "from toolweft_server.sandbox.backends.e2b import E2BSandbox\n"
        "from toolweft_server.sandbox.e2b.settings import E2BEntry\nfrom toolweft_server.sandbox.limits import Limits\n"
        "async def main():\n"
        "    backend = E2BSandbox(E2BEntry(), state_folder=Path(sys.argv[1]), environ={'E2B_API_KEY': sys.argv[2]})\n"
        "    await backend.open(Limits())\n    os._exit(9)\nanyio.run(main)\n"
    )
    other = await anyio.run_process([sys.executable, "-c", code, str(tmp_path / "state"), KEY], check=False)
    assert (other.returncode, len(fake.running)) == (9, 1), other.stderr.decode()
    (noted,) = (tmp_path / "state" / "e2b").iterdir()
    assert noted.stat().st_mode & 0o777 == 0o600
    backend = make()
    session = await backend.open(Limits())
    with anyio.fail_after(10):
        await fake.killed.wait()
    assert len(fake.running) == 1
    await session.aclose()
    assert fake.running == []
    await backend.aclose()
    assert not any((tmp_path / "state" / "e2b").iterdir())


async def test_closing_the_backend_ends_every_sandbox(make, fake):
    backend = make()
    await backend.open(Limits())
    await backend.open(Limits())
    assert len(fake.running) == 2
    await backend.aclose()
    assert fake.running == []


async def test_what_could_not_be_ended_is_ended_when_the_server_stops(make, fake):
    backend = make()
    session = await backend.open(Limits())
    fake.refusal = 502
    await session.aclose()
    assert len(fake.running) == 1
    fake.refusal = None
    await backend.aclose()
    assert fake.running == []


@pytest.mark.parametrize(("status", "says"), [(401, "refused the key in E2B_API_KEY"), (429, "too many requests")])
async def test_a_refusal_says_what_to_do_and_not_the_key(status, says, make, fake):
    fake.refusal = status
    with pytest.raises(SandboxError, match=says) as refused:
        await make().open(Limits())
    assert KEY not in str(refused.value)


async def test_an_error_of_the_cloud_is_shown_without_the_key(make, fake):
    fake.refusal = 500
    with pytest.raises(SandboxError, match=r"could not create a sandbox.*no, \*\*\*") as refused:
        await make().open(Limits())
    assert KEY not in repr(refused.getrepr())


async def test_a_cloud_that_cannot_be_reached_is_an_error_that_says_so(make, monkeypatch):
    monkeypatch.setenv("E2B_API_URL", "http://127.0.0.1:9")
    with pytest.raises(SandboxError, match="cannot be reached"):
        await make().open(Limits())


async def test_a_missing_key_is_an_error_that_names_the_variable(tmp_path):
    backend = E2BSandbox(E2BEntry(key_env="MY_KEY"), state_folder=tmp_path, environ={"E2B_API_KEY": KEY})
    with pytest.raises(SandboxError, match="set the environment variable MY_KEY"):
        await backend.open(Limits())


def test_a_missing_extra_is_an_error_with_the_command(tmp_path):
    code = (
        "import sys, anyio\nfrom pathlib import Path\nsys.modules['e2b'] = None\n"
        "from toolweft_server.sandbox.backends.e2b import E2BSandbox\n"
        "from toolweft_server.sandbox.e2b.settings import E2BEntry\nfrom toolweft_server.sandbox.limits import Limits\n"
        "backend = E2BSandbox(E2BEntry(), state_folder=Path(sys.argv[1]), environ={'E2B_API_KEY': 'k'})\n"
        "try:\n    anyio.run(backend.open, Limits())\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, encoding="utf-8"
    ).stdout
    assert said.startswith("SandboxError")
    assert "pip install 'toolweft[e2b]'" in said


def test_the_configuration_is_checked_and_its_key_is_scrubbed():
    config = parse({"sandbox": {"backend": "e2b", "e2b": {"key_env": "K"}}}, path=None, environ={"K": "e2b_0123456"})
    assert config.sandbox.e2b == E2BEntry(key_env="K")
    assert config.secrets == ("e2b_0123456",)
    for wrong in ({"timeout": 0}, {"price_per_second": -1}, {"unknown": 1}, {"timeout": 10, "pause_after": 20}):
        with pytest.raises(ConfigError, match="sandbox"):
            parse({"sandbox": {"e2b": wrong}}, path=None, environ={})


def test_the_configuration_that_the_document_shows_works():
    page = (Path(__file__).parents[3] / "docs" / "e2b.md").read_text(encoding="utf-8")
    shown = parse(json.loads(page.split("```json\n")[1].split("```")[0]), path=None, environ={})
    assert (shown.sandbox.backend, shown.sandbox.e2b.price_per_second) == ("e2b", 0.000028)
    for name, setting in E2BEntry.model_fields.items():
        assert f"| `{name}` | {f'`{setting.default}`' if isinstance(setting.default, str) else ''}" in page


@pytest.mark.skipif("E2B_API_KEY" not in os.environ, reason="the real cloud needs E2B_API_KEY, and costs a little")
async def test_the_real_cloud_runs_pauses_and_resumes(tmp_path, host):
    backend = E2BSandbox(E2BEntry(timeout=120, pause_after=5), state_folder=tmp_path)
    async with Sessions(backend, Limits(), warm=0) as sessions:

        async def ran(code):
            return (await sessions.run(Program("x", code, ("box",)), host, owner="me", session="s")).outcome

        assert (await ran("x = 41\nparallel(lambda n: box.value(n), range(3))")).value == [0, 1, 2]
        await anyio.sleep(15)
        assert (await ran("x + 1")).value == 42
        async with anyio.create_task_group() as tasks:

            async def approve_late():
                await host.arrived.wait()
                await anyio.sleep(15)
                host.open.set()

            tasks.start_soon(approve_late)
            assert (await ran("box.gate()")).value == "opened"
        assert (await ran("import os\nos.abort()")).status == "crashed"
    await backend.aclose()
    assert not any((tmp_path / "e2b").iterdir())
