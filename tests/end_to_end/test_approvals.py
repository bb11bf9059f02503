"""Approvals inside running programs, in both eras of the protocol: whatever is answered, a program runs once."""

import contextlib
import subprocess
import sys
from pathlib import Path

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters

from toolweft_server import beat, questions
from toolweft_server.store.store import Store

BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
ONCE, RUN, ALWAYS, REFUSE = "allow once", "allow for this run", "always allow this tool", "refuse"
SERVERS = Path(__file__).with_name("servers")
ASKS = {"policy": {"desk.write_note": "ask"}}


class Person:
    """Answers as the test says: a decision, a whole answer, or a function of the question."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def __call__(self, _context, params):
        self.asked.append(params.message)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = await answer(params)
        if isinstance(answer, str):
            return types.ElicitResult(action="accept", content={"decision": answer})
        return answer


def notes(desk):
    path = desk / "notes.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@BOTH
async def test_an_allowed_call_is_made_and_the_question_shows_tool_and_arguments(write_config, in_process, desk, mode):
    person = Person(ONCE)
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        ran = await host.execute('print("before")\ndesk.write_note("buy milk", urgent=True)')
    assert (ran["status"], ran["value"], ran["stdout"]) == ("ok", 1, "before\n")
    assert notes(desk) == ["! buy milk"]
    (asked,) = person.asked
    assert "desk.write_note (the policy says 'desk.write_note': 'ask')" in asked
    assert '"text": "buy milk"' in asked
    assert '"urgent": true' in asked


NO = {
    "refuse": (REFUSE, "a person refused the call of desk.write_note"),
    "decline": (types.ElicitResult(action="decline"), "a person refused the call of desk.write_note"),
    "cancel": (types.ElicitResult(action="cancel"), "closed without an answer"),
    "nonsense": ("whatever", "'whatever', which is no decision"),
    "nothing": (types.ElicitResult(action="accept"), "None, which is no decision"),
}


@BOTH
@pytest.mark.parametrize("answer", NO)
async def test_a_call_that_is_not_allowed_is_refused_and_the_program_goes_on(
    write_config, in_process, desk, mode, answer
):
    given, words = NO[answer]
    code = """
        try:
            desk.write_note("no")
        except ToolError as error:
            said = (error.kind, str(error))
        said
    """
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=Person(given)) as host:
        ran = await host.execute(code)
    kind, message = ran["value"]
    assert (ran["status"], kind, notes(desk)) == ("ok", "refused", [])
    assert words in message
    assert [call["status"] for call in ran["calls"]] == ["refused"]


@BOTH
async def test_for_this_run_covers_later_calls_of_the_same_tool_and_no_other_run(write_config, in_process, desk, mode):
    person = Person(RUN)
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        await host.execute('[desk.write_note(n) for n in ("a", "b", "c")]')
        assert (len(person.asked), notes(desk)) == (1, ["a", "b", "c"])
        await host.execute('desk.write_note("d")')
    assert len(person.asked) == 2


@BOTH
async def test_without_anybody_to_ask_the_line_to_write_is_named(write_config, in_process, desk, mode):
    async with in_process(write_config(**ASKS), mode=mode) as host:
        ran = await host.execute('desk.write_note("x")')
    assert '"policy": {"desk.write_note": "allow"}' in ran["error"]["message"]
    assert notes(desk) == []


@BOTH
async def test_calls_made_side_by_side_are_asked_about_together(write_config, in_process, desk, mode, monkeypatch):
    monkeypatch.setattr(questions, "QUIET", 0.5)
    together = anyio.Event()
    person = Person(None)

    async def wait_for_all(params):
        if len(person.asked) == 3:
            together.set()
        await together.wait()
        return REFUSE if '"b"' in params.message else ONCE

    async def answer(params):
        return types.ElicitResult(action="accept", content={"decision": await wait_for_all(params)})

    person.answers = [answer]
    code = 'parallel(lambda n: desk.write_note(n), ["a", "b", "c"], errors="return")\ndesk.read_notes()'
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        with anyio.fail_after(60):
            ran = await host.execute(code)
    assert sorted(ran["value"]) == ["a", "c"]
    assert len(person.asked) == 3


@BOTH
async def test_always_is_kept_for_the_tool_as_it_was_and_never_beats_a_block(write_config, in_process, desk, mode):
    person = Person(ALWAYS, REFUSE)
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        await host.execute('desk.write_note("a")')
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        await host.execute('desk.write_note("b")')
    assert (len(person.asked), notes(desk)) == (1, ["a", "b"])
    async with in_process(write_config(policy={"desk.*": "block"}), mode=mode, elicitation_callback=person) as host:
        blocked = await host.execute('desk.write_note("c")')
    assert "is blocked" in blocked["error"]["message"]
    with Store.open(write_config(**ASKS).with_name("store.db")) as store:
        (held,) = store.approvals.list()
        store.approvals.keep(held.owner, held.tool, "another digest")
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        await host.execute('desk.write_note("d")')
    assert (len(person.asked), notes(desk)) == (2, ["a", "b"])


@BOTH
async def test_a_changed_write_in_a_retry_is_made_only_if_a_person_says_so(write_config, in_process, desk, mode):
    person = Person(REFUSE, ONCE)
    config = write_config(policy={"default": "trust"})
    async with in_process(config, mode=mode, elicitation_callback=person) as host:
        first = await host.execute('desk.write_note("two"); 1 / 0')
        refused = await host.execute('desk.write_note("2")', retry_of=first["id"])
        assert "a person refused the call of desk.write_note" in refused["error"]["message"]
        assert notes(desk) == ["two"]
        allowed = await host.execute('desk.write_note("2")', retry_of=first["id"])
        assert (allowed["status"], notes(desk)) == ("ok", ["two", "2"])
    assert 'an earlier attempt called it with other arguments, {"text":"two"}' in person.asked[0]
    async with in_process(config, mode=mode) as host:
        alone = await host.execute('desk.write_note("two"); desk.write_note("two")', retry_of=first["id"])
    assert "an earlier attempt made this very call already, once) and nobody can be asked" in alone["error"]["message"]
    assert notes(desk) == ["two", "2"]


@BOTH
async def test_a_call_on_record_is_not_asked_about_again(write_config, in_process, desk, mode):
    person = Person(ONCE)
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        first = await host.execute('desk.write_note("a")\n1 / 0')
        again = await host.execute('desk.write_note("a")', retry_of=first["id"])
    assert [call["replayed"] for call in again["calls"]] == [True]
    assert (len(person.asked), notes(desk)) == (1, ["a"])


@BOTH
async def test_a_question_that_nobody_answers_in_time_is_a_refusal(write_config, in_process, desk, mode):
    closed = anyio.Event()

    async def never(_params):
        try:
            await anyio.sleep_forever()
        finally:
            closed.set()

    limits = {"limits": {"approval": 0.3}}
    if mode == "legacy":
        async with in_process(write_config(**ASKS, **limits), mode=mode, elicitation_callback=Person(never)) as host:
            ran = await host.execute('desk.write_note("x")')
            await closed.wait()
        assert "nobody answered in time" in ran["error"]["message"]
    else:
        async with in_process(write_config(**ASKS, **limits), mode=mode, elicitation_callback=Person(never)) as host:
            asked = await begin(host, 'desk.write_note("x")')
            execution = await ended(host, write_config(**ASKS, **limits))
            with pytest.raises(MCPError, match=f"came too late.*retry_of='{execution}'"):
                await answer(host, asked, ONCE)
            ran = await host.execute("", retry_of=execution)
        assert "nobody answered in time" in ran["error"]["message"]
    assert notes(desk) == []


async def begin(host, code, **arguments):
    """The answer to a program that asks, as it comes over the wire; nothing answers it."""
    arguments = {"code": code, **arguments}
    result = await host.client.session.call_tool("execute_code", arguments, allow_input_required=True)
    assert isinstance(result, types.InputRequiredResult)
    return arguments, result


async def answer(host, asked, decision, *, state=None, **others):
    arguments, result = asked
    given = types.ElicitResult(action="accept", content={"decision": decision})
    return await host.client.session.call_tool(
        "execute_code",
        {**arguments, **others},
        input_responses=dict.fromkeys(result.input_requests, given),
        request_state=state or result.request_state,
        allow_input_required=True,
    )


async def ended(host, path):
    """The one execution in the store, once it has come to its end: another task's work, so it is polled."""
    with anyio.fail_after(20), Store.open(path.with_name("store.db")) as store:
        while True:
            row = rows(store)[0]
            if row.status != "running":
                return row.id
            await anyio.sleep(0.02)


def rows(store):
    with store.database.read() as db:
        return db.exec_driver_sql("SELECT id, status FROM execution ORDER BY started_at").all()


async def test_a_state_is_good_for_one_answer_to_the_same_call(write_config, in_process, desk):
    path = write_config(**ASKS)
    async with in_process(path, elicitation_callback=Person(ONCE)) as host:
        asked = await begin(host, 'desk.write_note("x")')
        forged = asked[1].request_state[:-1] + ("0" if asked[1].request_state[-1] != "0" else "1")
        wrong = {
            "was changed on its way": {"state": forged},
            "not one that toolweft made": {"state": "v1.abc"},
            "with other arguments": {"code": "desk.burn_notes()"},
        }
        for words, others in wrong.items():
            with pytest.raises(MCPError, match=words) as refused:
                await answer(host, asked, ONCE, **others)
            assert refused.value.error.code == types.INVALID_PARAMS
        async with in_process(path, elicitation_callback=Person(ONCE)) as other:
            with pytest.raises(MCPError, match="made by another toolweft process"):
                await answer(other, asked, ONCE)
        ran = await answer(host, asked, ONCE)
        assert ran.structured_content["value"] == 1
        with pytest.raises(MCPError, match="no program 'ex_"):
            await answer(host, asked, ONCE)
        with pytest.raises(MCPError, match="without the requestState"):
            await host.client.session.call_tool("execute_code", asked[0], input_responses={})
        with pytest.raises(MCPError, match="find_tools asks nothing"):
            await host.client.session.call_tool("find_tools", {"query": "x"}, request_state="x")
    assert notes(desk) == ["x"]
    with Store.open(path.with_name("store.db")) as store:
        assert [row.status for row in rows(store)] == ["ok"]


async def test_an_answer_sent_twice_while_the_program_runs_counts_once(write_config, in_process, desk):
    async with in_process(write_config(**ASKS), elicitation_callback=Person(ONCE)) as host:
        asked = await begin(host, 'desk.write_note("x")\ndesk.wait_for("go")')
        ran = {}

        async def first():
            ran["first"] = await answer(host, asked, ONCE)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            with anyio.fail_after(20):
                while not notes(desk):
                    await anyio.sleep(0.01)
            with pytest.raises(MCPError, match="was answered before"):
                await answer(host, asked, ONCE)
            (desk / "go").write_text("done", encoding="utf-8")
    assert ran["first"].structured_content["value"] == "done"
    assert notes(desk) == ["x"]


async def test_whoever_came_back_with_answers_and_goes_away_ends_the_program(write_config, in_process, desk):
    path = write_config(**ASKS)
    async with in_process(path, elicitation_callback=Person(ONCE)) as host:
        asked = await begin(host, 'desk.write_note("x")\ndesk.wait_for("never")')
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, host, asked, ONCE)
            with anyio.fail_after(20):
                while not notes(desk):
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        await ended(host, path)
    with Store.open(path.with_name("store.db")) as store:
        assert [row.status for row in rows(store)] == ["cancelled"]


async def test_answers_find_the_program_they_belong_to(write_config, in_process, desk):
    async with in_process(write_config(**ASKS), elicitation_callback=Person(ONCE)) as host:
        one = await begin(host, 'desk.write_note("one")\n"one"')
        two = await begin(host, 'desk.write_note("two")\n"two"')
        three = await begin(host, 'desk.write_note("three")\n"three"')
        values = [await answer(host, three, ONCE), await answer(host, one, ONCE), await answer(host, two, REFUSE)]
    assert [each.structured_content["value"] for each in values] == ["three", "one", None]
    assert notes(desk) == ["three", "one"]


async def test_two_programs_ask_over_one_old_connection_side_by_side(write_config, in_process, desk):
    both = anyio.Event()
    person = Person(None)

    async def turn(params):
        if len(person.asked) == 2:
            both.set()
        await both.wait()
        return types.ElicitResult(action="accept", content={"decision": REFUSE if '"b"' in params.message else ONCE})

    person.answers = [turn]
    got = {}
    async with in_process(write_config(**ASKS), mode="legacy", elicitation_callback=person) as host:

        async def run(name):
            got[name] = await host.execute(f'desk.write_note("{name}")\n"{name}"')

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, "a")
            tasks.start_soon(run, "b")
    assert (got["a"]["value"], got["b"]["value"], notes(desk)) == ("a", None, ["a"])


async def test_a_cancelled_request_of_the_older_revisions_ends_its_program_and_the_call_was_never_begun(
    write_config, in_process, desk
):
    shown, person = anyio.Event(), Person(ONCE)

    async def never(_params):
        shown.set()
        await anyio.sleep_forever()

    path = write_config(**ASKS)
    async with in_process(path, mode="legacy", elicitation_callback=Person(never)) as host:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.execute, 'desk.write_note("x")')
            await shown.wait()
            tasks.cancel_scope.cancel()
        execution = await ended(host, path)
    with Store.open(path.with_name("store.db")) as store:
        assert (rows(store)[0].status, store.calls.of(execution)) == ("cancelled", [])
    async with in_process(path, mode="legacy", elicitation_callback=person) as host:
        again = await host.execute('desk.write_note("x")', retry_of=execution)
    assert (again["status"], len(person.asked), notes(desk)) == ("ok", 1, ["x"])


async def test_a_suspended_program_outlives_its_connection_and_is_asked_about_again(write_config, desk):
    with over_http(write_config(**ASKS)) as url:
        async with Client(url, mode="2026-07-28", elicitation_callback=Person(ONCE)) as client:
            first = await begin(Raw(client), 'desk.write_note("x")')
        execution = first[1].meta["dev.toolweft/execution"]
        person = Person(ONCE)
        async with Client(url, mode="2026-07-28", elicitation_callback=person) as client:
            ran = await client.call_tool("execute_code", {"code": "", "retry_of": execution})
            with pytest.raises(MCPError, match="no program 'ex_"):
                await answer(Raw(client), first, ONCE)
    assert (ran.structured_content["id"], ran.structured_content["value"]) == (execution, 1)
    assert (len(person.asked), notes(desk)) == (1, ["x"])


@BOTH
async def test_approval_over_http(write_config, desk, mode):
    with over_http(write_config(**ASKS)) as url:
        async with Client(url, mode=mode, elicitation_callback=Person(ONCE)) as client:
            ran = await client.call_tool("execute_code", {"code": 'desk.write_note("over http")'})
    assert (ran.structured_content["value"], notes(desk)) == (1, ["over http"])


class Raw:
    def __init__(self, client):
        self.client = client


@contextlib.contextmanager
def over_http(path, *, end=subprocess.Popen.terminate):
    command = [sys.executable, "-m", "toolweft_catalog.cli", "serve", "--config", str(path), "--http", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        assert process.stderr is not None
        yield next(line for line in process.stderr if "serving http" in line).split()[-1]
    finally:
        end(process)
        process.communicate(timeout=20)


@BOTH
async def test_approval_over_stdio_of_a_tool_on_a_real_server(write_config, tmp_path, mode):
    steps = {"command": sys.executable, "args": [str(SERVERS / "steps.py"), str(tmp_path)]}
    path = write_config(mcpServers={"steps": steps}, policy={"steps": "ask"}, limits={"manifest_wait": 60})
    command = ["-m", "toolweft_catalog.cli", "serve", "--config", str(path)]
    server = StdioServerParameters(command=sys.executable, args=command, env={"PYTHONPATH": str(tmp_path / "desk")})
    person = Person(REFUSE, ALWAYS)
    async with Client(server, mode=mode, elicitation_callback=person) as client:
        refused = await client.call_tool("execute_code", {"code": "steps.climb(steps=1)"})
        ran = await client.call_tool("execute_code", {"code": "[steps.climb(steps=n) for n in (1, 2)]"})
        more = await client.call_tool("execute_code", {"code": "steps.climb(steps=3)"})
    assert refused.structured_content["error"]["type"] == "ToolError"
    assert (ran.structured_content["value"], more.structured_content["value"]) == (["up", "up"], "up")
    assert len(person.asked) == 2


async def test_a_program_that_died_with_its_server_while_it_asked_has_not_made_the_call(write_config, desk):
    path = write_config(**ASKS)
    with over_http(path, end=subprocess.Popen.kill) as url:
        async with Client(url, mode="2026-07-28", elicitation_callback=Person(ONCE)) as client:
            _, asked = await begin(Raw(client), 'desk.write_note("x")')
    execution = asked.meta["dev.toolweft/execution"]
    with over_http(path) as url:
        async with Client(url, mode="2026-07-28", elicitation_callback=Person(ONCE)) as client:
            arguments = {"code": 'desk.write_note("x")', "retry_of": execution}
            ran = await client.call_tool("execute_code", arguments)
    assert (ran.structured_content["value"], notes(desk)) == (1, ["x"])


@BOTH
async def test_the_clock_of_a_program_stands_still_and_progress_goes_on_while_a_person_thinks(
    write_config, in_process, desk, mode, monkeypatch
):
    monkeypatch.setattr(beat, "BEAT", 0.05)
    beaten = anyio.Event()

    async def think(_params):
        if mode == "legacy":
            await beaten.wait()
        await anyio.sleep(2.2)  # longer than the program may run: time itself is what is tested
        return types.ElicitResult(action="accept", content={"decision": ONCE})

    async def progress(_done, _total, _message):
        beaten.set()

    person, arguments = Person(think), {"code": 'desk.write_note("x")'}
    path = write_config(**ASKS, limits={"wall": 2.0, "answer": 0.5})
    async with in_process(path, mode=mode, elicitation_callback=person) as host:
        ran = {"status": "waiting"}
        while ran["status"] == "waiting":
            ran = (
                await host.client.call_tool("execute_code", arguments, progress_callback=progress)
            ).structured_content
            arguments["retry_of"] = ran["id"]
    # Asked once: the time that the person takes is not the time after which a host is told to come back.
    assert (ran["status"], len(person.asked), notes(desk)) == ("ok", 1, ["x"])


@BOTH
async def test_a_program_asks_in_eight_rounds_at_most(write_config, in_process, desk, mode):
    person = Person(ONCE)
    code = """
        said = []
        for n in range(10):
            try:
                desk.write_note(str(n))
            except ToolError as error:
                said.append(str(error))
        said
    """
    async with in_process(write_config(**ASKS), mode=mode, elicitation_callback=person) as host:
        ran = await host.execute(code)
    assert (len(person.asked), len(notes(desk)), len(ran["value"])) == (8, 8, 2)
    assert "has asked in 8 rounds already" in ran["value"][0]


@BOTH
async def test_what_a_client_approved_with_the_program_is_not_asked_about(write_config, in_process, desk, mode):
    meta = {"dev.toolweft/grants": ["desk.write_*"]}
    path = write_config(policy={"desk.*": "ask", "desk.burn_notes": "block"})
    async with in_process(path, mode=mode) as host:
        call = host.client.call_tool
        ran = await call("execute_code", {"code": 'desk.write_note("x")'}, meta=meta)
        other = await call("execute_code", {"code": "desk.read_notes()"}, meta=meta)
        blocked = await call("execute_code", {"code": "desk.burn_notes()"}, meta={"dev.toolweft/grants": ["*"]})
        for wrong in ("desk.*", [1], [], ["a b"], {"desk": True}):
            with pytest.raises(MCPError, match="must be a list of tool ids or patterns"):
                await call("execute_code", {"code": "1"}, meta={"dev.toolweft/grants": wrong})
    assert (ran.structured_content["value"], notes(desk)) == (1, ["x"])
    assert "needs a person's approval" in other.structured_content["error"]["message"]
    assert "is blocked" in blocked.structured_content["error"]["message"]


@BOTH
async def test_a_program_that_runs_on_asks_whoever_joins_it(write_config, in_process, desk, mode):
    person = Person(ONCE)
    path = write_config(**ASKS, limits={"answer": 0.3})
    async with in_process(path, mode=mode, elicitation_callback=person) as host:
        waiting = await host.execute('desk.wait_for("go")\ndesk.write_note("x")')
        assert (waiting["status"], person.asked) == ("waiting", [])
        (desk / "go").write_text("", encoding="utf-8")
        ran = waiting
        while ran["status"] == "waiting":
            ran = await host.execute("", retry_of=waiting["id"])
    assert (ran["id"], ran["value"], len(person.asked)) == (waiting["id"], 1, 1)


@BOTH
async def test_whoever_joins_a_program_and_cannot_be_asked_has_its_questions_refused(
    write_config, in_process, desk, mode
):
    path = write_config(**ASKS, limits={"answer": 0.3})
    async with in_process(path, mode=mode) as host:
        waiting = await host.execute('desk.wait_for("go")\ndesk.write_note("x")')
        (desk / "go").write_text("", encoding="utf-8")
        ran = waiting
        while ran["status"] == "waiting":
            ran = await host.execute("", retry_of=waiting["id"])
    assert "nobody can be asked here" in ran["error"]["message"]
