"""`Budget` says what a run may cost, `Spent` what it has cost. Checked before spending, so never exceeded.

What is left of `tool_calls` and `writes` goes to the server with each program, and our own server refuses the first
call beyond it, which ends the run; a call that is replayed costs nothing. No other server has calls on record.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from toolweft_client.errors import StoppedError

_DESIGN = ("design", "scaffold", "plan", "select", "reconstruct")
_REPAIR = ("repair", "review")


def prompt_budget(stage: str) -> str:
    """The name of what bounds a stage's prompts. Turns of a conversation are bound as implementing is."""
    if stage in _DESIGN:
        return "design_tokens"
    return "repair_tokens" if stage in _REPAIR else "implement_tokens"


@dataclass(frozen=True, slots=True)
class Budget:
    model_calls: int = 8
    repairs: int = 3
    replans: int = 2
    """New designs: the check found tools that do not exist, repairs met the same error again, or a second reading
    doubts the answer."""
    readings: int = 0
    """Second looks of the model at an answer before it is given."""
    probes: int = 3
    """Runs of the reading part of a design alone, to see what comes back."""
    retries: int = 2
    """Runs of a program as it stands after a read failed for the moment."""
    tool_calls: int = 40
    """Real calls over all attempts; replayed ones cost nothing."""
    writes: int = 5
    """Real calls over all attempts that may have changed something, and that no person was asked about."""
    seconds: float = 600.0
    """The whole run, from the first search to the answer."""
    run_seconds: float = 120.0
    """One program's own time; waiting for tools does not count."""
    pause: float = 1.0
    """Seconds before the first retry; twice as many before the next."""
    design_tokens: int = 6_000
    """Of one prompt, a re-ask included, as all of these: four characters each. What does not fit is left out in a
    fixed order."""
    implement_tokens: int = 8_000
    repair_tokens: int = 6_000
    reply_tokens: int = 8_000
    """Of one reply. Models that think before they write need most of it for that."""

    def prompt_tokens(self, stage: str) -> int:
        """What a prompt of the stage may have, in any mode."""
        limits = {
            "design_tokens": self.design_tokens, "implement_tokens": self.implement_tokens,
            "repair_tokens": self.repair_tokens,
        }  # fmt: skip
        return limits[prompt_budget(stage)]


def used_up(budget: Budget, said: str) -> StoppedError:
    """What ends a run at a call beyond its budget; `said` is the server's word."""
    return StoppedError("budget", f"{said}. The budget of a task is {budget.tool_calls} calls, {budget.writes} of them "
                        "such that write and that nobody was asked about.")  # fmt: skip


@dataclass(slots=True)
class Spent:
    model_calls: int = 0
    repairs: int = 0
    replans: int = 0
    readings: int = 0
    probes: int = 0
    retries: int = 0
    tool_calls: int = 0
    writes: int = 0
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

    def json(self) -> dict[str, float]:
        return asdict(self)
