"""The three clocks of a run: its own time, its processor time, and everything together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from toolweft_server.sandbox.texts import seconds

LOOK = 0.25
"""Seconds between two looks at the processor time: the limit is tens of seconds, a look costs microseconds."""


@dataclass(frozen=True, slots=True)
class Over:
    limit: str
    text: str
    reason: str


class Clock:
    """`pause` when a request leaves for the host, `resume` when its answer is there; nested pauses count once."""

    def __init__(self, *, wall: float, total: float, cpu: float, processor: Callable[[], float | None]) -> None:
        self._wall, self._total, self._cpu = wall, total, cpu
        self._processor = processor
        self._processor_before: float | None = None
        self._begin = self._since = time.monotonic()
        self._looked = -LOOK
        self._used = 0.0
        self._waiting = 0
        self._end: float | None = None

    def pause(self) -> None:
        if self._waiting == 0:
            self._used += time.monotonic() - self._since
        self._waiting += 1

    def resume(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._since = time.monotonic()

    def stop(self) -> None:
        """The run is over: the active time stands."""
        self._end = self.active()

    def active(self) -> float:
        if self._end is not None:
            return self._end
        return self._used + (0.0 if self._waiting else time.monotonic() - self._since)

    def over(self) -> Over | None:
        """The limit that is exceeded, if one is."""
        if self.active() >= self._wall:
            text = f"wall={seconds(self._wall)}"
            return Over("wall", text, f"the program ran longer than {seconds(self._wall)} (waiting for tools aside)")
        if time.monotonic() - self._begin >= self._total:
            text = f"total={seconds(self._total)}"
            return Over("total", text, f"the program took longer than {seconds(self._total)}, waiting included")
        if self._processor_used() >= self._cpu:
            text = f"cpu={seconds(self._cpu)}"
            return Over("cpu", text, f"the program used more than {seconds(self._cpu)} of processor time")
        return None

    def _processor_used(self) -> float:
        """Since the first look, which comes a moment after the start."""
        if (now := time.monotonic()) - self._looked < LOOK / 2:
            return 0.0
        self._looked = now
        used = self._processor()
        if self._processor_before is None:
            self._processor_before = used
        return (used or 0.0) - (self._processor_before or 0.0)

    def next_look(self) -> float:
        """Seconds until `over` can change its answer, and never long."""
        left = self._total - (time.monotonic() - self._begin)
        if not self._waiting:
            left = min(left, self._wall - self.active())
        return min(max(left, 0.001), LOOK)
