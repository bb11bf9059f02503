"""The files that a call of `execute_code` hands in: each is named, and said where its content comes from.

A content is an address of ours (`toolweft://executions/…`: a file, value or output of an earlier execution of the
same owner), a `data:` URI in base64, or else the text itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from toolweft_server.resources import Content
from toolweft_server.sandbox.base import FileIn

Read: TypeAlias = Callable[[str], Awaitable[Content | None]]
"""What lies at an address, for the owner who asks."""

_DATA = re.compile(r"data:[\w.+/-]*(?:;[\w.+=-]+)*;base64,", re.ASCII)
"""With `;base64`, which nothing else begins with: a text may well begin with `data:`."""


class InputError(Exception):
    """A file that cannot be handed in; the text tells the model why, and what to do."""


async def gathered(wanted: Mapping[str, str], read: Read) -> tuple[FileIn, ...]:
    """The files with their content.

    Raises:
        InputError: An address without anything there, or data that is not base64.

    """
    return tuple([FileIn(name, await _content(name, source, read)) for name, source in wanted.items()])


async def _content(name: str, source: str, read: Read) -> bytes:
    if source.startswith("toolweft://"):
        found = await read(source)
        if found is None:
            raise InputError(
                f"there is nothing at {source[:200]!r} for the file {name!r}; use the address of a file as an earlier "
                "answer gave it (they are kept for a week), or give the text itself"
            )
        return found.body if isinstance(found.body, bytes) else found.body.encode()
    if match := _DATA.match(source):
        try:
            return base64.b64decode(source[match.end() :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(f"the data: URI for the file {name!r} is not base64: {error}") from error
    return source.encode()
