"""Ways of solving a task; each is a module with `solve`, a coroutine from `Work` to `Answer`, and `MOST_CALLS`."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from toolweft_client.budget import Budget
from toolweft_client.stages.answer import Answer
from toolweft_client.work import Work

MODES = ("program", "paper", "codeact", "react", "toolweaver")
"""`program` is the agent's own loop, the next three are there to compare it with."""


class Mode(NamedTuple):
    solve: Callable[[Work], Awaitable[Answer]]
    model_calls: int
    """Of a task unless configured."""


def mode(name: str) -> Mode:
    """Raises `ValueError` for a name that is not in `MODES`."""
    if name not in MODES:
        raise ValueError(f"There is no mode {name!r}; there are {', '.join(MODES)}.")
    if name == "program":
        from toolweft_client.agent import solve

        return Mode(solve, Budget().model_calls)
    module = importlib.import_module(f"{__name__}.{name}")
    return Mode(module.solve, module.MOST_CALLS)
