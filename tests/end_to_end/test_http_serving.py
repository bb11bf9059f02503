"""`toolweft serve --http`: both protocol eras, and the checks that keep strangers out."""

import os
import subprocess
import sys
from contextlib import contextmanager

import httpx2
import mcp_types as types
import pytest
from mcp import Client

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@contextmanager
def serving(config, *options, **environ):
    """A serving process; yields its address once it says that it serves."""
    command = [sys.executable, "-m", "toolweft_catalog.cli", "serve", "--config", str(config), "--http", "0", *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, encoding="utf-8", env={**os.environ, **environ}
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "serving http" in line:
                yield line.split()[-1]
                break
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_both_protocol_eras_find_and_run_over_http(write_config, mode):
    with serving(write_config()) as url:
        async with Client(url, mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["find_tools", "execute_code"]
            ran = await client.call_tool("execute_code", {"code": "desk.write_note('over http')"})
            assert ran.structured_content["value"] == 1


async def test_a_web_page_and_a_rebound_name_are_kept_out(write_config):
    with serving(write_config()) as url:
        async with httpx2.AsyncClient() as browser:
            page = await browser.post(url, json=PING, headers={**ACCEPT, "Origin": "https://evil.example"})
            rebound = await browser.post(url, json=PING, headers={**ACCEPT, "Host": "evil.example"})
    assert (page.status_code, rebound.status_code) == (403, 421)


async def test_a_token_is_asked_for_and_accepted(write_config):
    with serving(write_config(), "--token-env", "DESK_TOKEN", DESK_TOKEN="0123456789abcdef") as url:
        async with httpx2.AsyncClient() as stranger:
            refused = await stranger.post(url, json=PING, headers=ACCEPT)
            wrong = await stranger.post(url, json=PING, headers={**ACCEPT, "Authorization": "Bearer 0123456789abcdeX"})
        assert (refused.status_code, wrong.status_code) == (401, 401)
        from mcp.client.streamable_http import streamable_http_client

        async with (
            httpx2.AsyncClient(headers={"Authorization": "Bearer 0123456789abcdef"}) as friend,
            Client(streamable_http_client(url, http_client=friend), mode="2026-07-28") as client,
        ):
            assert len((await client.list_tools()).tools) == 2


ASKING = """
import sys, anyio
from mcp import Client

async def ask(_context, _params):
    print("asked", flush=True)
    await anyio.sleep_forever()

async def main():
    async with Client(sys.argv[1], mode="legacy", elicitation_callback=ask) as client:
        named = {"dev.toolweft/execution": "ex_0123456789ab"}
        await client.call_tool("execute_code", {"code": sys.argv[2]}, meta=named)

anyio.run(main)
"""


async def test_a_program_whose_host_was_killed_at_a_question_is_joined_and_runs_once(write_config, desk):
    code = (
        "desk.write_note('before')\ntry:\n    desk.burn_notes()\nexcept ToolError:\n    pass\ndesk.write_note('after')"
    )
    config = write_config(policy={"desk.write_note": "allow", "desk.burn_notes": "ask"})

    async def answer(_context, _params):
        return types.ElicitResult(action="accept", content={"decision": "refuse"})

    with serving(config) as url:
        host = subprocess.Popen(  # noqa: ASYNC220 - nothing else waits
            [sys.executable, "-c", ASKING, url, code], stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert host.stdout is not None
        assert host.stdout.readline() == "asked\n"
        host.kill()
        host.communicate()
        async with Client(url, mode="legacy", elicitation_callback=answer) as client:
            again = {"code": code, "retry_of": "ex_0123456789ab"}
            ran = (await client.call_tool("execute_code", again)).structured_content
    assert (ran["status"], ran["id"], ran["value"]) == ("ok", "ex_0123456789ab", 2)
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "before\nafter\n"
