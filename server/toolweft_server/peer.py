"""Another toolweft over HTTP, as somebody sees it who wants its functions: it is read, and nothing of it is run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

import anyio
from mcp import Client

from toolweft_catalog.wire import FunctionCard
from toolweft_server.errors import LibraryError, innermost
from toolweft_server.library.share import FOLDERS
from toolweft_server.resources import ROOT
from toolweft_server.upstream.evidence import Evidence
from toolweft_server.upstream.streamable import HttpEntry, streamable

PATIENCE = 60.0
"""Seconds for all that is read."""


async def cards(url: str, names: Sequence[str] = (), *, token: str | None = None) -> list[FunctionCard]:
    """The functions that it offers: those named, or all.

    Raises:
        LibraryError: It cannot be read, offers too many, or none of a name.

    """
    entry, evidence = HttpEntry(url, {"Authorization": f"Bearer {token}"} if token else {}), Evidence()
    try:
        with anyio.fail_after(PATIENCE):
            async with Client(streamable(entry, evidence), read_timeout_seconds=PATIENCE) as client:
                listed = [str(each["name"]) for each in json.loads(await _text(client, ROOT))["functions"]]
                wanted = _chosen(listed, names, entry.shown)
                texts = [await _text(client, f"{ROOT}/{quote(each, safe='')}") for each in wanted]
        return [FunctionCard.model_validate_json(each) for each in texts]
    except Exception as raised:  # noqa: BLE001 - whatever a stranger's server or the transport raises means the same
        error = innermost(raised)
        if isinstance(error, LibraryError):
            raise error from None
        hint = " It asks for a token: name its variable with --token-env." if evidence.http_status == 401 else ""
        told = " ".join(str(error).split())[:200]
        raise LibraryError(
            f"no functions could be read from {entry.shown}: {type(error).__name__}: {told}.{hint}"
        ) from error


def _chosen(listed: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    if missing := [each for each in names if each not in listed]:
        there = ", ".join(listed[:10]) or "none"
        raise LibraryError(f"there is no function {missing[0]!r} at {where}; there are: {there}")
    wanted = [each for each in listed if each in names or not names]
    if len(wanted) > FOLDERS:
        raise LibraryError(f"{where} offers {len(wanted)} functions; name {FOLDERS} at most")
    return wanted


async def _text(client: Client, uri: str) -> str:
    return "".join(getattr(each, "text", "") for each in (await client.read_resource(uri)).contents)
