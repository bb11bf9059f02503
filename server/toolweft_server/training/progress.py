"""How a stage tells that it moves on: it calls somebody, and never prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def no_bars() -> Iterator[None]:
    """`transformers` draws no progress bars of its own meanwhile."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
