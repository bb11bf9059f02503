"""A call of an OpenAPI tool as an HTTP request: where each argument goes, and in which form. Pure.

Covered: an argument cannot leave its place. Path values are percent-encoded and may not be empty or climb (`..`),
header values may not start a new line. The arguments have passed the tool's schema; what HTTP cannot carry is
refused here, before anything is sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from toolweft_catalog.tool import Json

_SEPARATORS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "|"}
_DATA_URL = re.compile(r"data:(?P<mime>[\w.+-]+/[\w.+-]+)?(?:;[\w=-]+)*;base64,", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UnfitArgumentError(ValueError):
    """An argument that cannot be sent. The message names it and says why."""


@dataclass
class Prepared:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    form: dict[str, Any] | None = None
    files: list[tuple[str, tuple[str | None, bytes, str | None]]] | None = None
    """The parts of a multipart body; those without a file name are its fields."""


def prepare(binding: Mapping[str, Any], arguments: Mapping[str, Json], *, base_url: str) -> Prepared:
    """
    Raises:
        UnfitArgumentError: See there.

    """
    path, query = str(binding["path"]), list[str]()
    prepared = Prepared(str(binding["method"]), "")
    for place in binding["parameters"]:
        value = arguments.get(place["argument"])
        if place["location"] == "path":
            path = path.replace(f"{{{place['name']}}}", _path_value(place, value))
        elif value is None:
            continue
        elif place["location"] == "query":
            query.extend(_query_value(place, value))
        elif place["location"] == "header":
            prepared.headers[place["name"]] = _header_value(place, value)
        else:
            prepared.cookies[place["name"]] = quote(_header_value(place, value), safe=",:/ ")
    _refuse_climbing(path)
    prepared.url = base_url.rstrip("/") + "/" + path.lstrip("/")
    if query:
        prepared.url += ("&" if "?" in path else "?") + "&".join(query)
    if binding.get("body"):
        _put_body(prepared, binding["body"], arguments)
    return prepared


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The same URL with more in its query."""
    more = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in query.items())
    return url + ("&" if "?" in url else "?") + more if more else url


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _text(value: Json) -> str:
    """A single value as HTTP writes it; what is nested deeper than a list's items is JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _path_value(place: Mapping[str, Any], value: Json) -> str:
    if value is None:
        raise UnfitArgumentError(f"the argument {place['argument']!r} is missing; it is part of the URL")
    if place["json"] or not isinstance(value, list | dict):
        parts = [_text(value)]
    elif isinstance(value, dict):
        pairs = [(str(name), _text(each)) for name, each in value.items()]
        joined = [f"{_quoted(name)}={_quoted(each)}" for name, each in pairs] if place["explode"] else []
        parts = joined or [each for pair in pairs for each in pair]
        if joined:
            return _styled(place, joined)
    else:
        parts = [_text(each) for each in value]
    if not any(parts):
        raise UnfitArgumentError(f"the argument {place['argument']!r} is empty; it is part of the URL")
    return _styled(place, [_quoted(each) for each in parts])


def _styled(place: Mapping[str, Any], parts: list[str]) -> str:
    name = _quoted(place["name"])
    if place["style"] == "label":
        return "." + ("." if place["explode"] else ",").join(parts)
    if place["style"] == "matrix":
        if place["explode"]:
            return "".join(f";{part}" if "=" in part else f";{name}={part}" for part in parts)
        return f";{name}={','.join(parts)}"
    return ",".join(parts)


def _refuse_climbing(path: str) -> None:
    """Dots climb even when they are encoded: servers and proxies decode before they resolve."""
    plain = path
    while (decoded := unquote(plain)) != plain:
        plain = decoded
    plain = plain.replace("\\", "/")
    if any(step in (".", "..") for step in plain.split("?", 1)[0].split("/")):
        raise UnfitArgumentError(f"an argument would make the path climb: {path!r:.200}")


def _query_value(place: Mapping[str, Any], value: Json) -> list[str]:
    name = _quoted(place["name"])
    if place["json"]:
        return [f"{name}={_quoted(json.dumps(value, ensure_ascii=False, separators=(',', ':')))}"]
    if isinstance(value, dict):
        return _query_object(place, name, value)
    if not isinstance(value, list):
        return [f"{name}={_quoted(_text(value))}"]
    items = [_quoted(_text(each)) for each in value]
    if place["explode"] or place["style"] not in _SEPARATORS:
        return [f"{name}={item}" for item in items]
    return [f"{name}={_SEPARATORS[place['style']].join(items)}"] if items else []


def _query_object(place: Mapping[str, Any], name: str, value: Mapping[str, Json]) -> list[str]:
    if place["style"] == "deepObject":
        return _deep(name, value)
    pairs = [(_quoted(str(key)), _quoted(_text(each))) for key, each in value.items()]
    if place["explode"]:
        return [f"{key}={each}" for key, each in pairs]
    separator = _SEPARATORS.get(place["style"], ",")
    return [f"{name}={separator.join(part for pair in pairs for part in pair)}"] if pairs else []


def _deep(name: str, value: Json | Mapping[str, Json]) -> list[str]:
    if isinstance(value, Mapping):
        return [found for key, each in value.items() for found in _deep(f"{name}[{_quoted(str(key))}]", each)]
    if isinstance(value, list):
        return [found for each in value for found in _deep(f"{name}[]", each)]
    return [] if value is None else [f"{name}={_quoted(_text(value))}"]


def _header_value(place: Mapping[str, Any], value: Json) -> str:
    if isinstance(value, list) and not place["json"]:
        text = ",".join(_text(each) for each in value)
    elif isinstance(value, dict) and not place["json"]:
        joint = "=" if place["explode"] else ","
        text = ",".join(f"{key}{joint}{_text(each)}" for key, each in value.items())
    else:
        text = _text(value)
    if _CONTROL.search(text):
        raise UnfitArgumentError(f"the argument {place['argument']!r} holds a line break or control character")
    return text


def _put_body(prepared: Prepared, body: Mapping[str, Any], arguments: Mapping[str, Json]) -> None:
    whole = body["argument"]
    if whole is not None:
        if whole not in arguments:
            return
        value = arguments[whole]
    else:
        value = {name: arguments[each] for each, name in body["fields"].items() if each in arguments}
        if not value and not body["required"]:
            return
    if body["kind"] == "json":
        wanted = body["content_type"]
        prepared.headers["Content-Type"] = "application/json" if "*" in wanted else wanted
        prepared.content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    elif body["kind"] == "raw":
        prepared.headers["Content-Type"] = body["content_type"].replace("*/*", "application/octet-stream")
        prepared.content = _file(_text(value))[0]
    elif not isinstance(value, dict):
        raise UnfitArgumentError(f"the argument {whole!r} must be an object with the form's fields")
    elif body["kind"] == "form":
        prepared.form = {name: _field(each) for name, each in value.items() if each is not None}
    else:
        _put_multipart(prepared, body["files"], value)


def _put_multipart(prepared: Prepared, files: list[str], value: Mapping[str, Json]) -> None:
    prepared.files = []
    for name, listed in value.items():
        for each in listed if isinstance(listed, list) else [listed]:
            if each is not None and name in files:
                prepared.files.append((name, (name, *_file(_text(each)))))
            elif each is not None:
                prepared.files.append((name, (None, _text(each).encode("utf-8", "replace"), None)))


def _field(value: Json) -> Any:
    return [_text(each) for each in value] if isinstance(value, list) else _text(value)


def _file(text: str) -> tuple[bytes, str]:
    """The bytes of a `data:` URL, or of the text itself."""
    found = _DATA_URL.match(text)
    if found is None:
        return text.encode("utf-8", "replace"), "text/plain"
    try:
        return base64.b64decode(text[found.end() :], validate=True), found["mime"] or "application/octet-stream"
    except (binascii.Error, ValueError):
        raise UnfitArgumentError("a `data:` URL does not hold base64") from None
