"""What a Python function returns, as a JSON value with `Blob`s, and what pydantic says of wrong arguments, in words."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any

from toolweft_catalog.call import Blob, Value

DEPTH = 200
"""Levels of nesting in a result. A value that contains itself has more."""

_SIGNATURES = {
    b"\x89PNG\r\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
    b"PK\x03\x04": "application/zip",
}


def plain(value: Any, depth: int = 0) -> Value:
    """Containers and leaves that JSON has stay; bytes become a `Blob`; the rest is what pydantic makes of it.

    Raises:
        TypeError: JSON cannot carry it, and nobody said how to write it.
        ValueError: It contains itself.

    """
    if value is None or isinstance(value, Blob | bool):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return blob(bytes(value))
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > DEPTH:
        raise ValueError(f"the result contains itself, or is nested more than {DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {_key(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict(), depth + 1)
    if isinstance(value, Sequence | AbstractSet | deque):
        return [plain(each, depth + 1) for each in value]
    return _other(value, depth)


def _other(value: Any, depth: int) -> Value:
    from dataclasses import fields, is_dataclass

    from pydantic import BaseModel
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name), depth + 1) for each in fields(value)}
    if isinstance(value, BaseModel):
        return plain(value.model_dump(mode="python", by_alias=True), depth + 1)
    try:
        found = to_jsonable_python(value, inf_nan_mode="null")
    except PydanticSerializationError:
        kind = type(value).__name__
        raise TypeError(f"the function returned {kind!r}, which JSON cannot carry; return plain values") from None
    return found if isinstance(found, str | int | float | bool) or found is None else plain(found, depth + 1)


def _key(key: object) -> str:
    if isinstance(key, str):
        return str(key)
    found = plain(key)
    return json.dumps(found) if found is None or isinstance(found, bool) else str(found)


def blob(data: bytes) -> Blob:
    kind = next((mime for start, mime in _SIGNATURES.items() if data.startswith(start)), "application/octet-stream")
    return Blob(kind, data)


def complaint(error: ValueError) -> str:
    """Every complaint about arguments in one line each, without the value's type machinery and links."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    lines = []
    for each in error.errors(include_url=False, include_context=False)[:10]:
        place = ".".join(str(part) for part in each["loc"])
        lines.append(f"{place or 'arguments'}: {each['msg']} (got {each['input']!r:.100})")
    return "; ".join(lines)
