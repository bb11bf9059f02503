"""The person behind a request, in both eras of the protocol: whether there is one, and how a question gets there.

Older revisions: the server asks over the connection while the call goes on. 2026-07-28: the call is answered with
its questions, and made again with the replies. What is asked is `questions`' business.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from toolweft_catalog.tool import Json
from toolweft_server.errors import AnswerError
from toolweft_server.questions import Answers, Person, Question, Reply, Round, Unanswered
from toolweft_server.seal import Seal, Ticket

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]


def behind(ctx: Context) -> Person | None:
    """Who can be asked through this request; `None` where the client shows no questions to anybody."""
    offered = ctx.session.client_capabilities
    elicitation = offered.elicitation if offered else None
    if elicitation is None:
        return None
    # Before there were two kinds, an empty object meant forms.
    kinds = {"form": elicitation.form is not None or elicitation.url is None, "url": elicitation.url is not None}
    modes = frozenset(kind for kind, shown in kinds.items() if shown)
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return Person(modes=modes)
    if not ctx.session.can_send_request:
        return None

    async def ask(question: Question) -> Reply | Unanswered:
        return await _over_the_connection(ctx, question)

    return Person(ask, modes)


async def _over_the_connection(ctx: Context, question: Question) -> Reply | Unanswered:
    params = _params(question)
    try:
        if isinstance(params, types.ElicitRequestURLParams):
            # Two servers may have given the same id to two addresses.
            unique = secrets.token_hex(8)
            answer = await ctx.session.elicit_url(params.message, params.url, unique, ctx.request_id)
        else:
            answer = await ctx.session.elicit_form(params.message, params.requested_schema, ctx.request_id)
    except (MCPError, ValidationError) as error:
        logger.warning("a question could not be asked: %s", error)
        return "nobody"
    return reply(answer)


def _params(question: Question) -> types.ElicitRequestParams:
    kind = types.ElicitRequestURLParams if question.params["mode"] == "url" else types.ElicitRequestFormParams
    return kind.model_validate(question.params)


def required(
    asked: Round, execution: str, request: Mapping[str, Any], seal: Seal, *, owner: str
) -> types.InputRequiredResult:
    """The answer to a call that must wait for a person. `request` are the call's arguments."""
    requests: types.InputRequests = {
        question.id: types.ElicitRequest(params=_params(question)) for question in asked.questions
    }
    state = seal.seal(Ticket(execution, asked.number), owner=owner, request=request, seconds=asked.seconds)
    # The id is for a host that does not come back with answers: `retry_of` finds the program by it.
    meta: dict[str, Any] = {"dev.toolweft/execution": execution}
    return types.InputRequiredResult(input_requests=requests, request_state=state, _meta=meta)


def answers(
    params: types.CallToolRequestParams, request: Mapping[str, Any], seal: Seal, *, owner: str
) -> Answers | None:
    """What a call brings for a program that waits; `None` for one that starts something.

    Raises:
        AnswerError: Its state is not one of ours, or answers come without one.

    """
    if params.request_state is None:
        if params.input_responses is not None:
            raise AnswerError("", "inputResponses came without the requestState that they answer")
        return None
    if params.name != "execute_code":
        raise AnswerError("", f"{params.name} asks nothing, so no requestState belongs to it")
    ticket = seal.open(params.request_state, owner=owner, request=request)
    # An answer of another kind than was asked for counts as none.
    given = (params.input_responses or {}).items()
    replies = {key: reply(each) for key, each in given if isinstance(each, types.ElicitResult)}
    return Answers(ticket.execution, ticket.round, replies)


def reply(answer: types.ElicitResult) -> Reply:
    content: dict[str, Json] = {}
    for key, value in (answer.content or {}).items():
        content[key] = [*value] if isinstance(value, list) else value
    return Reply(answer.action, content)
