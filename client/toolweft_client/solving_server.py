"""The MCP server of `toolweft solve-server`: one tool, `solve`, which runs the agent with the host's own model.

It is a server to the host and, through the agent's session, a client of a server with `find_tools` and `execute_code`.
Which request goes where is here; the tasks are `solves`', what is asked of the host is `host`'s.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from toolweft_catalog import __version__
from toolweft_catalog.tool import Json
from toolweft_client.errors import UsageError
from toolweft_client.host import Context, over_the_connection
from toolweft_client.solves import Report, Solve, Solver, Solves
from toolweft_client.stages.answer import Answer

logger = logging.getLogger(__name__)

LONGEST = 20_000
"""Characters of a task."""
INSTRUCTIONS = (
    "`solve` hands a whole task to an agent that works with the tools of this person's toolweft: it searches them, "
    "writes one program, runs it and mends it. It thinks with your model (sampling). Say everything it needs in the "
    "task: it does not see this conversation."
)
TOOL: dict[str, Any] = {
    "name": "solve",
    "title": "Solve a task with the person's tools",
    "description": (
        "Solves one task with the person's own tools: finds the right ones, writes and runs a program against them, "
        "mends it until it runs, and answers with its result. Write the task so that it stands on its own, with every "
        "name, number and date that it needs. A failed answer says why, and what was already done."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "task": {"type": "string", "minLength": 1, "maxLength": LONGEST, "description": "what to do, in words"}
        },
        "required": ["task"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "status": {"enum": ["answered", "failed"]},
            "text": {"type": "string", "description": "the answer, or why there is none"},
            "reason": {"type": ["string", "null"], "description": "of a failure, in one word"},
            "calls": {
                "type": "array",
                "description": "calls of tools by the last program",
                "items": {
                    "type": "object",
                    "properties": {
                        "tool": {"type": "string"},
                        "effect": {"type": "string"},
                        "status": {"type": "string", "description": "ok, or the kind of the failure"},
                        "replayed": {"type": "boolean", "description": "answered from the record of an earlier try"},
                    },
                    "required": ["tool", "effect", "status", "replayed"],
                },
            },
            "notes": {"type": "array", "items": {"type": "string"}},
            "spent": {
                "type": ["object", "null"],
                "description": "model calls, tokens (estimated), tool calls, seconds",
            },
            "trace": {
                "type": ["string", "null"],
                "description": "file with every step; `toolweft trace show` reads it",
            },
        },
        "required": ["status", "text", "reason", "calls", "notes", "spent", "trace"],
    },
    "annotations": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True},
}


class Serving:
    """The handlers."""

    def __init__(self, solver: Solver, owner: str) -> None:
        self._solver, self._owner = solver, owner
        self._solves: Solves | None = None

    @asynccontextmanager
    async def lifespan(self, _server: Server[None]) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            self._solves = Solves(self._solver, tasks)
            yield
            tasks.cancel_scope.cancel()

    async def list_tools(self, _ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool.model_validate(TOOL)])

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        if params.name != "solve":
            raise MCPError(types.INVALID_PARAMS, f"unknown tool {params.name[:100]!r}: this server has solve only")
        arguments = dict(params.arguments or {})
        task = arguments.pop("task", None)
        if not isinstance(task, str) or not task.strip() or len(task) > LONGEST or arguments:
            return _told(
                f"solve takes `task` and nothing else: text that is not empty, of at most {LONGEST} characters."
            )
        assert self._solves is not None
        solve = self._joined(ctx, params, task, self._solves)
        asked = await self._solves.wait(solve, _report(ctx))
        if asked is not None:
            return types.InputRequiredResult(input_requests=asked.requests, request_state=asked.state)
        return _result(solve)

    def _joined(self, ctx: Context, params: types.CallToolRequestParams, task: str, solves: Solves) -> Solve:
        """The task that the call starts, or brings replies to."""
        capabilities = ctx.session.client_capabilities
        try:
            if params.request_state is not None:
                return solves.back(params.request_state, self._owner, task, params.input_responses or {})
            if params.input_responses is not None:
                raise UsageError("inputResponses came without the requestState that they answer")
            modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
            return solves.begin(task, self._owner, capabilities, None if modern else over_the_connection(ctx))
        except UsageError as error:
            if capabilities is None or capabilities.sampling is None:
                needed = types.ClientCapabilities(sampling=types.SamplingCapability())
                data = types.MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
                shown = data.model_dump(by_alias=True, mode="json", exclude_none=True)
                raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, str(error), shown) from error
            raise MCPError(types.INVALID_PARAMS, str(error)) from error


def build(solver: Solver, *, owner: str = "local") -> Server[None]:
    """The server object, for stdio or in-process tests."""
    serving = Serving(solver, owner)
    return Server(
        "toolweft-solve",
        version=__version__,
        title="toolweft solve",
        instructions=INSTRUCTIONS,
        lifespan=serving.lifespan,
        on_list_tools=serving.list_tools,
        on_call_tool=serving.call_tool,
    )


def _report(ctx: Context) -> Report:
    async def report(number: float, message: str) -> None:
        try:
            await ctx.session.report_progress(number, None, message)
        except Exception:
            logger.debug("progress was not delivered", exc_info=True)

    return report


def _result(solve: Solve) -> types.CallToolResult:
    outcome = solve.outcome
    if not isinstance(outcome, Answer):
        return _told(str(outcome or "The task was cancelled."))
    told = outcome.json()
    notes = [*outcome.notes, *solve.notes]
    structured: dict[str, Json] = {
        **{key: told[key] for key in ("status", "text", "reason", "spent", "trace")},
        "calls": [
            each.model_dump(mode="json", include={"tool", "effect", "status", "replayed"}) for each in outcome.calls
        ],
        "notes": [*notes],
    }
    text = "\n".join([outcome.text, *(f"note: {each}" for each in notes)])
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=structured,
        is_error=outcome.status == "failed",
    )


def _told(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)
