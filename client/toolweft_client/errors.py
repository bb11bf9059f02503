"""Everything the agent raises on purpose. Each type names the boundary that failed.

    AgentError
    ├── UsageError         a wrong `--model`, a missing key, a missing extra: nothing was started
    ├── ModelError         the model's endpoint: unreachable, refuses the key, a script that ran out
    ├── SessionError       the MCP server: does not start, lacks the two tools, answers garbage
    ├── PromptError        a prompt file and the values given to it do not fit
    ├── TraceError         a trace that cannot be written or read
    └── StoppedError       a run that ended without an answer; `Agent.run` turns it into a failed `Answer`

What the model can mend (a failing program, an unknown tool) is data in an `Attempt` and not in this tree.
The message says what happened, with which value, and what to do next.
"""

from __future__ import annotations

from typing import Literal

Reason = Literal["budget", "reply", "stuck", "repairs", "missing", "refused", "sandbox", "model", "session"]
"""Why a run ended without an answer. `reply`: no usable program in the model's text. `stuck`: the same program again.
`repairs`: none left. `missing`: no tool for the job. `refused`: policy or the server said no. `sandbox`: it failed."""


class AgentError(Exception):
    """Base of all. `str(error)` is fit to show to a person: no secrets, one to three sentences."""


class UsageError(AgentError):
    pass


class ModelError(AgentError):
    pass


class SessionError(AgentError):
    pass


class PromptError(AgentError):
    pass


class TraceError(AgentError):
    pass


class StoppedError(AgentError):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
