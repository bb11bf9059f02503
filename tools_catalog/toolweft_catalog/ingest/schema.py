"""Makes a JSON Schema from a stranger safe to use: what a validator or a renderer would stumble over is mended.

The result is a schema of draft 2020-12 that refers only to itself. Mending never makes a schema stricter: what
cannot be understood allows anything. Not here: turning OpenAPI's dialect into JSON Schema (`references`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast
from urllib.parse import unquote

from toolweft_catalog.ingest.base import text
from toolweft_catalog.tool import EMPTY_SCHEMA, Json, Schema

ONE = frozenset({"additionalProperties", "additionalItems", "not", "if", "then", "else", "contains", "propertyNames",
                 "unevaluatedItems", "unevaluatedProperties", "contentSchema"})  # fmt: skip
"""Keywords that hold a schema. `items` does too, and in older drafts a list of them."""
MANY = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords that hold a list of schemas."""
NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold schemas by name."""

DEPTH = 60
"""Levels of nesting that are kept: far more than people write, far less than Python's stack allows."""

_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_MEANT = {
    "str": "string", "text": "string", "date": "string", "datetime": "string", "file": "string", "enum": "string",
    "int": "integer", "long": "integer", "float": "number", "double": "number", "decimal": "number",
    "bool": "boolean", "dict": "object", "map": "object", "list": "array", "none": "null",
}  # fmt: skip
"""What people write for a type, and what they mean. `any` and the like mean no restriction."""


class Mended(NamedTuple):
    schema: Schema
    notes: list[str]
    """What was changed, in short phrases; empty for a sound schema."""


def object_schema(raw: object) -> Mended:
    """The schema of a tool's arguments: always of type object, with `properties`."""
    if not isinstance(raw, dict):
        missing = raw is None
        return Mended(EMPTY_SCHEMA, ["is missing" if missing else f"is {type(raw).__name__}, not an object"])
    if raw.get("type", "object") != "object" and raw["type"] != ["object"]:
        kind = raw["type"]
        objects = isinstance(kind, list) and "object" in kind
        notes = [] if objects or kind is None else [f"has the type {kind!r:.80} where an object must be"]
        inner = mended({**raw, "type": "object"} if objects or kind is None or "properties" in raw else {})
        return Mended({"type": "object", "properties": {}, **inner.schema}, [*notes, *inner.notes])
    schema, notes = mended(raw)
    return Mended({"type": "object", "properties": {}, **schema}, notes)


def mended(raw: object) -> Mended:
    """Any schema. `True` and what is no schema at all become the one that allows everything."""
    mender = _Mender(raw if isinstance(raw, dict) else {})
    found = mender.schema(raw, "", 0)
    return Mended(found if isinstance(found, dict) else {} if found else {"not": {}}, mender.notes)


class _Mender:
    def __init__(self, root: Mapping[str, Json]) -> None:
        self.root, self.notes = root, list[str]()

    def schema(self, raw: object, where: str, depth: int) -> Json:
        if not isinstance(raw, dict):
            if isinstance(raw, bool):
                return raw
            self.note(where, f"is {type(raw).__name__}, not a schema")
            return {}
        if depth > DEPTH:
            self.note(where, "is nested too deeply")
            return {}
        kept: dict[str, Json] = {}
        for key, value in raw.items():
            # `null` is what serialisers write for a keyword that is not there.
            if value is None and key not in ("default", "const", "example"):
                continue
            self.keyword(kept, key, value, where, depth)
        if "properties" in raw and (hoisted := _required_by_flag(raw["properties"])):
            listed = kept.get("required")
            kept["required"] = [*(listed if isinstance(listed, list) else []), *hoisted]
        return kept

    def keyword(self, kept: dict[str, Json], key: str, value: Json, where: str, depth: int) -> None:
        path = f"{where}.{key}" if where else key
        if key in ONE:
            kept[key] = self.schema(value, path, depth + 1)
        elif key in NAMED:
            self.named(kept, key, value, path, depth)
        elif key in MANY or (key == "items" and isinstance(value, list)):
            self.many(kept, "prefixItems" if key == "items" else key, value, path, depth)
        elif key == "items":
            kept[key] = self.schema(value, path, depth + 1)
        elif key == "type":
            self.type(kept, value, path)
        elif key == "$ref":
            self.reference(kept, value, path)
        elif key == "description":
            kept[key] = text(value)
        elif key not in _CHECKS or _CHECKS[key](value):
            if key != "$id":
                kept[key] = value
        elif not (key == "required" and isinstance(value, bool)):
            self.note(path, f"cannot be {value!r:.60}")

    def named(self, kept: dict[str, Json], key: str, value: Json, path: str, depth: int) -> None:
        if not isinstance(value, dict):
            return self.note(path, f"is {type(value).__name__}, not an object")
        kept[key] = {name: self.schema(each, f"{path}.{name}", depth + 1) for name, each in value.items()}
        return None

    def many(self, kept: dict[str, Json], key: str, value: Json, path: str, depth: int) -> None:
        if not isinstance(value, list) or not value:
            return self.note(path, "is not a list of schemas")
        kept[key] = [self.schema(each, f"{path}.{i}", depth + 1) for i, each in enumerate(value)]
        return None

    def type(self, kept: dict[str, Json], value: Json, path: str) -> None:
        if isinstance(value, str) and value in _TYPES:
            kept["type"] = value
            return
        wanted = value if isinstance(value, list) else [value]
        known = [_type(each) for each in wanted]
        if [*known] != [*wanted]:
            self.note(path, f"{value!r:.60} is read as {', '.join(k for k in known if k) or 'anything'}")
        if known and all(known):
            unique = list(dict.fromkeys(cast("list[Json]", known)))
            kept["type"] = unique if len(unique) > 1 else unique[0]

    def reference(self, kept: dict[str, Json], value: Json, path: str) -> None:
        """Only references into the schema itself: nothing is ever fetched, and a dangling one would fail each call."""
        if isinstance(value, str) and self.leads_somewhere(value):
            kept["$ref"] = value
        else:
            self.note(path, f"{value!r:.80} leads nowhere")

    def leads_somewhere(self, reference: str) -> bool:
        """Whether a reference ends in a schema of this document, and not in a circle of references."""
        seen: set[str] = set()
        here: Json = {"$ref": reference}
        while isinstance(here, dict) and isinstance(following := here.get("$ref"), str):
            if following in seen or not following.startswith("#"):
                return False
            seen.add(following)
            here = self.at(following)
        return isinstance(here, dict | bool)

    def at(self, reference: str) -> Json:
        """What a reference points at; `None` when it is nothing."""
        here: Json = dict(self.root)
        for part in reference[1:].split("/")[1:]:
            step = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict):
                here = here.get(step)
            elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
                here = here[int(step)]
            else:
                return None
        return here if reference[1:2] in ("", "/") else None

    def note(self, where: str, what: str) -> None:
        self.notes.append(f"{where or 'it'} {what}")


def _type(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value if value in _TYPES else value.lower() if value.lower() in _TYPES else _MEANT.get(value.lower())


def _required_by_flag(properties: object) -> list[Json]:
    """Names of properties that say `required: true` themselves, as the third draft allowed."""
    if not isinstance(properties, dict):
        return []
    return [name for name, each in properties.items() if isinstance(each, dict) and each.get("required") is True]


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_names(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_pattern(value: Json) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except (re.error, OverflowError, RecursionError):
        return False


_CHECKS: Mapping[str, Callable[[Json], bool]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _is_count),
    **dict.fromkeys(("title", "format", "$comment", "$anchor", "$schema", "$id"), lambda v: isinstance(v, str)),
    "multipleOf": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v > 0,
    "uniqueItems": lambda v: isinstance(v, bool),
    "enum": lambda v: isinstance(v, list) and bool(v),
    "required": _is_names,
    "pattern": _is_pattern,
    "dependentRequired": lambda v: isinstance(v, dict) and all(_is_names(each) for each in v.values()),
}
"""What a keyword's value must be, for those that a validator would stumble over."""
