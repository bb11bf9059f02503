"""JSON Schema -> the text of a Python annotation, and the named types it needs.

Not a validator: what Python's types cannot say (formats, ranges, `not`, `if`) is left to `facts` or left out. Never
raises and never costs much, whatever the schema: what it cannot read, or has no budget left to read, is `Any`.
The other direction is `reverse`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from toolweft_catalog.typetext import TAKEN, Field, literals, note, type_name, typed_dict, union

MAX_NODES = 3_000
"""Schemas read for one tool; a property that is merged or skipped counts as a sixteenth."""
MAX_DEPTH = 10
MAX_TEXT = 300
MAX_FIELDS = 60
MAX_TYPES = 40

KINDS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_SAYS_TYPE = frozenset({
    "type", "properties", "enum", "const", "$ref", "items", "prefixItems", "anyOf", "oneOf", "allOf",
    "additionalProperties", "patternProperties",
})  # fmt: skip


class Types:
    """The annotations of one tool. `definitions` grows as annotations are asked for, inner types first."""

    def __init__(self, root: object) -> None:
        self.definitions: dict[str, str] = {}
        self._root = root
        self._left = MAX_NODES
        self._depth = 0
        self._names: set[str] = set(TAKEN)
        self._bodies: dict[str, str] = {}
        """Body without its name -> name, so that equal inline objects share one type."""
        self._references: dict[str, str] = {}
        """`$ref` -> annotation: finished, or the name it will have if it turns out to be recursive."""
        self._recursive: set[str] = set()

    def reserve(self, other: Types) -> None:
        """Leave the names of `other` alone, so that both sets of definitions can stand in one text."""
        self._names |= other._names

    def annotation(self, schema: object, hint: str = "Value", name: str | None = None) -> str:
        """Python type text for `schema`. A type that needs a name gets `name`, or one made from its title or `hint`."""
        if self._left <= 0 or self._depth >= MAX_DEPTH:
            return "Any"
        self._left -= 1
        self._depth += 1
        try:
            text = self._text(schema, hint, name)
        finally:
            self._depth -= 1
        return text if len(text) <= MAX_TEXT else "Any"

    def flat(self, schema: object, depth: int = 0) -> Mapping[str, object]:
        """`schema` with its own `$ref` and `allOf` folded in; the schemas inside it stay as they are."""
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self._left <= 0:
            return {}
        self._left -= 1
        if "$ref" not in schema and "allOf" not in schema:
            return schema
        parts: list[Mapping[str, object]] = [{k: v for k, v in schema.items() if k not in {"$ref", "allOf"}}]
        if "$ref" in schema:
            parts.append(self.flat(self.resolve(schema["$ref"]), depth + 1))
        parts += [self.flat(each, depth + 1) for each in islice(_list(schema.get("allOf")), 50)]
        return self.merged(parts)

    def merged(self, parts: Iterable[Mapping[str, object]]) -> Mapping[str, object]:
        """Properties and `required` of all, everything else from the first that says it."""
        whole: dict[str, object] = {}
        for part in parts:
            if self._left <= 0:
                break
            properties, seen = _mapping(part.get("properties")), _mapping(whole.get("properties"))
            required = [*_list(whole.get("required")), *_list(part.get("required"))]
            whole = {**part, **whole}
            if properties and seen:
                self._left -= (len(properties) + len(seen)) // 16
                whole["properties"] = {**seen, **{k: v for k, v in properties.items() if k not in seen}}
            if required:
                whole["required"] = required
        return whole

    def resolve(self, ref: object) -> object:
        """What a local `$ref` points to; `None` for a remote, dangling or garbled one. Nothing is ever fetched."""
        if not isinstance(ref, str) or not ref.startswith("#") or len(ref) > 1_000:
            return None
        from urllib.parse import unquote

        place: object = self._root
        for part in unquote(ref[1:], errors="replace").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(place, Mapping) and key in place:
                place = place[key]
            elif isinstance(place, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(place):
                place = place[int(key[:9])]
            else:
                return None
        return place if ref == "#" or ref.startswith("#/") else None

    def _text(self, schema: object, hint: str, name: str | None) -> str:
        if schema is False:
            return "Never"
        if not isinstance(schema, Mapping):
            return "Any"
        only = _only(schema)
        if only is not None:
            return self.annotation(only, hint, name)
        if "$ref" in schema and not (_SAYS_TYPE & schema.keys()) - {"$ref"}:
            return self._reference(schema["$ref"], hint)
        return self._typed(self.flat(schema), hint, name)

    def _reference(self, ref: object, hint: str) -> str:
        if not isinstance(ref, str):
            return "Any"
        if ref in self._references:
            self._recursive.add(self._references[ref])
            return self._references[ref]
        target = self.resolve(ref)
        if target is None:
            return "Any"
        name = self._free(type_name(ref.rsplit("/", 1)[-1]) if "/" in ref else type_name(hint))
        self._references[ref] = name
        text = self.annotation(target, hint, name)
        if name in self.definitions:
            self._references[ref] = text
            return text
        del self._references[ref]
        if name in self._recursive and text not in {name, "Any"}:
            self.definitions[name] = f"{name} = {text}"
            self._references[ref] = name
            return name
        self._names.discard(name)
        return "Any" if text == name else text

    def _typed(self, schema: Mapping[str, object], hint: str, name: str | None) -> str:
        if "const" in schema:
            return literals([schema["const"]])
        if options := _list(schema.get("enum")):
            return literals(options)
        branches = self._branches(schema)
        if branches:
            base = {k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}
            plain = not _SAYS_TYPE & base.keys()
            text = union(
                self.annotation(each if plain else self.merged([self.flat(each), base]), hint) for each in branches
            )
        else:
            kinds = _kinds(schema)
            parts = [self._kind(each, schema, hint, name) for each in kinds] or ["Any"]
            text = parts[0] if len(parts) == 1 else union(parts)
        return union([text, "None"]) if schema.get("nullable") is True else text

    def _branches(self, schema: Mapping[str, object]) -> Sequence[object]:
        """The alternatives that say something about types; none where one of them leaves the type open."""
        given = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
        says = [each for each in given[:50] if isinstance(each, bool | Mapping)]
        if any(isinstance(each, Mapping) and not _SAYS_TYPE & each.keys() for each in says):
            return ()
        return says

    def _kind(self, kind: str, schema: Mapping[str, object], hint: str, name: str | None) -> str:
        if kind == "array":
            return self._array(schema, hint)
        if kind == "object":
            return self._object(schema, hint, name)
        return KINDS.get(kind, "Any")

    def _array(self, schema: Mapping[str, object], hint: str) -> str:
        items = schema.get("items")
        fixed = _list(schema.get("prefixItems")) or (items if isinstance(items, list) else [])
        one = _singular(hint)
        if 0 < len(fixed) <= 10:
            return f"tuple[{', '.join(self.annotation(each, one) for each in fixed)}]"
        inner = self.annotation(items, one) if isinstance(items, Mapping) and items else "Any"
        return f"list[{inner}]"

    def _object(self, schema: Mapping[str, object], hint: str, name: str | None) -> str:
        properties = _mapping(schema.get("properties"))
        if not properties or len(self.definitions) >= MAX_TYPES:
            return self._map(schema, hint)
        fields = list(self._fields(properties, names(schema.get("required"))))
        if not fields:
            return "dict[str, Any]"
        more = len(properties) - MAX_FIELDS
        if name is None:
            title = schema.get("title")
            wanted = type_name(title if isinstance(title, str) and 0 < len(title) <= 40 else hint)
            body = typed_dict("_", fields, more)
            if body in self._bodies:
                return self._bodies[body]
            name = self._bodies[body] = self._free(wanted)
        self.definitions[name] = typed_dict(name, fields, more)
        return name

    def _map(self, schema: Mapping[str, object], hint: str) -> str:
        values = schema.get("additionalProperties")
        patterns = list(islice(_mapping(schema.get("patternProperties")).values(), 2))
        if not isinstance(values, Mapping) and len(patterns) == 1:
            values = patterns[0]
        inner = self.annotation(values, _singular(hint)) if isinstance(values, Mapping) and values else "Any"
        return f"dict[str, {inner}]" if not schema.get("properties") else "dict[str, Any]"

    def _fields(self, properties: Mapping[str, object], required: frozenset[str]) -> Iterable[Field]:
        for key, schema in islice(properties.items(), MAX_FIELDS):
            if isinstance(key, str) and len(key) <= 200 and schema is not False:
                yield Field(key, self.annotation(schema, key), key in required, note(schema, 100))

    def _free(self, name: str) -> str:
        candidate, n = name, 2
        while candidate in self._names:
            candidate, n = f"{name}{n}", n + 1
        self._names.add(candidate)
        return candidate


def names(value: object) -> frozenset[str]:
    return frozenset(each for each in _list(value) if isinstance(each, str))


def _kinds(schema: Mapping[str, object]) -> list[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return [kind]
    if isinstance(kind, list):
        return [each for each in kind[:8] if isinstance(each, str)]
    for keys, guess in ((("properties", "additionalProperties"), "object"), (("items", "prefixItems"), "array")):
        if any(isinstance(schema.get(key), Mapping | list) for key in keys):
            return [guess]
    return []


def _only(schema: Mapping[str, object]) -> object | None:
    """The one schema behind `{"allOf": [x]}` with nothing but words beside it."""
    all_of = _list(schema.get("allOf"))
    alone = len(all_of) == 1 and not (_SAYS_TYPE & schema.keys()) - {"allOf"} and schema.get("nullable") is not True
    return all_of[0] if alone else None


def _singular(hint: str) -> str:
    if hint.endswith("ies") and len(hint) > 4:
        return hint[:-3] + "y"
    return hint[:-1] if len(hint) > 3 and hint.endswith("s") and not hint.endswith("ss") else hint


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
