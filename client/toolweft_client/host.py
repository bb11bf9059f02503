"""The host of a server of ours, as far as it can be asked something while a call goes on: for its model, or its person.

Older revisions: a request over the connection (`over_the_connection`). 2026-07-28: the call is answered with what is
asked, and made again with the replies (`Rounds`). Whoever asks does not see the difference, but for the number of
rounds. What `toolweft_server.person` is for its own questions, in the words of the client.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
import mcp_types as types
from mcp.client.session import ClientRequestContext
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError

from toolweft_client.asking import Ask
from toolweft_client.errors import StoppedError

ROUNDS = 8
"""Of one call: clients give up after ten."""
OPEN_SECONDS = 900.0
"""How long one request to the host may wait for its answer: a person may have to agree to it first."""

Context: TypeAlias = ServerRequestContext[Any, Any]
Request: TypeAlias = types.CreateMessageRequest | types.ElicitRequest
Asking: TypeAlias = Callable[[Request], Awaitable[types.InputResponse]]
"""Asks the host. Raises `MCPError` or `ValidationError` when it says no or answers nonsense, `StoppedError` when it
cannot be asked any more."""


def over_the_connection(ctx: Context) -> Asking:
    """For the revisions in which a server may send requests; they belong to the call of `ctx` and end with it."""

    async def ask(request: Request) -> types.InputResponse:
        wanted: type[types.InputResponse] = (
            types.CreateMessageResult if isinstance(request, types.CreateMessageRequest) else types.ElicitResult
        )
        # Not `create_message` and `elicit_form`: the first of them warns on every call that it is deprecated.
        related = ServerMessageMetadata(related_request_id=ctx.request_id)
        try:
            return await ctx.session.send_request(request, wanted, OPEN_SECONDS, related)
        except MCPError as error:
            if error.code != types.CONNECTION_CLOSED:
                raise
        # The host is gone, and whoever asks is about to be cancelled with its call: the task was interrupted, and
        # nobody is there who could be told that it failed.
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    return ask


@dataclass(eq=False, slots=True)
class _Open:
    request: Request
    asked: bool = False
    """It is in the round that was given out."""
    response: types.InputResponse | None = None
    closed: anyio.Event = field(default_factory=anyio.Event)


class Rounds:
    """What one call asks on 2026-07-28. Each round is given out once, and closed as a whole by the replies to it."""

    def __init__(self, changed: Callable[[], None], *, most: int = ROUNDS) -> None:
        """`changed` is called when something new is asked."""
        self.number = 0
        """Rounds given out so far."""
        self._changed, self._most = changed, most
        self._open: dict[str, _Open] = {}
        self._asked = 0

    @property
    def waiting(self) -> bool:
        """Whether something is asked that is in no round yet."""
        return any(not each.asked for each in self._open.values())

    async def ask(self, request: Request) -> types.InputResponse:
        """An `Asking`."""
        if self.number >= self._most:
            raise StoppedError(
                "budget",
                f"The {self._most} rounds of questions that one call may take on this protocol are used up.",
            )
        self._asked += 1
        key, question = f"r{self._asked}", _Open(request)
        self._open[key] = question
        self._changed()
        try:
            with anyio.move_on_after(OPEN_SECONDS) as late:
                await question.closed.wait()
        finally:
            del self._open[key]
        if question.response is None:
            told = (
                f"no reply came within {OPEN_SECONDS:g} seconds"
                if late.cancelled_caught
                else "the call came again without a reply to it"
            )
            raise MCPError(types.INVALID_PARAMS, told)
        return question.response

    def give_out(self) -> types.InputRequests:
        """The next round: everything that is asked now; empty, and no round, when nothing is."""
        round_ = {key: each for key, each in self._open.items() if not each.asked}
        self.number += bool(round_)
        for each in round_.values():
            each.asked = True
        return {key: each.request for key, each in round_.items()}

    def take(self, responses: Mapping[str, types.InputResponse]) -> None:
        """Closes the round that was given out, whether or not everything in it has a reply."""
        for key, question in self._open.items():
            if question.asked:
                question.response = responses.get(key)
                question.closed.set()


def passed_on(asking: Asking, capabilities: types.ClientCapabilities | None, notes: list[str]) -> Ask | None:
    """What another server asks of a person, put to the host's; `None` where the host shows no questions.

    A question that cannot be put is cancelled, and `notes` says why.
    """
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None:
        return None
    # Before there were two kinds, an empty object meant forms.
    shown = {"form": elicitation.form is not None or elicitation.url is None, "url": elicitation.url is not None}

    async def ask(
        context: ClientRequestContext,  # noqa: ARG001  (the SDK passes it)
        params: types.ElicitRequestParams,
    ) -> types.ElicitResult:
        why = f"this host shows no questions of the kind {params.mode!r}"
        if shown.get(params.mode):
            try:
                answer = await asking(types.ElicitRequest(params=_anew(params)))
            except (MCPError, ValidationError, StoppedError) as error:
                why = " ".join(str(error).split())[:300]
            else:
                if isinstance(answer, types.ElicitResult):
                    return answer
                why = f"the host answered it with {type(answer).__name__}"
        notes.append(f"a question was not put to you: {why}")
        return types.ElicitResult(action="cancel")

    return ask


def _anew(params: types.ElicitRequestParams) -> types.ElicitRequestParams:
    """The question without what belongs to the connection it came over."""
    if isinstance(params, types.ElicitRequestURLParams):
        # Required by 2025-11-25; servers of 2026-07-28 give none.
        return types.ElicitRequestURLParams(
            message=params.message, url=params.url, elicitation_id=params.elicitation_id or secrets.token_hex(8)
        )
    return types.ElicitRequestFormParams(message=params.message, requested_schema=params.requested_schema)
