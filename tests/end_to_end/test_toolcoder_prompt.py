"""The prompt `toolcoder`: a host's own model that does what it says gets there with the two tools there are."""

import re

from toolweft_server import prompts
from toolweft_server.tools.surface import TOOLS

TEXT = prompts.render("toolcoder", {"task": "Note what is left to buy."})
ARGUMENTS = {name for tool in TOOLS for name in tool["inputSchema"]["properties"]}

FIRST = '''
def note_what_is_left(wanted: list[str]) -> int:
    """Notes what is wanted and not noted yet; answers how many notes there are.

    Success: each is noted once.
    """
    # 1. read_notes: what is there
    noted = desk.read_notes()
    # 2. write_note: what is not
    for each in wanted:
        if each not in noted:
            count = desk.write_note(each)
    # 3. read_notes: all of it
    assert count == desk.read_notes()["count"]
    return count


note_what_is_left(["milk", "bread"])
'''


def notes(desk):
    return (desk / "notes.txt").read_text(encoding="utf-8").splitlines()


def test_the_prompt_names_tools_and_arguments_that_there_are():
    named = set(re.findall(r"`(\w+)(?:=\"\w+\")?`", TEXT))
    assert {"find_tools", "execute_code"} == {tool["name"] for tool in TOOLS}
    assert {"find_tools", "execute_code", "retry_of", "detail"} <= named
    known = {"ToolError", "assert", "waiting", "timeout", "unavailable", "refused"}
    assert named - known - {tool["name"] for tool in TOOLS} <= ARGUMENTS


async def test_its_steps_lead_to_an_answer_no_write_is_made_twice_and_the_function_is_found_again(
    write_config, in_process, desk
):
    async with in_process(write_config()) as host:
        found = await host.client.call_tool("find_tools", {"query": "write a note"})
        assert "desk.write_note" in [each["id"] for each in found.structured_content["tools"]]
        full = await host.client.call_tool("find_tools", {"query": "desk.write_note", "limit": 1, "detail": "full"})
        assert "Whether it comes first." in full.content[0].text
        failed = await host.execute(FIRST)
        assert failed["status"] == "error"
        assert failed["error"]["line"]
        mended = FIRST.replace('desk.read_notes()["count"]', "len(desk.read_notes())")
        ran = await host.execute(mended, retry_of=failed["id"])
        assert (ran["status"], ran["value"]) == ("ok", 2)
        assert [each["replayed"] for each in ran["calls"] if each["tool"] == "desk.write_note"] == [True, True]
        await host.execute(mended.replace('["milk", "bread"]', '["flour"]'))
        again = await host.client.call_tool("find_tools", {"query": "note what is left"})
        used = await host.execute('functions.note_what_is_left(["salt"])')
    assert [each["name"] for each in ran["saved"]] == ["note_what_is_left"]
    assert "functions.note_what_is_left" in [each["id"] for each in again.structured_content["tools"]]
    assert used["value"] == 4
    assert notes(desk) == ["milk", "bread", "flour", "salt"]


async def test_a_refused_call_says_what_to_pass_on(write_config, in_process, desk):
    async with in_process(write_config(policy={"desk.write_note": "block"})) as host:
        ran = await host.execute('desk.write_note("milk")')
    assert ran["status"] != "ok"
    assert "refused" in [each["status"] for each in ran["calls"]]
    assert "desk.write_note" in ran["error"]["message"]
    assert not (desk / "notes.txt").exists()
