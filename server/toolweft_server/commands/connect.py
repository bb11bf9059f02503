"""`toolweft connect --print HOST`: the block that connects a host, ready to paste. Writes nothing anywhere."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HOSTS = {
    "claude-desktop": "Settings → Developer → Edit Config (claude_desktop_config.json), then restart Claude Desktop",
    "claude-code": "run this command, or put the block into .mcp.json of a project",
    "cursor": "put this into ~/.cursor/mcp.json, or .cursor/mcp.json of a project",
    "vscode": "put this into .vscode/mcp.json of a project, or run: MCP: Open User Configuration",
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", dest="host", required=True, choices=[*HOSTS, "all"], help="which host")
    parser.add_argument("--config", metavar="PATH", help="configuration that the server should use")
    parser.add_argument("--json", action="store_true", help="only the block")
    parser.epilog = (
        "examples:\n  toolweft connect --print claude-desktop\n  toolweft connect --print vscode --config ~/.mcp.json"
    )


def run(args: argparse.Namespace) -> int:
    hosts = list(HOSTS) if args.host == "all" else [args.host]
    if args.json:
        found = {host: block(host, args.config) for host in hosts}
        print(json.dumps(found if args.host == "all" else found[args.host], indent=2))
    else:
        print("\n\n".join(text(host, args.config) for host in hosts))
    return 0


def command(config: str | None) -> Sequence[str]:
    """How a host starts us. Absolute, because desktop hosts do not have the shell's PATH."""
    beside = Path(sys.executable).with_name("toolweft.exe" if sys.platform == "win32" else "toolweft")
    found = str(beside) if beside.is_file() else shutil.which("toolweft")
    start = [found] if found else [sys.executable, "-m", "toolweft_catalog.cli"]
    return [*start, "serve", *(["--config", str(Path(config).expanduser().resolve())] if config else [])]


def block(host: str, config: str | None) -> dict[str, Any]:
    """The JSON that a host's configuration file takes."""
    program, *arguments = command(config)
    entry: dict[str, Any] = {"command": program, "args": arguments}
    if host == "vscode":
        return {"servers": {"toolweft": {"type": "stdio", **entry}}}
    return {"mcpServers": {"toolweft": entry}}


def text(host: str, config: str | None) -> str:
    import shlex

    shown = json.dumps(block(host, config), indent=2)
    how = f"# {host}: {HOSTS[host]}"
    if host == "claude-code":
        return f"{how}\nclaude mcp add toolweft -- {shlex.join(command(config))}\n\n{shown}"
    return f"{how}\n{shown}"
