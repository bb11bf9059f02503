"""The request body of an OpenAPI operation as arguments, beside its parameters.

A JSON object or a form becomes one argument for each property, unless a name would clash; everything else becomes
the argument `body`. The other half, arguments into bytes, is the server's HTTP upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypedDict

from toolweft_catalog.ingest.references import BrokenReferenceError, Bundle, References
from toolweft_catalog.tool import Json

ALL_OF_DEPTH = 8
"""Levels of `allOf` in `allOf`. A schema may also combine itself with itself, endlessly."""

FILE = "A file: its text, or a `data:` URL in base64."


class Body(TypedDict):
    content_type: str
    kind: Literal["json", "form", "multipart", "raw"]
    argument: str | None
    """The argument that is the whole body; `None` when `fields` are."""
    fields: dict[str, str]
    """Argument -> property of the body."""
    files: list[str]
    """Properties that are sent as files."""
    required: bool


class Arguments:
    """The arguments of one operation while they are collected, by unique name."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._properties: dict[str, Json] = {}
        self._required: list[Json] = []

    def __contains__(self, name: object) -> bool:
        return name in self._properties

    def add(self, name: str, schema: Json, *, suffix: str, description: str, required: bool) -> str:
        """Adds one and says what it is called: its own name, or with a suffix when that is taken."""
        argument, n = name, 1
        while argument in self._properties:
            argument, n = f"{name}_{suffix}" + (f"_{n}" if n > 1 else ""), n + 1
        found = self._bundle.schema(schema)
        described = found if isinstance(found, dict) else {}
        self._properties[argument] = {**described, "description": description} if description else described
        if required:
            self._required.append(argument)
        return argument

    def is_hidden(self, raw: Json) -> bool:
        return self._bundle.is_hidden(raw)

    def schema(self) -> dict[str, Json]:
        found: dict[str, Json] = {"type": "object", "properties": self._properties}
        if self._required:
            found["required"] = self._required
        if definitions := self._bundle.definitions():
            found["$defs"] = definitions
        return found


class _Flat(NamedTuple):
    properties: dict[str, Json]
    required: frozenset[str]


def body(raw: Mapping[str, Json], arguments: Arguments, references: References) -> Body | None:
    """Adds a body's arguments, and says how to put them together again. `None` when it has no content."""
    content = raw.get("content")
    if not isinstance(content, dict) or not content:
        return None
    kind, content_type = _kind(content)
    media = content[content_type]
    schema: Json = media.get("schema", {}) if isinstance(media, dict) else {}
    required = raw.get("required") is True
    described = raw.get("description")
    found = Body(
        content_type=content_type, kind=kind, argument=None, fields={}, files=[], required=required
    )  # fmt: skip
    flat = None if kind == "raw" else _flat(schema, references)
    if flat is not None:
        _note_files(found, flat, kind)
        hidden = {name for name, each in flat.properties.items() if arguments.is_hidden(each)}
        shown = {name: each for name, each in flat.properties.items() if name not in hidden}
        if kind != "json" or not any(name in arguments for name in shown):
            for name, each in shown.items():
                is_file = name in found["files"]
                argument = arguments.add(
                    name,
                    {"type": "string"} if is_file else each,
                    suffix="body",
                    description=FILE if is_file else "",
                    required=required and name in flat.required,
                )
                found["fields"][argument] = name
            return found
    if kind == "raw":
        schema = {"type": "string"}
    found["argument"] = arguments.add(
        "body",
        schema,
        suffix="request",
        description=described if isinstance(described, str) else "" if kind != "raw" else f"Sent as {content_type}.",
        required=required,
    )
    return found


def _note_files(found: Body, flat: _Flat, kind: str) -> None:
    if kind == "multipart":
        found["files"] = [name for name, each in flat.properties.items() if _is_file(each)]


def json_kind(content: object) -> str | None:
    """The media type of a content object that is JSON: `application/json` itself if it is there."""
    if not isinstance(content, dict):
        return None
    kinds: dict[str, str] = {each: _essence(each) for each in content}
    exact = next((each for each, essence in kinds.items() if essence == "application/json"), None)
    if exact is not None:
        return exact
    return next((each for each, essence in kinds.items() if essence.endswith("+json") or essence == "*/*"), None)


def _kind(content: Mapping[str, Json]) -> tuple[Literal["json", "form", "multipart", "raw"], str]:
    if (found := json_kind(content)) is not None:
        return "json", found
    for each in content:
        if _essence(each) == "application/x-www-form-urlencoded":
            return "form", each
    for each in content:
        if _essence(each) == "multipart/form-data":
            return "multipart", each
    return "raw", next(iter(content))


def _essence(media_type: str) -> str:
    return media_type.split(";", 1)[0].strip().lower()


def _flat(raw: Json, references: References, depth: int = 0) -> _Flat | None:
    """The properties of a schema that is a plain object, or several plain ones combined by `allOf`."""
    if depth > ALL_OF_DEPTH:
        return None
    try:
        schema = references.follow(raw)
    except BrokenReferenceError:
        return None
    if schema.get("nullable") is True or any(key in schema for key in ("anyOf", "oneOf", "not", "if")):
        return None
    if schema.get("type", "object") != "object" or schema.get("additionalProperties") not in (None, False):
        return None
    properties, required = schema.get("properties"), schema.get("required")
    found = dict(properties) if isinstance(properties, dict) else {}
    needed = {each for each in required if isinstance(each, str)} if isinstance(required, list) else set()
    combined = schema.get("allOf")
    for each in combined if isinstance(combined, list) else []:
        part = _flat(each, references, depth + 1)
        if part is None:
            return None
        found, needed = {**part.properties, **found}, needed | part.required
    return _Flat(found, frozenset(needed)) if found else None


def _is_file(raw: Json) -> bool:
    if not isinstance(raw, dict):
        return False
    return raw.get("format") == "binary" or "contentMediaType" in raw
