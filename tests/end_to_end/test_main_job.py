"""The main job through the MCP surface: find, run, save, reuse from another host."""

import anyio
import pytest

SAVE = '''
def remember(text: str, urgent: bool = False) -> int:
    """Write a note and answer how many there are now."""
    return tools.desk.write_note(text=text, urgent=urgent)

remember("milk")
'''


async def test_a_tool_is_found_by_what_it_does_and_shown_as_python(host):
    found = await host.find("remember something by writing a note", limit=3)
    assert found["tools"][0]["id"] == "desk.write_note"
    assert found["tools"][0]["call"] == "desk.write_note(text: str, urgent: bool = False) -> int"
    assert "desk.write_note(text: str, urgent: bool = False) -> int" in found["text"]
    assert found["catalogue"] == 5
    assert found["index"] == "woven"


async def test_a_tools_own_name_always_wins(host):
    found = await host.find("burn_notes")
    assert found["tools"][0]["id"] == "desk.burn_notes"
    assert "name" in found["tools"][0]["why"]


async def test_nothing_found_says_so_and_names_the_nearest(host):
    found = await host.find("xylophone_zzz")
    assert found["tools"] == []
    assert found["note"].startswith("No tool among 5 matches 'xylophone_zzz'.")
    assert not found["is_error"]


async def test_full_detail_shows_what_each_parameter_means(host):
    found = await host.find("write_note", detail="full", limit=1)
    assert "Whether it comes first." in found["text"]


async def test_a_program_calls_tools_and_answers_with_its_last_expression(host):
    ran = await host.execute(
        """
        desk.write_note("milk")
        tools.desk.write_note(text="bread", urgent=True)
        print("two written")
        desk.read_notes()
        """
    )
    assert (ran["status"], ran["value"], ran["stdout"]) == ("ok", ["milk", "! bread"], "two written\n")
    assert [call["tool"] for call in ran["calls"]] == ["desk.write_note", "desk.write_note", "desk.read_notes"]
    assert [call["effect"] for call in ran["calls"]] == ["write", "write", "read"]
    assert not ran["is_error"]


async def test_a_failing_tool_raises_its_own_words_where_the_program_called_it(host):
    ran = await host.execute('x = 3\ndesk.write_note("refuse")')
    assert ran["status"] == "error"
    assert ran["is_error"]
    assert ran["error"]["type"] == "ToolError"
    assert "notes must not say refuse" in ran["error"]["message"]
    assert ran["error"]["line"] == 2
    assert ran["error"]["locals"]["x"] == "3"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("tools.desk.write_nte('x')", "desk.write_note"),
        ("tools.dsek.write_note('x')", "desk"),
        ("desk.write_note(txt='x')", "text"),
        ("desk.write_note()", "text"),
        ("desk.write_note(text=5)", "text"),
    ],
)
async def test_a_mistaken_call_names_what_was_meant(host, code, words):
    ran = await host.execute(code)
    assert ran["status"] == "error"
    assert words in ran["error"]["message"]
    assert not any(call["status"] == "ok" for call in ran["calls"])


async def test_a_call_that_needs_a_person_is_refused_with_the_line_to_write(host, desk):
    (desk / "notes.txt").write_text("keep me\n", encoding="utf-8")
    ran = await host.execute("desk.burn_notes()")
    assert "needs a person's approval" in ran["error"]["message"]
    assert '"policy": {"desk.burn_notes": "allow"}' in ran["error"]["message"]
    assert (desk / "notes.txt").exists()


async def test_retry_of_repeats_no_call_that_succeeded(host, desk):
    first = await host.execute('n = desk.write_note("once")\nraise RuntimeError("after the write")')
    assert first["status"] == "error"
    second = await host.execute('n = desk.write_note("once")\nn', retry_of=first["id"])
    assert (second["status"], second["value"]) == ("ok", 1)
    assert [call["replayed"] for call in second["calls"]] == [True]
    assert (desk / "notes.txt").read_text(encoding="utf-8") == "once\n"


async def test_a_session_keeps_variables_and_no_session_keeps_none(host):
    await host.execute("x = 41", session="work")
    kept = await host.execute("x + 1", session="work")
    other = await host.execute("x + 1")
    assert (kept["value"], kept["session"]) == (42, {"name": "work", "state": "kept", "reason": None})
    assert other["error"]["type"] == "NameError"


async def test_an_image_comes_back_as_an_image_and_a_file(host):
    ran = await host.execute("desk.picture()")
    assert [image.mime_type for image in ran["images"]] or ran["files"]
    uri = ran["files"][0]["uri"]
    (content,) = (await host.client.read_resource(uri)).contents
    assert content.blob == "iVBORw0KGgo="


async def test_long_output_is_cut_and_kept_whole_as_a_resource(write_config, in_process):
    async with in_process(write_config(limits={"text": 1000})) as host:
        ran = await host.execute("print('line\\n' * 2000)\n'x' * 5000")
        assert ran["truncated"]
        assert len(ran["text"]) < 4000
        assert "characters left out" in ran["stdout"]
        (content,) = (await host.client.read_resource(f"toolweft://executions/{ran['id']}/output")).contents
        assert content.text.count("line") == 2000


async def test_the_shape_of_a_result_is_learned_and_shown(host):
    await host.execute("desk.wait_for", session="s")
    before = await host.find("picture")
    await host.execute("desk.picture()")
    after = await host.find("picture")
    assert before["tools"][0]["id"] == after["tools"][0]["id"] == "desk.picture"


async def test_a_clean_run_saves_its_function_and_another_host_finds_and_calls_it(write_config, in_process):
    config = write_config()
    async with in_process(config) as one, in_process(config) as other:
        ran = await one.execute(SAVE)
        assert ran["saved"] == [{"name": "remember", "version": 1, "state": "active"}]

        with anyio.fail_after(20):
            while not (found := await other.find("remember a note", server="functions"))["tools"]:
                await anyio.sleep(0.05)
        assert found["tools"][0]["call"] == "functions.remember(text: str, urgent: bool = False) -> int"

        called = await other.execute("from functions import remember\nremember('bread', urgent=True)")
        assert (called["status"], called["value"]) == ("ok", 2)
        card = await other.read("toolweft://reusable_functions/remember")
        assert card["tools"].keys() == {"desk.write_note"}
        assert "Write a note and answer" in card["description"]


async def test_a_program_that_fails_saves_nothing(host):
    ran = await host.execute(SAVE + "\n1 / 0")
    assert ran["status"] == "error"
    assert ran["saved"] == []
    assert (await host.read("toolweft://reusable_functions"))["functions"] == []


async def test_saving_on_purpose_needs_no_tool_call(host):
    code = 'def double(x: int) -> int:\n    """Twice."""\n    return 2 * x\n\nfunctions.save(double)\ndouble(4)'
    ran = await host.execute(code)
    assert [saved["name"] for saved in ran["saved"]] == ["double"]
    again = await host.execute("functions.double(21)")
    assert again["value"] == 42


async def test_a_program_that_takes_longer_than_hosts_wait_is_joined_again(write_config, in_process, desk):
    async with in_process(write_config(limits={"answer": 0.3})) as host:
        code = "desk.wait_for('signal')"
        first = await host.execute(code)
        assert first["status"] == "waiting"
        assert not first["is_error"]
        (desk / "signal").write_text("go", encoding="utf-8")
        with anyio.fail_after(20):
            while (again := await host.execute(code, retry_of=first["id"]))["status"] == "waiting":
                pass
        assert (again["status"], again["value"], again["id"]) == ("ok", "go", first["id"])
        assert len(again["calls"]) == 1


async def test_twenty_programs_at_once_keep_their_answers_apart(host):
    answers: dict[int, object] = {}

    async def one(number):
        answers[number] = (await host.execute(f"desk.read_notes()\n{number} * 2"))["value"]

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(one, number)
    assert answers == {number: number * 2 for number in range(10)}


async def test_a_failure_counts_against_a_function_only_while_it_was_running(host):
    code = 'def halve(x: int) -> float:\n    """Half."""\n    return 1 / x\n\nfunctions.save(halve)\nhalve(2)'
    await host.execute(code)
    await host.execute("from functions import halve\nhalve(2)\nraise ValueError('mine, after halve (2)')")
    innocent = await host.read("toolweft://reusable_functions/halve")
    await host.execute("from functions import halve\nhalve(0)")
    guilty = await host.read("toolweft://reusable_functions/halve")
    assert (innocent["uses"], innocent["failures"]) == (1, 0)
    assert (guilty["uses"], guilty["failures"]) == (2, 1)
