"""Secrets of the configuration do not reach programs by way of what tools say."""

import sys

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
