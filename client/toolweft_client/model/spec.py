"""`open_model`: from `openai:NAME`, `anthropic:NAME` and so on to a model.

Only this file knows the kinds.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from toolweft_client.errors import UsageError
from toolweft_client.model.base import ChatModel, Heard

KINDS = ("openai", "anthropic", "local", "toolweaver", "scripted", "cassette")


@asynccontextmanager
async def open_model(
    spec: str, *, base_url: str | None = None, asked: int = 0, heard: Heard | None = None
) -> AsyncIterator[ChatModel]:
    """The model that `spec` names, closed at the end. `asked` is how often it was asked before, for a script.

    `heard` gets replies piece by piece from models at an endpoint that streams.

    Keys come from `OPENAI_API_KEY` or `ANTHROPIC_API_KEY`, else from the system's keyring (service `toolweft`, the
    same name). The endpoint is `base_url`, else `OPENAI_BASE_URL` or `ANTHROPIC_BASE_URL`, else the provider's own.

    Raises:
        UsageError: A spec of another form, no key, a package that is not installed.

    """
    kind, colon, name = spec.partition(":")
    if kind == "sampling":
        raise UsageError(
            f"{spec!r} is the model of the host that called `toolweft solve-server`; name one with --model."
        )
    if kind not in KINDS or not colon or not name:
        raise UsageError(f"{spec!r} is no model: write {', '.join(f'{each}:…' for each in KINDS)}.")
    if kind == "scripted":
        from toolweft_client.model import scripted

        yield scripted.load(Path(name), asked=asked)
        return
    if kind == "cassette":
        from toolweft_client.model.cassette import Cassette

        yield Cassette(Path(name))
        return
    if kind == "local":
        from toolweft_client.model.local import open_local

        async with open_local(name) as local:
            yield local
        return
    if kind == "toolweaver":
        from toolweft_client.model.toolweaver import open_toolweaver

        async with open_toolweaver(name) as taught:
            yield taught
        return
    url = base_url or os.environ.get(f"{kind.upper()}_BASE_URL") or None
    key = _key(f"{kind.upper()}_API_KEY", needed=url is None)
    if kind == "openai":
        from toolweft_client.model.openai import open_openai

        async with open_openai(name, base_url=url, key=key, heard=heard) as chat:
            yield chat
    else:
        from toolweft_client.model.anthropic import open_anthropic

        async with open_anthropic(name, base_url=url, key=key, heard=heard) as messages:
            yield messages


def _key(variable: str, *, needed: bool) -> str | None:
    """From the environment or the keyring. An endpoint of one's own may do without."""
    if key := os.environ.get(variable):
        return key
    if not needed:
        return None
    if key := _from_keyring(variable):
        return key
    raise UsageError(
        f"No key: set {variable}, or store it with `keyring set toolweft {variable}`; "
        "an endpoint of your own is named by --base-url."
    )


def _from_keyring(variable: str) -> str | None:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    try:
        return keyring.get_password("toolweft", variable)
    except keyring.errors.KeyringError:
        # A machine without a keyring (a server, a container) is the ordinary case, not a failure.
        return None
