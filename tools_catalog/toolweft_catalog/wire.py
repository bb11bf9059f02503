"""What crosses MCP as structured content: pydantic models, validated at this edge and nowhere else.

The server fills them, the client reads them. The JSON Schemas a host sees are written by hand in the server's
`tools/surface.py` (a test holds both together); these models are the contract in code.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from toolweft_catalog.tool import Effect, Origin

Why = Literal["name", "lexical", "dense", "codes", "use", "examples", "sets"]
IndexName = Literal["lexical", "woven", "generative"]
Status = Literal["ok", "error", "timeout", "limit", "refused", "cancelled", "crashed", "violation", "waiting"]
"""`violation` and `crashed` are the sandbox's, the others the program's. All but `ok` and `waiting` set `isError`."""

Decision = Literal["allow", "ask", "block"]
FunctionState = Literal["candidate", "verified", "active", "stale", "quarantined", "retired"]


class Wire(BaseModel):
    """A reader ignores keys that it does not know, so that an older client can talk to a newer server."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class FoundTool(Wire):
    id: str
    call: str
    summary: str
    origin: Origin
    score: float
    why: list[Why]
    effect: Effect = "unknown"
    policy: Decision = "allow"
    """What calls of it meet: `ask` asks a person each time, unless the client brings a grant."""


class FoundTools(Wire):
    """The answer of `find_tools`."""

    tools: list[FoundTool]
    also: list[str] = Field(default_factory=list)
    """Ids of further matches whose stubs did not fit the token budget."""
    total: int
    """Matches above the floor."""
    catalogue: int
    index: IndexName
    note: str | None = None


class Error(Wire):
    """Why a program ended: what Python said, where in the program, and what to try."""

    type: str
    message: str
    line: int | None = None
    frames: list[str] = Field(default_factory=list)
    locals: dict[str, str] = Field(default_factory=dict)
    hint: str | None = None


class CallRecord(Wire):
    seq: int
    tool: str
    effect: Effect
    status: str
    """`ok`, or the kind of the failure."""
    ms: int
    replayed: bool = False
    args_digest: str
    sample: str = ""


class SavedFunction(Wire):
    name: str
    version: int
    state: FunctionState


class SessionState(Wire):
    name: str
    state: Literal["kept", "reset"]
    reason: str | None = None


class OutputFile(Wire):
    uri: str
    mime: str
    size: int


class Execution(Wire):
    """The answer of `execute_code`."""

    id: str
    status: Status
    backend: str
    value: Any = None
    stdout: str = ""
    stderr: str = ""
    error: Error | None = None
    calls: list[CallRecord] = Field(default_factory=list)
    saved: list[SavedFunction] = Field(default_factory=list)
    session: SessionState | None = None
    files: list[OutputFile] = Field(default_factory=list)
    limits: list[str] = Field(default_factory=list)
    output_uri: str | None = None
    truncated: bool = False
    seconds: float = 0.0


class FunctionCard(Wire):
    """A reusable function as the resource `toolweft://reusable_functions/{name}` shows it."""

    name: str
    version: int
    state: FunctionState
    signature: str
    description: str
    source: str
    stub: str
    tools: dict[str, str]
    """Ids of the tools it calls, with the digest each had when it was saved."""
    functions: dict[str, int] = Field(default_factory=dict)
    """Saved functions that it calls, with the version pinned."""
    uses: int = 0
    failures: int = 0
    provenance: dict[str, Any] = Field(default_factory=dict)
    history: list[dict[str, Any]] = Field(default_factory=list)
