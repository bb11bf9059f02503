"""The protocol around the two tools, in both eras: errors, lists, news, progress, cancelling, stdio and its end."""

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import anyio
import mcp_types as types
import pytest
from mcp import MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated

import census

BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
ROOT = "toolweft://reusable_functions"
SAVE = 'def {0}(n: int) -> int:\n    """Twice."""\n    return 2 * n\n\nfunctions.save({0})\n{0}(1)'
SERVERS = Path(__file__).with_name("servers")

REFUSED = {
    "unknown tool": lambda client: client.call_tool("launch", {}),
    "unknown prompt": lambda client: client.get_prompt("poem", {}),
    "missing argument of a prompt": lambda client: client.get_prompt("toolcoder", {}),
    "unknown argument of a prompt": lambda client: client.get_prompt("toolcoder", {"task": "x", "mood": "y"}),
    "missing resource": lambda client: client.read_resource("toolweft://nothing"),
    "missing function": lambda client: client.read_resource(ROOT + "/nobody"),
    "missing version": lambda client: client.read_resource(ROOT + "/nobody@3"),
    "missing output": lambda client: client.read_resource("toolweft://executions/ex_0/output"),
    "bad cursor of resources": lambda client: client.list_resources(cursor="zzz"),
    "endless cursor of resources": lambda client: client.list_resources(cursor="9" * 5000),
    "bad cursor of tools": lambda client: client.list_tools(cursor="1"),
    "bad cursor of prompts": lambda client: client.list_prompts(cursor="1"),
    "bad cursor of templates": lambda client: client.list_resource_templates(cursor="1"),
    "completion of an unknown template": lambda client: client.complete(template("x://{name}"), NAME),
    "completion of an unknown prompt": lambda client: client.complete(types.PromptReference(name="poem"), NAME),
}
NAME = {"name": "name", "value": ""}


def template(uri):
    return types.ResourceTemplateReference(uri=uri)


@pytest.fixture
def with_steps(tmp_path, write_config):
    """A configuration with a server that reports steps and one that hangs; it leaves its traces in `tmp_path`."""
    steps = {"command": sys.executable, "args": [str(SERVERS / "steps.py"), str(tmp_path)]}
    return write_config(mcpServers={"steps": steps}, limits={"manifest_wait": 60})


async def appears(path: Path) -> None:
    with anyio.fail_after(20):
        while not await anyio.Path(path).exists():
            await anyio.sleep(0.02)


@BOTH
async def test_what_does_not_exist_is_a_wrong_parameter_with_a_sentence(write_config, in_process, mode):
    async with in_process(write_config(), mode=mode) as host:
        for name, ask in REFUSED.items():
            with pytest.raises(MCPError) as refused:
                await ask(host.client)
            assert (name, refused.value.error.code) == (name, types.INVALID_PARAMS)
            assert len(refused.value.error.message) < 300


@BOTH
async def test_the_prompt_carries_the_task_as_it_is(write_config, in_process, mode):
    async with in_process(write_config(), mode=mode) as host:
        (listed,) = (await host.client.list_prompts()).prompts
        (message,) = (await host.client.get_prompt(listed.name, {"task": "pay $x and ${y}"})).messages
    assert (listed.name, [each.name for each in listed.arguments]) == ("toolcoder", ["task"])
    assert message.content.text.endswith("Task: pay $x and ${y}\n")


@BOTH
async def test_saved_functions_are_listed_completed_and_read_by_version(write_config, in_process, mode):
    async with in_process(write_config(), mode=mode) as host:
        for name in ("double", "twofold", "twin"):
            await host.execute(SAVE.format(name))
        listed = [each.uri for each in (await host.client.list_resources()).resources]
        templates = [each.uri_template for each in (await host.client.list_resource_templates()).resource_templates]
        ask = {"name": "name", "value": "tw"}
        completed = (await host.client.complete(template(ROOT + "/{name}"), ask)).completion
        card = await host.read(ROOT + "/twin@1")
    assert listed == [ROOT, ROOT + "/double", ROOT + "/twin", ROOT + "/twofold"]
    assert {ROOT + "/{name}", ROOT + "/{name}@{version}", "toolweft://executions/{id}/{part}"} <= set(templates)
    assert (completed.values, completed.total, completed.has_more) == (["twin", "twofold"], 2, False)
    assert (card["name"], card["version"]) == ("twin", 1)


async def test_lists_say_how_long_they_may_be_kept(write_config, in_process):
    async with in_process(write_config(), mode="2026-07-28") as host:
        tools = await host.client.list_tools()
        library = await host.client.read_resource(ROOT)
    assert (tools.ttl_ms, tools.cache_scope) == (24 * 3600 * 1000, "public")
    assert (library.ttl_ms, library.cache_scope) == (0, "private")


async def test_a_listener_hears_of_a_function_that_another_host_saved(write_config, in_process):
    config = write_config()
    async with in_process(config, mode="2026-07-28") as one, in_process(config) as other:
        heard = set()
        with anyio.fail_after(30):
            async with one.client.listen(resources_list_changed=True, resource_subscriptions=[ROOT]) as news:
                await one.find("note")
                await other.execute(SAVE.format("double"))
                async for event in news:
                    heard.add(event)
                    if len(heard) == 2:
                        break
    assert heard == {ResourcesListChanged(), ResourceUpdated(uri=ROOT)}


async def test_a_host_of_the_older_revision_is_told_and_hears_more_of_what_it_subscribed_to(write_config, in_process):
    config, heard, told = write_config(), [], anyio.Event()

    async def listen(message):
        heard.append(message)
        if len(heard) == 2:
            told.set()

    async with in_process(config, mode="legacy", message_handler=listen) as one, in_process(config) as other:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            await one.client.subscribe_resource(ROOT + "/double")
        await one.find("note")
        await other.execute(SAVE.format("double"))
        with anyio.fail_after(30):
            await told.wait()
    assert [type(each) for each in heard] == [
        types.ResourceListChangedNotification, types.ResourceUpdatedNotification,
    ]  # fmt: skip
    assert heard[1].params.uri == ROOT + "/double"


@BOTH
async def test_progress_of_an_upstream_reaches_the_host(with_steps, in_process, mode):
    reports = []

    async def note(done, total, message):
        reports.append((done, total, message))

    async with in_process(with_steps, mode=mode) as host:
        code = {"code": "steps.climb(steps=3)"}
        result = await host.client.call_tool("execute_code", code, progress_callback=note)
    assert result.structured_content["value"] == "up"
    said = [message for _, _, message in reports if message != "working"]
    assert said == ["step 1 (1/3)", "step 2 (2/3)", "step 3 (3/3)"]
    assert [done for done, _, _ in reports] == sorted(done for done, _, _ in reports)


@BOTH
async def test_a_long_program_shows_signs_of_life(desk, mode, write_config, in_process):
    async def go_on(*_):
        (desk / "signal").write_text("alive", encoding="utf-8")

    async with in_process(write_config(), mode=mode) as host:
        with anyio.fail_after(30):  # only a sign of life lets the program end
            result = await host.client.call_tool(
                "execute_code", {"code": "desk.wait_for('signal')"}, progress_callback=go_on
            )
    assert result.structured_content["value"] == "alive"


@BOTH
async def test_a_request_taken_back_ends_its_program_and_its_call(with_steps, over_stdio, tmp_path, mode):
    async with over_stdio(with_steps, mode) as host:
        assert (await host.execute("steps.climb(steps=1)"))["value"] == "up"
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(host.execute, "steps.hang()")
                await appears(tmp_path / "hanging")
                tasks.cancel_scope.cancel()
            await appears(tmp_path / "cancelled")
            assert (await host.execute("steps.climb(steps=1)"))["value"] == "up"


@BOTH
async def test_sixty_requests_at_once_are_all_answered(write_config, over_stdio, mode):
    answers = []

    async def find():
        answers.append(bool((await host.find("write a note"))["tools"]))

    async def execute(number):
        answers.append((await host.execute(f"len(desk.read_notes()) + {number}"))["value"] == number)

    async with over_stdio(write_config(), mode) as host:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(12):
                    tasks.start_soon(execute, number)
                for _ in range(48):
                    tasks.start_soon(find)
    assert answers == [True] * 60


HELLO = {
    "jsonrpc": "2.0", "id": 0, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}  # fmt: skip
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Raw:
    """A serving process and its pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, line: bytes | dict) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((json.dumps(line).encode() if isinstance(line, dict) else line) + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def answer(self, line: bytes | dict) -> dict:
        self.send(line)
        while "method" in (message := self.receive()):
            pass
        return message

    def execute(self, number: int, code: str) -> None:
        params = {"name": "execute_code", "arguments": {"code": code}}
        self.send({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})


@contextmanager
def raw_server(config: Path, bound: float = 60.0):
    """`toolweft serve`, spoken to byte by byte. After `bound` seconds it is killed, so that no read waits for ever."""
    command = [sys.executable, "-m", "toolweft_catalog.cli", "serve", "--config", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    watch = threading.Timer(bound, process.kill)
    watch.start()
    try:
        raw = Raw(process)
        assert raw.answer(HELLO)["result"]["serverInfo"]["name"] == "toolweft"
        raw.send(INITIALIZED)
        yield raw
    finally:
        watch.cancel()
        process.kill()
        for pipe in (process.stdin, process.stdout):
            pipe.close()
        process.wait()


def test_odd_lines_over_stdio_are_answered_and_the_next_request_too(write_config):
    odd = [
        (b"{nope", None, -32700),
        (b"\xff\xfe\x00", None, -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', None, -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":2,"method":"tools/list","params":"x"}', 2, -32600),
        (b'{"jsonrpc":"2.0","id":3,"method":"no/such"}', 3, -32601),
        (b'{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":5}}', 4, -32602),
        (b'{"jsonrpc":"2.0","id":5,"method":"x","params":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, None, -32700),
    ]
    with raw_server(write_config()) as raw:
        for line, number, code in odd:
            answer = raw.answer(line)
            assert (answer["id"], answer["error"]["code"]) == (number, code), line[:60]
        half = b'{"name":"find_tools","arguments":{"query":"\\ud83d note"}}'
        half = b'{"jsonrpc":"2.0","id":6,"method":"tools/call","params":' + half + b"}"
        assert raw.answer(half)["result"]["structuredContent"]["tools"]


LOUD = """
import os, sys
print("at import")


def loud() -> str:
    '''Print in every way there is.'''
    print("from a tool", flush=True)
    os.write(1, b"raw\\n")
    os.system("echo from a child")
    return "done"
"""


def test_stdout_carries_nothing_but_the_protocol(desk, write_config):
    (desk / "desk.py").write_text(LOUD, encoding="utf-8")
    with raw_server(write_config()) as raw:
        raw.execute(1, "import os\nprint('from the program')\nos.write(1, b'raw')\ndesk.loud()")
        messages = []
        while not messages or messages[-1].get("id") != 1:
            messages.append(raw.receive())
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    assert messages[-1]["result"]["structuredContent"]["value"] == "done"


def below(pid: int) -> set[int]:
    """Every process below `pid`."""
    return set(census.descendants(pid))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", ["eof", "sigterm"])
@pytest.mark.parametrize("what", ["idle", "busy"])
async def test_the_end_of_the_host_ends_the_server_and_all_it_started(with_steps, tmp_path, how, what):
    with raw_server(with_steps) as raw:
        raw.execute(1, "steps.climb(steps=1)" if what == "idle" else "steps.hang()")
        if what == "idle":
            while raw.receive().get("id") != 1:
                pass
        else:
            await appears(tmp_path / "hanging")
        started = below(raw.process.pid)
        assert len(started) >= 2  # the upstream and the program's process at least
        if how == "eof":
            raw.process.stdin.close()
        else:
            os.kill(raw.process.pid, signal.SIGTERM)
        with anyio.fail_after(10):
            while raw.process.poll() is None or any(map(alive, started)):
                await anyio.sleep(0.02)
