"""`Proof`: what a replay showed of a function, and what that makes of it. Pure; the replay itself is `proving`'s.

Observed types fill in what a signature leaves open: a parameter without an annotation, a result without one. They
never contradict what the code says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from toolweft_catalog import shape
from toolweft_catalog.tool import Json, digest
from toolweft_server.library.function import EXAMPLES, Function

ARGUMENTS = 4_000
"""Characters of the arguments of one kept call, as JSON."""

_SCHEMAS: Mapping[str, str] = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "null": "null"}


@dataclass(frozen=True, slots=True)
class Observed:
    """One call of a function, seen while its program was replayed."""

    name: str
    arguments: Mapping[str, Any]
    result: Any


@dataclass(frozen=True, slots=True)
class Proof:
    """How far a function may go, and why no further."""

    state: Literal["candidate", "verified", "active"]
    why: str
    calls: Sequence[Observed] = field(default=())


UNPROVEN = Proof("candidate", "it was not verified")


def tightened(function: Function, proof: Proof) -> Function:
    """The function with what its proof observed: examples, types of arguments and result, and why it stays behind."""
    parameters = dict(function.parameters)
    given = _each(proof.calls)
    held: Any = parameters.get("properties", {})
    parameters["properties"] = {
        name: schema if name not in given or not _open(schema) else {**schema, **_schema(given[name])}
        for name, schema in held.items()
    }
    shapes: dict[str, Json] = {}
    if proof.calls:
        results = [shape.observe(each.result) for each in proof.calls]
        merged = results[0]
        for each in results[1:]:
            merged = shape.merge(merged, each)
        shapes = {"arguments": {k: shape.to_json(v) for k, v in given.items()}, "result": shape.to_json(merged)}
    return replace(
        function, parameters=parameters, shapes=shapes, examples=examples(proof.calls),
        why=proof.why if proof.state == "candidate" else "",
    )  # fmt: skip


def examples(calls: Sequence[Observed]) -> list[dict[str, Json]]:
    """What is kept of calls: their arguments, and of their results only digest and shape."""
    kept: list[dict[str, Json]] = [
        {
            "arguments": dict(each.arguments), "digest": digest(each.result),
            "shape": shape.to_json(shape.observe(each.result)),
        }
        for each in calls
        if len(repr(each.arguments)) <= ARGUMENTS
    ]  # fmt: skip
    return kept[:EXAMPLES]


def like(kept: Json, result: Any) -> bool:
    """Whether a result could come from the function whose result had the shape `kept`: same kinds, no key missing.

    Nothing where there was something counts as alike: another question may have an empty answer.
    """
    return fits(shape.from_json(kept), shape.observe(result))


def fits(before: shape.Shape, now: shape.Shape) -> bool:
    """As `like`, for what was observed of the results."""
    if before.unknown or now.unknown or now.scalars == {"null"} or before.scalars == {"null"}:
        return True
    numbers = {"int", "float"}
    if (now.scalars - before.scalars) - (numbers if before.scalars & numbers else frozenset()):
        return False
    if (now.items is not None and before.items is None) or (now.fields is not None and before.fields is None):
        return False
    if now.items is not None and before.items is not None and shape.NOTHING not in (now.items, before.items):
        return fits(before.items, now.items)
    if now.fields is not None and before.fields is not None:
        missing = before.fields.keys() - before.optional - now.fields.keys()
        both = before.fields.keys() & now.fields.keys()
        return not (missing and now.fields) and all(fits(before.fields[k], now.fields[k]) for k in both)
    return True


def _each(calls: Sequence[Observed]) -> dict[str, shape.Shape]:
    found: dict[str, shape.Shape] = {}
    for call in calls:
        for name, value in call.arguments.items():
            one = shape.observe(value)
            found[name] = shape.merge(found[name], one) if name in found else one
    return found


def _open(schema: Any) -> bool:
    return isinstance(schema, Mapping) and not schema.keys() & {"type", "anyOf", "oneOf", "enum", "$ref", "const"}


def _schema(seen: shape.Shape) -> dict[str, Json]:
    """The JSON Schema of an observed shape; empty where it says nothing."""
    if seen.unknown:
        return {}
    kinds: list[dict[str, Json]] = [{"type": _SCHEMAS[each]} for each in sorted(seen.scalars) if each in _SCHEMAS]
    if seen.items is not None:
        kinds.append({"type": "array", "items": _schema(seen.items)})
    if seen.fields is not None:
        kinds.append({"type": "object"})
    if len(kinds) == 1:
        return kinds[0]
    return {"anyOf": [*kinds]} if kinds else {}
