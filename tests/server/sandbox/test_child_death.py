"""Nothing outlives the server, not even its `kill -9`; what it left on disk goes at the next start."""

import gc
import sys
from pathlib import Path

import anyio
import pytest

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG and /proc are Linux's")

SERVER = """
import sys
from pathlib import Path
import anyio
from toolweft_catalog.call import Result
from toolweft_server.sandbox.backends.local import UnsafeProcess
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits

class Host:
    async def call(self, tool, args, kwargs):
        print(args[0], flush=True)
        return Result(None)

async def main():
    backend = UnsafeProcess(folder=Path(sys.argv[1]))
    async with anyio.create_task_group() as tasks:
        for code in sys.argv[2:]:
            session = await backend.open(Limits())
            tasks.start_soon(session.run, Program("x", code, ("t",)), Host())
        await anyio.sleep_forever()

anyio.run(main)
"""
TELL = "import os, time\nt.pid(os.getpid())\n"
LIVES = {
    "sleeping": TELL + "time.sleep(600)",
    "looping": TELL + "while True: pass",
    "stuck_in_c": TELL + "sum(range(10**15))",
    "frozen": TELL,
    "deaf": "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\n" + TELL + "time.sleep(600)",
}


@pytest.mark.parametrize("life", LIVES)
async def test_child_dies_with_a_killed_server(life, tmp_path, until):
    server = await anyio.open_process(
        [sys.executable, "-c", SERVER, str(tmp_path), LIVES[life]], stdin=None, stderr=None
    )
    try:
        with anyio.fail_after(30):
            pid = int(await server.stdout.receive())
        if life == "frozen":
            await until(lambda: _state(pid) == "T")
    finally:
        server.kill()
        await server.aclose()
    await until(lambda: _state(pid) in {"", "Z"})


async def test_work_directories_of_dead_servers_are_swept(tmp_path, host):
    (tmp_path / "toolweft-run-dead" / "inner").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    elsewhere = await UnsafeProcess(folder=tmp_path).open(Limits())
    session = await UnsafeProcess(folder=tmp_path).open(Limits())
    await session.aclose()
    assert {path.name for path in tmp_path.iterdir()} == {"other", elsewhere.child.folder.name}
    await elsewhere.aclose()


async def test_child_that_cannot_start_is_an_error_with_its_words(tmp_path, monkeypatch):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no luck')", encoding="utf-8")
    monkeypatch.setattr("toolweft_server.sandbox.backends.local.RUNNER", broken)
    with pytest.raises(SandboxError, match=r"did not start \(exit status 1\).*no luck"):
        await UnsafeProcess(folder=tmp_path).open(Limits())


async def test_missing_work_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(SandboxError, match="nowhere"):
        await UnsafeProcess(folder=tmp_path / "nowhere").open(Limits())


async def test_ended_session_refuses_to_run(open_session, host, until):
    session = await open_session()
    session.child.kill()
    await until(lambda: not session.alive)
    with pytest.raises(SandboxError, match="has ended"):
        await session.run(Program("x", "1"), host)


async def test_many_children_leave_no_process_descriptor_or_file(host, tmp_path, soak_runs):
    backend = UnsafeProcess(folder=tmp_path)

    async def once():
        session = await backend.open(Limits())
        await session.run(Program("x", "1"), host)
        await session.aclose()

    await once()
    before = _descriptors()
    for _ in range(soak_runs):
        await once()
    assert _descriptors() == before
    assert list(tmp_path.iterdir()) == []


def _descriptors():
    gc.collect()  # what earlier tests left to the collector must not close in between
    return len(list(Path("/proc/self/fd").iterdir()))


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
