"""The public types, as callers see them. Never run: mypy reads it (`make check`)."""

from collections.abc import AsyncIterator
from typing import assert_type

from toolweft_catalog.call import Call, Caller, Failure, Result
from toolweft_catalog.catalog import Card, Catalog, Delta
from toolweft_catalog.ingest.python import tool
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import Execution, FoundTool, FoundTools, FunctionCard, Status
from toolweft_client.agent import Agent
from toolweft_client.model.base import ChatModel, Reply
from toolweft_client.model.scripted import ScriptedModel
from toolweft_client.session import Session
from toolweft_client.stages.answer import Answer
from toolweft_server.upstream.base import Upstream
from toolweft_server.upstream.mcp import McpUpstream
from toolweft_server.upstream.python import PythonUpstream


@tool
def bare(text: str) -> int:
    return len(text)


@tool(read_only=True)
async def marked(text: str, *, times: int = 1) -> list[str]:
    return [text] * times


assert_type(bare("x"), int)


async def marking_a_tool_leaves_its_signature() -> None:
    assert_type(await marked("x", times=2), list[str])


def a_catalogue(catalog: Catalog) -> None:
    assert_type(catalog.get("a.b"), Card | None)
    assert_type(catalog.tool("a.b"), Tool)
    assert_type(catalog.delta(catalog), Delta)
    assert_type([card.id for card in catalog], list[str])


async def everything_that_can_be_called_has_one_shape(caller: Caller, call: Call, upstream: Upstream) -> None:
    assert_type(await caller(call), Result)
    assert_type((await caller(call)).failure, Failure | None)
    middle: Caller = upstream
    assert_type(await middle(call), Result)


def kinds_of_upstream(mcp: McpUpstream, python: PythonUpstream) -> list[Upstream]:
    return [mcp, python]


async def a_script(model: ChatModel) -> AsyncIterator[Answer]:
    async with Session.connect(["toolweft", "serve"]) as session:
        found = await session.find_tools("create an issue", limit=3)
        assert_type(found, FoundTools)
        assert_type(found.tools, list[FoundTool])
        ran = await session.execute_code("1 + 1", session="work")
        assert_type(ran, Execution)
        assert_type(ran.status, Status)
        assert_type(await session.function("remember", version=1), FunctionCard)
        yield await Agent(model, session).run("list the issues")


def models() -> ChatModel:
    return ScriptedModel([Reply("done")])
