"""`Terms`: what a client of ours may add to a call in `_meta`, read once, here. A host that adds nothing loses nothing.

They can only restrict what the policy allows, but for `grants`: the client's word that its person agreed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from toolweft_server.policy import pattern

META = "dev.toolweft/"
"""Prefix of the keys."""
TASK = 4000
"""Characters of a task that are looked at."""
EXECUTION = re.compile(r"ex_[0-9a-f]{12}")
"""Ids of executions, ours and those that a client gives."""


@dataclass(frozen=True, slots=True)
class Terms:
    task: str | None = None
    """What the person wants, in their words."""
    grants: tuple[str, ...] = ()
    """Patterns of tools that may be called without asking: the client asked its person already."""
    execution: str | None = None
    """The id that its program is to have, so that it can ask for it after it was cut off."""
    part: bool = False
    """The program is a part of one that is still to be written, run to see what comes back: nothing of it is saved."""
    careful: bool = False
    """Where the person's policy names no preset: every tool asks that does not say it only reads."""
    calls: int | None = None
    """Calls that the program may make."""
    writes: int | None = None
    """Calls among them that may change something."""

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Terms:
        """
        Raises:
            MCPError: Grants or numbers that make no sense: what they mean must not be guessed.

        """
        task = meta.get(META + "task")
        text = task.get("text") if isinstance(task, dict) else task
        named = meta.get(META + "execution")
        return cls(
            text[:TASK] if isinstance(text, str) else None,
            _grants(meta.get(META + "grants")),
            named if isinstance(named, str) and EXECUTION.fullmatch(named) else None,
            meta.get(META + "step") == "probe",
            meta.get(META + "preset") == "careful",
            _number("calls", meta.get(META + "calls")),
            _number("writes", meta.get(META + "writes")),
        )


def _grants(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    patterns = [pattern(each) if isinstance(each, str) else None for each in given] if isinstance(given, list) else []
    if not patterns or None in patterns:
        what = f"must be a list of tool ids or patterns such as 'server.*', not {given!r:.100}"
        raise MCPError(types.INVALID_PARAMS, f"_meta {META}grants {what}")
    return tuple(each for each in patterns if each)


def _number(key: str, given: object) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 0):
        return given
    raise MCPError(types.INVALID_PARAMS, f"_meta {META}{key} must be a number of calls, not {given!r:.100}")
