"""`$ref` in an OpenAPI document, and its schemas as self-contained JSON Schemas of draft 2020-12.

References lead into the document only; nothing is fetched. Schemas that a schema refers to travel with it under
`$defs`, nearest first, up to a limit: large services describe everything in terms of everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal

from toolweft_catalog import names
from toolweft_catalog.ingest.schema import MANY, NAMED, ONE
from toolweft_catalog.tool import Json

Direction = Literal["request", "response"]

CHAIN = 20
"""References that may lead to references, before they count as a circle."""

_DROPPED = frozenset({"nullable", "discriminator", "xml", "externalDocs", "example", "$schema", "$id"})
"""Keywords with no meaning outside an OpenAPI document, or taken over in another form."""


class BrokenReferenceError(ValueError):
    pass


class References:
    def __init__(self, document: Mapping[str, Json], *, dialect_3_0: bool) -> None:
        from referencing import Registry, Resource

        registry: Registry[Mapping[str, Json]] = Registry().with_resource("", Resource.opaque(document))
        self._resolver = registry.resolver()
        self.dialect_3_0 = dialect_3_0

    def lookup(self, reference: str) -> Json:
        """
        Raises:
            BrokenReferenceError: It leads out of the document, or nowhere.

        """
        from referencing.exceptions import Unresolvable

        if not reference.startswith("#"):
            raise BrokenReferenceError(f"the reference {reference!r:.200} leads out of the document")
        try:
            return self._resolver.lookup(reference).contents  # type: ignore[return-value]
        except (Unresolvable, ValueError, LookupError, TypeError):
            raise BrokenReferenceError(f"the reference {reference!r:.200} leads nowhere") from None

    def follow(self, raw: Json) -> dict[str, Json]:
        """The object at the end of a chain of references.

        Raises:
            BrokenReferenceError: See `lookup`; or the chain is a circle, or ends in something else.

        """
        for _ in range(CHAIN):
            if not isinstance(raw, dict):
                raise BrokenReferenceError(f"an object must be where {raw!r:.80} is")
            reference = raw.get("$ref")
            if not isinstance(reference, str):
                return raw
            raw = self.lookup(reference)
        raise BrokenReferenceError("a chain of references is a circle")


class Bundle:
    """Converts the schemas of one tool and collects what they refer to."""

    def __init__(self, references: References, direction: Direction, *, limit: int) -> None:
        self._references, self._limit = references, limit
        self._hidden = "readOnly" if direction == "request" else "writeOnly"
        self._names: dict[str, str] = {}
        self._waiting: deque[str] = deque()
        self.notes: list[str] = []

    def schema(self, raw: Json) -> Json:
        """One schema; what it refers to is in `definitions`."""
        if not isinstance(raw, dict):
            return raw if isinstance(raw, bool) else {}
        if isinstance(raw.get("$ref"), str):
            return self._reference(raw)
        found = {key: self._keyword(key, value) for key, value in raw.items() if self._is_kept(key)}
        if "properties" in found:
            self._hide(raw, found)
        if "example" in raw and "examples" not in found:
            found["examples"] = [raw["example"]]
        return self._modern(raw, found) if self._references.dialect_3_0 else found

    def definitions(self) -> dict[str, Json]:
        """Everything referred to so far. Call it when all schemas are in."""
        found: dict[str, Json] = {}
        while self._waiting:
            reference = self._waiting.popleft()
            try:
                found[self._names[reference]] = self.schema(self._references.lookup(reference))
            except BrokenReferenceError as error:
                self.notes.append(str(error))
                found[self._names[reference]] = {}
        return found

    def is_hidden(self, raw: Json) -> bool:
        """Whether a property travels in the other direction only."""
        return isinstance(raw, dict) and raw.get(self._hidden) is True

    def _is_kept(self, key: str) -> bool:
        return key not in _DROPPED and not key.startswith("x-")

    def _keyword(self, key: str, value: Json) -> Json:
        if key in NAMED and isinstance(value, dict):
            return {name: self.schema(each) for name, each in value.items()}
        if key in MANY and isinstance(value, list):
            return [self.schema(each) for each in value]
        if (key in ONE or key == "items") and isinstance(value, dict):
            return self.schema(value)
        return value

    def _reference(self, raw: Mapping[str, Json]) -> Json:
        reference = str(raw["$ref"])
        if reference not in self._names:
            if len(self._names) >= self._limit:
                return {}
            wanted = names.identifier(reference.rsplit("/", 1)[-1])
            taken, name, n = set(self._names.values()), wanted, 2
            while name in taken:
                name, n = f"{wanted}_{n}", n + 1
            self._names[reference] = name
            self._waiting.append(reference)
        found: dict[str, Json] = {"$ref": f"#/$defs/{self._names[reference]}"}
        if isinstance(raw.get("description"), str):
            found["description"] = raw["description"]
        return {"anyOf": [found, {"type": "null"}]} if raw.get("nullable") is True else found

    def _hide(self, raw: Mapping[str, Json], found: dict[str, Json]) -> None:
        properties, listed, required = raw["properties"], found["properties"], found.get("required")
        if not isinstance(properties, dict) or not isinstance(listed, dict):
            return
        hidden = {name for name, each in properties.items() if self.is_hidden(each)}
        found["properties"] = {name: each for name, each in listed.items() if name not in hidden}
        if isinstance(required, list):
            found["required"] = [name for name in required if name not in hidden]

    def _modern(self, raw: Mapping[str, Json], found: dict[str, Json]) -> Json:
        """What OpenAPI 3.0 says in its own way: exclusive bounds as flags, and `nullable`."""
        for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if isinstance(found.get(flag), bool) and found.pop(flag) and bound in found:
                found[flag] = found.pop(bound)
        if raw.get("nullable") is not True:
            return found
        enum, kind = found.get("enum"), found.get("type")
        if isinstance(enum, list) and None not in enum:
            found["enum"] = [*enum, None]
        if isinstance(kind, str):
            return {**found, "type": [kind, "null"]}
        composed = any(key in found for key in MANY)
        return {"anyOf": [found, {"type": "null"}]} if composed else found
