"""Files handed in with a program: whether they fit, and the frames that carry them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from toolweft_server.sandbox import frames
from toolweft_server.sandbox.base import FileIn
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.texts import size

PIECE = 512 * 1024
"""Bytes of a file in one frame: far below what a child reads at once, few enough frames for 64 MiB."""
MOST = 100
"""Files with one program; as many as come back."""


class Problem(NamedTuple):
    limit: str
    text: str


def too_much(files: Sequence[FileIn], limits: Limits) -> Problem | None:
    """Why these files cannot be handed in; `None` when they can."""
    if len(files) > MOST:
        return Problem("files", f"{len(files)} files were handed in, {MOST} are allowed; put them into an archive")
    if len({file.name for file in files}) < len(files):
        return Problem("files", "two of the files handed in have the same name; rename one of them")
    for file in files:
        if len(file.data) > limits.file_size:
            told = f"the file {file.name!r} has {size(len(file.data))}, {size(limits.file_size)} are allowed"
            return Problem("file_size", f"{told} (limit `file_size`); hand in less, or raise the limit")
    total = sum(len(file.data) for file in files)
    if total > limits.disk:
        told = f"the files handed in have {size(total)} together, {size(limits.disk)} are allowed"
        return Problem("disk", f"{told} (limit `disk`); hand in less, or raise the limit")
    return None


def puts(files: Sequence[FileIn]) -> Iterator[bytes]:
    """The encoded frames, an empty file's too."""
    for file in files:
        for start in range(0, max(len(file.data), 1), PIECE):
            piece = base64.b64encode(file.data[start : start + PIECE]).decode("ascii")
            yield frames.encode({"kind": "put", "name": file.name, "data": piece})
