"""`Shape`: what the results of a tool have looked like: keys and types, never values.

A small lattice: `merge` is commutative, associative and idempotent, so that shapes can be learned in any order and
by several processes. Keys come from strangers: those that look like data (ids, dates, hashes, addresses) are not
kept, they become `dict[str, …]`. A declared output schema is `annotation`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from toolweft_catalog.call import Blob, Value
from toolweft_catalog.quoting import quoted
from toolweft_catalog.tool import Json

Scalar = Literal["str", "int", "float", "bool", "null", "Blob"]
SCALARS: tuple[Scalar, ...] = get_args(Scalar)
TEXT = {"null": "None"}

MAX_DEPTH = 8
"""Deeper parts are `Any`."""
MAX_FIELDS = 100
"""A record with more keys is a map."""
MAX_OPTIONAL = 32
"""A record without a single constant key and with more optional ones than this is a map."""
MAX_ITEMS = 200
"""Elements looked at in one list."""
MAX_NODES = 3_000
"""Values looked at in one result, and nodes of a merged shape before its lower levels are given up."""

_FIELD = re.compile(r"[A-Za-z_$@#][A-Za-z0-9_$@#.: -]{0,39}")
_MIXED = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9]{16,}")


@dataclass(frozen=True, slots=True)
class Shape:
    """A set of types seen in one place. Empty means that nothing was seen there; `unknown` swallows everything."""

    scalars: frozenset[Scalar] = frozenset()
    items: Shape | None = None
    """Elements of lists; the empty shape when only empty ones were seen."""
    fields: Mapping[str, Shape] | None = None
    """Keys of objects, in the order first seen (which equality ignores)."""
    optional: frozenset[str] = frozenset()
    """Keys that some objects lacked."""
    rest: Shape | None = None
    """Values under keys that are data."""
    folded: bool = False
    """Every key is taken for data: too many were seen."""
    unknown: bool = field(default=False)

    @property
    def size(self) -> int:
        return 1 + sum(child.size for child in self._children())

    def _children(self) -> Iterator[Shape]:
        yield from (self.fields or {}).values()
        yield from (child for child in (self.items, self.rest) if child is not None)


ANY = Shape(unknown=True)
NOTHING = Shape()


def observe(value: Value) -> Shape:
    """The shape of one result. Long lists are sampled, deep parts left out; never raises."""
    return _observe(value, [MAX_NODES], MAX_DEPTH)


def merge(a: Shape, b: Shape) -> Shape:
    """What covers both.

    Above `MAX_NODES` nodes the lowest levels become `Any`; only there the order of merging may show.
    """
    joined = _join(a, b)
    depth = MAX_DEPTH
    while joined.size > MAX_NODES and depth > 1:
        depth -= 1
        joined = _cut(joined, depth)
    return joined


def is_field(key: str) -> bool:
    """Whether `key` names a field. False for what looks like data: long, digits-heavy, hashes, dates, paths, mails."""
    if not _FIELD.fullmatch(key) or _MIXED.fullmatch(key) or ("@" in key and not key.startswith("@")):
        return False
    digits = sum(c.isdigit() for c in key)
    return digits <= 3 or digits * 3 < len(key)


def _observe(value: object, left: list[int], depth: int) -> Shape:
    left[0] -= 1
    if depth <= 0 and isinstance(value, list | Mapping):
        return ANY
    match value:
        case None:
            return Shape(frozenset({"null"}))
        case bool():
            return Shape(frozenset({"bool"}))
        case int():
            return Shape(frozenset({"int"}))
        case float():
            return Shape(frozenset({"float"}))
        case str():
            return Shape(frozenset({"str"}))
        case Blob():
            return Shape(frozenset({"Blob"}))
        case list():
            return Shape(items=_elements(value, left, depth - 1))
        case Mapping():
            return _record(value, left, depth - 1)
        case _:
            return ANY


def _elements(value: list[object], left: list[int], depth: int) -> Shape:
    seen = NOTHING
    head = value if len(value) <= MAX_ITEMS else value[: MAX_ITEMS - 20] + value[-20:]
    for each in head:
        if left[0] <= 0:
            break
        seen = _join(seen, _observe(each, left, depth))
    return seen


def _record(value: Mapping[object, object], left: list[int], depth: int) -> Shape:
    fields: dict[str, Shape] = {}
    rest: Shape | None = None
    for key, each in value.items():
        inner = _observe(each, left, depth) if left[0] > 0 else ANY
        if len(fields) <= MAX_FIELDS and isinstance(key, str) and is_field(key):
            fields[key] = inner
        else:
            rest = _maybe(rest, inner)
    return _folded(Shape(fields=fields, rest=rest))


def _join(a: Shape, b: Shape) -> Shape:
    if a.unknown or b.unknown:
        return ANY
    if a == b or b == NOTHING:
        return a
    if a == NOTHING:
        return b
    if a.fields is None or b.fields is None:
        objects = b if a.fields is None else a
        fields, optional = objects.fields, objects.optional
    else:
        fields = {**a.fields, **b.fields}
        for key in a.fields.keys() & b.fields.keys():
            fields[key] = _join(a.fields[key], b.fields[key])
        optional = a.optional | b.optional | (a.fields.keys() ^ b.fields.keys())
    joined = Shape(
        scalars=a.scalars | b.scalars,
        items=_maybe(a.items, b.items),
        fields=fields,
        optional=frozenset(optional),
        rest=_maybe(a.rest, b.rest),
        folded=a.folded or b.folded,
    )
    return _folded(joined)


def _maybe(a: Shape | None, b: Shape | None) -> Shape | None:
    if a is None or b is None:
        return a if b is None else b
    return _join(a, b)


def _folded(shape: Shape) -> Shape:
    """`shape` with its fields moved to `rest` when they are too many to be fields.

    Both conditions only ever turn true as shapes are merged, which is what keeps merging associative.
    """
    fields = shape.fields or {}
    loose = len(shape.optional) > MAX_OPTIONAL and len(shape.optional) == len(fields)
    if not fields or not (shape.folded or loose or len(fields) > MAX_FIELDS):
        return shape
    rest = shape.rest
    for each in fields.values():
        rest = _maybe(rest, each)
    return replace(shape, fields={}, optional=frozenset(), rest=rest, folded=True)


def _cut(shape: Shape, depth: int) -> Shape:
    if shape.items is None and shape.fields is None:
        return shape
    if depth <= 0:
        return ANY
    fields = None if shape.fields is None else {key: _cut(each, depth - 1) for key, each in shape.fields.items()}
    items = None if shape.items is None else _cut(shape.items, depth - 1)
    return replace(shape, items=items, fields=fields, rest=None if shape.rest is None else _cut(shape.rest, depth - 1))


def annotation(shape: Shape, limit: int = 200) -> str:
    """Python type text of about `limit` characters at most, the lower levels given up first.

    `list[{"id": int, "body?": str, "...": Any}]`: an object is written as a dict of types; `?` marks a key that is
    not always there, `"..."` stands for keys left out, `**dict[str, T]` for keys that are data. Parses as Python.
    """
    for depth, width in ((8, 100), (5, 60), (4, 40), (3, 30), (2, 30), (2, 12), (1, 20), (1, 8), (1, 3)):
        text = _text(shape, depth, width)
        if len(text) <= limit:
            return text
    return _text(shape, 0, 0)


def _text(shape: Shape, depth: int, width: int) -> str:
    if shape.unknown:
        return "Any"
    scalars = {each for each in shape.scalars if not (each == "int" and "float" in shape.scalars)}
    parts = [each for each in SCALARS if each in scalars and each != "null"]
    found: list[str] = [*parts]
    if shape.items is not None:
        inner = _text(shape.items, depth - 1, width) if depth > 0 else "Any"
        found.append("list" if inner == "Any" else f"list[{inner}]")
    if shape.fields is not None:
        found.append(_object_text(shape, shape.fields, depth, width))
    if "null" in scalars:
        found.append("None")
    return " | ".join(found) or "Any"


def _object_text(shape: Shape, fields: Mapping[str, Shape], depth: int, width: int) -> str:
    rest = "" if shape.rest is None or depth <= 0 else _text(shape.rest, depth - 1, width)
    values = f"dict[str, {rest}]" if rest and rest != "Any" else "dict"
    if not fields or depth <= 0:
        return values
    shown = list(fields)[:width]
    texts = [f"{quoted(key + '?' * (key in shape.optional))}: {_text(fields[key], depth - 1, width)}" for key in shown]
    texts += ['"...": Any'] if len(fields) > width else []
    texts += [f"**{values}"] if shape.rest is not None else []
    return f"{{{', '.join(texts)}}}"


def to_json(shape: Shape) -> Json:
    """The stored form. Equal shapes may differ in the order of `fields`, and in nothing else."""
    if shape.unknown:
        return {"unknown": True}
    kept: dict[str, Json] = {}
    if shape.scalars:
        kept["scalars"] = [each for each in SCALARS if each in shape.scalars]
    if shape.items is not None:
        kept["items"] = to_json(shape.items)
    if shape.fields is not None:
        kept["fields"] = {key: to_json(each) for key, each in shape.fields.items()}
    if shape.optional:
        kept["optional"] = [*sorted(shape.optional)]
    if shape.rest is not None:
        kept["rest"] = to_json(shape.rest)
    if shape.folded:
        kept["folded"] = True
    return kept


def from_json(data: object) -> Shape:
    """The shape that `to_json` wrote.

    Raises:
        ValueError: `data` is nothing that `to_json` writes.

    """
    return _from_json(data, MAX_DEPTH + 1)


_KEYS = {"scalars", "items", "fields", "optional", "rest", "folded"}


def _from_json(data: object, depth: int) -> Shape:
    if isinstance(data, dict) and len(data) == 1 and data.get("unknown") is True:
        return ANY
    if not isinstance(data, dict) or not data.keys() <= _KEYS or depth < 0:
        raise _garbled(data)
    fields, scalars, optional = data.get("fields"), _listed(data, "scalars"), _listed(data, "optional")
    children = fields if isinstance(fields, dict) else {}
    sound = (
        (fields is None or isinstance(fields, dict))
        and len(children) <= MAX_FIELDS
        and all(is_field(key) for key in children)
        and optional <= children.keys()
        and scalars <= set(SCALARS)
        and (fields is not None or "rest" not in data)
        and ("folded" not in data or (data["folded"] is True and fields == {}))
    )
    if not sound:
        raise _garbled(data)
    return Shape(
        scalars=frozenset(each for each in SCALARS if each in scalars),
        items=_from_json(data["items"], depth - 1) if "items" in data else None,
        fields=None if fields is None else {key: _from_json(each, depth - 1) for key, each in children.items()},
        optional=optional,
        rest=_from_json(data["rest"], depth - 1) if "rest" in data else None,
        folded="folded" in data,
    )


def _listed(data: dict[str, object], key: str) -> frozenset[str]:
    given = data.get(key, [])
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise _garbled(data)
    return frozenset(given)


def _garbled(data: object) -> ValueError:
    shown = repr(data) if isinstance(data, str | int | float | None) else f"a {type(data).__name__}"
    return ValueError(f"not a stored shape: {shown[:80]}; forget it, it is learned again from results")
