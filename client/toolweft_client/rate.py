"""`Rate` and `Spread`: the two ways in which figures over runs are told, here, in reports and in benchmarks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

Z = 1.959964
"""Two-sided 95 %."""


class Rate(NamedTuple):
    hits: float
    """A whole number, unless ties count half: then the interval is a little wider than it need be."""
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's: sound also near 0 and 1 and for few runs."""
        if not self.of:
            return 0.0, 1.0
        p, n = self.share, self.of
        middle, spread = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return max(0.0, (middle - spread) / (1 + Z * Z / n)), min(1.0, (middle + spread) / (1 + Z * Z / n))

    def json(self) -> dict[str, float | list[float]]:
        return {"hits": self.hits, "of": self.of, "interval": [round(each, 4) for each in self.interval]}

    def __str__(self) -> str:
        if not self.of:
            return "none of 0"
        low, high = self.interval
        return f"{self.hits:g}/{self.of} = {100 * self.share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


class Spread(NamedTuple):
    mean: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """`None` of no values."""
        if not values:
            return None
        return cls(round(statistics.mean(values), 3), statistics.median(values), max(values))

    def __str__(self) -> str:
        return f"mean {self.mean:g}, median {self.median:g}, most {self.most:g}"
