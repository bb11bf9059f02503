"""How a stage tells that it moves on: it calls somebody, and never prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class Step(NamedTuple):
    """One sign of life."""

    stage: str
    """What is being done, for a person: `rqvae`, `k-means level 2`."""
    done: int
    total: int
    loss: float | None = None


Progress: TypeAlias = Callable[[Step], None]


def silent(_step: Step) -> None:
    """For who does not want to know."""
