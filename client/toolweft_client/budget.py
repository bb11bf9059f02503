"""`Budget` says what a run may cost, `Spent` what it has cost. Checked before spending, so never exceeded.

Not covered: calls inside one running program. They are counted when it answers; the server has a limit of its own
(`limits.calls`). Once `tool_calls` is reached no further program is started.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from toolweft_client.errors import StoppedError


@dataclass(frozen=True, slots=True)
class Budget:
    model_calls: int = 8
    repairs: int = 3
    redesigns: int = 1
    """New designs after the check found tools that do not exist."""
    tool_calls: int = 40
    """Real calls over all attempts; replayed ones cost nothing."""
    seconds: float = 600.0
    """The whole run, from the first search to the answer."""
    run_seconds: float = 120.0
    """One program's own time; waiting for tools does not count."""
    reply_tokens: int = 8_000
    """Of one reply. Models that think before they write need most of it for that."""


@dataclass(slots=True)
class Spent:
    model_calls: int = 0
    repairs: int = 0
    redesigns: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    def model_call(self, budget: Budget) -> None:
        if self.model_calls >= budget.model_calls:
            raise StoppedError("budget", f"The budget of {budget.model_calls} model calls is used up.")
        self.model_calls += 1

    def repair(self, budget: Budget, *, because: str) -> None:
        if self.repairs >= budget.repairs:
            raise StoppedError("repairs", f"The program still fails after {self.repairs} repairs: {because}")
        self.repairs += 1

    def program(self, budget: Budget) -> None:
        """Asked before a program starts."""
        if self.tool_calls >= budget.tool_calls:
            raise StoppedError("budget", f"{self.tool_calls} tool calls were made; the budget is {budget.tool_calls}.")

    def json(self) -> dict[str, float]:
        return asdict(self)
