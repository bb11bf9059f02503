"""The small file beside the store that a starting server reads: which servers there are. Standard library only.

The handshake names the connected servers before any database is opened. `manifests` writes the file after each
change; what stands in it is a cache, and a broken one costs nothing but the names.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

DESCRIPTION = 200
"""Characters kept of a server's description: enough for one line of instructions."""

_FIELDS = {"name": str, "kind": str, "prefix": str, "tools": int, "description": str}


@dataclass(frozen=True, slots=True)
class Source:
    """One configured server, as far as it is known without asking it."""

    name: str
    kind: str
    """How its tools were read: `mcp`, `openapi`, `python` or `toolbench`."""
    tools: int
    description: str = ""
    prefix: str = ""
    """The identifier before the dot of its tools' ids; empty when they have several."""


def beside(store: Path) -> Path:
    """Where the file of a store stands."""
    return store.with_name(store.name + ".sources.json")


def read(store: Path) -> tuple[Source, ...]:
    """The servers that the store knows, by name. Nothing when there is no file or it makes no sense."""
    try:
        held = json.loads(beside(store).read_bytes())
        return tuple(_source(each) for each in held["servers"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()


def write(store: Path, sources: Sequence[Source]) -> None:
    """Replaces the file in one step, if it would say something else. A reader sees the old one or the new one."""
    target = beside(store)
    content = json.dumps({"servers": [asdict(each) for each in sources]}, ensure_ascii=True).encode("ascii")
    with contextlib.suppress(OSError):
        if target.read_bytes() == content:
            return
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=target.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(scratch).replace(target)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise


def _source(held: dict[str, object]) -> Source:
    if any(type(held[key]) is not kind for key, kind in _FIELDS.items()):
        raise ValueError("not a source")
    return Source(**{key: held[key] for key in _FIELDS})  # type: ignore[arg-type]
