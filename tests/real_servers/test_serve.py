"""`toolweft serve` as hosts start it, in front of real MCP servers, in both protocol eras."""

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

PROGRAM = '''
def history_and_time(repo: str, zone: str = "UTC") -> dict:
    """The number of commits of a repository, and the time in a zone."""
    log = tools.git.git_log(repo_path=repo, max_count=10)
    now = tools.time.get_current_time(timezone=zone)
    return {"commits": log.count("Commit:"), "zone": now["timezone"]}

history_and_time(REPO)
'''


@pytest.fixture
def repository(tmp_path) -> Path:
    repo = tmp_path / "repository"
    git = ["git", "-C", str(repo), "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", "init", "--quiet", str(repo)], check=True)
    for message in ("one", "two"):
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", message], check=True)
    return repo


@pytest.fixture
def config(tmp_path, repository) -> Path:
    python = {"command": sys.executable}
    servers = {
        "git": {**python, "args": ["-m", "mcp_server_git", "--repository", str(repository)]},
        "time": {**python, "args": ["-m", "mcp_server_time", "--local-timezone", "UTC"]},
        "broken": {"command": "no-such-command-anywhere"},
    }
    path = tmp_path / "toolweft.json"
    document = {"mcpServers": servers, "store": "store.db", "limits": {"manifest_wait": 60}}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@asynccontextmanager
async def host(config, mode):
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "toolweft_catalog.cli", "serve", "--config", str(config)]
    )
    async with Client(command, mode=mode, read_timeout_seconds=90) as client:
        yield client


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_host_finds_runs_over_two_servers_and_reads_the_saved_function(config, repository, mode):
    async with host(config, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["find_tools", "execute_code"]

        found = await client.call_tool("find_tools", {"query": "show the commit log"})
        assert "git.git_log" in [tool["id"] for tool in found.structured_content["tools"]]
        assert "broken" in found.structured_content["note"]

        ran = await client.call_tool("execute_code", {"code": PROGRAM.replace("REPO", repr(str(repository)))})
        assert ran.structured_content["value"] == {"commits": 2, "zone": "UTC"}, ran.content

        listed = [str(each.uri) for each in (await client.list_resources()).resources]
        assert "toolweft://reusable_functions/history_and_time" in listed
        (content,) = (await client.read_resource("toolweft://reusable_functions/history_and_time")).contents
        card = json.loads(content.text)
        assert set(card["tools"]) == {"git.git_log", "time.get_current_time"}


async def test_the_definitions_are_the_same_bytes_in_every_connection_of_an_era(config):
    seen = set()
    for mode in ("2026-07-28", "legacy") * 2:
        async with host(config, mode) as client:
            seen.add((mode, (await client.list_tools()).model_dump_json(include={"tools"})))
    assert len(seen) == 2


def test_doctor_names_the_broken_server_the_cause_and_the_remedy(config):
    doctor = [sys.executable, "-m", "toolweft_catalog.cli", "doctor", "--config", str(config), "--json"]
    done = subprocess.run(doctor, capture_output=True, text=True, encoding="utf-8", check=False)
    report = json.loads(done.stdout)
    rows = {row["server"]: row for row in report["servers"]}
    assert done.returncode == 1
    assert (rows["git"]["ok"], rows["time"]["ok"], rows["broken"]["ok"]) == (True, True, False)
    assert rows["broken"]["cause"] == "not_found"
    assert "no-such-command-anywhere" in rows["broken"]["message"]
    assert "PATH" in rows["broken"]["message"] + rows["broken"]["fix"]


INSPECTOR = os.environ.get("MCP_INSPECTOR", "")


@pytest.mark.skipif(not INSPECTOR, reason="MCP_INSPECTOR does not name the command line of an MCP Inspector")
def test_the_inspector_lists_runs_and_reads(config, repository, tmp_path):
    # The Inspector takes `--config` for its own, so a script starts the server.
    start = tmp_path / "start.py"
    start.write_text(
        f"import sys\nfrom toolweft_catalog.cli import main\nsys.exit(main(['serve', '--config', {str(config)!r}]))\n",
        encoding="utf-8",
    )

    def inspect(*arguments: str) -> dict:
        options = ["--format", "json", "--connect-timeout", "120000"]
        command = [*INSPECTOR.split(), "--cli", sys.executable, str(start), *arguments, *options]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=110)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["result"]

    listed = inspect("--method", "tools/list")
    assert [tool["name"] for tool in listed["tools"]] == ["find_tools", "execute_code"]
    code = "code=" + PROGRAM.replace("REPO", repr(str(repository)))
    ran = inspect("--method", "tools/call", "--tool-name", "execute_code", "--tool-arg", code)
    assert ran["structuredContent"]["value"] == {"commits": 2, "zone": "UTC"}
    read = inspect("--method", "resources/read", "--uri", "toolweft://reusable_functions/history_and_time")
    assert json.loads(read["contents"][0]["text"])["name"] == "history_and_time"
