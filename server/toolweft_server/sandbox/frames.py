"""Frames: what the server and a running program say to each other, and how the server refuses to be fooled.

A frame is four bytes of length (big-endian) and one JSON object in UTF-8. The server parses frames of a child that it
does not trust: every rule here either gives a typed message or raises `ViolationError`, and a violation ends the child.
What to do with a message is `broker`'s business; the child's own, simpler half is `inside/channel.py`.

Server to child: `put{name, data}` for files handed in (base64; pieces of one name follow one another), then
`run{id, code, servers, limits}`, then `result{c, ok, v | e, b}`. A `put` has no answer: what goes wrong is told by the
`done` of the run, which then ran nothing.
Child to server: `hello`, the requests `call{c, f, a, k}`, `describe{c, f}`, `function{c, name, version}`,
`save{c, name}`, then `file{name, data}` and one `done{id, status, value | repr | error, b, limits}`.
A `Blob` inside a value travels apart: null in its place and `[path, mime, base64]` in `b`, so that no key of a
person's data is reserved.
"""

from __future__ import annotations

import base64
import binascii
import gc
import itertools
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from toolweft_catalog.call import Blob, Value
from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Error
from toolweft_server.sandbox import untrusted
from toolweft_server.sandbox.texts import clean, line

HEADER = struct.Struct(">I")
MAX_DEPTH = 100
"""Nesting of a frame. Ten levels more than the child allows a value, for the frame's own."""
BIG = 256 * 1024
"""Bytes of a frame from which on the garbage collector waits meanwhile. A frame has no cycles, but 4 MiB of it can be
a million objects, for which it would look at all that the server holds several times: seconds instead of 0.3."""
MAX_BLOBS = 100
"""Of one value: each becomes a file with an address. The same in `inside/values.py`."""
SLACK = 64 * 1024
"""What a frame may need beside its one big part: names, ids, punctuation."""

DoneStatus = Literal["ok", "error"]

_MIME = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_FILE_PART = re.compile(r"[^/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,200}")
"""What steers a terminal is no file name. The same stands in `inside/files.py`, which leaves such files alone."""
_TEXTS, _TEXT, _NAME = 40, 2000, 200
"""Frames and variables of an error, and characters of each, that are kept: more than our runner ever sends."""


class ViolationError(Exception):
    """The child said something that our runner never says. The text tells what."""


@dataclass(frozen=True, slots=True)
class Hello:
    version: int
    guarded: bool
    """The kernel ends the child when the server dies, even while it is frozen."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    c: int
    tool: str
    args: list[Json]
    kwargs: dict[str, Json]


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    c: int
    tool: str


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    c: int
    name: str
    version: int | None


@dataclass(frozen=True, slots=True)
class SaveRequest:
    c: int
    name: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """A piece of a file; pieces of one name follow one another."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    id: str
    status: DoneStatus
    value: Value
    value_repr: str | None
    error: Error | None
    limits: tuple[str, ...]


def within(done: Done | None, most: int) -> Done | None:
    """The same. The child makes its value no longer than `most` characters of JSON; one that is was tampered with.

    Raises:
        ViolationError: It is longer.

    """
    value = None if done is None else done.value
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=lambda _blob: "")) > max(most, 4):
        raise ViolationError(f"a value of more than {most} characters")
    return done


Request: TypeAlias = CallRequest | DescribeRequest | FunctionRequest | SaveRequest
Message: TypeAlias = Hello | Request | FilePart | Done


def encode(frame: Mapping[str, Any]) -> bytes:
    """One frame as bytes. Lone surrogates become question marks, so that every `str` can travel."""
    body = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return HEADER.pack(len(body)) + body


class Buffer:
    """Bytes as they come in, frames as they go out. Holds one frame and one read at most."""

    def __init__(self, *, cap: int) -> None:
        self._cap = cap
        self._bytes = bytearray()

    def __len__(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def next(self) -> bytes | None:
        """The next whole frame's body, or `None` while it is not all there.

        Raises:
            ViolationError: It announces more than the cap.

        """
        if len(self._bytes) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._bytes)
        if length > self._cap:
            raise ViolationError(f"a frame of {length} bytes, above the cap of {self._cap}")
        end = HEADER.size + length
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[HEADER.size : end])
        del self._bytes[:end]
        return body


def parse(body: bytes, *, arguments: int) -> Message:
    """A child's frame as a typed message. `arguments` is the most bytes that a request may have.

    Raises:
        ViolationError: It is not one of the frames named above, in every detail.

    """
    if len(body) < BIG or not gc.isenabled():
        return _message(body, arguments)
    gc.disable()
    try:
        return _message(body, arguments)
    finally:
        gc.enable()


def _message(body: bytes, arguments: int) -> Message:
    frame = _object(body)
    kind = frame.pop("kind", None)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ViolationError(f"a frame of unknown kind {str(kind)[:40]!r}")
    if kind in _REQUESTS and len(body) > arguments + SLACK:
        raise ViolationError(f"a {kind} of {len(body)} bytes, above the cap of {arguments}")
    message = reader(frame)
    if frame:
        raise ViolationError(f"a {kind} frame with unknown keys {line(', '.join(frame))[:80]}")
    return message


def is_file_name(name: str) -> bool:
    """Whether it is a relative path that stays below its folder: what files in and out may be called."""
    parts = name.split("/")
    return len(parts) <= 16 and all(_FILE_PART.fullmatch(part) and part not in {".", ".."} for part in parts)


def split(value: Value) -> tuple[Json, list[Json]]:
    """A value as JSON with null for each `Blob`, and the blobs apart.

    Raises:
        TypeError: A leaf is neither JSON nor a `Blob`.

    """
    blobs: list[Json] = []

    def walk(node: Value, path: tuple[str | int, ...]) -> Json:
        if isinstance(node, Blob):
            blobs.append([list(path), node.mime, base64.b64encode(node.data).decode("ascii")])
            return None
        if isinstance(node, Mapping):
            return {str(key): walk(child, (*path, str(key))) for key, child in node.items()}
        if isinstance(node, list | tuple):
            return [walk(child, (*path, index)) for index, child in enumerate(node)]
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"{type(node).__name__} is not JSON")

    return walk(value, ()), blobs


def join(value: Json, blobs: object) -> Value:
    """Puts blobs back into a value from the child.

    Raises:
        ViolationError: A blob is malformed, or its path does not lead to a null.

    """
    if not isinstance(blobs, list):
        raise ViolationError("blobs are not a list")
    if len(blobs) > MAX_BLOBS:
        raise ViolationError(f"a value with {len(blobs)} blobs, above the cap of {MAX_BLOBS}")
    root: dict[str, Any] = {"": value}
    for entry in blobs:
        path, blob = _blob(entry)
        node: Any = root
        steps: list[str | int] = ["", *path]
        for step in steps[:-1]:
            node = _step(node, step)
        if _step(node, steps[-1]) is not None:
            raise ViolationError("a blob where the value has something else")
        node[steps[-1]] = blob
    joined: Value = root[""]
    return joined


def _step(node: Any, step: str | int) -> Any:
    try:
        if isinstance(node, dict) and isinstance(step, str):
            return node[step]
        if isinstance(node, list) and isinstance(step, int) and step >= 0:
            return node[step]
    except LookupError:
        pass
    raise ViolationError("a blob whose path leads nowhere")


def _blob(entry: object) -> tuple[list[str | int], Blob]:
    match entry:
        case [list(path), str(mime), str(data)] if len(path) < MAX_DEPTH and _MIME.fullmatch(mime):
            if all(type(step) in (str, int) for step in path):
                return path, Blob(mime, _base64(data))
    raise ViolationError("a malformed blob")


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ViolationError("data that is not base64") from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        frame = untrusted.read(body, depth=MAX_DEPTH)
    except ValueError as error:
        raise ViolationError(f"a frame that is {error}") from error
    if not isinstance(frame, dict):
        raise ViolationError("a frame that is not an object")
    return frame


def _take(frame: dict[str, Any], key: str, *kinds: type) -> Any:
    """Removes and returns a value of exactly one of the types: a bool is no number here."""
    value = frame.pop(key, None)
    if type(value) not in kinds:
        raise ViolationError(f"{key!r} is {type(value).__name__}, not {' or '.join(each.__name__ for each in kinds)}")
    return value


def _id(frame: dict[str, Any]) -> int:
    c: int = _take(frame, "c", int)
    if not 0 < c < 2**53:
        raise ViolationError(f"request id {c} out of range")
    return c


def _name(frame: dict[str, Any], key: str) -> str:
    name: str = _take(frame, key, str)
    if not 0 < len(name) <= 300:
        raise ViolationError(f"{key!r} of {len(name)} characters")
    return line(name)


def _hello(frame: dict[str, Any]) -> Hello:
    return Hello(_take(frame, "version", int), _take(frame, "guarded", bool))


def _call(frame: dict[str, Any]) -> CallRequest:
    return CallRequest(_id(frame), _name(frame, "f"), _take(frame, "a", list), _take(frame, "k", dict))


def _describe(frame: dict[str, Any]) -> DescribeRequest:
    return DescribeRequest(_id(frame), _name(frame, "f"))


def _function(frame: dict[str, Any]) -> FunctionRequest:
    return FunctionRequest(_id(frame), _name(frame, "name"), _take(frame, "version", int, type(None)))


def _save(frame: dict[str, Any]) -> SaveRequest:
    return SaveRequest(_id(frame), _name(frame, "name"))


def _file(frame: dict[str, Any]) -> FilePart:
    name: str = _take(frame, "name", str)
    if not is_file_name(name):
        raise ViolationError(f"a file name that is no relative path: {line(name)[:80]!r}")
    return FilePart(name, _base64(_take(frame, "data", str)))


def _done(frame: dict[str, Any]) -> Done:
    status = _take(frame, "status", str)
    if status not in get_args(DoneStatus):
        raise ViolationError(f"a program that ended {line(status)[:40]!r}")
    error = _take(frame, "error", dict, type(None))
    if (error is None) != (status == "ok"):
        raise ViolationError("a status that its error contradicts")
    return Done(
        id=_take(frame, "id", str),
        status=status,
        value=join(frame.pop("value", None), frame.pop("b", [])),
        value_repr=_take(frame, "repr", str, type(None)),
        error=None if error is None else _error(error),
        limits=tuple(line(each)[:200] for each in _strings(_take(frame, "limits", list))[:16]),
    )


def _error(error: dict[str, Any]) -> Error:
    names = _take(error, "locals", dict)
    values = zip(names, _strings(list(names.values())), strict=True)
    number = _take(error, "line", int, type(None))
    hint = _take(error, "hint", str, type(None))
    told = Error(
        type=line(_take(error, "type", str))[:_NAME],
        message=clean(_take(error, "message", str)),
        line=number if number is not None and 0 < number < 2**31 else None,
        frames=[clean(each)[:_TEXT] for each in _strings(_take(error, "frames", list))[:_TEXTS]],
        locals={line(name)[:_NAME]: clean(shown)[:_TEXT] for name, shown in itertools.islice(values, _TEXTS)},
        hint=None if hint is None else clean(hint)[:_TEXT],
    )
    if error:
        raise ViolationError(f"an error with unknown keys {line(', '.join(error))[:80]}")
    return told


def _strings(values: Sequence[object]) -> list[str]:
    texts = [each for each in values if type(each) is str]
    if len(texts) != len(values):
        raise ViolationError("a list of texts with something else in it")
    return texts


_REQUESTS = frozenset({"call", "describe", "function", "save"})
_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "hello": _hello, "call": _call, "describe": _describe, "function": _function, "save": _save,
    "file": _file, "done": _done,
}  # fmt: skip
