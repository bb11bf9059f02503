"""`make demo`: the main job, end to end, on real MCP servers, with no key and no network.

It makes a scratch folder `.demo/` with a git repository, starts an HTTP service of its own, connects real MCP
servers and Python tools, and shows what a person and their hosts' models would see. Everything that it prints comes
from the running product.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / ".demo"
TOOLWEFT = [sys.executable, "-m", "toolweft_catalog.cli"]
EVERYDAY = ("text", "dates", "tables", "units")
REQUESTS = (
    "show the history of a git repository",
    "what time is it in Tokyo",
    "track a parcel",
    "count the words of a text",
    "convert kilometres to miles",
)

PROGRAM = '''
def release_report(repo: str, zone: str = "Europe/Paris", cities: list[str] | None = None) -> dict:
    """Commits of a repository, the time in a zone, and the parcels on their way to some cities."""
    log = tools.git.git_log(repo_path=repo, max_count=5)
    now = tools.time.get_current_time(timezone=zone)
    parcels = parallel(lambda city: tools.parcels.list_parcels(city=city), cities or ["Oslo", "Lima", "Pune"])
    return {
        "commits": str(log).count("Commit:"),
        "time": now["datetime"],
        "parcels": {parcel["id"]: parcel["status"] for found in parcels for parcel in found},
    }

release_report(REPO)
'''


def say(text: str = "") -> None:
    print(text, flush=True)


def headline(number: int, text: str) -> None:
    say(f"\n{'─' * 100}\n{number}. {text}\n")


def show(text: str, limit: int = 30) -> None:
    lines = text.splitlines()
    say(textwrap.indent("\n".join(lines[:limit] + (["…"] if len(lines) > limit else [])), "    "))


def tokens(text: str) -> int:
    import bpe_openai

    return len(bpe_openai.get_encoding("o200k_base").encode(text))


def make_repository() -> Path:
    repo = SCRATCH / "repository"
    repo.mkdir(parents=True)
    author = {"NAME": "Demo", "EMAIL": "demo@example.com"}
    env = {**os.environ, **{f"GIT_{who}_{k}": v for who in ("AUTHOR", "COMMITTER") for k, v in author.items()}}
    git = ["git", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "--quiet", str(repo)], check=True)
    for number, message in enumerate(("Begin", "Add the parser", "Mend the parser"), start=1):
        (repo / "notes.txt").write_text(f"step {number}\n" * number, encoding="utf-8")
        subprocess.run([*git, "-C", str(repo), "add", "."], check=True)
        subprocess.run([*git, "-C", str(repo), "commit", "--quiet", "-m", message], check=True, env=env)
    return repo


def configure(repo: Path, service: str) -> Path:
    """The configuration of a person who has git, time, a web service, Python tools and, with node, three more."""
    servers: dict[str, Any] = {
        "git": {"command": sys.executable, "args": ["-m", "mcp_server_git", "--repository", str(repo)]},
        "time": {"command": sys.executable, "args": ["-m", "mcp_server_time", "--local-timezone", "UTC"]},
    }
    if has_node():
        files = SCRATCH / "files"
        files.mkdir()
        (files / "hello.txt").write_text("Hello from the demo.\n", encoding="utf-8")
        env = {k: v for k, v in os.environ.items() if k.lower().startswith(("npm_", "node_")) or "proxy" in k.lower()}
        package = "@modelcontextprotocol/server-"
        servers |= {
            "filesystem": {"command": "npx", "args": ["-y", package + "filesystem", str(files)], "env": env},
            "memory": {"command": "npx", "args": ["-y", package + "memory"],
                       "env": {**env, "MEMORY_FILE_PATH": str(SCRATCH / "memory.json")}},
            "everything": {"command": "npx", "args": ["-y", package + "everything"], "env": env},
        }  # fmt: skip
        for name in ("filesystem", "memory", "everything"):
            servers[name]["start_timeout"] = 180
    document = {
        "mcpServers": servers,
        "openapi": {"parcels": {"spec": service}},
        "python": {
            name: {"module": f"toolweft_catalog.bundled.{name}"} for name in ("text", "dates", "tables", "units")
        },
        "store": str(SCRATCH / "toolweft.db"),
        "limits": {"manifest_wait": 180},
    }
    path = SCRATCH / "toolweft.json"
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return path


def has_node() -> bool:
    """Whether npm's servers can run here: npx is there and works."""
    npx = shutil.which("npx")
    if npx is None:
        return False
    return subprocess.run([npx, "--version"], capture_output=True, check=False).returncode == 0


def host(config: Path, mode: str) -> Client:
    """An MCP client that starts its own `toolweft serve`, as a host does."""
    log = {"command": TOOLWEFT[0], "args": [*TOOLWEFT[1:], "serve", "--config", str(config)]}
    return Client(StdioServerParameters(**log), mode=mode, read_timeout_seconds=240)  # type: ignore[arg-type]


async def call(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    result = await client.call_tool(tool, arguments)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    assert isinstance(result.structured_content, dict), text
    return result.structured_content, text


async def first_host(config: Path, repo: Path) -> None:
    headline(1, "A host connects (protocol 2026-07-28). Its model sees two tools.")
    started = time.perf_counter()
    async with host(config, "2026-07-28") as client:
        tools = (await client.list_tools()).tools
        say(f"    {', '.join(tool.name for tool in tools)}, after {time.perf_counter() - started:.1f} s")
        say("    Now the connected servers are asked for their tools (the first time only; npm may install some) …")
        await call(client, "find_tools", query="anything", limit=1)
        compare_prompts(config, tools)

        headline(2, "The model asks for what it needs, in plain words.")
        for request in REQUESTS:
            _, text = await call(client, "find_tools", query=request, limit=2)
            say(f"  » {request}")
            show(text, 8)

        headline(3, "It writes one program over three servers; parcels are asked for side by side.")
        show(PROGRAM.strip())
        answer, text = await call(client, "execute_code", code=PROGRAM.replace("REPO", repr(str(repo))))
        show("→ " + text)
        assert answer["status"] == "ok", text
        say("\n    calls: " + ", ".join(f"{c['tool']} {c['ms']} ms" for c in answer["calls"]))

        headline(4, "The program worked, so its function is kept.")
        show(json.dumps(answer["saved"]))
        assert answer["saved"], "the clean run saved nothing"


def compare_prompts(config: Path, tools: Sequence[Any]) -> None:
    from toolweft_server.config import load
    from toolweft_server.store.store import Store

    with Store.open(load(config).store) as store:
        all_tools = list(store.manifests.each())
    before = tokens("\n".join(
        json.dumps({"name": t.name, "description": t.description, "inputSchema": dict(t.parameters)}) for t in all_tools
    ))  # fmt: skip
    now = tokens(
        "\n".join(t.model_dump_json(by_alias=True, include={"name", "description", "input_schema"}) for t in tools)
    )
    say(f"    Before: {len(all_tools)} tools, {before:,} tokens in every prompt. Now: 2 tools, {now:,} tokens.")


async def second_host(config: Path, repo: Path) -> None:
    headline(5, "Another host (a second process, protocol 2025-11-25) on the same store finds and calls it.")
    async with host(config, "legacy") as client:
        _, text = await call(client, "find_tools", query="release report for a repository", limit=1)
        show(text, 4)
        code = f"functions.release_report({str(repo)!r}, zone='Asia/Tokyo', cities=['Oslo'])"
        answer, text = await call(client, "execute_code", code=code)
        show(f"→ {text}")
        assert answer["status"] == "ok", text
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        say(f"    resources: {', '.join(listed)}")
        assert "toolweft://reusable_functions/release_report" in listed


def agent(config: Path, repo: Path) -> None:
    headline(6, "The agent solves a task by itself (a scripted model stands in for a paid one), with one repair.")
    replies = SCRATCH / "replies.json"
    scripted = (ROOT / "examples" / "demo_replies.json").read_text(encoding="utf-8")
    replies.write_text(scripted.replace("REPOSITORY", str(repo)), encoding="utf-8")
    task = f"Who wrote the last commit of {repo}, and how many words has its message?"
    say(f"  » toolweft ask {task!r}")
    done = subprocess.run(
        [*TOOLWEFT, "ask", task, "--config", str(config), "--model", f"scripted:{replies}",
         "--trace", str(SCRATCH / "trace.jsonl")],
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    show(done.stderr, 40)
    show("→ " + done.stdout)
    if done.returncode != 0:
        raise SystemExit("the agent failed")


def connect(config: Path) -> None:
    headline(7, "To use it: paste the block of your host. (This one points at the demo; leave out --config for yours.)")
    done = subprocess.run(
        [*TOOLWEFT, "connect", "--print", "all", "--config", str(config)],
        capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip
    show(done.stdout, 200)


async def main() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir()
    from parcels import serve

    with serve() as service:
        repo = make_repository()
        config = configure(repo, service)
        say(f"toolweft demo. Scratch folder: {SCRATCH.relative_to(ROOT)}/")
        if not has_node():
            say("(node is not here: npm's servers are left out)")
        await first_host(config, repo)
        await second_host(config, repo)
        await asyncio.to_thread(agent, config, repo)
        connect(config)
    say("\nEverything above ran on this machine. Next: docs/index.md")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    asyncio.run(main())
