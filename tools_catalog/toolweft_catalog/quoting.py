"""Strangers' text and JSON values as Python source that cannot break out of where it stands.

Everything here returns text that encodes to UTF-8: no control characters, no lone surrogates, no invisible or
direction-changing characters. Which text goes where is decided by `stub` and `annotation`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

MAX_INT_BITS = 256
"""Longer integers are not written out: `str` of a huge one is slow, and Python refuses beyond 4,300 digits."""

_QUOTES = re.compile(r'"{3,}|"+\Z')
"""The quotes that would end a docstring: three in a row, and those at its end."""


def plain(text: object, limit: int = 4_000) -> str:
    """`text` with line feeds kept and every other unprintable character removed or replaced, cut at `limit`."""
    raw = text if isinstance(text, str) else ""
    raw = raw[: 2 * limit].replace("\r\n", "\n").replace("\r", "\n")
    if not (raw.isascii() and raw.replace("\n", "").isprintable()):
        raw = "".join(_visible(c) for c in raw)
    return raw if len(raw) <= limit else raw[: limit - 1].rstrip() + "…"


def _visible(c: str) -> str:
    if c.isprintable() or c == "\n":
        return c
    category = unicodedata.category(c)
    if category.startswith("Z") or c == "\t":
        return " "
    return "\ufffd" if category in {"Cs", "Cn", "Co"} else ""


def one_line(text: object, limit: int = 200) -> str:
    line = " ".join(plain(text, 4 * limit).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def docstring(text: str) -> str:
    """The literal `\"\"\"…\"\"\"` whose value is `text`; `text` has been through `plain` or `one_line`."""
    inside = _QUOTES.sub(lambda run: '\\"' * len(run[0]), text.replace("\\", "\\\\"))
    return f'"""{inside}"""'


def quoted(text: str) -> str:
    """A one-line string literal, with double quotes where that needs no escape."""
    single = repr(text)
    return f'"{single[1:-1]}"' if single[0] == "'" and '"' not in text else single


def literal(value: object, limit: int = 200, *, depth: int = 6) -> str | None:
    """`value` as a Python literal of at most `limit` characters; `None` where there is no such literal."""
    text = _literal(value, limit, depth)
    return text if text is not None and len(text) <= limit else None


def _literal(value: object, limit: int, depth: int) -> str | None:
    match value:
        case None | bool():
            return repr(value)
        case int():
            return repr(value) if value.bit_length() <= MAX_INT_BITS else None
        case float():
            return repr(value) if value - value == 0 else None  # neither infinite nor a NaN
        case str():
            return quoted(value) if len(value) <= limit else None
        case list() | dict() if depth > 0 and len(value) <= limit:
            return _container(value, limit, depth - 1)
        case _:
            return None


def _container(value: list[object] | dict[object, object], limit: int, depth: int) -> str | None:
    parts: list[str] = []
    length = 2
    for key, each in value.items() if isinstance(value, Mapping) else ((None, item) for item in value):
        text = _literal(each, limit, depth)
        if text is not None and isinstance(value, Mapping):
            text = f"{quoted(key)}: {text}" if isinstance(key, str) else None
        length += len(text or "") + 2
        if text is None or length > limit + 2:
            return None
        parts.append(text)
    return f"{{{', '.join(parts)}}}" if isinstance(value, Mapping) else f"[{', '.join(parts)}]"
