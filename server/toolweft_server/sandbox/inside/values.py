"""Values to JSON and back, with `Blob` leaves carried apart.

The encoder and decoder hold their own references to the standard library's functions: a program that patches `json`
does not change how its own results travel.
"""

from __future__ import annotations

import base64
import itertools
from json import JSONDecoder, JSONEncoder
from typing import Any

MAX_DEPTH = 90
"""Ten less than the server allows a frame."""

MAX_BLOBS = 100
"""Of one value: the server takes more for an attack."""

_counter = itertools.count(1)


class Blob:
    """Binary content: an image, a sound, a file. As the value of a program it comes back as such."""

    __slots__ = ("_data", "mime")

    def __init__(self, mime: str, data: bytes) -> None:
        self.mime, self._data = mime, bytes(data)

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self) -> bytes:
        return self._data

    def save(self, name: str | None = None) -> str:
        """Writes the content into the work directory and returns the file's name."""
        ending = self.mime.rpartition("/")[2].partition("+")[0]
        path = name or f"blob_{next(_counter)}.{ending if ending.isalnum() else 'bin'}"
        with open(path, "wb") as file:
            file.write(self._data)
        return path

    def __repr__(self) -> str:
        return f"Blob({self.mime!r}, {self.size} bytes)"


class _Encoder(JSONEncoder):
    encode = JSONEncoder.encode
    iterencode = JSONEncoder.iterencode

    def default(self, o: Any) -> Any:
        if isinstance(o, Blob):
            raise _BlobFoundError
        raise TypeError(f"{type(o).__name__} is not JSON")


class _Decoder(JSONDecoder):
    decode = JSONDecoder.decode
    raw_decode = JSONDecoder.raw_decode


class _BlobFoundError(Exception):
    pass


encode = _Encoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
decode = _Decoder().decode


def pack(value: Any) -> tuple[str, list[Any]]:
    """The value's JSON with null for each `Blob`, and the blobs as `[path, mime, base64]`.

    Raises:
        TypeError: Something in it is not JSON.
        ValueError: NaN, infinity, a circle, or nesting beyond the limit.

    """
    blobs: list[Any] = []
    try:
        text = encode(value)
    except _BlobFoundError:
        value = _without_blobs(value, [], blobs)
        text = encode(value)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value, 0)
    return text, blobs


def unpack(value: Any, blobs: list[Any]) -> Any:
    """Puts blobs that came apart back into their places."""
    root = {"": value}
    for path, mime, data in blobs:
        node: Any = root
        steps = ["", *path]
        for step in steps[:-1]:
            node = node[step]
        node[steps[-1]] = Blob(mime, base64.b64decode(data))
    return root[""]


def _without_blobs(node: Any, path: list[Any], blobs: list[Any]) -> Any:
    if len(path) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(node, Blob):
        blobs.append([path, str(node.mime), base64.b64encode(node.read()).decode("ascii")])
        return None
    if isinstance(node, dict):
        return {str(key): _without_blobs(child, [*path, str(key)], blobs) for key, child in node.items()}
    if isinstance(node, (list, tuple)):
        return [_without_blobs(child, [*path, index], blobs) for index, child in enumerate(node)]
    return node


def _check_depth(node: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(node, dict):
        node = node.values()
    elif not isinstance(node, (list, tuple)):
        return
    for child in node:
        if isinstance(child, (dict, list, tuple)):
            _check_depth(child, depth + 1)
