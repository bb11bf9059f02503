"""The command of an MCP server: what the configuration says, and which program that is on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp.client.stdio import get_default_environment


@dataclass(frozen=True, slots=True)
class StdioEntry:
    """An MCP server that is a command."""

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    """Added to the few variables that are safe to inherit: PATH, HOME and their like."""
    cwd: str | None = None

    def environment(self) -> dict[str, str]:
        return get_default_environment() | dict(self.env)


class NotFoundError(Exception):
    """The command of an entry names no program that can be started; `fix` says what to write instead."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def find(entry: StdioEntry) -> str:
    """The program that an entry's command means, as a path.

    Raises:
        NotFoundError: See there.

    """
    if entry.cwd is not None and not Path(entry.cwd).is_dir():
        raise NotFoundError(f"its folder {entry.cwd!r} does not exist", "Create it, or correct `cwd`.")
    searched = entry.environment().get("PATH", os.defpath)
    if os.path.dirname(entry.command):  # noqa: PTH120  (the question is whether it has a slash)
        path = Path(entry.cwd or ".") / entry.command
        if not path.exists():
            raise NotFoundError(f"there is no program {str(path)!r}", "Correct `command`.")
        if not os.access(path, os.X_OK) or path.is_dir():
            raise NotFoundError(f"{str(path)!r} may not be executed", f"Run: chmod +x {path}")
        return str(path.absolute())
    if (found := shutil.which(entry.command, path=searched)) is not None:
        return found
    raise NotFoundError(f"the command {entry.command!r} was not found on the PATH {searched!r}", _advice(entry))


def _advice(entry: StdioEntry) -> str:
    home = Path.home()
    places = [
        Path("/usr/local/bin"), Path("/opt/homebrew/bin"), home / ".local/bin", home / ".cargo/bin",
        home / ".bun/bin", home / ".deno/bin", home / ".volta/bin", home / "go/bin",
        *sorted(home.glob(".nvm/versions/node/*/bin"), reverse=True),
    ]  # fmt: skip
    for place in places:
        if (found := shutil.which(entry.command, path=str(place))) is not None:
            return f"It is at {found!r}: write this absolute path as `command`."
    asked = "where" if sys.platform == "win32" else "command -v"
    return (
        f"Install it, or write its absolute path as `command`; `{asked} {entry.command}` in a terminal prints it "
        "(desktop programs do not see a terminal's PATH)."
    )
