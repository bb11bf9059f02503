"""The answer of an HTTP service as a `Result`: JSON parsed, text as text, the rest as a `Blob`, errors in words."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping

from toolweft_catalog.call import Blob, Result, Value, failed

SHOWN = 2_000
"""Characters of an error's body that are passed on."""

Blot = Callable[[str], str]


def result(status: int, reason: str, headers: Mapping[str, str], body: bytes, *, blot: Blot, hint: str) -> Result:
    """`blot` removes credentials: services echo what they were sent. `hint` is for an answer that asks for some."""
    if status < 300:
        return Result(value(headers, body, blot))
    said = f"{status} {reason}".strip()
    if status in (301, 302, 303, 307, 308):
        target = headers.get("location", "")
        said += f": it redirects to {target!r:.300}, which is not followed"
    shown = value(headers, body, blot)
    text = shown if isinstance(shown, str) else "" if isinstance(shown, Blob) or shown is None else json.dumps(shown)
    if text.strip():
        said += f": {text.strip()[:SHOWN]}" + ("…" if len(text.strip()) > SHOWN else "")
    if wait := headers.get("retry-after"):
        said += f" (try again after {wait!r:.40})"
    if status in (401, 403) and hint:
        said += f" ({hint})"
    return failed("tool", blot(said))


def value(headers: Mapping[str, str], body: bytes, blot: Blot) -> Value:
    if not body:
        return None
    kind, _, parameters = headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if not _is_text(kind):
        return Blob(kind, body)
    text = _decoded(body, parameters)
    if text is None:
        return Blob(kind or "application/octet-stream", body)
    return _parsed(blot(text), is_json=_is_json(kind))


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _is_text(kind: str) -> bool:
    textual = ("xml", "javascript", "yaml", "x-www-form-urlencoded", "graphql", "ndjson", "toml")
    return not kind or kind.startswith("text/") or _is_json(kind) or kind.endswith(textual)


def _decoded(body: bytes, parameters: str) -> str | None:
    charset = "utf-8-sig"
    for each in parameters.split(";"):
        name, _, wanted = each.partition("=")
        if name.strip().lower() == "charset":
            charset = wanted.strip("\"' ")
    try:
        codecs.lookup(charset)
        return body.decode(charset if charset.lower() not in ("utf-8", "utf8") else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def _parsed(text: str, *, is_json: bool) -> Value:
    """JSON where it says so; without that, only what is clearly an object or a list: `42` may be a name."""
    if not is_json and text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        found: Value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return text
    return found
