"""One MCP server as an upstream: calls, results, limits of time, and everything a bad one can do to its own calls."""

import anyio
import pytest

from toolweft_catalog.call import Blob
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.mcp import StdioEntry


async def test_nothing_starts_before_the_first_call(start, tmp_path):
    upstream = start("stubborn", tmp_path / "pids")
    await upstream.aclose()
    assert not (tmp_path / "pids").exists()


async def test_concurrent_first_calls_share_one_process(start, call, tmp_path):
    upstream = start("stubborn", tmp_path / "pids")
    async with anyio.create_task_group() as tasks:
        for n in range(5):
            tasks.start_soon(upstream, call("echo", {"text": str(n)}))
    assert len((tmp_path / "pids").read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    "mode", ["good", "garbage", "floods", "dies_on_probe", "odd_on_probe", "ignores_probe", "rude"]
)
async def test_a_server_that_is_odd_beside_its_work_still_works(start, call, mode):
    upstream = start(mode, start_timeout=6)
    manifest = await upstream.manifest()
    assert "echo" in [tool.name for tool in manifest.tools]
    assert (await upstream(call("echo", {"text": "hi"}))).value == "hi"


async def test_lines_that_are_no_messages_are_named_among_the_problems(start):
    manifest = await start("garbage").manifest()
    assert "6 lines to stdout" in manifest.problems[-1]
    assert "'Server listening on stdio'" in manifest.problems[-1]


@pytest.mark.parametrize(
    ("tool", "value"),
    [
        ("object", {"a": [1, 2]}),
        ("number", "42"),
        ("list", [{"a": 1}, {"a": 2}]),
        ("lines", "one\ntwo"),
        ("video", {"type": "video", "frames": 3}),
        ("mixed", ["see", Blob("image/png", b"\x89PNG\r")]),
        ("link", {"type": "resource_link", "uri": "file:///a", "name": "a"}),
        ("file", Blob("a/b", b"\x00\x01")),
        ("bare", "just a text"),
        ("surrogate", "? half"),
    ],
)
async def test_results_arrive_as_python_values(start, call, tool, value):
    assert (await start()(call(tool))).value == value


async def test_a_failing_tool_says_why_without_the_prefix_of_its_sdk(start, call):
    failure = (await start()(call("fail"))).failure
    assert (failure.kind, failure.message, failure.sent) == ("tool", "no such file", True)


async def test_a_refusal_of_the_protocol_is_the_tools_failure(start, call):
    failure = (await start()(call("refuse"))).failure
    assert (failure.kind, failure.message) == ("tool", "bad text")


async def test_an_answer_that_is_too_long_fails_its_own_call_only(start, call):
    upstream = start()
    failure = (await upstream(call("big"))).failure
    assert (failure.kind, "more than the 16 MB" in failure.message) == ("tool", True)
    assert (await upstream(call("echo", {"text": "next"}))).value == "next"


async def test_an_answer_that_is_no_object_fails_its_own_call_only(start, call):
    failure = (await start()(call("null"))).failure
    assert (failure.kind, failure.message) == ("tool", "the answer is a list, not an object")


async def test_an_answer_that_is_nested_too_deeply_fails_its_own_call_only(start, call):
    failure = (await start()(call("deep"))).failure
    assert (failure.kind, failure.message) == ("tool", "the answer is nested too deeply to be read")


async def test_closing_while_a_server_hangs_at_its_start_does_not_wait_for_it(start, tmp_path, until):
    upstream, failures = start("hangs", tmp_path / "notes", start_timeout=600), []

    async def read():
        with pytest.raises(UpstreamError) as caught:
            await upstream.manifest()
        failures.append(caught.value.cause)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await until((tmp_path / "notes").exists)
        await upstream.aclose()
    assert (failures, upstream.running) == (["gone"], False)


@pytest.mark.parametrize("argument", [float("nan"), "\ud83d", object()])
async def test_an_argument_that_json_cannot_carry_is_never_sent(start, call, argument):
    failure = (await start("exits")(call("echo", {"text": argument}))).failure
    assert (failure.kind, failure.sent) == ("arguments", False)


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server(start, call, tmp_path, until):
    upstream = start("good", tmp_path / "notes")
    failure = (await upstream(call("wait", timeout=0.2))).failure
    assert (failure.kind, failure.sent) == ("timeout", True)
    await until(lambda: "cancelled" in (tmp_path / "notes").read_text(encoding="utf-8"))
    assert len((await upstream(call("cancelled"))).value["ids"]) == 1


async def test_cancelling_the_caller_cancels_at_the_server(start, call, tmp_path, until):
    upstream = start("good", tmp_path / "notes")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upstream, call("wait"))
        await until((tmp_path / "notes").exists)
        tasks.cancel_scope.cancel()
    await until(lambda: "cancelled" in (tmp_path / "notes").read_text(encoding="utf-8"))


async def test_progress_reaches_the_caller(start, call):
    heard = []

    async def progress(done, total, message):
        heard.append((done, total, message))

    await start()(call("progress", progress=progress))
    assert heard == [(1.0, 2.0, "step 1"), (2.0, 2.0, "step 2")]


async def test_a_changed_list_of_tools_is_told(start, call):
    upstream, changed = start(), anyio.Event()
    upstream.on_change = changed.set
    await upstream.manifest()
    await upstream(call("grow"))
    with anyio.fail_after(10):
        await changed.wait()
    assert "grown" in [tool.name for tool in (await upstream.manifest()).tools]


async def test_a_question_without_anybody_to_answer_fails_in_words(start, call):
    assert "not supported" in (await start()(call("ask"))).value["message"]


async def test_a_question_reaches_a_person_and_the_clock_stands_still(start, call):
    asked = []

    async def elicit(question):
        asked.append((question.server, question.params["message"], question.call.tool.name))
        await anyio.sleep(0.4)
        return {"action": "accept", "content": {"name": "Ada"}}

    result = await start(elicit=elicit)(call("ask", timeout=0.3))
    assert result.value == {"action": "accept", "content": {"name": "Ada"}}
    assert asked == [("odd", "who?", "ask")]


async def test_a_server_that_dies_in_a_call_leaves_the_outcome_open_and_is_started_again(start, call):
    upstream = start()
    failure = (await upstream(call("die"))).failure
    assert (failure.kind, failure.sent) == ("unavailable", True)
    assert "exit code 3" in failure.message
    assert "about to die" in failure.message
    assert (await upstream(call("echo", {"text": "again"}))).value == "again"


async def test_a_server_that_keeps_dying_is_left_alone_for_a_while(start, call):
    upstream = start()
    for _ in range(3):
        failure = (await upstream(call("die"))).failure
    assert (failure.kind, failure.sent) == ("unavailable", False)
    assert "tried again in 1 s" in failure.message
    assert "about to die" in failure.message


async def test_the_last_words_come_without_secrets(start, command, call):
    upstream = start(command("odd.py", "good", env={"TOKEN": "tk-123456789"}))
    failure = (await upstream(call("secret"))).failure
    assert "token is ***" in failure.message
    assert "tk-123456789" not in failure.message


async def test_an_idle_server_is_stopped_and_comes_back(start, call, until):
    upstream = start(idle=0.2)
    assert (await upstream(call("echo", {"text": "a"}))).ok
    await until(lambda: not upstream.running)
    assert (await upstream(call("echo", {"text": "b"}))).value == "b"


async def test_a_call_in_flight_keeps_its_server_from_being_idle(start, call):
    failure = (await start(idle=0.1)(call("wait", timeout=0.6))).failure
    assert failure.kind == "timeout"


async def test_a_closed_upstream_refuses_and_closing_twice_is_fine(start, call):
    upstream = start()
    await upstream.manifest()
    await upstream.aclose()
    await upstream.aclose()
    failure = (await upstream(call("echo"))).failure
    assert (failure.kind, failure.sent) == ("unavailable", False)


async def test_closing_fails_calls_in_flight(start, call, tmp_path, until):
    upstream, results = start("good", tmp_path / "notes"), []

    async def wait():
        results.append(await upstream(call("wait")))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await until((tmp_path / "notes").exists)
        await upstream.aclose()
    assert results[0].failure.kind == "unavailable"


@pytest.mark.parametrize(
    ("mode", "count", "problem"), [("pages", 200, "does not end"), ("circle", 2, "repeats itself")]
)
async def test_a_list_without_an_end_is_cut(start, mode, count, problem):
    manifest = await start(mode).manifest()
    assert problem in "".join(manifest.problems)
    assert len(manifest.tools) <= count


async def test_one_invalid_tool_costs_itself_alone(start):
    manifest = await start("invalid").manifest()
    tools = {tool.name: tool for tool in manifest.tools}
    assert set(tools) == {"good", "bare", "odd", "risky"}
    assert tools["risky"].annotations.destructive is True
    said = "\n".join(manifest.problems)
    for sentence in ("'bare' has no input schema", "has no name", "is a text, not an object", "`annotations.title`"):
        assert sentence in said


async def test_illegal_and_duplicate_names_keep_the_other_tools(start):
    names = [tool.name for tool in (await start("names").manifest()).tools]
    assert {"twice", "a b/c", "class", "ünïcode"} <= set(names)
    assert "" not in names


@pytest.mark.parametrize(
    ("mode", "cause", "words"),
    [("exits", "no_start", "no config file: give --config"), ("hangs", "hangs", "did not answer within 0.5 s")],
)
async def test_a_server_that_does_not_start_is_explained(start, mode, cause, words):
    with pytest.raises(UpstreamError, match=words) as caught:
        await start(mode, start_timeout=0.5 if mode == "hangs" else 30).manifest()
    assert caught.value.cause == cause


async def test_a_command_that_is_not_found_names_the_path_that_was_searched(start, command):
    upstream = start(StdioEntry("no-such-server", env={"PATH": "/nowhere:/else"}))
    with pytest.raises(UpstreamError) as caught:
        await upstream.manifest()
    assert caught.value.cause == "not_found"
    assert "'/nowhere:/else'" in caught.value.message
    assert "absolute path" in caught.value.fix


async def test_a_program_that_is_no_server_is_named_as_that(start):
    with pytest.raises(UpstreamError, match="does not speak MCP") as caught:
        await start(StdioEntry("cat")).manifest()
    assert caught.value.cause == "protocol"
