"""Arguments against a JSON Schema, as far as a stranger's schema is safe to run.

Covered: everything `jsonschema` checks for the schema's own draft. Not covered, and left to the tool itself: regular
expressions (one may never end), formats, `unevaluated…`, remote references (nothing is fetched), schemas that are
invalid or larger than `MAX_SCHEMA`, and any input that needs more than `MAX_STEPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from toolweft_catalog.quoting import literal, one_line
from toolweft_catalog.tool import Json

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MAX_SCHEMA = 2_000
"""Keys and elements of a schema: checking the schema itself costs up to half a millisecond each, once per tool."""
MAX_DEPTH = 60
MAX_STEPS = 5_000
"""Keywords evaluated for one call."""

_steps: ContextVar[list[int]] = ContextVar("toolweft_check_steps")
_LEFT_OUT = frozenset({"pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems"})


class Problem(NamedTuple):
    """The first thing that is wrong with the arguments."""

    path: tuple[str | int, ...]
    message: str
    value: object


class _TooCostlyError(Exception):
    """The budget of this check is spent."""


def validator(schema: object) -> Validator | None:
    """What checks arguments against `schema`; `None` where that would be unsound or too costly."""
    if not isinstance(schema, Mapping) or not _modest(schema):
        return None
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    declared = schema.get("$schema")
    named = isinstance(declared, str)
    draft = validator_for({"$schema": declared}, default=Draft202012Validator) if named else Draft202012Validator
    bare = {key: value for key, value in schema.items() if key != "$schema"}
    try:
        draft.check_schema(bare)
        made: Validator = _guarded(draft)(bare, registry=Registry())
    except Exception:  # noqa: BLE001 - a stranger's schema can break the library anywhere; then it checks nothing
        return None
    return made


def problem(checker: Validator, arguments: Mapping[str, Json]) -> Problem | None:
    """What is wrong with `arguments`, or `None`: nothing, or nothing that could be found out safely."""
    from jsonschema.exceptions import best_match

    token = _steps.set([MAX_STEPS])
    try:
        error = best_match(islice(checker.iter_errors(arguments), 20))
        return None if error is None else Problem(tuple(error.absolute_path), _message(error), error.instance)
    except Exception:  # noqa: BLE001 - same: an unresolvable reference, endless recursion, a spent budget …
        return None
    finally:
        _steps.reset(token)


def _modest(schema: Mapping[str, object]) -> bool:
    """Small enough to check, and without a nested `$schema`, which would switch to an unguarded draft."""
    pending: list[tuple[object, int]] = [(schema, 0)]
    seen = 0
    while pending:
        node, depth = pending.pop()
        inside = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
        seen += 1 + len(inside)
        foreign = depth > 0 and isinstance(node, Mapping) and isinstance(node.get("$schema"), str)
        if seen > MAX_SCHEMA or depth > MAX_DEPTH or foreign:
            return False
        pending += [(each, depth + 1) for each in inside if isinstance(each, Mapping | list)]
    return True


@cache
def _guarded(draft: Any) -> Any:
    """`draft` with every keyword counted and the unsafe ones left out. One for each of the few drafts."""
    from jsonschema.validators import extend

    keywords = {key: _counted(key, check) for key, check in draft.VALIDATORS.items() if key not in _LEFT_OUT}
    left_out = dict.fromkeys(_LEFT_OUT & draft.VALIDATORS.keys(), _nothing)
    return extend(draft, {**left_out, **keywords})  # type: ignore[no-untyped-call]


Keyword = Callable[[Any, Any, Any, Any], "Iterator[ValidationError] | None"]


def _nothing(*_: object) -> None:
    return None


def _counted(key: str, check: Keyword) -> Keyword:
    def counted(checker: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        left = _steps.get()
        left[0] -= 1
        if left[0] < 0:
            raise _TooCostlyError
        if key == "additionalProperties" and "patternProperties" in schema:
            return None
        if key == "uniqueItems" and isinstance(instance, list) and len(instance) > 300:
            return None
        return check(checker, value, instance, schema)

    return counted


def _message(error: ValidationError) -> str:
    """What the rule wants, short; the value is told apart."""
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "type":
            return f"must be of type {one_line(' or '.join(wanted) if isinstance(wanted, list) else wanted, 80)}"
        case "enum":
            return f"must be one of {', '.join(literal(each, 60) or '…' for each in wanted[:20])}"
        case "const":
            return f"must be {literal(wanted, 80) or 'the constant of the schema'}"
        case "required":
            missing = [each for each in wanted if each not in instance] if isinstance(wanted, list) else []
            return f"lacks {', '.join(literal(each, 60) or '…' for each in missing[:5])}"
        case "additionalProperties":
            known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
            more = [each for each in instance if each not in known]
            return f"has unknown keys {', '.join(literal(each, 60) or '…' for each in more[:5])}"
        case "anyOf" | "oneOf" | "not" | None:
            return "matches none of the forms that the schema allows"
        case rule:
            return f"must satisfy {rule} {literal(wanted, 80) or ''}".rstrip()
