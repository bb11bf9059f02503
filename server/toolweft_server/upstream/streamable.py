"""Our client's streamable HTTP: the SDK's transport with the entry's headers, our size limit and a note of failures.

OpenAPI services over HTTP are `http`'s business.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from mcp.client._transport import TransportStreams

from toolweft_server.upstream.evidence import Evidence

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one server-sent event, as for a line of stdio."""

CONNECT, READ = 10.0, 900.0
"""Seconds to connect, and between two pieces of an answer: calls have time limits of their own."""


@dataclass(frozen=True, slots=True)
class HttpEntry:
    """An MCP server at a URL."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The URL without what may be a secret: user information and query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@asynccontextmanager
async def streamable(entry: HttpEntry, evidence: Evidence) -> AsyncGenerator[TransportStreams]:
    """The streams of the SDK's client. A server that cannot be reached is an `httpx2.TransportError` on first use."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async def note(response: httpx2.Response) -> None:
        if response.status_code >= 400:
            evidence.http_status = response.status_code

    timeout = httpx2.Timeout(CONNECT, read=READ, write=READ, pool=READ)
    async with (
        httpx2.AsyncClient(headers=dict(entry.headers), timeout=timeout, event_hooks={"response": [note]}) as client,
        streamable_http_client(entry.url, http_client=client, max_sse_event_size=MAX_EVENT) as streams,
    ):
        yield streams
