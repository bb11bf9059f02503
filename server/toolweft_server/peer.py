"""Another toolweft over HTTP, as somebody sees it who wants its functions or brings some: nothing of it is run."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
import mcp_types as types
from mcp import Client
from mcp.shared.exceptions import MCPError

from toolweft_catalog.wire import FunctionCard
from toolweft_server.errors import LibraryError, innermost
from toolweft_server.library.function import impersonal
from toolweft_server.library.share import FOLDERS
from toolweft_server.publishing import METHOD, MOST, Published, PublishParams
from toolweft_server.resources import ROOT
from toolweft_server.upstream.evidence import Evidence
from toolweft_server.upstream.streamable import HttpEntry, streamable

PATIENCE = 60.0
"""Seconds for one visit."""


async def cards(url: str, names: Sequence[str] = (), *, token: str | None = None) -> list[FunctionCard]:
    """The functions that it offers: those named, or all.

    Raises:
        LibraryError: It cannot be read, offers too many, or none of a name.

    """
    async with _visit(url, token, "no functions could be read from") as (client, where):
        listed = [str(each["name"]) for each in json.loads(await _text(client, ROOT))["functions"]]
        return [await _card(client, each) for each in _chosen(listed, names, where)]


async def held(url: str, names: Sequence[str], *, token: str | None = None) -> dict[str, FunctionCard]:
    """What it has under these names, offered or not.

    Raises:
        LibraryError: It cannot be read.

    """
    found: dict[str, FunctionCard] = {}
    async with _visit(url, token, "no functions could be read from") as (client, _):
        for name in names:
            try:
                found[name] = await _card(client, name)
            except MCPError as error:
                if error.code != types.INVALID_PARAMS:
                    raise
    return found


async def publish(url: str, functions: Sequence[FunctionCard], *, token: str | None = None) -> Published:
    """Sends functions to it; what became of each.

    Raises:
        LibraryError: It takes none, or cannot be reached.

    """
    if len(functions) > MOST:
        raise LibraryError(f"{len(functions)} functions are too many for one visit; name {MOST} at most")
    bare = [each.model_copy(update={"provenance": impersonal(each.provenance), "history": []}) for each in functions]
    async with _visit(url, token, "nothing could be published to") as (client, where):
        request = types.Request[PublishParams, str](method=METHOD, params=PublishParams(functions=bare))
        try:
            return await client.session.send_request(request, Published)
        except MCPError as error:
            if error.code != types.METHOD_NOT_FOUND:
                raise
            raise LibraryError(
                f"{where} takes no functions; who runs it can allow that: `toolweft serve --http … --accept-functions`"
            ) from error


@asynccontextmanager
async def _visit(url: str, token: str | None, failing: str) -> AsyncGenerator[tuple[Client, str]]:
    entry, evidence = HttpEntry(url, {"Authorization": f"Bearer {token}"} if token else {}), Evidence()
    try:
        with anyio.fail_after(PATIENCE):
            async with Client(streamable(entry, evidence), read_timeout_seconds=PATIENCE) as client:
                yield client, entry.shown
    except Exception as raised:  # noqa: BLE001 - whatever a stranger's server or the transport raises means the same
        error = innermost(raised)
        if isinstance(error, LibraryError):
            raise error from None
        hint = " It asks for a token: name its variable with --token-env." if evidence.http_status == 401 else ""
        told = " ".join(str(error).split())[:200]
        raise LibraryError(f"{failing} {entry.shown}: {type(error).__name__}: {told}.{hint}") from error


def _chosen(listed: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    if missing := [each for each in names if each not in listed]:
        there = ", ".join(listed[:10]) or "none"
        raise LibraryError(f"there is no function {missing[0]!r} at {where}; there are: {there}")
    wanted = [each for each in listed if each in names or not names]
    if len(wanted) > FOLDERS:
        raise LibraryError(f"{where} offers {len(wanted)} functions; name {FOLDERS} at most")
    return wanted


async def _card(client: Client, name: str) -> FunctionCard:
    return FunctionCard.model_validate_json(await _text(client, f"{ROOT}/{quote(name, safe='')}"))


async def _text(client: Client, uri: str) -> str:
    return "".join(getattr(each, "text", "") for each in (await client.read_resource(uri)).contents)
