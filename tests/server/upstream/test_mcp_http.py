"""Servers over HTTP that misbehave: what is mended over stdio is mended here, too, and a lost session is made anew."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute

from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.mcp import HttpEntry


class Old:
    """An HTTP server of the old protocol: each request is answered by `answer`, and remembered."""

    def __init__(self):
        self.asked, self.headers, self.sessions, self.forget = [], [], 0, False

    def answer(self, message, session):
        self.asked.append(message.get("method"))
        if message.get("method") == "initialize":
            self.sessions += 1
            info = {"name": "old", "version": "1"}
            return 200, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        if "id" not in message:
            return 202, None
        if message["method"] == "server/discover":
            return 400, None
        if session != f"s{self.sessions}" or self.forget:
            self.forget = False
            return 404, None
        if message["method"] == "tools/list":
            return 200, {"tools": [{"name": "bare"}, {"name": 5}]}
        return 200, {"content": [{"type": "hologram"}]}

    async def serve(self, stream):
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.decode().split("\r\n")[1:])}
            self.headers.append(headers)
            while len(body) < int(headers.get("content-length", 0)):
                body += await stream.receive()
            status, result = 405, None
            if head.startswith(b"POST"):
                message = json.loads(body)
                status, result = self.answer(message, headers.get("mcp-session-id"))
                if result is not None:
                    result = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
            payload = (result or "").encode()
            await stream.send(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nMcp-Session-Id: s{self.sessions}\r\n"
                f"Content-Length: {len(payload)}\r\nConnection: close\r\n\r\n".encode()
                + payload
            )


@asynccontextmanager
async def listening(server):
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/mcp"
        tasks.cancel_scope.cancel()


async def test_answers_over_http_are_mended(start, call):
    server = Old()
    async with listening(server) as url:
        upstream = start(HttpEntry(url, {"Authorization": "Bearer token-1234"}))
        manifest = await upstream.manifest()
        assert [tool.name for tool in manifest.tools] == ["bare"]
        assert manifest.protocol == "2025-06-18"
        assert (await upstream(call("bare"))).value == {"type": "hologram"}
        await upstream.aclose()
    assert {each["authorization"] for each in server.headers} == {"Bearer token-1234"}


async def test_a_session_that_the_server_forgot_is_made_anew_and_the_call_made_once(start, call):
    server = Old()
    async with listening(server) as url:
        upstream = start(HttpEntry(url))
        await upstream.manifest()
        server.forget = True
        assert (await upstream(call("bare"))).ok
        await upstream.aclose()
    assert (server.sessions, server.asked.count("tools/call")) == (2, 2)


async def test_a_server_that_goes_away_is_unavailable_until_it_is_back(start, call):
    server = Old()
    async with listening(server) as url:
        upstream = start(HttpEntry(url))
        await upstream.manifest()
    failure = (await upstream(call("bare"))).failure
    assert failure.kind == "unavailable"
    assert "cannot be reached" in failure.message
    with pytest.raises(UpstreamError, match="cannot be reached"):
        await upstream.manifest()
