"""The MCP server object: which request goes where. No tool, index or sandbox is known here, only their surface.

Built on the SDK's low-level `Server`, because the surface is fixed and written by hand: schemas stay byte-stable,
errors carry the codes of the specification, and only what exists is advertised. Everything that costs time to start
sits behind `Runtime.app`, so that the handshake waits for nothing.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from toolweft_catalog import __version__
from toolweft_catalog.wire import FunctionCard
from toolweft_server import person, prompts, resources, skills
from toolweft_server.beat import Report, beat
from toolweft_server.errors import AnswerError, ToolweftError
from toolweft_server.publishing import METHOD, Published, PublishParams
from toolweft_server.questions import Answers, Person, Round
from toolweft_server.seal import Seal
from toolweft_server.terms import Terms
from toolweft_server.tools import surface

if TYPE_CHECKING:
    from toolweft_server.library.store import Admission

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]

PAGE = 200
"""Resources in one page of a list."""
TAKES = {tool["name"]: ", ".join(tool["inputSchema"]["properties"]) for tool in surface.TOOLS}
LISTENERS = 256
"""Sessions told of changes, and resources subscribed to: HTTP hosts come and go without saying so."""
DAY_MS = 24 * 3600 * 1000
HINTS: dict[Any, CacheHint] = {
    "tools/list": CacheHint(ttl_ms=DAY_MS, scope="public"),
    "prompts/list": CacheHint(ttl_ms=DAY_MS, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=DAY_MS, scope="public"),
    "resources/list": CacheHint(ttl_ms=0, scope="private"),
    "resources/read": CacheHint(ttl_ms=0, scope="private"),
    "server/discover": CacheHint(ttl_ms=3_600_000, scope="private"),
}
"""The surface never changes while we run. The library may change with every execution, and whoever has just saved a
function looks for it at once: even a second would show the list without it."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sent a request."""

    owner: str
    connection: str
    client: str
    terms: Terms = Terms()  # noqa: RUF009 - immutable


@dataclass(frozen=True, slots=True)
class Reply:
    """A tool's answer: the same thing structured, as text, and as pictures."""

    structured: dict[str, Any]
    text: str
    is_error: bool = False
    images: Sequence[tuple[str, bytes]] = ()
    asked: Round | None = None
    """Questions that the request is to be answered with instead: its client brings the replies with another one."""


class App(resources.Library, Protocol):
    """What `app.App` offers to the protocol."""

    async def find_tools(self, arguments: dict[str, Any], asker: Asker) -> Reply:
        """
        Raises:
            ValidationError: The arguments are wrong; the message goes to the model.

        """
        ...

    async def execute_code(
        self,
        arguments: dict[str, Any],
        asker: Asker,
        report: Report,
        person: Person | None = None,
        answers: Answers | None = None,
    ) -> Reply:
        """
        Raises:
            ValidationError: The arguments are wrong; the message goes to the model.
            AnswerError: `answers` are to questions that are not open.

        """
        ...

    async def publish(self, cards: Sequence[FunctionCard]) -> Admission:
        """Keeps functions that another toolweft sends, as candidates."""
        ...


class Runtime(Protocol):
    """Everything behind the surface; opened at the first request that needs it, or soon after the handshake."""

    def lifespan(self) -> AbstractAsyncContextManager[None]: ...

    def warm(self) -> None:
        """Opens the app in the background; called once the host has its list of tools."""
        ...

    async def app(self) -> App:
        """
        Raises:
            ToolweftError: It cannot be opened (store locked, corrupt …). The next request tries again.

        """
        ...

    def on_functions_changed(self, listener: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """`listener` gets the names of functions that were added, changed or removed, by whichever process."""
        ...


@dataclass
class Serving:
    """The handlers, and the little state they share: who wants to hear of changes."""

    runtime: Runtime
    owner: str
    connection: str
    tools: Sequence[dict[str, Any]]
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    listeners: dict[ServerSession, None] = field(default_factory=dict)
    """Sessions of the older revisions, which are told of changes without asking; the latest `LISTENERS` of them."""
    subscribed: dict[str, dict[ServerSession, None]] = field(default_factory=dict)
    seal: Seal = field(default_factory=Seal)

    async def list_tools(self, _ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        _only_page(params)
        self.runtime.warm()
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in self.tools])

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        arguments = dict(params.arguments or {})
        if params.name not in ("find_tools", "execute_code"):
            raise MCPError(types.INVALID_PARAMS, f"unknown tool {params.name[:100]!r}: find_tools or execute_code?")
        asker = self._asker(ctx)
        try:
            with _told_as_protocol_error():
                answers = person.answers(params, arguments, self.seal, owner=self.owner)
                async with beat(ctx.session) as report:
                    app = await self.runtime.app()
                    if params.name == "find_tools":
                        reply = await app.find_tools(arguments, asker)
                    else:
                        reply = await app.execute_code(arguments, asker, report, person.behind(ctx), answers)
        except ValidationError as error:
            return _told(f"{params.name}: {explain(error)}. Its arguments: {TAKES[params.name]}.")
        if reply.asked is not None:
            return person.required(reply.asked, reply.structured["id"], arguments, self.seal, owner=self.owner)
        pictures: list[types.ContentBlock] = [
            types.ImageContent(type="image", data=base64.b64encode(data).decode("ascii"), mime_type=mime)
            for mime, data in reply.images
        ]
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=reply.text), *pictures],
            structured_content=reply.structured,
            is_error=reply.is_error,
        )

    def _asker(self, ctx: Context) -> Asker:
        client = ctx.session.client_params
        name = client.client_info.name[:100] if client else "unknown"
        return Asker(self.owner, f"{self.connection}:{name}", name, Terms.of(ctx.meta or {}))

    async def list_resources(
        self, _ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        with _told_as_protocol_error():
            listed = await resources.listed(await self.runtime.app())
        start = _offset(params.cursor if params else None, len(listed))
        more = str(start + PAGE) if start + PAGE < len(listed) else None
        return types.ListResourcesResult(
            resources=[types.Resource.model_validate(each) for each in listed[start : start + PAGE]], next_cursor=more
        )

    async def list_templates(
        self, _ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        _only_page(params)
        templates = [types.ResourceTemplate.model_validate(each) for each in resources.TEMPLATES]
        return types.ListResourceTemplatesResult(resource_templates=templates)

    async def read_resource(self, _ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        uri = str(params.uri)
        with _told_as_protocol_error():
            content = await resources.read(uri, await self.runtime.app(), owner=self.owner)
        if content is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no resource {uri[:200]!r}", {"uri": uri[:200]})
        if isinstance(content.body, bytes):
            blob = base64.b64encode(content.body).decode("ascii")
            return types.ReadResourceResult(
                contents=[types.BlobResourceContents(uri=uri, mime_type=content.mime, blob=blob)]
            )
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type=content.mime, text=content.body)]
        )

    async def complete(self, _ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        reference = params.ref
        if isinstance(reference, types.PromptReference):
            if reference.name not in {prompt["name"] for prompt in prompts.PROMPTS}:
                raise MCPError(types.INVALID_PARAMS, f"unknown prompt {reference.name[:100]!r}")
        elif reference.uri not in {template["uriTemplate"] for template in resources.TEMPLATES}:
            raise MCPError(types.INVALID_PARAMS, f"unknown resource template {reference.uri[:200]!r}")
        elif reference.uri.startswith(resources.ROOT) and params.argument.name == "name":
            prefix = params.argument.value
            with _told_as_protocol_error():
                saved = await (await self.runtime.app()).function_names()
            names = [name for name in saved if name.startswith(prefix)]
            values = names[:100]
            return types.CompleteResult(
                completion=types.Completion(values=values, total=len(names), has_more=len(names) > len(values))
            )
        return types.CompleteResult(completion=types.Completion(values=[]))

    async def list_prompts(self, _ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        _only_page(params)
        return types.ListPromptsResult(prompts=[types.Prompt.model_validate(each) for each in prompts.PROMPTS])

    async def get_prompt(self, _ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        try:
            text = prompts.render(params.name, dict(params.arguments or {}))
        except KeyError as error:
            raise MCPError(types.INVALID_PARAMS, str(error.args[0])) from None
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
        return types.GetPromptResult(messages=[message])

    async def subscribe(self, ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        if str(params.uri) not in self.subscribed and len(self.subscribed) >= LISTENERS:
            raise MCPError(types.INVALID_PARAMS, f"too many subscriptions: {LISTENERS} resources have one already")
        _add(self.subscribed.setdefault(str(params.uri), {}), ctx.session)
        self.runtime.warm()
        return types.EmptyResult()

    async def unsubscribe(self, ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        self.subscribed.get(str(params.uri), {}).pop(ctx.session, None)
        return types.EmptyResult()

    async def publish(self, _ctx: Context, params: PublishParams) -> Published:
        with _told_as_protocol_error():
            return Published.of(await (await self.runtime.app()).publish(params.functions))

    async def list_skills(self, _ctx: Context, params: types.PaginatedRequestParams) -> skills.Listed:
        with _told_as_protocol_error():
            cards = list(skills.titled(await (await self.runtime.app()).functions()).items())
        start = _offset(params.cursor, len(cards))
        shown = cards[start : start + skills.PAGE]
        more = str(start + skills.PAGE) if start + skills.PAGE < len(cards) else None
        entries = await anyio.to_thread.run_sync(lambda: [skills.entry(*each) for each in shown])
        return skills.Listed(skills=entries, next_cursor=more)

    async def get_skill(self, _ctx: Context, params: skills.GetParams) -> skills.Got:
        with _told_as_protocol_error():
            cards = await (await self.runtime.app()).functions()
        found = await anyio.to_thread.run_sync(skills.named, params.uri, cards)
        if found is None:
            raise MCPError(types.INVALID_PARAMS, f"there is no skill {params.uri[:200]!r}", {"uri": params.uri[:200]})
        return skills.Got(skill=found)

    async def initialized(self, ctx: Context, _params: types.NotificationParams | None) -> None:
        _add(self.listeners, ctx.session)

    async def functions_changed(self, names: Sequence[str]) -> None:
        """Tells everybody who listens, in the manner of each protocol revision."""
        await self.bus.publish(ResourcesListChanged())
        async with anyio.create_task_group() as telling:
            for session in list(self.listeners):
                telling.start_soon(self._tell, session, session.send_resource_list_changed)
            for uri in (resources.ROOT, *(f"{resources.ROOT}/{name}" for name in names)):
                await self.bus.publish(ResourceUpdated(uri=uri))
                for session in list(self.subscribed.get(uri, ())):
                    telling.start_soon(self._tell, session, partial(session.send_resource_updated, uri))

    async def _tell(self, session: ServerSession, send: Callable[[], Awaitable[None]]) -> None:
        """One listener that has gone away must not keep the news from the others."""
        try:
            with anyio.fail_after(5):
                await send()
        except Exception:  # noqa: BLE001 - whatever a dead connection raises means the same
            self.listeners.pop(session, None)
            for sessions in self.subscribed.values():
                sessions.pop(session, None)


def build(
    runtime: Runtime, *, servers: Sequence[str], packages: Sequence[str] = (), owner: str = "local",
    connection: str = "", accepts: bool = False,
) -> Server[None]:  # fmt: skip
    """The server object, for stdio, HTTP, or in-process tests. `servers` and `packages` are names that hosts are shown.

    `accepts`: other toolwefts may publish functions to this one.
    """
    serving = Serving(runtime, owner, connection, surface.tools(packages))
    runtime.on_functions_changed(serving.functions_changed)
    server: Server[None] = Server(
        "toolweft",
        version=__version__,
        title="toolweft",
        instructions=surface.instructions(servers),
        cache_hints=HINTS,
        lifespan=lambda _server: runtime.lifespan(),
        on_list_tools=serving.list_tools,
        on_call_tool=serving.call_tool,
        on_list_resources=serving.list_resources,
        on_list_resource_templates=serving.list_templates,
        on_read_resource=serving.read_resource,
        on_subscribe_resource=serving.subscribe,
        on_unsubscribe_resource=serving.unsubscribe,
        on_subscriptions_listen=ListenHandler(serving.bus),
        on_list_prompts=serving.list_prompts,
        on_get_prompt=serving.get_prompt,
        on_completion=serving.complete,
    )
    server.add_notification_handler("notifications/initialized", types.NotificationParams, serving.initialized)
    server.extensions[skills.EXTENSION] = {}
    server.add_request_handler(skills.LIST, types.PaginatedRequestParams, serving.list_skills)
    server.add_request_handler(skills.GET, skills.GetParams, serving.get_skill)
    if accepts:
        server.add_request_handler(METHOD, PublishParams, serving.publish)
    return server


def options(server: Server[None]) -> InitializationOptions:
    """What the handshake of the older revisions advertises."""
    return server.create_initialization_options(NotificationOptions(resources_changed=True))


def explain(error: ValidationError) -> str:
    """What is wrong with the arguments, for the model that sent them."""
    problems = [
        f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)[:5]
    ]
    return "; ".join(problems)


def _add(sessions: dict[ServerSession, None], session: ServerSession) -> None:
    sessions[session] = None
    while len(sessions) > LISTENERS:
        del sessions[next(iter(sessions))]


def _told(text: str) -> types.CallToolResult:
    """A mistake of the caller's, which the model can mend: an error result, not a protocol error."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=True)


@contextmanager
def _told_as_protocol_error() -> Iterator[None]:
    """What toolweft itself cannot do (a locked store …) is no tool's failure: the host is told, in our words."""
    try:
        yield
    except AnswerError as error:
        raise MCPError(types.INVALID_PARAMS, str(error)) from error
    except ToolweftError as error:
        raise MCPError(types.INTERNAL_ERROR, str(error)) from error


def _only_page(params: types.PaginatedRequestParams | None) -> None:
    """These lists have one page, so no cursor was ever given out."""
    _offset(params.cursor if params else None, -1)


def _offset(cursor: str | None, size: int) -> int:
    if cursor is None:
        return 0
    if not (cursor.isdecimal() and len(cursor) < 10) or not 0 <= int(cursor) <= size:
        raise MCPError(types.INVALID_PARAMS, f"unknown cursor {cursor[:40]!r}; start again without one")
    return int(cursor)
