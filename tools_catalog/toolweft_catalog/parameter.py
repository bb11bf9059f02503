"""`Parameter` and `Signature`: how a program names the arguments of a tool, and what it gets back.

A name that is no Python identifier gets one, stable per tool; the name on the wire is kept beside it and accepted
too. The texts made of these are `stub`'s business, the arguments themselves `bind`'s.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import EllipsisType

from toolweft_catalog import shape as shapes
from toolweft_catalog.annotation import Types, names
from toolweft_catalog.names import identifier
from toolweft_catalog.shape import Shape
from toolweft_catalog.tool import Json, Schema, Tool
from toolweft_catalog.typetext import note

MAX_NAME = 80
KEYS = frozenset({"idempotencykey", "xidempotencykey", "idempotencytoken"})
"""Names, without case and separators, of the argument by which a tool knows a call again."""
VAGUE = frozenset({"Any", "dict[str, Any]", "list[Any]"})
"""Return types that say less than what was observed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a tool."""

    name: str
    """The Python identifier; equal to `original` where that is one."""
    original: str
    """The name on the wire, untouched."""
    annotation: str
    required: bool
    default: Json | EllipsisType = ...
    """What the schema says; `...` where it says nothing."""
    schema: object = field(default=True, repr=False, compare=False)

    @property
    def description(self) -> str:
        """One line: the schema's description, then format, range and long enumerations. Made when it is asked for."""
        return "made for you" if _is_key(self.original, self.schema) else note(self.schema)

    @property
    def keyword_only(self) -> bool:
        """Shown after the `*`: it may be left out, and nobody says what happens then."""
        return not self.required and self.default is ...


@dataclass(frozen=True, slots=True)
class Signature:
    """The Python side of a tool."""

    parameters: tuple[Parameter, ...]
    """Required first, then those with a default, then the rest; within each, in the order of the schema."""
    returns: str = "Any"
    definitions: tuple[str, ...] = ()
    """Blocks that define the names used in annotations, inner ones first."""
    extra: str | None = None
    """Annotation of further keyword arguments, where the schema allows any."""


def parameters(tool_or_schema: Tool | Schema | bool) -> tuple[Parameter, ...]:
    """The parameters in signature order. A schema that makes no sense gives those that do, or none."""
    schema = tool_or_schema.parameters if isinstance(tool_or_schema, Tool) else tool_or_schema
    return _read(Types(schema), schema)[0]


def idempotency_key(tool: Tool) -> str | None:
    """The argument, as it is named on the wire, that holds a key for the call; it is made for the program."""
    properties = tool.parameters.get("properties")
    given = properties.items() if isinstance(properties, Mapping) else ()
    return next((name for name, schema in given if isinstance(name, str) and _is_key(name, schema)), None)


def _is_key(name: str, schema: object) -> bool:
    if "".join(filter(str.isalnum, name[:MAX_NAME])).lower() not in KEYS:
        return False
    stated = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
    return stated == "string" or (isinstance(stated, list) and "string" in stated)


def signature(tool: Tool, *, shape: Shape | None = None) -> Signature:
    """The signature of `tool`. Where its output schema is vague, `shape`, how results looked, says what it returns."""
    types = Types(tool.parameters)
    found, extra = _read(types, tool.parameters)
    results = Types(tool.output)
    results.reserve(types)
    returns = "Any" if tool.output is None else results.annotation(tool.output, "Result")
    if returns in VAGUE and shape is not None and (seen := shapes.annotation(shape)) != "Any":
        returns = seen
    return Signature(found, returns, (*types.definitions.values(), *results.definitions.values()), extra)


def _read(types: Types, schema: object) -> tuple[tuple[Parameter, ...], str | None]:
    root = _root(types, schema)
    properties = root.get("properties")
    given = {k: v for k, v in properties.items() if isinstance(k, str)} if isinstance(properties, Mapping) else {}
    given = {key: value for key, value in given.items() if value is not False}
    needed = names(root.get("required"))
    wanted = dict.fromkeys([*given, *(each for each in _strings(root.get("required")) if each not in given)])
    python = python_names(list(wanted))
    found = [_parameter(types, key, python[key], given.get(key, True), key in needed) for key in wanted]
    found.sort(key=lambda each: (not each.required, each.keyword_only))
    return tuple(found), _extra(types, root, garbled=not isinstance(properties, Mapping | None))


def _parameter(types: Types, original: str, name: str, schema: object, required: bool) -> Parameter:
    default = schema.get("default", ...) if isinstance(schema, Mapping) else ...
    annotation = types.annotation(schema, original)
    return Parameter(name, original, annotation, required and not _is_key(original, schema), default, schema)


def _root(types: Types, schema: object) -> Mapping[str, object]:
    """The object schema of the arguments, with root-level alternatives laid over one another."""
    root = types.flat(schema)
    given = root.get("anyOf") or root.get("oneOf")
    branches = [types.flat(each) for each in islice(given, 20)] if isinstance(given, list) else []
    branches = [each for each in branches if isinstance(each.get("properties"), Mapping)]
    if not branches:
        return root
    always = frozenset.intersection(*(names(each.get("required")) for each in branches))
    whole = types.merged([root, *({**each, "required": []} for each in branches)])
    return {**whole, "required": [*_strings(root.get("required")), *sorted(always)]}


def _extra(types: Types, root: Mapping[str, object], *, garbled: bool) -> str | None:
    more = root.get("additionalProperties")
    if isinstance(more, Mapping):
        return types.annotation(more, "Extra")
    return "Any" if more is True or garbled or isinstance(root.get("patternProperties"), Mapping) else None


def python_names(originals: Sequence[str]) -> dict[str, str]:
    """A distinct identifier for each name: itself where it is one, else a close one, numbered where that is in use.

    Identifiers keep their own name first, so that an original can never mean another parameter. The order of
    `originals` does not matter: a digest does not see it either.
    """
    given = {each: each for each in originals if _usable(each)}
    used = set(given)
    counts: dict[str, int] = {}
    for each in sorted(originals):
        if each not in given:
            base = identifier(each[:MAX_NAME])[:MAX_NAME]
            candidate, n = base, counts.get(base, 1)
            while candidate in used or not _usable(candidate):
                n += 1
                candidate = f"{base.rstrip('_') or 'arg'}_{n}"
            counts[base] = n
            given[each] = candidate
            used.add(candidate)
    return {each: given[each] for each in originals}


def _usable(name: str) -> bool:
    plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return plain and len(name) <= MAX_NAME and name not in {"_", "__debug__"}


def _strings(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
