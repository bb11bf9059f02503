"""Calls' time limits, and the questions to a person (elicitation) that make them wait.

In the new protocol a question belongs to its call; an old server asks over the connection, and which call made it ask
is known only when one is in flight.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import mcp_types as types
from mcp.client.session import ClientRequestContext, ElicitationFnT
from pydantic import ValidationError

from toolweft_catalog.call import Call
from toolweft_catalog.tool import Json


@dataclass(frozen=True, slots=True)
class Question:
    """What an upstream asks of a person in the middle of a call (elicitation)."""

    server: str
    params: Mapping[str, Json]
    """As on the wire: `mode`, `message`, and `requestedSchema` or `url`."""
    call: Call | None
    """The call that made it ask, or another one of its program; `None` when an old server asks while several programs
    call it."""


Elicit = Callable[[Question], Awaitable[Mapping[str, Json]]]
"""Answers `{"action": "accept" | "decline" | "cancel", "content": {…}}`. Calls' clocks stand still meanwhile."""

_CALL: contextvars.ContextVar[Call | None] = contextvars.ContextVar("toolweft_call", default=None)


class Asking:
    """The calls in flight at one upstream, their clocks, and who answers its questions."""

    def __init__(self, server: str, ask: Elicit | None) -> None:
        self._server, self._ask = server, ask
        self._in_flight: dict[anyio.CancelScope, Call] = {}
        self._paused: dict[anyio.CancelScope, float] = {}
        self._questions = 0

    @property
    def callback(self) -> ElicitationFnT | None:
        """What the SDK's client calls. Without anybody to ask there is none, and the server is told so."""
        return self._elicit if self._ask is not None else None

    @contextmanager
    def timed(self, call: Call, limit: float) -> Generator[anyio.CancelScope]:
        """The scope of a call, which ends after `limit` seconds in which nobody was asked anything."""
        token = _CALL.set(call)
        scope = anyio.CancelScope(deadline=anyio.current_time() + limit)
        self._in_flight[scope] = call
        try:
            with scope:
                yield scope
        finally:
            self._in_flight.pop(scope, None)
            self._paused.pop(scope, None)
            _CALL.reset(token)

    @contextmanager
    def _clocks_stopped(self) -> Generator[None]:
        self._questions += 1
        for scope in self._in_flight.keys() - self._paused.keys():
            self._paused[scope] = scope.deadline - anyio.current_time()
            scope.deadline = math.inf
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                for scope, left in self._paused.items():
                    scope.deadline = anyio.current_time() + left
                self._paused.clear()

    def _only(self) -> Call | None:
        """The call in flight, or one of those in flight if they are all of one program."""
        calls = list(self._in_flight.values())
        return calls[0] if len({each.execution for each in calls}) == 1 else None

    async def _elicit(
        self,
        context: ClientRequestContext,  # noqa: ARG002  (the SDK passes it)
        params: types.ElicitRequestParams,
    ) -> types.ElicitResult | types.ErrorData:
        assert self._ask is not None
        call = _CALL.get() or self._only()
        asked = params.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            with self._clocks_stopped():
                answer = await self._ask(Question(self._server, asked, call))
            return types.ElicitResult.model_validate(dict(answer))
        except (ValidationError, ValueError) as error:
            return types.ErrorData(code=types.INTERNAL_ERROR, message=f"nobody could answer: {error}")
