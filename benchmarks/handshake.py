"""Process start to `tools/list`, beside a hello-world server with one tool, taken in turns in one run.

What is compared: the SDK's `MCPServer` with one tool, and `toolweft serve` with 49,001 tools in its store. Both are
driven over stdio with the same raw lines, so the client costs nothing. The figure is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import datasets, machine

HELLO = """
from mcp.server import MCPServer

server = MCPServer("hello")

@server.tool()
def hello(name: str) -> str:
    "Say hello."
    return f"Hello, {name}!"

server.run("stdio")
"""

LEGACY = [
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
]  # fmt: skip
_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
MODERN = [
    {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": _META}},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": _META}},
]
ERAS: dict[str, list[dict[str, Any]]] = {"2025-11-25": LEGACY, "2026-07-28": MODERN}


def once(command: list[str], lines: list[dict[str, Any]]) -> float:
    """Seconds from the start of the process to its list of tools."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(json.dumps(line) + "\n" for line in lines).encode())
    process.stdin.flush()
    for raw in process.stdout:
        message = json.loads(raw)
        if message.get("id") == 2:
            assert message["result"]["tools"], message
            break
    else:
        raise SystemExit(f"{command} ended without a list of tools")
    took = time.perf_counter() - started
    process.kill()
    process.wait()
    return took


def prepare(folder: Path, tools: int) -> Path:
    """A configuration whose store holds that many tools, index included."""
    path = folder / "toolweft.json"
    path.write_text(json.dumps({"store": str(folder / "store.db")}), encoding="utf-8")
    if tools:
        source = datasets.folder() / "toolbench" / "tools.jsonl.gz"
        command = [sys.executable, "-m", "toolweft_catalog.cli", "ingest", str(source)]
        subprocess.run(
            [*command, "--format", "toolbench", "--name", "toolbench", "--config", str(path)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return path


def measure(runs: int, *, tools: int = 49_001) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = prepare(folder, tools)
        hello = folder / "hello.py"
        hello.write_text(HELLO, encoding="utf-8")
        ours = [str(Path(sys.executable).with_name("toolweft")), "serve", "--config", str(config)]
        theirs = [sys.executable, str(hello)]
        found: dict[str, Any] = {}
        for era, lines in ERAS.items():
            once(theirs, lines), once(ours, lines)  # warms the page cache
            pairs = [(once(theirs, lines), once(ours, lines)) for _ in range(runs)]
            base, own = statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
            found[era] = {"hello_s": round(base, 3), "toolweft_s": round(own, 3), "ratio": round(own / base, 3)}
        return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    print(machine.line())
    found = measure(args.runs)
    for era, row in found.items():
        print(f"{era}: hello world {row['hello_s']} s, toolweft {row['toolweft_s']} s, ratio {row['ratio']}")
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": machine.describe(), "handshake": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
