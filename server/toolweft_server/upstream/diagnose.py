"""What `toolweft doctor` says about one upstream: whether it works, else the cause and the fix; never "zero tools"."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.base import Upstream


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The finding. `ok` with `problems` means: it works, and some of its tools do not."""

    name: str
    ok: bool
    cause: str = ""
    """One of `UpstreamError`'s, or `no_tools`; empty when it works."""
    message: str = ""
    fix: str = ""
    tools: int = 0
    problems: tuple[str, ...] = field(default_factory=tuple)
    protocol: str = ""
    seconds: float = 0.0


async def diagnose(upstream: Upstream) -> Diagnosis:
    """Starts it if need be and reads its tools. Stopping it again is the caller's business."""
    began = time.monotonic()
    try:
        found = await upstream.manifest()
    except UpstreamError as error:
        return Diagnosis(
            upstream.name, False, error.cause, error.message, error.fix, seconds=time.monotonic() - began
        )  # fmt: skip
    seconds, problems = time.monotonic() - began, tuple(found.problems)
    if not found.tools:
        message = f"it answers, but no tool of it can be used. {' '.join(problems)}".strip()
        fix = "Check its arguments and permissions: servers often hide their tools until they are configured."
        return Diagnosis(
            upstream.name, False, "no_tools", message, fix, problems=problems, protocol=found.protocol, seconds=seconds
        )
    return Diagnosis(
        upstream.name, True, tools=len(found.tools), problems=problems, protocol=found.protocol, seconds=seconds
    )
