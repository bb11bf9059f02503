"""Values between a Monty session and the server: JSON with `Blob` leaves, within limits.

A value may share its parts (`a = [a, a]`, forty times over), so that walking it never ends: everything here counts
while it walks. Nothing is unpickled; what is not JSON is refused by its type's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolweft_catalog.call import Blob, Value

MAX_DEPTH = 90
"""As in every other backend."""


class NotJsonError(Exception):
    """The value is none that travels."""


class TooBigError(Exception):
    """The value's JSON is larger than it may be."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A `Blob` as a program has it: the content stays here."""

    mime: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


Picture.__name__ = Picture.__qualname__ = "Blob"  # what programs see


def to_json(value: object, limit: int) -> Value:
    """A value from a session.

    Raises:
        NotJsonError: Something in it does not travel.
        TooBigError: It has more than about `limit` characters of JSON.

    """
    return _Walk(limit).value(value, 0)


class _Walk:
    def __init__(self, limit: int) -> None:
        self._left = limit

    def value(self, node: object, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise NotJsonError(f"nested deeper than {MAX_DEPTH}")
        match node:
            case list() | tuple():
                self._spend(2)
                return [self.value(child, depth + 1) for child in node]
            case dict():
                self._spend(2)
                return {self._key(key): self.value(child, depth + 1) for key, child in node.items()}
        return self._leaf(node)

    def _leaf(self, node: object) -> Value:
        self._spend(2)
        match node:
            case None | bool():
                return node
            case int():
                self._spend(node.bit_length() // 3)
                if node.bit_length() > 14_000:
                    raise NotJsonError("an integer of more than 4000 digits is not JSON")
                return int(node)
            case float():
                if not math.isfinite(node):
                    raise NotJsonError(f"{node!r} is not JSON")
                return float(node)
            case str():
                self._spend(len(node))
                return _text(node)
            case Picture():
                return Blob(_text(node.mime), node.data)
        raise NotJsonError(f"{type_name(node)} is not JSON")

    def _key(self, key: object) -> str:
        match key:
            case str():
                self._spend(len(key))
                return _text(key)
            case None | bool():
                return {None: "null", True: "true", False: "false"}[key]
            case int() | float():
                self._spend(20)
                return repr(key)[:400]
        raise NotJsonError(f"keys must be str, int, float, bool or None, not {type_name(key)}")

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise TooBigError


def type_name(node: object) -> str:
    """What the program would call the value's type."""
    given = getattr(node, "name", None)
    return (
        given if type(node).__module__.startswith("pydantic_monty") and isinstance(given, str) else type(node).__name__
    )


def to_session(value: Value, picture: Callable[[Blob], Any]) -> Any:
    """A value for a session, with what `picture` makes of each `Blob`."""
    if isinstance(value, Blob):
        return picture(value)
    if isinstance(value, Mapping):
        return {str(key): to_session(child, picture) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [to_session(child, picture) for child in value]
    return value


def measure(value: Value) -> int:
    """About how many characters of JSON a result from a tool has."""
    total, stack = 0, [value]
    while stack:
        node = stack.pop()
        total += 2
        if isinstance(node, Blob):
            total += len(node.data) * 4 // 3
        elif isinstance(node, str):
            total += len(node)
        elif isinstance(node, Mapping):
            total += sum(map(len, node))
            stack.extend(node.values())
        elif isinstance(node, list | tuple):
            stack.extend(node)
        elif node is not None:
            total += 6
    return total


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
