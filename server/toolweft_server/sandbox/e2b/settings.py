"""What a person may set about E2B, as it stands under `sandbox.e2b` in the configuration."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class E2BEntry(BaseModel):
    """The key itself never stands here: `key_env` names the environment variable that has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str = Field(default="code-interpreter-v1", min_length=1)
    """Needs `python3` of version 3.11 or newer, and nothing else."""
    timeout: int = Field(default=300, ge=1, le=86_400)
    """Seconds after which E2B ends a sandbox that we no longer renew: how long a lost one can cost money."""
    pause_after: float = Field(default=60.0, gt=0)
    """Seconds without traffic after which a sandbox that only waits (for a tool, a person, a program) is paused."""
    price_per_second: float | None = Field(default=None, ge=0, lt=1)
    """US dollars for a second of a running sandbox, to show what a run cost; E2B's price list has it."""
    key_env: str = Field(default="E2B_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @model_validator(mode="after")
    def _pauses_in_time(self) -> Self:
        if "pause_after" in self.model_fields_set and self.pause_after >= self.timeout:
            raise ValueError(f"pause_after ({self.pause_after:g} s) must be less than timeout ({self.timeout} s)")
        return self

    @property
    def patience(self) -> float:
        """`pause_after`, and in any case less than the timeout."""
        return min(self.pause_after, self.timeout / 2)
