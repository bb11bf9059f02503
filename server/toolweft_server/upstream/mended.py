"""Live streams with `mend` between a transport and the SDK's client: one reader, one writer, for stdio and HTTP.

It remembers which request an answer belongs to, ends the probe for the newest protocol when nobody answers it, and
tells when the other side is gone.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

import anyio
import mcp_types as types
from mcp.client._transport import ReadStream, TransportStreams, WriteStream
from mcp.shared.message import SessionMessage

from toolweft_server.upstream import mend
from toolweft_server.upstream.evidence import Evidence

PROBE = "server/discover"


class Traffic:
    """What is known of a connection's requests: the method of each one in flight, and whether it is over."""

    def __init__(self, evidence: Evidence, over: anyio.Event, *, probe_timeout: float) -> None:
        self.evidence = evidence
        self.over = over
        """Set when the other side closed the connection."""
        self.waiting = anyio.CancelScope()
        """Around the reader's present wait, so that a probe can put an end to it."""
        self._probe: types.RequestId | None = None
        self._probe_until = math.inf
        self._probe_timeout = probe_timeout
        self._asked: dict[str, tuple[str, bool]] = {}

    def sent(self, message: types.JSONRPCMessage) -> None:
        if isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            self._asked.pop(str((message.params or {}).get("requestId")), None)
        if not isinstance(message, types.JSONRPCRequest):
            return
        meta = (message.params or {}).get("_meta")
        modern = isinstance(meta, dict) and types.PROTOCOL_VERSION_META_KEY in meta
        self._asked[str(message.id)] = (message.method, modern)
        if message.method == PROBE:
            self._probe, self._probe_until = message.id, anyio.current_time() + self._probe_timeout
            self.waiting.deadline = self._probe_until

    def received(self, message: types.JSONRPCMessage) -> types.JSONRPCMessage:
        if not isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            return message
        method, modern = self._asked.pop(str(message.id), ("", False))
        if method == PROBE:
            self._probe, self._probe_until = None, math.inf
        if isinstance(message, types.JSONRPCError):
            return message
        if mend.too_deep(message.result):
            error = types.ErrorData(code=types.INVALID_REQUEST, message="the answer is nested too deeply to be read")
            return types.JSONRPCError(jsonrpc="2.0", id=message.id, error=error)
        answer = mend.result(method, message.result, modern=modern, report=self.evidence.problem)
        return types.JSONRPCResponse(jsonrpc="2.0", id=message.id, result=answer)

    def wait(self) -> anyio.CancelScope:
        """The scope of the next wait for a message. It ends early while a probe is out."""
        self.waiting = anyio.CancelScope(deadline=self._probe_until)
        return self.waiting

    def unanswered_probe(self) -> SessionMessage:
        """What an old server should have said about a method that it does not know."""
        assert self._probe is not None
        error = types.ErrorData(code=types.METHOD_NOT_FOUND, message="the probe was not answered")
        request, self._probe, self._probe_until = self._probe, None, math.inf
        self._asked.pop(str(request), None)
        return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=request, error=error))


class _Reader:
    def __init__(self, inner: ReadStream[SessionMessage | Exception], traffic: Traffic) -> None:
        self._inner, self._traffic = inner, traffic

    @property
    def last_context(self) -> object:
        """The sender's context variables, where the transport keeps them: the SDK asks for them by this name."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        try:
            item = await self._next()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            self._traffic.over.set()
            raise
        if isinstance(item, Exception):
            return item
        return SessionMessage(self._traffic.received(item.message), item.metadata)

    async def _next(self) -> SessionMessage | Exception:
        with self._traffic.wait():
            return await self._inner.receive()
        return self._traffic.unanswered_probe()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Writer:
    def __init__(self, inner: WriteStream[SessionMessage], traffic: Traffic) -> None:
        self._inner, self._traffic = inner, traffic

    async def send(self, item: SessionMessage, /) -> None:
        self._traffic.sent(item.message)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


@asynccontextmanager
async def mended(
    transport: AbstractAsyncContextManager[TransportStreams], traffic: Traffic
) -> AsyncGenerator[TransportStreams]:
    """The same transport, with everything that it delivers repaired."""
    async with transport as (reader, writer):
        yield _Reader(reader, traffic), _Writer(writer, traffic)
