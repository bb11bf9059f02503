"""`StagesConfig` from JSON: `{"rows": "ridge", "retrieve": {"epochs": 5}, "act": null}`.

What is not named stays as it is, null leaves a stage out. A key that means nothing, or a value of another type, is
refused and named.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from toolweft_catalog.tool import Json
from toolweft_server.training.align.stages import StagesConfig
from toolweft_server.training.errors import TrainingError

_STAGES = ("memorise", "retrieve", "act")
T = TypeVar("T")


def stages_of(document: Json, *, every: Mapping[str, Json] | None = None) -> StagesConfig:
    """The settings that `document` describes; `every` is put into each stage that is wanted, and wins.

    Raises:
        TrainingError: An unknown key, a value of another type, or one out of range.

    """
    if not isinstance(document, dict):
        raise TrainingError(f"settings are a JSON object, not {document!r:.80}")
    plain = StagesConfig()
    own: dict[str, Any] = {}
    for stage in _STAGES:
        wanted = document.get(stage, {})
        base = getattr(plain, stage)
        own[stage] = None if wanted is None else _changed(base, wanted, stage)
        if own[stage] is not None and every:
            own[stage] = _changed(own[stage], dict(every), stage)
    rest: Json = {name: value for name, value in document.items() if name not in _STAGES}
    return replace(_changed(plain, rest, "settings"), **own)


def _changed(base: T, given: Json, where: str) -> T:
    """`base`, a dataclass, with the fields that `given` names replaced."""
    if not isinstance(given, dict):
        raise TrainingError(f"{where}: a JSON object is wanted, not {given!r:.80}")
    assert is_dataclass(base)
    known = {field.name for field in fields(base)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1) or sorted(known)
            raise TrainingError(f"{where}: there is no {name!r}; there is {', '.join(near)}")
        values[name] = _value(getattr(base, name), value, f"{where}.{name}")
    changed: T = replace(base, **values)  # type: ignore[type-var]
    return changed


def _value(old: object, value: Json, where: str) -> object:
    if is_dataclass(old):
        return _changed(old, value, where)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(old):
        raise TrainingError(f"{where}: {value!r:.80} is no {type(old).__name__}")
    return value
