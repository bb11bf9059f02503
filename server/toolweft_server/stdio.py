"""Our side of stdio: what a host sends arrives as messages, and everything it sends is answered.

The SDK's own transport drops what it cannot parse, so that a host waits until its timeout. This one answers an
unparsable line, a batch, a bad id or bad params with a JSON-RPC error, mends lone surrogates (half an emoji in an
argument), bounds the length of a line, and keeps stdout for the protocol: whatever else prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one message. The largest legitimate one is 200 kB of code; hosts that attach files stay far below."""

PARSE_ERROR, INVALID_REQUEST = -32700, -32600

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def stdio() -> AsyncIterator[Streams]:
    """Claims stdin and stdout and yields the pair of streams that the SDK's server runs on.

    The read stream ends when the host closes stdin; the write stream's owner may go on until it leaves the context.
    """
    source, sink = _claim()
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    to_host, lines = anyio.create_memory_object_stream[bytes](64)
    token = anyio.lowlevel.current_token()
    collected, written = anyio.Event(), anyio.Event()
    raw_in, raw = anyio.create_memory_object_stream[bytes | None](16)

    def read() -> None:
        # A thread of its own, and a daemon: a blocked read on stdin must neither take one of the worker threads that
        # tools need nor keep the process alive.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError):
            for line in split_lines(lambda: os.read(source, 1 << 16)):
                anyio.from_thread.run(raw_in.send, line, token=token)
            anyio.from_thread.run(raw_in.aclose, token=token)

    async def deliver() -> None:
        async with to_server, raw:
            async for line in raw:
                message, refusal = understand(line)
                if refusal is not None:
                    await to_host.send(refusal)
                elif message is not None:
                    await to_server.send(message)

    async def collect() -> None:
        async with from_server:
            async for message in from_server:
                await to_host.send(encode(message))
        collected.set()

    async def write() -> None:
        limiter = anyio.CapacityLimiter(1)
        with suppress(OSError):
            async for line in lines:
                if not line:
                    break
                await anyio.to_thread.run_sync(_write_all, sink, line, limiter=limiter, abandon_on_cancel=True)
        written.set()

    async with anyio.create_task_group() as tasks:
        threading.Thread(target=read, name="stdin", daemon=True).start()
        tasks.start_soon(deliver)
        tasks.start_soon(collect)
        tasks.start_soon(write)
        try:
            yield incoming, outgoing
        finally:
            # What was accepted is still written: closing ends `collect`, the empty line ends `write`.
            outgoing.close()
            with anyio.move_on_after(1, shield=True):
                await collected.wait()
                await to_host.send(b"")
                await written.wait()
            tasks.cancel_scope.cancel()


def _claim() -> tuple[int, int]:
    """Private duplicates of stdin and stdout. Afterwards fd 0 is empty and fd 1 is stderr, for us and for children."""
    source, sink = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout.flush()
    os.dup2(2, 1)
    return source, sink


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def split_lines(read: Any) -> Iterator[bytes | None]:
    """Lines from a chunk reader; `None` stands for one that was longer than `MAX_LINE` and is thrown away."""
    parts: list[bytes] = []
    size = 0
    while chunk := read():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield None if size + len(end) > MAX_LINE else b"".join([*parts, end])
            parts, size = [], 0
        size += len(rest)
        if size <= MAX_LINE:
            parts.append(rest)
    if size:
        yield None if size > MAX_LINE else b"".join(parts)


def encode(message: SessionMessage) -> bytes:
    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
    return text.encode("utf-8", errors="replace") + b"\n"


def understand(line: bytes | None) -> tuple[SessionMessage | None, bytes | None]:
    """One line as a message for the server, or as the refusal to send back; neither for an empty line."""
    if line is None:
        return None, _refusal(None, INVALID_REQUEST, f"a message must not exceed {MAX_LINE} bytes")
    if not line.strip():
        return None, None
    try:
        message = json.loads(line.decode("utf-8", errors="replace"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return None, _refusal(None, PARSE_ERROR, f"not JSON: {error}"[:300])
    complaint = _complaint(message)
    if complaint:
        return None, _refusal(_usable_id(message), INVALID_REQUEST, complaint)
    try:
        parsed = types.jsonrpc_message_adapter.validate_python(mend_text(message), by_name=False)
    except (ValueError, RecursionError):
        return None, _refusal(_usable_id(message), INVALID_REQUEST, "not a JSON-RPC 2.0 message")
    return SessionMessage(parsed), None


def _complaint(message: object) -> str:
    """Why this is no JSON-RPC message; empty when it looks like one."""
    if isinstance(message, list):
        return "batches are not part of this protocol; send one message a line"
    if not isinstance(message, dict):
        return f"a message must be an object, not {type(message).__name__}"
    if message.get("jsonrpc") != "2.0":
        return 'a message must say "jsonrpc": "2.0"'
    if "method" not in message and not ({"result", "error"} & message.keys()):
        return "a request must have a method"
    if "method" in message and not isinstance(message["method"], str):
        return "a method must be a string"
    if "id" in message and _usable_id(message) is None and "error" not in message:
        return "an id must be a string or an integer"
    if "method" in message and not isinstance(message.get("params", {}), dict):
        return f"params must be an object, not {type(message['params']).__name__}"
    return ""


def _usable_id(message: object) -> str | int | None:
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, (str, int)) and not isinstance(found, bool) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refusal(request_id: str | int | None, code: int, message: str) -> bytes:
    answer = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}
    return json.dumps(answer).encode("ascii") + b"\n"


def mend_text(value: Any) -> Any:
    """The same JSON value with each lone surrogate replaced: they are legal in JSON text and nowhere else."""
    if isinstance(value, str):
        return value if _encodes(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [mend_text(each) for each in value]
    if isinstance(value, dict):
        return {mend_text(key): mend_text(each) for key, each in value.items()}
    return value


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
