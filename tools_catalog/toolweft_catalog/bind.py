"""What a program passed to a tool -> the arguments to send, or a `Failure` that says how to call it.

Names first, by the signature; then values, by the schema (`check`). The tool still has the last word.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolweft_catalog.call import Failure
from toolweft_catalog.check import Problem, problem, validator
from toolweft_catalog.parameter import Parameter, Signature, idempotency_key, signature
from toolweft_catalog.quoting import literal, one_line
from toolweft_catalog.stub import call_line
from toolweft_catalog.tool import Json, Schema, Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

KEPT = 256
"""Tools whose plans are kept, the latest used ones."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything about binding that depends on the schema alone."""

    signature: Signature
    by_name: Mapping[str, Parameter]
    """Python names and names on the wire; the former never hide the latter (`python_names`)."""
    checker: Validator | None


_plans: OrderedDict[str, _Plan] = OrderedDict()
"""By the parameters' JSON as it is written: a tool's digest does not see the order, and positions follow it."""
_lock = threading.Lock()
"""Guards `_plans`: several threads may bind."""


class _WrongError(Exception):
    """Carries the words of a failure out of the steps below."""


def bind(tool: Tool, args: Sequence[Json], kwargs: Mapping[str, Json]) -> dict[str, Json] | Failure:
    """The arguments under the tool's own names, checked; or a failure of kind `arguments`, nothing sent.

    Positional arguments go in signature order. Keywords are Python names or the tool's own. `None` for an optional
    parameter that does not take it means "not given". Unknown keywords pass where the schema allows further ones.
    """
    plan = _plan(tool)
    try:
        given = _named(plan, args, kwargs)
        _complete(plan, given)
        return _checked(plan, given)
    except _WrongError as wrong:
        return Failure("arguments", f"{one_line(tool.id, 120)} {wrong}. Call: {call_line(tool)}", sent=False)


def _plan(tool: Tool) -> _Plan:
    try:
        key = hashlib.sha256(json.dumps(tool.parameters).encode("ascii")).hexdigest()
    except (TypeError, ValueError, RecursionError):  # a schema that is not JSON
        return _planned(tool)
    with _lock:
        if key in _plans:
            _plans.move_to_end(key)
            return _plans[key]
    plan = _planned(tool)
    with _lock:
        _plans[key] = plan
        while len(_plans) > KEPT:
            _plans.popitem(last=False)
    return plan


def _planned(tool: Tool) -> _Plan:
    made = signature(tool)
    by_name = {each.original: each for each in made.parameters} | {each.name: each for each in made.parameters}
    return _Plan(made, by_name, validator(_without_key(tool)))


def _without_key(tool: Tool) -> Schema:
    """What the arguments must hold: a key that the tool requires is made later, by whoever sends the call."""
    key, needed = idempotency_key(tool), tool.parameters.get("required")
    if key is None or not isinstance(needed, list):
        return tool.parameters
    return {**tool.parameters, "required": [each for each in needed if each != key]}


def _named(plan: _Plan, args: Sequence[Json], kwargs: Mapping[str, Json]) -> dict[str, Json]:
    order = plan.signature.parameters
    if len(args) > len(order):
        raise _WrongError(f"takes at most {len(order)} arguments, got {len(args)}")
    given = {each.original: value for each, value in zip(order, args, strict=False)}
    for keyword, value in kwargs.items():
        found = plan.by_name.get(keyword)
        if found is None and plan.signature.extra is None:
            raise _WrongError(_unknown(keyword, plan.by_name))
        original = keyword if found is None else found.original
        if original in given:
            raise _WrongError(f"got {_shown(keyword)} twice")
        given[original] = value
    return given


def _unknown(keyword: str, known: Mapping[str, Parameter]) -> str:
    names = [each for each in known if len(each) <= 80][:500]
    near = difflib.get_close_matches(keyword[:80], names, n=1, cutoff=0.5)
    hint = f"; the nearest is {_shown(known[near[0]].name)}" if near else ""
    return f"has no parameter {_shown(keyword)}{hint}"


def _complete(plan: _Plan, given: Mapping[str, Json]) -> None:
    missing = [each for each in plan.signature.parameters if each.required and each.original not in given]
    if missing:
        wanted = ", ".join(f"{_shown(each.name)} ({one_line(each.annotation, 60)})" for each in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise _WrongError(f"needs {wanted}{more}")


def _checked(plan: _Plan, given: dict[str, Json]) -> dict[str, Json]:
    if plan.checker is None:
        return given
    found = problem(plan.checker, given)
    while found is not None and _left_out(plan, found, given):
        del given[str(found.path[0])]
        found = problem(plan.checker, given)
    if found is not None:
        raise _WrongError(f"{_place(plan, found)} {found.message}, got {_shown(found.value)}")
    return given


def _left_out(plan: _Plan, found: Problem, given: Mapping[str, Json]) -> bool:
    """Whether the problem is `None` where the program meant: not given."""
    if len(found.path) != 1 or (name := found.path[0]) not in given or given[str(name)] is not None:
        return False
    parameter = plan.by_name.get(str(name))
    return parameter is not None and not parameter.required


def _place(plan: _Plan, found: Problem) -> str:
    if not found.path:
        return "arguments:"
    first, *rest = found.path
    parameter = plan.by_name.get(str(first))
    text = parameter.name if parameter is not None else str(first)
    text += "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in rest)
    return f"argument {_shown(one_line(text, 200))}"


def _shown(value: object) -> str:
    text = literal(value, 200)
    if text is not None:
        return text
    if isinstance(value, str):
        return literal(one_line(value[:150], 140), 300) or "a text"
    size = f" of {len(value)}" if isinstance(value, list | dict) else ""
    return f"a {type(value).__name__}{size}"
