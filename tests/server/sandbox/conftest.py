"""A backend, a host whose tools a test can see, and the shortest way to run a program."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import pytest_asyncio

import tiers
from toolweft_catalog.call import Blob, Result, failed
from toolweft_server.sandbox.base import Program, SavedSource
from toolweft_server.sandbox.limits import Limits


class ToolHost:
    """Tools `box.*`: `echo` gives back its arguments, `gate` answers when `open` is set, `meet` when `crowd` are in."""

    def __init__(self):
        self.calls = []
        self.open = anyio.Event()
        self.arrived = anyio.Event()
        self.crowd = 5
        self.inside = 0
        self.most = 0
        self.functions = {}

    async def call(self, tool, args, kwargs):
        self.calls.append((tool, list(args), dict(kwargs)))
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.arrived.set()
        try:
            return await self._answer(tool, args, kwargs)
        finally:
            self.inside -= 1

    async def _answer(self, tool, args, kwargs):
        match tool:
            case "box.echo":
                return Result([*args, dict(kwargs)])
            case "box.value":
                return Result(args[0])
            case "box.gate":
                await self.open.wait()
                return Result("opened")
            case "box.meet":
                if self.inside >= self.crowd:
                    self.open.set()
                await self.open.wait()
                return Result(args[0] if args else None)
            case "box.picture":
                return Result({"name": "p", "parts": [Blob("image/png", b"\x89PNG"), "text"]})
            case "box.refuse":
                return failed("refused", "policy says no")
            case "box.big":
                return Result("x" * args[0])
            case "box.defect":
                raise LookupError("a secret of ours")
        return failed("unknown_tool", f"There is no tool {tool!r}. Nearest: box.echo.", sent=False)

    async def describe(self, tool):
        return f"{tool}(text: str) -> str\n\nSays it back." if tool == "box.echo" else None

    async def function(self, name, version):
        sources = self.functions.get(name)
        if not sources:
            return f"There is no saved function {name!r}."
        number = version or len(sources)
        return SavedSource(name, number, sources[number - 1])

    async def save(self, name):
        return {"name": name, "state": "candidate"}


@pytest.fixture
def until():
    """Waits, at most a minute, for something outside this process, which sends no event."""

    async def wait(ready):
        with anyio.fail_after(60):
            while not ready():
                await anyio.sleep(0.01)

    return wait


@pytest.fixture
def host():
    return ToolHost()


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """What each program of `tests/sandbox_cases` gives in a plain interpreter, by name."""
    cases = sorted((Path(__file__).parents[2] / "sandbox_cases").glob("*.py"))
    script = Path(__file__).with_name("plain_interpreter.py")
    command = [sys.executable, "-I", "-X", "utf8", script, tmp_path_factory.mktemp("plain"), *cases]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=100)
    return json.loads(done.stdout)


def pytest_collection_modifyitems(items):
    """One event loop for all of these tests, so that they can share a tier's process, as programs do."""
    for item in items:
        if Path(__file__).parent in item.path.parents and asyncio.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
        tier = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
        if tier in tiers.WITHOUT_WORK_DIRECTORY and item.get_closest_marker("work_directory"):
            item.add_marker(pytest.mark.skip(reason=f"{tier} has no work directory"))


@pytest_asyncio.fixture(params=tiers.CPYTHON, scope="session", loop_scope="session")
async def backend(request, tmp_path_factory):
    """Each tier with CPython that this machine can run; a test that cannot do with one asks for another fixture."""
    found = await tiers.start(request.param, tmp_path_factory.mktemp(request.param))
    yield found
    await found.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def open_session(backend):
    """Opens sessions, the limits given by keyword, and closes them after the test."""
    opened = []

    async def open_one(**limits):
        opened.append(await backend.open(Limits(**limits)))
        return opened[-1]

    yield open_one
    for session in opened:
        await session.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def run(open_session, host):
    """Runs programs in one session with default limits; returns the outcome."""
    session = None

    async def run_one(code, *, servers=("box",)):
        nonlocal session
        session = session or await open_session()
        with anyio.fail_after(60):
            return await session.run(Program("ex_1", code, servers), host)

    return run_one
