"""A program that takes its own process down costs nobody else anything."""

import anyio
import pytest

ENDS = {
    "much output": "print('x' * 60_000, flush=True)\nimport os\nos._exit(1)",
    "a file": "open('a.txt', 'w').write('x')\nimport os\nos._exit(1)",
}


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
async def test_a_crash_with_something_left_behind_ends_no_other_program(write_config, in_process, desk, code):
    async with in_process(write_config()) as host:
        await host.execute("kept = 5", session="s")
        other = {}

        async def wait():
            other.update(await host.execute("desk.wait_for('go')"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            crashed = await host.execute(code)
            assert crashed["status"] == "crashed"
            (desk / "go").write_text("gone on", encoding="utf-8")
        assert (other["status"], other["value"]) == ("ok", "gone on")
        assert (await host.execute("kept", session="s"))["value"] == 5
