"""`toolweft/functions/publish`: functions that another toolweft sends to this one.

A request of its own and no tool, so that no model can send it; served only where whoever started the server said so
(`toolweft serve --http … --accept-functions`). What comes is checked as any import is and waits as a candidate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mcp_types as types
from pydantic import Field

from toolweft_catalog.wire import FunctionCard, SavedFunction, Wire

if TYPE_CHECKING:
    from toolweft_server.library.store import Admission

METHOD = "toolweft/functions/publish"
MOST = 50
"""Functions in one request."""


class PublishParams(types.RequestParams):
    functions: list[FunctionCard] = Field(min_length=1, max_length=MOST)


class Refused(Wire):
    name: str
    reason: str


class Published(types.Result):
    """What became of each function."""

    saved: list[SavedFunction]
    rejected: list[Refused]

    @classmethod
    def of(cls, admission: Admission) -> Published:
        refused = [Refused(name=each.name, reason=each.reason) for each in admission.rejected]
        return cls(saved=list(admission.saved), rejected=refused)
