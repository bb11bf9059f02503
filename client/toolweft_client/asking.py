"""`Terminal`: what a server asks of a person (elicitation), put to whoever sits at the terminal, one after another."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO, TypeAlias

import anyio
import anyio.from_thread
import anyio.lowlevel
from mcp.client.session import ClientRequestContext, ElicitationFnT
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult, ErrorData

Ask: TypeAlias = ElicitationFnT
"""What answers a server's questions, as `mcp.Client` takes it."""

TRIES = 3
"""Answers that make no sense before a question counts as declined."""

Value: TypeAlias = str | int | float | bool


class Terminal:
    """An `Ask`. Enter alone, the end of input or three senseless answers decline."""

    def __init__(self, *, read: Callable[[], Awaitable[str]] | None = None, out: TextIO | None = None) -> None:
        """`read` gives one line, empty at the end of input."""
        self._read, self._out = read or line, out or sys.stderr
        self._forget_typed = _nothing if read else _flush
        self._turn = anyio.Lock()
        self.pause: Callable[[], None] = _nothing
        self.resume: Callable[[], None] = _nothing
        """What else draws on the terminal stops while somebody types."""

    @classmethod
    def if_any(cls) -> Terminal | None:
        """Where input or output is not a terminal, nobody can be asked, and the server is to know it."""
        return cls() if sys.stdin.isatty() and sys.stderr.isatty() else None

    async def __call__(
        self,
        context: ClientRequestContext,  # noqa: ARG002  (the SDK passes it)
        params: ElicitRequestParams,
    ) -> ElicitResult:
        async with self._turn:
            self.pause()
            try:
                self._forget_typed()
                self._say(f"\n{params.message}\n")
                content = await self._url(params) if isinstance(params, ElicitRequestURLParams) else await self._form(
                    params.requested_schema
                )  # fmt: skip
            finally:
                self.resume()
        return ElicitResult(action="decline") if content is None else ElicitResult(action="accept", content=content)

    async def _url(self, params: ElicitRequestURLParams) -> dict[str, Any] | None:
        self._say(f"  {params.url}\nOpen it, then type y: ")
        return {} if (await self._read()).strip().lower() in ("y", "yes") else None

    async def _form(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        content: dict[str, Any] = {}
        for name, field in schema.get("properties", {}).items():
            value = await self._field(str(name), field if isinstance(field, dict) else {})
            if value is not None:
                content[name] = value
            elif name in schema.get("required", ()):
                return None
        return content

    async def _field(self, name: str, field: Mapping[str, Any]) -> Value | None:
        choices = [str(each) for each in field.get("enum", ())]
        choices += [str(each.get("const")) for each in field.get("oneOf", ()) if isinstance(each, dict)]
        for number, choice in enumerate(choices, 1):
            self._say(f"  {number}  {choice}\n")
        kind = f"1-{len(choices)}" if choices else {"boolean": "y/n"}.get(str(field.get("type")), field.get("type"))
        for _ in range(TRIES):
            self._say(f"{field.get('title') or name} ({kind}; Enter declines): ")
            typed = (await self._read()).strip()
            if not typed:
                return None
            if (value := _value(typed, str(field.get("type")), choices)) is not None:
                return value
            self._say(f"{typed[:40]!r} is not one of these.\n" if choices else f"{typed[:40]!r} is no {kind}.\n")
        return None

    def _say(self, text: str) -> None:
        # A server's words: what would move the cursor or colour the screen is left out.
        self._out.write("".join(c for c in text if c.isprintable() or c == "\n"))
        self._out.flush()


class Attended:
    """An `Ask` during which deadlines wait: the clock stops while a person thinks."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._scopes: list[anyio.CancelScope] = []
        self._left: list[tuple[anyio.CancelScope, float]] = []
        self._open = 0

    async def __call__(
        self, context: ClientRequestContext | None, params: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        """`context` is the SDK's; there is none for a question of our own."""
        self._open += 1
        if self._open == 1:
            self._left = [(scope, scope.deadline - anyio.current_time()) for scope in self._scopes]
            for scope in self._scopes:
                scope.deadline = math.inf
        try:
            return await self._ask(context, params)  # type: ignore[arg-type]
        finally:
            self._open -= 1
            for scope, left in self._left if not self._open else ():
                scope.deadline = anyio.current_time() + left

    @contextmanager
    def stopping(self, scope: anyio.CancelScope) -> Iterator[None]:
        """While the block runs, questions stop the clock of `scope`."""
        self._scopes.append(scope)
        try:
            yield
        finally:
            self._scopes.remove(scope)


def _value(typed: str, kind: str, choices: list[str]) -> Value | None:
    """What was typed, as the field wants it; `None` if it makes no sense."""
    if choices:
        if typed.isdecimal() and 0 < int(typed[:4]) <= len(choices):
            return choices[int(typed[:4]) - 1]
        return typed if typed in choices else None
    if kind == "boolean":
        return {"y": True, "yes": True, "n": False, "no": False}.get(typed.lower())
    if kind in ("integer", "number"):
        with suppress(ValueError):
            number = int(typed) if kind == "integer" else float(typed)
            return number if math.isfinite(number) else None
        return None
    return typed


def _flush() -> None:
    """An answer typed before the question was shown is none."""
    if sys.platform != "win32":
        import termios

        with suppress(termios.error, OSError):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)


async def line() -> str:
    """One typed line; waiting for it can be cancelled."""
    if sys.platform == "win32":
        return await _line_by_thread()
    await anyio.wait_readable(sys.stdin)
    return os.read(sys.stdin.fileno(), 4096).decode("utf-8", "replace")


async def _line_by_thread() -> str:
    """A daemon: one that waits for a key must not keep the process alive."""
    token, done, typed = anyio.lowlevel.current_token(), anyio.Event(), [""]

    def read() -> None:
        typed[0] = sys.stdin.readline()
        with suppress(RuntimeError):
            anyio.from_thread.run_sync(done.set, token=token)

    threading.Thread(target=read, name="answer", daemon=True).start()
    await done.wait()
    return typed[0]


def _nothing() -> None:
    pass
