"""`Session`: typed verbs over `mcp.Client`. What comes back is validated here and trusted from here on.

Any MCP server that finds tools and runs programs will do, ours by default: over stdio, HTTP or in-process. What it
calls the two, and how its answers are read, is `dialect`'s.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, TypeAlias

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitResult, Tool
from pydantic import ValidationError

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Execution, FoundTools, FunctionCard
from toolweft_client.asking import Ask, Attended
from toolweft_client.dialect import EXECUTE, FIND, Dialect, first, text_of
from toolweft_client.errors import SessionError

Target: TypeAlias = Any
"""An http(s) URL, a command as a list, or what `mcp.Client` takes: a server object, a transport, stdio parameters."""

REQUEST_SECONDS = 300.0
"""For one answer. The server says `waiting` long before; this ends a request to one that says nothing at all."""
PERSON_SECONDS = 900.0
"""More for one answer when a person may be asked meanwhile."""
LONGEST_PAUSE = 2.0
"""Seconds between two re-attachments, at most: a server that answers `waiting` at once is not asked in a tight loop."""

_COUNT = re.compile(r"^\d+ of \d+ match(es)? among \d+ tools:$")


def own_server(config: Path | None = None) -> list[str]:
    """The command that starts this installation's own server over stdio."""
    return [sys.executable, "-m", "toolweft_catalog.cli", "serve", *(["--config", str(config)] if config else [])]


class Session:
    """Made by `Session.connect`; ends with its block."""

    def __init__(
        self, client: Client, dialect: Dialect, *, errlog: IO[bytes] | None = None, person: Attended | None = None
    ) -> None:
        """`errlog` holds what the server wrote to stderr; its end is quoted when the server goes away."""
        self._client, self._dialect, self._errlog, self._person = client, dialect, errlog, person

    @property
    def attended(self) -> bool:
        """Whether a person can be asked."""
        return self._person is not None

    @property
    def packages(self) -> str:
        """What programs may import beside the standard library, by name; empty where the server says nothing."""
        return ", ".join(self._dialect.packages)

    async def ask(self, message: str, choices: Sequence[str]) -> str | None:
        """What the person chose; `None` when they did not answer."""
        if self._person is None:
            return None
        field = {"type": "string", "title": "Decision", "enum": list(choices)}
        schema = {"type": "object", "properties": {"decision": field}, "required": ["decision"]}
        answer = await self._person(None, ElicitRequestFormParams(message=message, requested_schema=schema))
        content = answer.content if isinstance(answer, ElicitResult) and answer.action == "accept" else None
        decision = (content or {}).get("decision")
        return decision if isinstance(decision, str) and decision in choices else None

    @contextmanager
    def clock(self, scope: anyio.CancelScope) -> Iterator[None]:
        """The deadline of `scope` moves on by the time that a person takes to answer."""
        with self._person.stopping(scope) if self._person is not None else nullcontext():
            yield

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, target: Target, *, seconds: float = 60.0, ask: Ask | None = None, find: str = FIND, execute: str = EXECUTE
    ) -> AsyncIterator[Session]:
        """Connects, and makes sure that the server has the two tools, which are called `find` and `execute`.

        `ask` answers what the server asks of a person; without it the server is told that nobody is there.

        Raises:
            SessionError: It does not start, cannot be reached within `seconds`, or offers other tools.

        """
        with tempfile.TemporaryFile() as errlog, _unwrapped():
            # The SDK's own scopes must end inside this one: so it outlives the connecting, and its deadline is lifted.
            with anyio.move_on_after(seconds) as scope:
                async with AsyncExitStack() as stack:
                    person = Attended(ask) if ask is not None else None
                    with _boundary(target, errlog):
                        client = await stack.enter_async_context(_client(target, errlog, person))
                        offered = await _offered(client, find, execute)
                    scope.deadline = math.inf
                    _demand(target, offered, find, execute)
                    dialect = Dialect.of(offered[find], offered[execute])
                    yield cls(client, dialect, errlog=errlog, person=person)
            if scope.cancelled_caught:
                raise SessionError(
                    f"{_named(target)} did not answer within {seconds:g} seconds.\n{_tail(errlog)}".rstrip()
                )

    async def find_tools(
        self, query: str, *, limit: int = 5, server: str | None = None, meta: Mapping[str, Json] | None = None
    ) -> FoundTools:
        """Tools for a request, best first.

        Raises:
            SessionError: The server is gone, or ours answers no `FoundTools`.

        """
        asked = self._dialect.asked(self._dialect.find, query, {"limit": limit, "server": server})
        return self._dialect.found(query, await self._call(self._dialect.find.name, asked, meta))

    async def stub(self, tool: str, *, meta: Mapping[str, Json] | None = None) -> str:
        """The whole stub of one tool: schema, documentation, observed result; without counts and notes. Empty when
        there is no such tool.
        """
        verb = self._dialect.find
        got = await self._call(verb.name, self._dialect.asked(verb, tool, {"limit": 1, "detail": "full"}), meta)
        found = self._dialect.found(tool, got)
        if not any(each.id == tool for each in found.tools):
            return ""

        def own(line: str) -> bool:
            return not (line == found.note or _COUNT.match(line) or line.startswith("Also: "))

        return "\n".join(filter(own, text_of(got).split("\n"))).strip("\n")

    async def execute_code(
        self,
        code: str,
        *,
        session: str | None = None,
        retry_of: str | None = None,
        execution: str | None = None,
        seconds: float | None = None,
        meta: Mapping[str, Json] | None = None,
    ) -> Execution:
        """Runs a program to its end: while the server says `waiting`, it is asked again.

        `execution` is the id under which our own server keeps it, so that whoever is cut off can ask for it later.
        `seconds` is the program's own time; waiting for tools does not count.

        Raises:
            SessionError: The server is gone, refused the request, or ours answers no `Execution`.

        """
        verb = self._dialect.execute
        asked = self._dialect.asked(verb, code, {"session": session, "timeout": seconds, "retry_of": retry_of})
        pause = 0.01
        named: dict[str, Json] = {**(meta or {}), **({"execution": execution} if execution else {})}
        while True:
            ran = self._dialect.ran(execution, await self._call(verb.name, asked, named))
            named.pop("execution", None)
            if ran.status != "waiting":
                return ran
            asked["retry_of"] = ran.id
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def function(self, name: str, *, version: int | None = None) -> FunctionCard:
        """A saved function as its resource shows it."""
        uri = f"toolweft://reusable_functions/{name}" + (f"@{version}" if version else "")
        try:
            return FunctionCard.model_validate_json(await self.resource(uri))
        except ValidationError as error:
            raise SessionError(f"{uri} is no function card: {first(error)}") from error

    async def resource(self, uri: str) -> str:
        """The text of a resource: a function, an execution's whole output."""
        with _boundary(uri, self._errlog):
            got = await self._client.read_resource(uri)
        return "\n".join(text for each in got.contents if (text := getattr(each, "text", None)) is not None)

    async def _call(self, name: str, arguments: dict[str, Any], meta: Mapping[str, Json] | None) -> CallToolResult:
        notes: Any = {f"dev.toolweft/{key}": value for key, value in meta.items()} if meta else None
        with _boundary(name, self._errlog):
            return await self._client.call_tool(name, arguments, meta=notes)


def _client(target: Target, errlog: IO[bytes], ask: Attended | None) -> Client:
    # Older servers ask while the request goes on.
    wait = REQUEST_SECONDS if ask is None else REQUEST_SECONDS + PERSON_SECONDS
    if isinstance(target, str):
        if not target.startswith(("http://", "https://")):
            raise SessionError(f"{target!r} is no URL; write a command as a list: ['toolweft', 'serve'].")
        return Client(target, read_timeout_seconds=wait, elicitation_callback=ask)
    if isinstance(target, Sequence):
        if not target:
            raise SessionError("The command of the server is an empty list.")
        # Our own server expands ${VAR} in its configuration and keeps its children's environments apart itself.
        target = StdioServerParameters(command=target[0], args=list(target[1:]), env=dict(os.environ))
    if isinstance(target, StdioServerParameters):
        # Its stderr is kept for the error message: it would tear the live display to pieces.
        target = stdio_client(target, errlog=errlog)  # type: ignore[arg-type]
    return Client(target, read_timeout_seconds=wait, elicitation_callback=ask)


def _demand(target: Target, offered: Mapping[str, Tool], find: str, execute: str) -> None:
    if missing := [name for name in (find, execute) if name not in offered]:
        raise SessionError(
            f"{_named(target)} offers {', '.join(sorted(offered)[:8]) or 'no tools'} but not {' and '.join(missing)}. "
            "Connect to `toolweft serve`, or name what this server calls the two with --find and --execute."
        )


async def _offered(client: Client, *needed: str) -> dict[str, Tool]:
    found: dict[str, Tool] = {}
    cursor: str | None = None
    for _ in range(100):
        page = await client.list_tools(cursor=cursor)
        found |= {tool.name: tool for tool in page.tools}
        cursor = page.next_cursor
        if not cursor or found.keys() >= set(needed):
            break
    return found


@contextmanager
def _boundary(what: Target, errlog: IO[bytes] | None = None) -> Iterator[None]:
    """Whatever the SDK, the transport or the process raises becomes one `SessionError` with its cause in words."""
    try:
        yield
    except SessionError:
        raise
    except (Exception, BaseExceptionGroup) as error:
        cause = _innermost(error)
        if not isinstance(cause, Exception):
            raise
        told = " ".join(str(cause).split())[:300] or "no further word"
        tail = _tail(errlog)
        raise SessionError(f"{_named(what)}: {type(cause).__name__}: {told}" + (f"\n{tail}" if tail else "")) from error


@contextmanager
def _unwrapped() -> Iterator[None]:
    """The SDK's task groups wrap what the caller's own block raises; a single exception comes out as it went in."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf: BaseException = group
        while isinstance(leaf, BaseExceptionGroup) and len(leaf.exceptions) == 1:
            leaf = leaf.exceptions[0]
        if isinstance(leaf, BaseExceptionGroup):
            raise
        raise leaf from leaf.__cause__


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tail(errlog: IO[bytes] | None) -> str:
    if errlog is None:
        return ""
    size = errlog.seek(0, os.SEEK_END)
    errlog.seek(max(0, size - 2_000))
    return "\n".join(errlog.read().decode("utf-8", "replace").strip().split("\n")[-8:])


def _named(target: Target) -> str:
    if isinstance(target, str):
        return target
    if isinstance(target, Sequence):
        return " ".join(map(str, target))
    return str(getattr(target, "name", None) or type(target).__name__)
