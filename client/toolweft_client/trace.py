"""`Trace`: what a run did, one `Step` a line, written and flushed the moment it happened.

A trace cut short by Ctrl-C or `kill -9` reads like any other. Every step names its parent: stages hang on the task,
everything else on its stage. Equal runs with the same `run` write the same bytes, times (`at`, `ms`, `seconds`) aside;
what a run has to name itself, it derives from that id.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeAlias

from toolweft_catalog.tool import Json
from toolweft_client.errors import TraceError
from toolweft_client.redact import Redactor

VERSION = 1
EVENTS = (
    "task.start", "stage", "find", "llm", "check", "approval", "begin", "run", "failure", "repair", "reading", "replan",
    "library", "task.end",
)  # fmt: skip

_GEN_AI: dict[str, dict[str, Json]] = {
    "task.start": {"gen_ai.operation.name": "invoke_agent"},
    "llm": {"gen_ai.operation.name": "chat"},
    "find": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_tools"},
    "run": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "execute_code"},
}
"""What OpenTelemetry's conventions for generative AI call these events."""

Watcher: TypeAlias = "Callable[[Step], None]"
"""Sees each step after it was written: the live display."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line. `event` is one of `EVENTS`."""

    run: str
    """The same on every line of a trace, and on no other trace's."""
    seq: int
    parent: int | None
    event: str
    stage: str
    at: str
    """UTC, ISO 8601."""
    ms: int
    """Since the trace began."""
    data: Mapping[str, Json]

    def json(self) -> dict[str, Json]:
        return {
            "v": VERSION, "run": self.run, "seq": self.seq, "parent": self.parent, "event": self.event,
            "stage": self.stage, "at": self.at, "ms": self.ms, "data": dict(self.data),
        }  # fmt: skip


class Trace:
    """Append-only. `Trace()` keeps steps in memory only; `Trace.to(path)` writes a file as well."""

    def __init__(
        self,
        *,
        sink: IO[str] | None = None,
        path: Path | None = None,
        watchers: Sequence[Watcher] = (),
        run: str | None = None,
    ) -> None:
        """`run` is drawn by lot unless it is given: a server that keeps records must not have met it before."""
        self.run = run or secrets.token_hex(6)
        self.steps: list[Step] = []
        self.path = path
        self.broken: str | None = None
        """Why the file could not be written to its end: a full disk ends the trace, not the run."""
        self._sink, self._watchers = sink, watchers
        self._redact = Redactor.of_environment()
        self._begun = time.monotonic()
        self._stage, self._stage_seq = "", 0

    @classmethod
    def to(cls, path: Path, *, watchers: Sequence[Watcher] = (), run: str | None = None) -> Trace:
        """Opens a new file, readable by its owner alone.

        Raises:
            TraceError: It exists already, or its folder cannot be written.

        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise TraceError(f"{path} exists; a trace is never written over. Name another file.")
            sink = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
        except OSError as error:
            raise TraceError(
                f"The trace {path} cannot be written: {error.strerror}. Name another with --trace."
            ) from error
        return cls(sink=sink, path=path, watchers=watchers, run=run)

    def enter(self, stage: str) -> None:
        """Begins a stage; what follows hangs on it."""
        self._stage, self._stage_seq = stage, 0
        self._stage_seq = self.add("stage").seq

    def add(self, event: str, **data: Json) -> Step:
        """Writes one step. `__` in a name stands for the dot of the OpenTelemetry names."""
        seq = len(self.steps)
        clean = {key.replace("__", "."): self._redact.json(value) for key, value in data.items()}
        clean |= _GEN_AI.get(event, {})
        step = Step(
            run=self.run, seq=seq, parent=None if seq == 0 else self._stage_seq, event=event, stage=self._stage,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            ms=round((time.monotonic() - self._begun) * 1000), data=clean,
        )  # fmt: skip
        self.steps.append(step)
        self._write(step)
        for watch in self._watchers:
            watch(step)
        return step

    def end(self, **data: Json) -> None:
        """The last step; closes the file."""
        self._stage, self._stage_seq = "", 0
        self.add("task.end", **data)
        self.close()

    def close(self) -> None:
        """Gives the file back. Idempotent; what was written stays readable without it."""
        if self._sink is not None:
            sink, self._sink = self._sink, None
            try:
                sink.close()
            except OSError as error:  # what could not be written before cannot now
                self.broken = self.broken or f"{self.path}: {error.strerror}"

    def redacted(self, text: str) -> str:
        return self._redact.text(text)

    def _write(self, step: Step) -> None:
        if self._sink is None or self.broken:
            return
        try:
            # Escaped to ASCII: a lone surrogate in a tool's text must not end the trace.
            self._sink.write(json.dumps(step.json(), ensure_ascii=True) + "\n")
            self._sink.flush()
        except OSError as error:
            self.broken = f"{self.path}: {error.strerror}"


def named(model: str) -> dict[str, Json]:
    """A `ChatModel`'s name as the conventions want it: `openai:gpt-5` is the provider's `gpt-5`."""
    provider, _, name = model.partition(":")
    return {"gen_ai.provider.name": provider, "gen_ai.request.model": name or provider}


def folder() -> Path:
    """Where traces live when nobody names a file: the platform's state folder."""
    import platformdirs

    return platformdirs.user_state_path("toolweft", appauthor=False) / "traces"


def new_path(task: str) -> Path:
    """A name that sorts by time and says what it was about."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in task.lower()).split()
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return folder() / f"{stamp}-{'-'.join(words)[:40].strip('-') or 'task'}.jsonl"


def read(path: Path) -> list[Step]:
    """The steps of a trace. A torn last line, left by a kill, is dropped.

    Raises:
        TraceError: No such file, a line that is none of ours, a version newer than this code.

    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"The trace {path} cannot be read: {error}") from error
    steps: list[Step] = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            steps.append(_step(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number == len(lines):
                break
            raise TraceError(f"{path}, line {number}: not a step of a trace: {error!r}") from error
    if not steps:
        raise TraceError(f"{path} holds no steps.")
    return steps


def _step(line: dict[str, Json]) -> Step:
    version = line["v"]
    if not isinstance(version, int) or version > VERSION:
        raise TraceError(f"Trace version {version!r} is newer than this toolweft, which reads {VERSION}. Upgrade it.")
    parent, data = line["parent"], line["data"]
    if not isinstance(data, dict) or not (parent is None or isinstance(parent, int)):
        raise TypeError("parent or data of a wrong type")
    return Step(
        run=str(line["run"]), seq=int(str(line["seq"])), parent=parent, event=str(line["event"]),
        stage=str(line["stage"]), at=str(line["at"]), ms=int(str(line["ms"])), data=data,
    )  # fmt: skip
