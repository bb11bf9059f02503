"""An MCP server as an upstream, over stdio or streamable HTTP, in the old and the new protocol.

Lazy: the first call or manifest starts it, ten idle minutes stop it, and after a crash it is started again, each time
later. The parts: `stdio` and `streamable` carry messages, `mended` repairs them, `connection` keeps one connection in
a task, `asking` keeps calls' clocks, `results` reads answers, `explain` says what went wrong. What several upstreams
do together is in `gateway`.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import math
import re
from collections.abc import Callable
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.stdio import DEFAULT_INHERITED_ENV_VARS
from mcp.shared.dispatcher import ProgressFnT
from pydantic import ValidationError

from toolweft_catalog.call import Call, Result, failed
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream import results
from toolweft_server.upstream.asking import Asking, Elicit, Question
from toolweft_server.upstream.base import Manifest
from toolweft_server.upstream.command import StdioEntry
from toolweft_server.upstream.connection import Connection
from toolweft_server.upstream.evidence import scrub
from toolweft_server.upstream.explain import explain, stray
from toolweft_server.upstream.streamable import HttpEntry

__all__ = ["Elicit", "HttpEntry", "McpUpstream", "Question", "StdioEntry"]

PAGES, TOOLS = 200, 20_000
"""Bounds of one list of tools: a paginator that never ends must not hang a start."""

LONGEST_PAUSE = 60.0
"""Seconds between two attempts to start, at most. The first is at once, then 1, 2, 4 …"""

END = 8.0
"""Seconds to stop a connection: the waits of `stdio` together. The whole server gives itself ten."""

DOUBT = 5.0
"""Seconds from one list that was read for an unknown tool to the next: what a server says is no reason to read on and
on."""
_UNKNOWN = (
    r"(unknown tool|no such tool|no tool)\W{{1,5}}{0}\b|"
    r"\btool\W{{1,3}}{0}\W{{1,3}}(is |was )?(not found|does not exist|unknown)"
)

ASKED_FOR_HELP = frozenset({"Elicitation not supported", "Sampling not supported", "List roots not supported"})
"""What the SDK answers a server that asks for something that we did not offer."""


class McpUpstream:
    """One MCP server of the person's. See `base.Upstream` for the contract."""

    def __init__(
        self,
        name: str,
        *,
        config: StdioEntry | HttpEntry,
        call_timeout: float = 60.0,
        start_timeout: float = 30.0,
        idle: float = 600.0,
        elicit: Elicit | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.on_change: Callable[[], None] | None = None
        self._timeout, self._start_timeout, self._idle = call_timeout, start_timeout, idle
        self._asking = Asking(name, elicit)
        self._connection: Connection | None = None
        self._tasks: dict[asyncio.Task[None], Connection] = {}
        self._legacy = False
        self._failures, self._retry_at = 0, -math.inf
        self._last_failure: UpstreamError | None = None
        self._reading = anyio.Lock()
        """One list of tools at a time, so that what had to be mended belongs to it."""
        self._closed = False
        self._doubted_until = -math.inf

    @property
    def running(self) -> bool:
        """Whether it is started, starting or on its way out."""
        return bool(self._tasks)

    async def manifest(self) -> Manifest:
        from toolweft_catalog.ingest import mcp as ingest

        async with self._reading:
            connection = await self._connected()
            try:
                with connection.used() as client:
                    raw, problems = await self._list(client, connection)
            except TimeoutError:
                raise UpstreamError(
                    self.name, "hangs", f"it did not list its tools within {self._timeout:g} s.",
                    fix="Raise its `timeout` if it is only slow.",
                ) from None  # fmt: skip
            except MCPError as error:
                lost = await self._lost(connection) if _is_end(error, connection) else None
                raise lost or UpstreamError(
                    self.name, "protocol", f"it does not list its tools: {connection.evidence.clean(error.message)}."
                ) from error
            except ValidationError as error:
                raise UpstreamError(self.name, "protocol", f"its list of tools cannot be read: {error}.") from error
            self._failures = 0
            session = client.session
            about = session.server_info.description if session.server_info is not None else None
            instructions = connection.evidence.clean(session.instructions or "") if session.instructions else ""
            found = ingest.tools({"tools": raw}, server=self.name, server_description=about or instructions)
            said = [*problems, *connection.evidence.problems, *found.problems]
            if noise := stray(connection.evidence).strip():
                said.append(noise)
            return Manifest(
                tools=tuple(found.tools),
                problems=tuple(dict.fromkeys(said)),
                instructions=session.instructions or "",
                protocol=session.protocol_version or "",
            )

    async def __call__(self, call: Call) -> Result:
        try:
            json.dumps(dict(call.arguments), allow_nan=False, ensure_ascii=False).encode("utf-8")
        except (ValueError, TypeError) as error:
            return failed("arguments", f"JSON cannot carry an argument of {call.tool.id}: {error}", sent=False)
        for _ in range(2):
            try:
                connection = await self._connected()
                with connection.used() as client:
                    answer = await self._make(call, client, connection)
            except UpstreamError as error:
                return failed("unavailable", str(error), sent=False)
            if answer is not None:
                self._doubt(call.tool.name, answer)
                return answer
        return failed("unavailable", f"{self.name}: it forgot our session twice", sent=False)

    def _doubt(self, tool: str, answer: Result) -> None:
        """A server that does not know a tool of its own list has another list by now, whether it says so or not."""
        failure, now = answer.failure, anyio.current_time()
        said = failure.message[:500] if failure is not None and failure.kind == "tool" else ""
        gone = re.search(_UNKNOWN.format(re.escape(tool)), said, re.IGNORECASE)
        if gone and now >= self._doubted_until:
            self._doubted_until = now + DOUBT
            self._changed()

    async def aclose(self) -> None:
        self._closed = True
        for connection in self._tasks.values():
            connection.stop()
        running = list(self._tasks)
        if running:
            _, stuck = await asyncio.wait(running, timeout=END)
            for task in stuck:
                task.cancel()
            if stuck:
                await asyncio.wait(stuck, timeout=1)

    async def _connected(self) -> Connection:
        """The one connection, started if need be. It starts in its own task, whatever becomes of the caller.

        Raises:
            UpstreamError: It cannot be had.

        """
        connection = self._connection
        if connection is None or connection.over:
            self._refuse_too_early()
            connection = self._connection = Connection(
                self.name,
                self.config,
                start_timeout=self._start_timeout,
                idle=self._idle,
                legacy=self._legacy,
                secrets=_secrets(self.config),
                on_change=self._changed,
                elicit=self._asking.callback,
                after=connection,
            )
            # A context of its own: what the first caller carries does not belong to those who come later.
            task = asyncio.get_running_loop().create_task(
                self._keep(connection), name=f"upstream {self.name}", context=contextvars.Context()
            )
            self._tasks[task] = connection
            task.add_done_callback(self._tasks.pop)
        await connection.ready.wait()
        if connection.failure is not None:
            raise connection.failure
        # It may have become idle while we waited for our turn.
        return await self._connected() if connection.over else connection

    async def _keep(self, connection: Connection) -> None:
        await connection.run()
        self._legacy = connection.legacy
        if connection.failure is not None and not self._closed:
            self._failures += 1
            pause = 0.0 if self._failures == 1 else min(2.0 ** (self._failures - 2), LONGEST_PAUSE)
            self._retry_at = anyio.current_time() + pause
            self._last_failure = connection.failure
            # A server that never came up may have choked on the greeting: the next one is of the other kind.
            if connection.failure.cause in ("hangs", "protocol"):
                self._legacy = not connection.legacy

    def _refuse_too_early(self) -> None:
        if self._closed:
            raise UpstreamError(self.name, "gone", "was stopped with toolweft.")
        wait = self._retry_at - anyio.current_time()
        if wait > 0 and (last := self._last_failure) is not None:
            raise UpstreamError(
                self.name, last.cause, f"{last.message} It is tried again in {math.ceil(wait)} s.", fix=last.fix
            )

    async def _list(self, client: Client, connection: Connection) -> tuple[list[dict[str, Any]], list[str]]:
        """All pages of its tools as plain JSON, and what is wrong with the list as a whole."""
        connection.evidence.problems.clear()
        raw: list[dict[str, Any]] = []
        seen: set[str | None] = set()
        cursor: str | None = None
        with anyio.fail_after(self._timeout):
            while cursor not in seen:
                seen.add(cursor)
                try:
                    page = await client.list_tools(cursor=cursor)
                except MCPError as error:
                    if error.code == types.METHOD_NOT_FOUND and cursor is None:
                        return [], ["It offers no tools: it does not know `tools/list`."]
                    if cursor is None or connection.over:
                        raise
                    said = connection.evidence.clean(error.message)
                    return raw, [f"Page {len(seen)} of its tools is missing: {said}."]
                raw += [tool.model_dump(mode="json", by_alias=True, exclude_unset=True) for tool in page.tools]
                cursor = page.next_cursor
                if cursor is None:
                    return raw, []
                if len(seen) >= PAGES or len(raw) >= TOOLS:
                    return raw[:TOOLS], [f"Its list of tools does not end: cut after {len(raw[:TOOLS])}."]
        return raw, [f"Its list of tools repeats itself: cut after {len(raw)}."]

    async def _make(self, call: Call, client: Client, connection: Connection) -> Result | None:
        """One call on a living connection; `None` when the server forgot the session and did nothing."""
        limit = call.timeout or self._timeout
        with self._asking.timed(call, limit) as scope:
            try:
                answer = await client.call_tool(call.tool.name, dict(call.arguments), progress_callback=_progress(call))
            except MCPError as error:
                return await self._refused(error, connection)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return await self._died(connection)
            except (ValidationError, RuntimeError, ExceptionGroup) as error:
                said = connection.evidence.clean(str(error))
                return failed("tool", f"{self.name} gave an answer that cannot be understood: {said}")
            self._failures = 0
            return results.result(answer, call.tool)
        assert scope.cancelled_caught
        return failed("timeout", f"{call.tool.id} gave no answer within {limit:g} s and was told to stop")

    async def _refused(self, error: MCPError, connection: Connection) -> Result | None:
        if _is_end(error, connection):
            return await self._died(connection)
        if isinstance(connection.config, HttpEntry):
            if error.message == "Session terminated":
                connection.stop()
                return None
            if error.message == "Server returned an error response":
                lost = explain(self.name, connection.config, connection.evidence, error, hung=None, was_ready=True)
                return failed("unavailable", str(lost))
            if error.code == types.CONNECTION_CLOSED and error.message.startswith("SSE stream"):
                return failed("unavailable", f"{self.name}: the answer broke off ({error.message})")
        self._failures = 0
        if error.message in ASKED_FOR_HELP:
            return failed("tool", f"{self.name} asked for something in the middle of the call: {error.message}")
        said = scrub(error.message, connection.evidence.secrets)
        return failed("tool", said or f"{self.name} refused with the code {error.code}")

    async def _died(self, connection: Connection) -> Result:
        lost = await self._lost(connection)
        return failed("unavailable", str(lost) if lost is not None else f"{self.name}: it was stopped during the call")

    async def _lost(self, connection: Connection) -> UpstreamError | None:
        """How the connection ended, for which its process must have been collected."""
        with anyio.move_on_after(END):
            await connection.closed.wait()
        return connection.failure

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def _is_end(error: MCPError, connection: Connection) -> bool:
    """Whether the connection ended. Servers use the same code for errors of their own, with other words."""
    return error.code == types.CONNECTION_CLOSED and (error.message == "Connection closed" or connection.over)


def _progress(call: Call) -> ProgressFnT | None:
    if (tell := call.progress) is None:
        return None

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        await tell(progress, total, message)

    return progress


def _secrets(config: StdioEntry | HttpEntry) -> tuple[str, ...]:
    """Values that must not be repeated. Tokens also come as `Bearer …`, and are the word after it."""
    if isinstance(config, StdioEntry):
        return tuple(value for key, value in config.env.items() if key not in DEFAULT_INHERITED_ENV_VARS)
    values = list(config.headers.values())
    return (*values, *(word for value in values for word in value.split()), config.url.partition("?")[2])
