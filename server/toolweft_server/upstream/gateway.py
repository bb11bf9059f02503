"""Many upstreams as one `Caller`: routes a call to its server, and keeps servers from spoiling each other's day.

Calls of read-only tools run side by side, all others one at a time per upstream: real servers lose parallel writes.
A broken upstream costs itself alone. Policy and the ledger stand before the gateway; restarts are the upstream's own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass

import anyio

from toolweft_catalog.call import Call, Result, failed
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.base import Manifest, Upstream

logger = logging.getLogger(__name__)

READING = 4
"""Manifests read at a time: each may start a process, and people's machines are doing something else, too."""

END = 20.0
"""Seconds for all upstreams to stop, together. Each has a shorter limit of its own."""


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Who waits for whom at one upstream. Waiting does not count towards a call's time limit."""

    reads: anyio.Semaphore
    others: anyio.Semaphore

    @classmethod
    def of(cls, reads: int, configured: int | None) -> _Lanes:
        if configured is not None:
            shared = anyio.Semaphore(configured)
            return cls(shared, shared)
        return cls(anyio.Semaphore(reads), anyio.Semaphore(1))

    def of_call(self, call: Call) -> anyio.Semaphore:
        return self.reads if call.tool.annotations.effect == "read" else self.others


class Gateway:
    """Every configured upstream. Constructing one starts nothing."""

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        *,
        read_concurrency: int = 8,
        concurrency: Mapping[str, int | None] | None = None,
    ) -> None:
        """`concurrency` names upstreams whose calls, whatever they do, run that many side by side."""
        self.upstreams = dict(upstreams)
        configured = concurrency or {}
        self._lanes = {name: _Lanes.of(read_concurrency, configured.get(name)) for name in self.upstreams}

    async def __call__(self, call: Call) -> Result:
        name = call.tool.server
        upstream = self.upstreams.get(name)
        if upstream is None:
            return failed(
                "unavailable",
                f"{call.tool.id} is listed, but no server {name!r} is configured here. "
                f"Add it to `mcpServers`, or use another tool; configured: {', '.join(self.upstreams) or 'none'}",
                sent=False,
            )
        async with self._lanes[name].of_call(call):
            try:
                return await upstream(call)
            except Exception as error:
                # A defect of ours, in one kind of upstream: the others must not feel it, and somebody must see it.
                logger.exception("the upstream %r raised", name)
                return failed("unavailable", f"{name}: toolweft failed while calling it: {error!r}")

    async def manifests(self, names: Iterable[str]) -> AsyncGenerator[tuple[str, Manifest | UpstreamError]]:
        """Reads lists of tools, four at a time, each as soon as it is there."""
        slots = asyncio.Semaphore(READING)

        async def read(name: str) -> tuple[str, Manifest | UpstreamError]:
            async with slots:
                return name, await self.manifest(name)

        # Tasks and not a task group: a generator must not hold a cancel scope while its reader has the floor.
        reading = [asyncio.create_task(read(name)) for name in names]
        try:
            for done in asyncio.as_completed(reading):
                yield await done
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def manifest(self, name: str) -> Manifest | UpstreamError:
        """One list of tools, or why it cannot be read."""
        upstream = self.upstreams.get(name)
        if upstream is None:
            return UpstreamError(name, "not_found", "no server of this name is configured.")
        try:
            return await upstream.manifest()
        except UpstreamError as error:
            return error
        except Exception as error:
            logger.exception("the manifest of %r could not be read", name)
            return UpstreamError(name, "protocol", f"toolweft failed while reading its tools: {error!r}.")

    async def aclose(self) -> None:
        """Stops all at once. Idempotent; one that fails to stop does not keep the others."""
        with anyio.move_on_after(END):
            async with anyio.create_task_group() as tasks:
                for name, upstream in self.upstreams.items():
                    tasks.start_soon(_stop, name, upstream)


async def _stop(name: str, upstream: Upstream) -> None:
    try:
        await upstream.aclose()
    except Exception:
        logger.exception("the upstream %r could not be stopped", name)
