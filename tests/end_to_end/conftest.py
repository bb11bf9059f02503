"""A whole toolweft for a test: a configuration of real upstreams, a store, and hosts that connect to it."""

import asyncio
import json
import os
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from mcp import Client, StdioServerParameters

from toolweft_catalog.wire import Execution
from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

SERVERS = Path(__file__).with_name("servers")
DESK = '''
"""Tools of a small desk, for tests: real functions with real effects on a file."""

import asyncio
from pathlib import Path

from toolweft_catalog.ingest.python import tool

NOTES = Path(__file__).with_name("notes.txt")


@tool(read_only=True)
def read_notes() -> list[str]:
    """Read every note that was written."""
    return NOTES.read_text(encoding="utf-8").splitlines() if NOTES.exists() else []


@tool(read_only=False, destructive=False)
def write_note(text: str, urgent: bool = False) -> int:
    """Write a note; answers how many there are.

    Args:
        text: What to remember.
        urgent: Whether it comes first.
    """
    if text == "refuse":
        raise ValueError("notes must not say refuse")
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(("! " if urgent else "") + text + "\\n")
    return len(read_notes())


@tool(read_only=False, destructive=True)
def burn_notes() -> None:
    """Destroy all notes."""
    NOTES.unlink()


@tool(read_only=True)
async def wait_for(name: str) -> str:
    """Wait until a file of that name lies beside the notes, then answer its content."""
    path = NOTES.with_name(name)
    while not path.exists():
        await asyncio.sleep(0.01)
    return path.read_text(encoding="utf-8")


@tool(read_only=True)
def picture() -> bytes:
    """A very small picture."""
    return b"\\x89PNG\\r\\n\\x1a\\n"
'''


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """A folder with the module `desk` on the import path; its tools act on files in there."""
    return lay_desk(tmp_path / "desk", monkeypatch)


def lay_desk(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    folder.mkdir()
    (folder / "desk.py").write_text(DESK, encoding="utf-8")
    patch.syspath_prepend(str(folder))
    patch.setenv("PYTHONPATH", str(folder))
    patch.delitem(sys.modules, "desk", raising=False)
    return folder


@pytest.fixture
def write_config(tmp_path, desk):
    """Writes a configuration with the desk, a store in the test's folder, and whatever the test adds."""

    def write(**parts) -> Path:
        document = {"python": {"desk": {"module": "desk"}}, "store": str(tmp_path / "store.db"), **parts}
        path = tmp_path / "toolweft.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


class Host:
    """What a host's model can do: call the two tools and look at the answers."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def find(self, query: str, **arguments) -> dict:
        result = await self.client.call_tool("find_tools", {"query": query, **arguments})
        return {**(result.structured_content or {}), "text": text_of(result), "is_error": result.is_error}

    async def execute(self, code: str, **arguments) -> dict:
        result = await self.client.call_tool("execute_code", {"code": textwrap.dedent(code), **arguments})
        images = [block for block in result.content if block.type == "image"]
        said = result.structured_content
        whole = Execution.model_validate(said).model_dump(mode="json") if said else {}
        return {**whole, "text": text_of(result), "is_error": result.is_error, "images": images}

    async def read(self, uri: str) -> dict:
        (content,) = (await self.client.read_resource(uri)).contents
        return json.loads(content.text)


def text_of(result) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


@asynccontextmanager
async def in_process(config: Path, **client_options):
    """A host connected to a server object in this process."""
    loaded = configuration.load(config)
    server = serving.build(Lazy(loaded), servers=list(loaded.servers))
    async with Client(server, **client_options) as client:
        yield Host(client)


@asynccontextmanager
async def over_stdio(config: Path, mode: str, **environ):
    """A host that starts `toolweft serve` as a process of its own."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "toolweft_catalog.cli", "serve", "--config", str(config)],
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environ},
    )
    async with Client(parameters, mode=mode) as client:
        yield Host(client)


@pytest.fixture(name="in_process")
def in_process_fixture():
    return in_process


@pytest.fixture(name="over_stdio")
def over_stdio_fixture():
    return over_stdio


@pytest.fixture
async def host(write_config):
    """A connected host."""
    async with connected(write_config()) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_host(tmp_path_factory):
    """One host for a whole file: what one test does to the server, the next one feels. Hostile servers are in it."""
    folder = tmp_path_factory.mktemp("lasting")
    hostile = {"command": sys.executable, "args": [str(SERVERS / "hostile.py")]}
    with pytest.MonkeyPatch.context() as patch:
        lay_desk(folder / "desk", patch)
        document = {"python": {"desk": {"module": "desk"}}, "store": str(folder / "store.db")}
        document["mcpServers"] = dict.fromkeys(["evil", "tools", "os", "class", "print"], hostile)
        document["limits"] = {"manifest_wait": 60}
        config = folder / "toolweft.json"
        config.write_text(json.dumps(document), encoding="utf-8")
        async with connected(config) as opened:
            yield opened


@asynccontextmanager
async def connected(config: Path):
    """A task of its own enters and leaves the connection, because pytest does so in two."""
    entered: asyncio.Future[Host] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def keep():
        async with in_process(config) as opened:
            entered.set_result(opened)
            await leave.wait()

    keeping = asyncio.create_task(keep())
    await asyncio.wait([keeping, entered], return_when=asyncio.FIRST_COMPLETED)
    yield entered.result() if entered.done() else await keeping
    leave.set()
    await keeping
