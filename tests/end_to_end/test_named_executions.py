"""A client may name its execution: nobody else's, and each name once."""

import anyio
from mcp import Client

from toolweft_server import config as configuration
from toolweft_server import serving
from toolweft_server.runtime import Lazy

NAMED = {"dev.toolweft/execution": "ex_0123456789ab"}


def server(config, owner):
    loaded = configuration.load(config)
    return serving.build(Lazy(loaded), servers=list(loaded.servers), owner=owner)


async def run(client, code):
    return (await client.call_tool("execute_code", {"code": code}, meta=NAMED)).structured_content


async def test_a_name_is_its_first_owners_and_nothing_of_theirs_is_written_over(write_config):
    config = write_config()
    async with Client(server(config, "anna")) as anna, Client(server(config, "bert")) as bert:
        mine = await run(anna, "'a' * 100_000")
        refused = await run(bert, "'b' * 100_000")
        (content,) = (await anna.read_resource(mine["output_uri"])).contents
    assert (mine["id"], refused["status"], refused["error"]["type"]) == (
        "ex_0123456789ab", "refused", "ExecutionExists",
    )  # fmt: skip
    assert "b" not in content.text
    assert len(content.text) >= 100_000


async def test_of_two_requests_of_one_name_at_once_one_runs(write_config, desk):
    ends = []
    async with Client(server(write_config(), "anna")) as anna, anyio.create_task_group() as tasks:

        async def send():
            ends.append((await run(anna, "desk.write_note('once')"))["status"])

        tasks.start_soon(send)
        tasks.start_soon(send)
    assert sorted(ends) == ["ok", "refused"]
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "once\n"
