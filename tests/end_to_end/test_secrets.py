"""Secrets of the configuration do not reach programs by way of what tools say."""

import sys

from toolweft_server.bridge import SAID

SECRET = "must not say refuse"


async def test_a_secret_in_a_tools_error_reaches_no_program_in_any_disguise(write_config, in_process):
    quiet = {"command": sys.executable, "args": ["-c", "pass"], "env": {"API_TOKEN": SECRET}}
    code = """
        try:
            desk.write_note("refuse")
        except ToolError as error:
            said = str(error)[::-1]
        said
    """
    async with in_process(write_config(mcpServers={"quiet": quiet})) as host:
        ran = await host.execute(code)
    assert ran["status"] == "ok"
    assert SECRET not in ran["value"][::-1]
    assert "[secret]" in ran["value"][::-1]


async def test_a_tools_endless_error_is_cut_for_the_program(write_config, in_process, desk):
    (desk / "long.py").write_text(
        "from toolweft_catalog.ingest.python import tool\n\n\n"
        "@tool(read_only=True)\ndef fail() -> None:\n    raise ValueError('x' * 3_000_000)\n",
        encoding="utf-8",
    )
    code = "try:\n    long.fail()\nexcept ToolError as error:\n    said = len(str(error))\nsaid"
    async with in_process(write_config(python={"long": {"module": str(desk / "long.py")}})) as host:
        assert (await host.execute(code))["value"] == SAID + 1
