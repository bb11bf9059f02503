"""One connection to an MCP server, from start to end, in a task of its own.

The SDK's client must be entered and left in one task, while calls come from many: this is that task. A connection is
used once. Starting another one, when and how often, is `mcp`'s business.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.session import ElicitationFnT, IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.command import StdioEntry
from toolweft_server.upstream.evidence import Evidence
from toolweft_server.upstream.explain import explain
from toolweft_server.upstream.mended import Traffic, mended
from toolweft_server.upstream.stdio import stdio
from toolweft_server.upstream.streamable import HttpEntry, streamable

PROBE = 10.0
"""Seconds that a server may take for the probe of the newest protocol, or a third of its start's time if less."""

LISTENS, STEADY = 5, 60.0
"""How often in a row a subscription to changes may be lost within that many seconds before we do without: manifests
are read daily in any case."""


class Connection:
    """Start it by running `run` in a task; `ready` tells when it can be used or has failed."""

    def __init__(
        self,
        name: str,
        config: StdioEntry | HttpEntry,
        *,
        start_timeout: float,
        idle: float,
        legacy: bool,
        secrets: tuple[str, ...],
        on_change: Callable[[], None],
        elicit: ElicitationFnT | None,
        after: Connection | None,
    ) -> None:
        self.name, self.config = name, config
        self.legacy = legacy
        """Whether it is greeted in the old way at once, because it was known or did not survive the probe."""
        self.ready, self.closed = anyio.Event(), anyio.Event()
        self.failure: UpstreamError | None = None
        """Why it could not start, or how it was lost. `None` when it was stopped."""
        self.evidence = Evidence(secrets)
        self.in_flight = 0
        self._client: Client | None = None
        self._start_timeout, self._idle, self._secrets = start_timeout, idle, secrets
        self._on_change, self._elicit, self._after = on_change, elicit, after
        self._stopped = False
        self._over = anyio.Event()
        self._last_used = 0.0
        self._starting = anyio.CancelScope()

    @property
    def client(self) -> Client:
        """The SDK's client of a connection that is ready.

        Raises:
            UpstreamError: It is over by now.

        """
        if self._client is None:
            raise self.failure or UpstreamError(self.name, "gone", "was stopped.")
        return self._client

    @property
    def over(self) -> bool:
        """No new call may use it."""
        return self._stopped or self.closed.is_set() or (self.ready.is_set() and self._over.is_set())

    @contextmanager
    def used(self) -> Generator[Client]:
        """While a call is in flight the connection is not idle."""
        self.in_flight += 1
        try:
            yield self.client
        finally:
            self.in_flight -= 1
            self._last_used = anyio.current_time()

    def stop(self) -> None:
        """Ends it soon; `closed` tells when."""
        self._stopped = True
        self._over.set()
        if not self.ready.is_set():
            self._starting.cancel()

    async def run(self) -> None:
        """Lives until it is stopped, idle or lost. Never raises for what the server did."""
        try:
            if self._after is not None:
                # Two processes of one server at a time could fight over its files.
                await self._after.closed.wait()
                self._after = None
            if not self._stopped:
                await self._attempt()
            if self._did_not_survive_the_probe():
                self.legacy, self.failure = True, None
                await self._attempt()
        finally:
            self._over.set()
            self.closed.set()
            self.ready.set()

    def _did_not_survive_the_probe(self) -> bool:
        started = self.ready.is_set() or self._stopped
        return not started and not self.legacy and self.evidence.ended_by_itself

    async def _attempt(self) -> None:
        self.evidence = evidence = Evidence(self._secrets)
        self._over = anyio.Event()
        traffic = Traffic(evidence, self._over, probe_timeout=min(PROBE, self._start_timeout / 3))
        error: BaseException | None = None
        self._starting = anyio.CancelScope(deadline=anyio.current_time() + self._start_timeout)
        with self._starting as scope:
            try:
                async with self._open(traffic) as client:
                    scope.deadline = math.inf
                    self._be_ready(client)
                    await self._live(client)
            except Exception as caught:  # noqa: BLE001  (whatever a stranger makes the SDK raise is explained below)
                error = caught
            finally:
                self._client = None
        if not self._stopped:
            hung = self._start_timeout if scope.cancelled_caught else None
            self.failure = explain(self.name, self.config, evidence, error, hung=hung, was_ready=self.ready.is_set())
        elif not self.ready.is_set():
            self.failure = UpstreamError(self.name, "gone", "was stopped while it started.")

    def _open(self, traffic: Traffic) -> Client:
        config = self.config
        transport = (
            stdio(config, traffic.evidence) if isinstance(config, StdioEntry) else streamable(config, traffic.evidence)
        )
        return Client(
            mended(transport, traffic),
            mode="legacy" if self.legacy else "auto",
            message_handler=self._hear,
            elicitation_callback=self._elicit,
            client_info=_client_info(),
            cache=None,
        )

    def _be_ready(self, client: Client) -> None:
        # A result that breaks its own tool's output schema is the tool's business: we pass it on, the SDK would raise.
        client.session.validate_tool_result = _accept  # type: ignore[method-assign]
        self.legacy = client.protocol_version not in MODERN_PROTOCOL_VERSIONS
        self._client = client
        self._last_used = anyio.current_time()
        self.ready.set()

    async def _live(self, client: Client) -> None:
        async with anyio.create_task_group() as tasks:
            if not self.legacy:
                tasks.start_soon(self._listen, client)
            while not self._over.is_set():
                left = self._last_used + self._idle - anyio.current_time()
                if left <= 0 and not self.in_flight:
                    self.stop()
                with anyio.move_on_after(max(left, 0.0) if not self.in_flight else self._idle):
                    await self._over.wait()
            tasks.cancel_scope.cancel()

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification) and self.legacy:
            self._on_change()

    async def _listen(self, client: Client) -> None:
        """The newest protocol tells of changes only whom asks. A server that cannot is left in peace."""
        offered = client.server_capabilities.tools
        if offered is None or not offered.list_changed:
            return
        lost = 0
        while lost < LISTENS:
            began = anyio.current_time()
            try:
                async with client.listen(tools_list_changed=True) as changes:
                    if lost:
                        self._on_change()
                    async for _ in changes:
                        self._on_change()
            except (MCPError, SubscriptionLost, TimeoutError):
                pass
            # Proxies cut quiet streams: one that lived for a while was fine.
            lost = 1 if anyio.current_time() - began > STEADY else lost + 1
            await anyio.sleep(2.0**lost)


async def _accept(name: str, result: types.CallToolResult) -> None:
    pass


def _client_info() -> types.Implementation:
    from toolweft_catalog import __version__

    return types.Implementation(name="toolweft", version=__version__)
