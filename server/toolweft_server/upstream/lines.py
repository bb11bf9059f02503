"""JSON-RPC messages as lines of bytes: cut, bounded, and read as far as they can mean something.

What is wrong inside a message is `mend`'s business; the pipes are `stdio`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import mcp_types as types

from toolweft_server.upstream import mend
from toolweft_server.upstream.evidence import Evidence

MAX_LINE = 16 * 1024 * 1024
"""Bytes of one message. A screenshot is about one megabyte; what is longer belongs in a file."""

_FIRST_ID = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+|"[^"\\]{1,80}")\s*,')
_LAST_ID = re.compile(rb',\s*"id"\s*:\s*(\d+|"[^"\\]{1,80}")\s*\}\s*$')


class Lines:
    """Cuts a stream of bytes into lines. Of one that is too long, the two ends are left."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            self._add(line)
            whole, size = b"".join(self._parts), self._size
            self._parts, self._size = [], 0
            yield whole if size <= self._limit else TooLong(whole, size)
        self._add(rest)

    def _add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            whole = b"".join(self._parts)
            self._parts = [whole[:256], whole[-256:]]


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit: its first and its last bytes."""

    ends: bytes
    size: int

    @property
    def request(self) -> object:
        """The id of the request that it answers, where SDKs write it: before everything else, or after it."""
        found = _FIRST_ID.search(self.ends) or _LAST_ID.search(self.ends)
        return json.loads(found[1]) if found else None


def understand(line: bytes | TooLong, evidence: Evidence) -> Iterator[types.JSONRPCMessage]:
    """The messages of one line: one, several in a batch, or none when it is something else."""
    if isinstance(line, TooLong):
        evidence.problem(f"It sent a message of {line.size >> 20} MB; the limit is {MAX_LINE >> 20} MB.")
        text = f"the answer has {line.size >> 20} MB, more than the {MAX_LINE >> 20} MB that one message may have"
        raw: object = {"id": line.request, "error": {"code": types.INTERNAL_ERROR, "message": text}}
    else:
        try:
            # `null` for what JSON does not have, and Python's reader does: NaN, Infinity.
            raw = json.loads(line.decode("utf-8", "replace"), parse_constant=lambda _: None)
            if rb"\ud" in line.lower():
                raw = mend.clean(raw)
        except (ValueError, RecursionError):
            if line.strip():
                evidence.dropped(line)
            return
    for each in raw if isinstance(raw, list) else [raw]:
        message = mend.message(each, evidence.problem)
        if message is not None:
            yield message
        elif not isinstance(line, TooLong):
            evidence.dropped(line)


def encode(message: types.JSONRPCMessage) -> bytes:
    plain = message.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
