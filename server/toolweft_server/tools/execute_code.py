"""`execute_code`: a program in, its value, prints, calls and error out."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import CallRecord, Error, Execution
from toolweft_server.answer import as_text
from toolweft_server.sandbox.base import FileIn
from toolweft_server.sandbox.files_in import MOST
from toolweft_server.sandbox.texts import clean, line

LONGEST = 4_000_000
"""Characters of code that are looked at at all; how many may run is the limit `code`."""
SHOWN_FILES = 20
"""Files listed in the text; the structured answer has them all."""
SHOWN_CALLS = 20
"""Calls listed in the text. Failed ones come first: they are what the reader looks for."""


class Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=LONGEST, strict=True)
    session: str | None = Field(default=None, min_length=1, max_length=200, strict=True)
    retry_of: str | None = Field(default=None, max_length=100, strict=True)
    timeout: float | None = Field(default=None, gt=0, le=86_400, allow_inf_nan=False, strict=True)
    files: dict[str, str] = Field(default_factory=dict, max_length=MOST, strict=True)

    @field_validator("files")
    @classmethod
    def _names_stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            FileIn(name, b"")
        return files


def structured(execution: Execution) -> dict[str, Json]:
    """What a host reads: a field that says nothing is left out, for every one is read, checked and perhaps shown."""
    said: dict[str, Json] = execution.model_dump(mode="json", exclude_defaults=True)
    return {"value": None} | said


def text(execution: Execution) -> str:
    """What the model reads: first what the server says, then what the program says, which can forge no line of that."""
    parts = [_headline(execution), *_told(execution)]
    if execution.error:
        parts.append(_error(execution.error))
    if execution.value is not None:
        parts.append(f"value:\n{as_text(execution.value)}")
    if execution.stdout:
        parts.append(f"stdout:\n{execution.stdout.rstrip()}")
    if execution.stderr:
        parts.append(f"stderr:\n{execution.stderr.rstrip()}")
    if execution.status not in ("ok", "waiting") and execution.calls:
        parts.append(_calls(execution.calls))
    return clean("\n".join(parts))


def _told(execution: Execution) -> list[str]:
    parts = [f"saved: functions.{each.name} (version {each.version}, {each.state})" for each in execution.saved]
    parts += [f"file: {file.uri} ({file.size} bytes)" for file in execution.files[:SHOWN_FILES]]
    if (more := len(execution.files) - SHOWN_FILES) > 0:
        parts.append(f"… and {more} more files, at addresses of the same kind")
    if execution.session and execution.session.state == "reset":
        parts.append(f"session {execution.session.name!r} was reset: {execution.session.reason}")
    parts += [f"limit: {limit}" for limit in execution.limits]
    if execution.truncated:
        parts.append(f"cut; the whole of it: {execution.output_uri} (…/value and …/output are both there)")
    return [line(each) for each in parts]


def _headline(execution: Execution) -> str:
    made, replayed = len(execution.calls), sum(call.replayed for call in execution.calls)
    calls = f", {made} calls" if made else ""
    calls += f" ({replayed} replayed)" if replayed else ""
    unsafe = f", {execution.backend}" if execution.backend.startswith("unsafe") else ""
    return f"{execution.status} ({execution.id}, {execution.seconds:g} s{calls}{unsafe})"


def _error(error: Error) -> str:
    lines = [f"{error.type}: {error.message}", *error.frames]
    if error.locals:
        lines.append("with " + ", ".join(f"{name}={value}" for name, value in error.locals.items()))
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n".join(lines)


def _calls(calls: Sequence[CallRecord]) -> str:
    order = sorted(calls, key=lambda call: (call.status == "ok", call.seq))[:SHOWN_CALLS]
    rows = [
        f"  {call.seq}. {call.tool} {call.status}{' (replayed)' if call.replayed else ''} {call.sample}"
        for call in order
    ]
    more = f"\n  … and {len(calls) - len(order)} more" if len(calls) > len(order) else ""
    return "calls made (retry_of repeats none that succeeded):\n" + "\n".join(rows) + more
