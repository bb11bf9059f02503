"""`Meter`: how long a sandbox was running, and what that costs at the price the person configured."""

from __future__ import annotations

import time


class Meter:
    """Runs from the start; a paused sandbox costs nothing for its time."""

    def __init__(self, price: float | None) -> None:
        self._price = price
        self._since: float | None = time.monotonic()
        self._seconds = self._told = 0.0

    def start(self) -> None:
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        self._seconds, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """Running seconds so far."""
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def line(self) -> str:
        """What came up since the last line, so that the lines of a session add up."""
        new, self._told = self.seconds - self._told, self.seconds
        if self._price is None:
            return f"cost: {new:.1f} s of an E2B sandbox (set sandbox.e2b.price_per_second to see it in money)"
        return f"cost: {new:.1f} s of an E2B sandbox × ${self._price:g}/s = ${new * self._price:.6f}"
