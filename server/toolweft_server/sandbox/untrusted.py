"""JSON from a process that is not trusted: what is read is finite, no deeper than allowed, and can be written again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")


def read(body: bytes, *, depth: int) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is none, holds a number that no float holds, or is nested deeper than `depth`; "not JSON (…)".

    """
    digits = body.translate(_DIGITS, b"+")
    # Looking at each float takes five times as long: only where one could be beyond what a float holds.
    load = _careful if b"e000" in digits or b"0" * 200 in digits else _plain
    try:
        value = load(body.decode("utf-8"))
        if _SURROGATE.search(body):
            value = _encodable(value, load)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({type(error).__name__})") from error
    if body.count(b"[") + body.count(b"{") > depth and _deeper(value, depth):
        raise ValueError(f"nested deeper than {depth}")
    return value


def _encodable(value: Any, load: Callable[[str], Any]) -> Any:
    """An escaped lone surrogate passes the decoder and would break whoever encodes the text later."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return load(text.encode("utf-8", "replace").decode("utf-8"))
    return value


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number beyond float")
    return number


_plain = json.JSONDecoder(parse_constant=_constant).decode
_careful = json.JSONDecoder(parse_constant=_constant, parse_float=_float).decode


def _deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True
