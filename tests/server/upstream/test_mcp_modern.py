"""The same, with a server that speaks 2026-07-28, over stdio and over streamable HTTP."""

import socket
import sys
from pathlib import Path

import anyio
import pytest

from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.mcp import HttpEntry

LIST = {"type": "object", "properties": {"result": {"type": "array"}}, "required": ["result"]}


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
async def http_server(free_port, until):
    """Starts `modern.py` over HTTP and gives its entry."""
    script = Path(__file__).parent / "servers/modern.py"
    process = await anyio.open_process(
        [sys.executable, "-I", str(script), "-", str(free_port)], stdout=None, stderr=None, stdin=None
    )

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", free_port)) == 0

    await until(answers)
    yield HttpEntry(f"http://127.0.0.1:{free_port}/mcp", {"X-Key": "secret-key"})
    process.kill()
    await process.aclose()


async def test_the_newest_protocol_is_spoken_with_whom_it_can(start, command, call):
    upstream = start(command("modern.py"))
    manifest = await upstream.manifest()
    assert (manifest.protocol, manifest.instructions) == ("2026-07-28", "Use it with care.")
    assert (await upstream(call("numbers", {"count": 3}, output=LIST))).value == [0, 1, 2]


async def test_what_the_sdk_wraps_is_unwrapped_only_where_a_schema_says_so(start, command, call):
    upstream = start(command("modern.py"))
    assert (await upstream(call("numbers", {"count": 2}))).value == {"result": [0, 1]}


async def test_cancellation_reaches_a_modern_server(start, command, call, tmp_path, until):
    notes = tmp_path / "notes"
    upstream = start(command("modern.py", notes))
    assert (await upstream(call("wait", timeout=0.3))).failure.kind == "timeout"
    await until(lambda: notes.read_text(encoding="utf-8") == "cancelled")


async def test_changes_are_told_by_a_subscription(start, command, call):
    upstream, changed = start(command("modern.py")), anyio.Event()
    upstream.on_change = changed.set
    await upstream.manifest()
    await upstream(call("grow"))
    with anyio.fail_after(10):
        await changed.wait()
    assert "more_numbers" in [tool.name for tool in (await upstream.manifest()).tools]


async def test_a_modern_question_reaches_a_person(start, command, call):
    async def elicit(question):
        return {"action": "accept", "content": {"name": question.call.tool.name}}

    assert (await start(command("modern.py"), elicit=elicit)(call("ask", output=LIST))).value == "accept: ask"


async def test_a_modern_question_without_anybody_to_answer_fails_in_words(start, command, call):
    failure = (await start(command("modern.py"))(call("ask"))).failure
    assert failure.kind == "tool"
    assert "licitation" in failure.message


async def test_a_server_over_http_lists_calls_and_cancels(start, http_server, call):
    upstream = start(http_server)
    manifest = await upstream.manifest()
    assert {"numbers", "wait"} <= {tool.name for tool in manifest.tools}
    assert (await upstream(call("numbers", {"count": 2}, output=LIST))).value == [0, 1]
    assert (await upstream(call("wait", timeout=0.3))).failure.kind == "timeout"
    assert (await upstream(call("numbers", {"count": 1}, output=LIST))).value == [0]


async def test_a_url_where_nobody_listens_is_a_network_failure(start, free_port, call):
    upstream = start(HttpEntry(f"http://user:hunter22@127.0.0.1:{free_port}/mcp?key=abcdefgh"))
    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        await upstream.manifest()
    assert caught.value.cause == "network"
    assert "hunter22" not in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize(("status", "cause"), [(401, "auth"), (403, "auth"), (404, "protocol"), (502, "network")])
async def test_an_http_refusal_is_named_by_its_kind(start, status, cause):
    async def refuse(stream):
        async with stream:
            await stream.receive()
            await stream.send(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(UpstreamError, match=str(status)) as caught:
            await start(HttpEntry(f"http://127.0.0.1:{port}/mcp")).manifest()
        tasks.cancel_scope.cancel()
    assert caught.value.cause == cause
