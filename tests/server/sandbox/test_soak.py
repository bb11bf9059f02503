"""Thousands of runs, then as many kills of the server as one has patience for: nothing grows, nothing is left.

`make soak` runs 10,000 on the first isolating tier; memory is judged from the thousandth run on.
"""

import asyncio
import ctypes
import gc
import os
import random
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

import census
import tiers
from toolweft_server.sandbox.base import FileIn, Program
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.pool import Sessions

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc, which only Linux has"),
]

WARM_UP = 1000
SHARE = {"namespaces": 1, "bwrap": 50, "chroot": 50, "landlock": 50, "unsafe-process": 50}
"""Of so many runs a tier gets one: where each session costs a fresh interpreter, ten thousand take an hour."""
WORKERS = 4

PROGRAMS = {
    "value": (20, "sum(range(1000))", "ok"),
    "variables": (40, "x = globals().get('x', 0) + 1\nx", "ok"),
    "tool": (12, "box.echo('a' * 1000)[0][:1]", "ok"),
    "parallel": (6, "parallel(box.value, range(5))", "ok"),
    "output": (4, "print('x' * 100_000)", "ok"),
    "threads": (3, "import threading\nt = threading.Thread(target=print, args=(1,))\nt.start()\nt.join()", "ok"),
    "error": (5, "{}['nothing']", "error"),
    "files": (4, "open('out.txt', 'w').write(open('in.txt').read() * 2)", "ok"),
    "crash": (2, "import os\nos._exit(7)", "crashed"),
    "timeout": (0.5, "while True: pass", "timeout"),
    "cancel": (2, "box.gate()", None),
    "reset": (1, "1", "ok"),
}
"""By name: weight, code, and the outcome's status."""


async def one(sessions, host, dice, kinds):
    kind = dice.choices(kinds, [PROGRAMS[each][0] for each in kinds])[0]
    _, code, status = PROGRAMS[kind]
    files = [FileIn("in.txt", b"data" * 1000)] if kind == "files" else []
    program = Program("ex_1", code, ("box",), timeout=0.1 if kind == "timeout" else None, files=files)
    name = dice.choice([None, "a", "b", "c"]) if kind != "value" else None
    owner = f"worker {id(asyncio.current_task())}"  # two runs at a time in one session are refused
    with anyio.move_on_after(0.05 if kind == "cancel" else 60) as scope:
        ran = await sessions.run(program, host, owner=owner, session=name)
        assert ran.outcome.status == status, (kind, ran)
        if kind == "files":
            assert [file.data for file in ran.outcome.files] == [b"data" * 2000]
    assert scope.cancelled_caught == (kind == "cancel"), kind
    if kind == "reset" and name:
        sessions.reset(owner, name)


async def many(backend, host, runs, *, seed, kinds):
    """All of them, some at a time; then every session is closed."""
    left = runs

    async def work(dice):
        nonlocal left
        while left > 0:
            left -= 1
            await one(sessions, host, dice, kinds)
            host.calls.clear()

    async with Sessions(backend, Limits(sessions=8), warm=1) as sessions, anyio.create_task_group() as tasks:
        for number in range(WORKERS):
            tasks.start_soon(work, random.Random(f"{seed} {number}"))


def memory(zygote):
    """KiB of this process and of the zygote's, while no session is open."""
    gc.collect()
    return census.resident(), sum(census.resident(pid) for pid in zygote)


@pytest.mark.parametrize("tier", SHARE)
async def test_runs_of_every_kind_leave_no_memory_process_mount_descriptor_or_file(
    tier, tmp_path, host, until, soak_runs
):
    runs = max(10, soak_runs // SHARE[tier])
    kinds = [each for each in PROGRAMS if each != "files" or tier not in tiers.WITHOUT_WORK_DIRECTORY]
    strangers = set(census.descendants(os.getpid()))  # what earlier tests share: the loop's tiers
    mounts, descriptors = census.mounts(), census.descriptors()
    backend = await tiers.start(tier, tmp_path)

    def processes():
        return set(census.descendants(os.getpid())) - strangers

    async def zygote():
        """One, whichever: another may have taken over meanwhile."""
        await until(lambda: len(processes()) == count)
        return processes()

    count = len(processes())
    first = min(runs // 2, WARM_UP)
    await many(backend, host, first, seed=1, kinds=kinds)
    before = memory(await zygote())
    open_now = census.descriptors()
    await many(backend, host, runs - first, seed=2, kinds=kinds)
    after = memory(await zygote())
    assert census.descriptors() == open_now
    print(f"{tier}: {runs} runs, KiB of the server and the zygote {before} after {first}, {after} at the end")
    if runs >= 2 * WARM_UP:
        assert all(late <= 1.05 * early for early, late in zip(before, after, strict=True)), (before, after)
    await backend.aclose()
    await until(lambda: set(census.descendants(os.getpid())) <= strangers)
    assert census.descriptors() == descriptors
    assert census.mounts() == mounts
    assert [path.name for path in tmp_path.iterdir() if not is_root(path)] == []


def is_root(path):
    """A whole copy of the standard library, which the tier `chroot` keeps for the next start."""
    return path.name.startswith("root-") and not path.name.endswith(".half")


SERVER = """
import sys
from pathlib import Path
import anyio
import tiers
from toolweft_catalog.call import Result
from toolweft_server.sandbox.base import Program
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.pool import Sessions

class Host:
    async def call(self, tool, args, kwargs):
        await anyio.sleep_forever()

async def again(sessions, name, code):
    while True:
        await sessions.run(Program("x", code, ("box",), timeout=100), Host(), owner="me", session=name)

async def main(tier, folder):
    sessions = Sessions(tiers.backend(tier, folder), Limits(), warm=2)
    print("here", flush=True)
    async with anyio.create_task_group() as tasks:
        for name, code in {"busy": "while True: pass", "calls": "box.gate()", "c": "sum(range(10**15))"}.items():
            tasks.start_soon(again, sessions, name, code)
        tasks.start_soon(again, sessions, None, "1 + 1")
        while True:
            thread = "import threading, time\\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
            await sessions.run(Program("x", thread), Host(), owner="me", session="frozen")

anyio.run(main, sys.argv[1], Path(sys.argv[2]))
"""


def adopt_orphans(yes):
    """Whatever loses its parent becomes a child of this process, where it can be seen."""
    PR_SET_CHILD_SUBREAPER = 36  # noqa: N806 - the kernel's name
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, yes, 0, 0, 0)


def living(before):
    """Descendants since `before`, the dead ones of which are reaped on the way."""
    found = {pid: line for pid, line in census.descendants(os.getpid()).items() if pid not in before}
    for pid in [pid for pid, line in found.items() if line in {"zombie", ""}]:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        del found[pid]
    return found


@pytest.mark.parametrize("tier", tiers.CPYTHON)
async def test_kill_9_of_the_server_at_any_time_leaves_nothing(tier, tmp_path, host, soak_kills, until):
    await (await tiers.start(tier, tmp_path)).aclose()
    adopt_orphans(True)
    mounts = census.mounts()
    before = set(census.descendants(os.getpid()))
    environment = os.environ | {"PYTHONPATH": str(Path(tiers.__file__).parent)}
    try:
        for number in range(max(1, soak_kills // len(tiers.CPYTHON))):
            dice = random.Random(f"{tier} {number}")
            if dice.random() < 0.5:  # else the tree for `chroot` would be copied once for all time
                for root in tmp_path.glob("root-*"):
                    await asyncio.to_thread(shutil.rmtree, root)
            server = await anyio.open_process(
                [sys.executable, "-c", SERVER, tier, str(tmp_path)], stdin=None, stderr=None, env=environment
            )
            try:
                with anyio.fail_after(60):
                    await server.stdout.receive()
                await anyio.sleep(dice.random() * dice.choice([0.05, 0.5, 2]))
            finally:
                server.kill()
                await server.aclose()
            await until(lambda: not living(before))
            again = await tiers.start(tier, tmp_path)
            async with Sessions(again, Limits(), warm=0) as sessions:
                ran = await sessions.run(Program("x", "1 + 1"), host, owner="me", session=None)
            await again.aclose()
            assert ran.outcome.value == 2
            assert [path.name for path in tmp_path.iterdir() if not is_root(path)] == []
            await until(lambda: not living(before))  # the kernel ends a namespace's processes after its first one
            assert census.mounts() == mounts
    finally:
        adopt_orphans(False)
