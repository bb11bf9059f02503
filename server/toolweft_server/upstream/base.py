"""What every kind of upstream is to the rest of the server.

An upstream is one server or service of the person's: an MCP server, an OpenAPI service, a Python module. It is lazy:
constructing one starts nothing. `gateway` makes many behave as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from toolweft_catalog.call import Call, Result
from toolweft_catalog.tool import Tool


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an upstream says it offers. Tools carry provisional ids; the catalogue gives the stable ones."""

    tools: Sequence[Tool]
    problems: Sequence[str] = field(default_factory=tuple)
    """One sentence for each tool that had to be mended or dropped, and why."""
    instructions: str = ""
    protocol: str = ""
    """Protocol revision or specification version that was spoken, for `doctor`."""


class Upstream(Protocol):
    """One server or service. All methods may be called concurrently."""

    name: str
    """Its key in the configuration."""
    on_change: Callable[[], None] | None
    """Called (on the event loop, must not block) when the upstream says that its tools changed."""

    async def manifest(self) -> Manifest:
        """Reads the list of tools, starting the upstream if needed.

        Raises:
            UpstreamError: It cannot be reached, with cause and fix.

        """
        ...

    async def __call__(self, call: Call) -> Result:
        """Makes one call. Never raises for what the upstream did: see `call.Failure`. Cancellation is passed on."""
        ...

    async def aclose(self) -> None:
        """Stops it and everything it started. Idempotent."""
        ...
