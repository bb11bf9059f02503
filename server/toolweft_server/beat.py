"""`beat`: progress of a request, as far as its client asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from mcp.server.session import ServerSession

BEAT = 2.0
"""Seconds between signs of life while a request is worked on: what takes longer shows progress."""

Report = Callable[[float, float | None, str | None], Awaitable[None]]


@asynccontextmanager
async def beat(session: ServerSession) -> AsyncIterator[Report]:
    """Reports progress while its block runs: what upstreams say, and a sign of life every `BEAT` seconds.

    The number is elapsed seconds, because it must grow from report to report whoever makes them.
    """
    start = anyio.current_time()

    async def report(message: str) -> None:
        with suppress(Exception):
            await session.report_progress(round(anyio.current_time() - start, 3), None, message)

    async def from_upstream(done: float, total: float | None, message: str | None) -> None:
        await report(f"{message or 'working'}{f' ({done:g}/{total:g})' if total else ''}")

    async def keep_beating() -> None:
        while True:
            await report("working")
            await anyio.sleep(BEAT)

    beating: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    # No task for the many calls that are answered before the first beat.
    first = loop.call_later(BEAT, lambda: beating.append(loop.create_task(keep_beating())))
    try:
        yield from_upstream
    finally:
        first.cancel()
        for task in beating:
            task.cancel()
