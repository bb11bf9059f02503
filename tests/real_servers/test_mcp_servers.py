"""Published servers as upstreams: the ones that people really have."""

import shutil
import subprocess
import sys

import pytest

from toolweft_catalog.call import Call
from toolweft_server.upstream.mcp import McpUpstream, StdioEntry


@pytest.fixture
async def upstream(request):
    name, entry = request.param
    made = McpUpstream(name, config=entry, start_timeout=120)
    yield made
    await made.aclose()


def module(name: str, *arguments: str) -> tuple[str, StdioEntry]:
    return name, StdioEntry(sys.executable, ["-m", name, *arguments])


async def tools_of(upstream: McpUpstream) -> dict:
    return {tool.name: tool for tool in (await upstream.manifest()).tools}


@pytest.mark.parametrize("upstream", [module("mcp_server_time", "--local-timezone", "UTC")], indirect=True)
async def test_the_time_server_converts_a_time(upstream):
    tools = await tools_of(upstream)
    assert set(tools) == {"get_current_time", "convert_time"}
    arguments = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    result = await upstream(Call(tools["convert_time"], arguments))
    assert result.value["time_difference"] == "+9.0h"
    failure = (await upstream(Call(tools["get_current_time"], {"timezone": "Mars"}))).failure
    assert failure.kind == "tool"
    assert "Mars" in failure.message


@pytest.mark.parametrize("upstream", [module("mcp_server_git")], indirect=True)
async def test_the_git_server_reads_a_repository(upstream, tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)  # noqa: ASYNC221
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "the first one"], check=True)  # noqa: ASYNC221
    tools = await tools_of(upstream)
    assert {"git_log", "git_status", "git_diff"} <= set(tools)
    result = await upstream(Call(tools["git_log"], {"repo_path": str(tmp_path)}))
    assert "the first one" in str(result.value)


EVERYTHING = "@modelcontextprotocol/server-everything"


@pytest.fixture
def installed_by_npx():
    """Fetches the server once; what the network or node's version forbids is a reason to skip, not to fail."""
    if shutil.which("npx") is None:
        pytest.skip("needs node: npx is not on the PATH")
    fetched = subprocess.run(
        ["npx", "-y", EVERYTHING], stdin=subprocess.DEVNULL, capture_output=True, timeout=150, check=False
    )
    if fetched.returncode != 0:
        pytest.skip(f"npx cannot fetch the server: {fetched.stderr.decode(errors='replace')[-300:]}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("upstream", [("everything", StdioEntry("npx", ["-y", EVERYTHING]))], indirect=True)
async def test_the_everything_server_of_npm_answers(installed_by_npx, upstream):
    tools = await tools_of(upstream)
    assert (await upstream(Call(tools["echo"], {"message": "hi"}))).value == "Echo: hi"
