"""`toolweft solve-server`: a host's own model solves tasks with the person's tools, in both eras of the protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.server import MCPServer
from mcp.server.elicitation import ElicitationResult
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

from toolweft_catalog import cli
from toolweft_client import solves
from toolweft_client.budget import Budget
from toolweft_client.commands.solve_server import MODEL_CALLS, against
from toolweft_client.commands.solving import Setup
from toolweft_client.errors import UsageError
from toolweft_client.host import Rounds, over_the_connection
from toolweft_client.solves import Solves
from toolweft_client.solving_server import TOOL, build
from toolweft_client.stages.answer import Answer
from toolweft_client.trace import read

BOTH = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
MODERN, LEGACY = "2026-07-28", "legacy"
TASK = "How many orders has Ada?"
DESIGN = "```python\nshop.list_orders(customer='Ada')\n```"
GOOD = "```python\nlen(shop.list_orders(customer='Ada'))\n```"
BAD = "```python\nlen(shop.list_orders(customer='Ada')) + missing_{}\n```"


class Model:
    """The host's model: says these replies one after the other, the last one again and again."""

    def __init__(self, *replies: str | types.ErrorData) -> None:
        self.replies = list(replies)
        self.asked: list[types.CreateMessageRequestParams] = []

    async def __call__(self, _context, params):
        self.asked.append(params)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, types.ErrorData):
            return reply
        content = types.TextContent(type="text", text=reply)
        return types.CreateMessageResult(role="assistant", content=content, model="host-1", stop_reason="endTurn")


@pytest.fixture
def serve(tmp_path):
    """The server of `solve` over another server's tools."""

    def make(target, **budget):
        limits = Budget(**{"model_calls": MODEL_CALLS, "pause": 0.0, **budget})
        return build(against(target, Setup("sampling:host", "program", limits), folder=tmp_path / "traces"))

    return make


async def solve(client: Client, task: str = TASK, **more) -> types.CallToolResult:
    return await client.call_tool("solve", {"task": task}, **more)


@BOTH
async def test_a_task_is_solved_with_the_hosts_model_and_the_persons_tools(serve, server, shop, tmp_path, mode):
    model = Model(DESIGN, GOOD)
    async with Client(serve(server), mode=mode, sampling_callback=model) as client:
        result = await solve(client)
    assert not result.is_error
    assert result.content[0].text == "2"
    told = result.structured_content
    assert (told["status"], told["text"], told["reason"], told["notes"]) == ("answered", "2", None, [])
    assert told["calls"] == [{"tool": "shop.list_orders", "effect": "read", "status": "ok", "replayed": False}]
    assert (told["spent"]["model_calls"], len(model.asked)) == (2, 2)
    assert told["spent"]["input_tokens"] > 200
    assert shop.done == [("shop.list_orders", {"customer": "Ada"})]
    steps = read(Path(told["trace"]))
    assert Path(told["trace"]).parent == tmp_path / "traces"
    assert [each.data["gen_ai.response.model"] for each in steps if each.event == "llm"] == ["host-1", "host-1"]
    assert steps[0].data["setup"]["model"] == "sampling:host"


@BOTH
async def test_the_one_tool_is_offered_with_its_schemas(serve, server, mode):
    async with Client(serve(server), mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.model_dump(mode="json", by_alias=True, exclude_none=True) == TOOL


@BOTH
async def test_every_step_is_reported_while_the_task_goes_on(serve, server, mode):
    told = []

    async def progress(number, _total, message):
        told.append((number, message))

    async with Client(serve(server), mode=mode, sampling_callback=Model(DESIGN, GOOD)) as client:
        result = await solve(client, progress_callback=progress)
    steps = read(Path(result.structured_content["trace"]))
    assert len(told) == len(steps)
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    messages = [message for _, message in told]
    assert f"discover: {TASK}: shop.cancel_order, shop.list_orders" in messages
    assert "run: ok, 1 calls" in messages
    assert any(message.startswith("design: host: ") for message in messages)


@BOTH
async def test_a_host_that_lends_no_model_is_told_so_before_anything_starts(serve, server, shop, mode):
    async with Client(serve(server), mode=mode) as client:
        with pytest.raises(MCPError, match="does not declare the capability `sampling`") as refused:
            await solve(client)
    assert refused.value.error.code == types.MISSING_REQUIRED_CLIENT_CAPABILITY
    assert refused.value.error.data == {"requiredCapabilities": {"sampling": {}}}
    assert shop.queries == []


@BOTH
async def test_a_host_that_refuses_its_model_gets_a_failed_answer_that_says_so(serve, server, mode):
    refusing = Model(types.ErrorData(code=-1, message="User rejected sampling request"))
    async with Client(serve(server), mode=mode, sampling_callback=refusing) as client:
        if mode == MODERN:
            # There the client itself gives up: a refusal cannot be brought back with the call.
            with pytest.raises(MCPError, match="User rejected"):
                await solve(client)
            return
        result = await solve(client)
    assert result.is_error
    assert result.structured_content["reason"] == "model"
    assert "User rejected sampling request" in result.structured_content["text"]


@BOTH
async def test_the_default_budget_fits_into_the_rounds_and_the_answer_says_that_it_is_used_up(serve, server, mode):
    replies = [DESIGN, *(BAD.format(number) for number in range(20))]
    model = Model(*replies)
    async with Client(serve(server, repairs=20), mode=mode, sampling_callback=model) as client:
        result = await solve(client)
    assert result.is_error
    assert (result.structured_content["status"], result.structured_content["reason"]) == ("failed", "budget")
    assert "The budget of 6 model calls is used up." in result.content[0].text
    assert len(model.asked) == MODEL_CALLS


async def test_rounds_that_are_used_up_end_the_task_and_the_answer_says_so(serve, server):
    model = Model(DESIGN, *(BAD.format(number) for number in range(20)))
    async with Client(serve(server, repairs=20, model_calls=20), mode=MODERN, sampling_callback=model) as client:
        result = await solve(client)
    assert result.structured_content["reason"] == "budget"
    assert "The 8 rounds of questions that one call may take on this protocol are used up." in result.content[0].text
    assert len(model.asked) == 8


async def test_older_revisions_know_no_rounds(serve, server):
    model = Model(DESIGN, *(BAD.format(number) for number in range(9)), GOOD)
    budget = {"repairs": 20, "model_calls": 20, "replans": 20}
    async with Client(serve(server, **budget), mode=LEGACY, sampling_callback=model) as client:
        await solve(client)
    assert len(model.asked) > 8


@BOTH
@pytest.mark.parametrize(
    "arguments", [{}, {"task": " "}, {"task": 7}, {"task": "x" * 20_001}, {"task": "x", "model": "y"}]
)
async def test_wrong_arguments_are_a_mistake_that_the_model_can_mend(serve, server, mode, arguments):
    async with Client(serve(server), mode=mode, sampling_callback=Model(GOOD)) as client:
        result = await client.call_tool("solve", arguments)
    assert result.is_error
    assert "solve takes `task` and nothing else" in result.content[0].text


@BOTH
async def test_another_tool_is_a_protocol_error(serve, server, mode):
    async with Client(serve(server), mode=mode, sampling_callback=Model(GOOD)) as client:
        with pytest.raises(MCPError, match="unknown tool 'answer': this server has solve only"):
            await client.session.call_tool("answer", {})


@BOTH
async def test_a_tools_server_that_does_not_start_is_said(serve, mode):
    async with Client(serve(["/no/such/server"]), mode=mode, sampling_callback=Model(GOOD)) as client:
        result = await solve(client)
    assert result.is_error
    assert "/no/such/server: FileNotFoundError" in result.content[0].text


class Decision(BaseModel):
    ok: bool


async def may_it() -> Elicit[Decision]:
    return Elicit("May the order be cancelled?", Decision)


@pytest.fixture
def asking():
    """A server whose programs ask a person first, and what came of it."""
    server, outcomes = MCPServer("asking"), []

    @server.tool()
    async def find_tools(query: str, limit: int = 5, detail: str = "signature") -> types.CallToolResult:
        tool = {"id": "shop.cancel", "call": "shop.cancel(order_id: int) -> str", "summary": "Cancels one order.",
                "origin": "mcp", "score": 1.0, "why": ["lexical"]}  # fmt: skip
        found = {"tools": [tool], "total": 1, "catalogue": 1, "index": "lexical", "note": None}
        text = 'def shop.cancel(order_id: int) -> str:\n    """Cancels one order."""'
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=found)

    @server.tool()
    async def execute_code(
        code: str,
        decision: Annotated[ElicitationResult[Decision], Resolve(may_it)],
        timeout: float | None = None,  # noqa: ASYNC109 - the name on the wire
    ) -> types.CallToolResult:
        outcomes.append(decision.action)
        allowed = decision.action == "accept"
        error = None if allowed else {"type": "ToolRefused", "message": "shop.cancel: nobody allowed it"}
        call = {"seq": 1, "tool": "shop.cancel", "effect": "write", "status": "ok" if allowed else "refused", "ms": 1,
                "args_digest": "d"}  # fmt: skip
        ran = {"id": "ex_1", "status": "ok" if allowed else "error", "backend": "test", "error": error,
               "value": "cancelled" if allowed else None, "calls": [call]}  # fmt: skip
        return types.CallToolResult(content=[], structured_content=ran, is_error=not allowed)

    return server, outcomes


CANCEL = "```python\nshop.cancel(order_id=7)\n```"


@BOTH
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(types.ElicitResult(action="accept", content={"ok": True}), "accept", id="accepted"),
        pytest.param(types.ElicitResult(action="decline"), "decline", id="declined"),
    ],
)
async def test_what_the_tools_server_asks_of_a_person_is_asked_of_the_hosts(serve, asking, mode, answer, outcome):
    server, outcomes = asking
    asked = []

    async def person(_context, params):
        asked.append(params.message)
        return answer

    async with Client(serve(server), mode=mode, sampling_callback=Model(CANCEL), elicitation_callback=person) as client:
        result = await solve(client, "Cancel order 7")
    assert asked[0] == "May the order be cancelled?"
    assert outcomes[0] == outcome
    assert result.structured_content["status"] == ("answered" if outcome == "accept" else "failed")


@BOTH
async def test_a_host_that_shows_no_questions_has_nobody_to_ask(serve, asking, mode):
    server, outcomes = asking
    async with Client(serve(server), mode=mode, sampling_callback=Model(CANCEL)) as client:
        result = await solve(client, "Cancel order 7")
    assert outcomes == []
    assert result.structured_content["status"] == "failed"


async def test_a_question_after_the_last_round_is_cancelled_and_the_answer_notes_it(serve, asking, monkeypatch):
    monkeypatch.setattr(solves, "Rounds", lambda changed: Rounds(changed, most=2))
    server, outcomes = asking

    async def person(_context, _params):
        raise AssertionError("it must not be asked")

    async with Client(
        serve(server), mode=MODERN, sampling_callback=Model(CANCEL), elicitation_callback=person
    ) as client:
        result = await solve(client, "Cancel order 7")
    assert outcomes == ["cancel"]
    (note,) = result.structured_content["notes"]
    assert note.startswith("a question was not put to you: The 2 rounds of questions")


async def test_each_round_is_answered_once_by_its_owner_with_the_same_task(serve, server, shop):
    async with Client(serve(server), mode=MODERN, sampling_callback=Model(GOOD)) as client:

        async def call(task=TASK, **more):
            return await client.session.call_tool("solve", {"task": task}, allow_input_required=True, **more)

        asked = await call()
        assert isinstance(asked, types.InputRequiredResult)
        ((key, request),) = asked.input_requests.items()
        assert isinstance(request, types.CreateMessageRequest)
        reply = {key: await Model(GOOD)(None, request.params)}
        with pytest.raises(MCPError, match="no task waits for this reply"):
            await call("another task", request_state=asked.request_state, input_responses=reply)
        with pytest.raises(MCPError, match="no task waits for this reply"):
            await call(request_state=asked.request_state[:-1], input_responses=reply)
        with pytest.raises(MCPError, match="without the requestState"):
            await call(input_responses=reply)
        again = await call(request_state=asked.request_state, input_responses=reply)
        with pytest.raises(MCPError, match="It was given before"):
            await call(request_state=asked.request_state, input_responses=reply)
        assert isinstance(again, types.InputRequiredResult)
        assert again.request_state != asked.request_state
        unanswered = await call(request_state=again.request_state, input_responses={})
    assert unanswered.is_error
    assert "the call came again without a reply to it" in unanswered.content[0].text
    assert shop.done == []


async def test_a_reply_to_somebody_elses_task_is_refused():
    async def forever(task, *, model, ask, watch):
        await model.complete([], max_tokens=1)
        raise AssertionError

    async def report(number, message):
        pass

    lends = types.ClientCapabilities(sampling=types.SamplingCapability())
    async with anyio.create_task_group() as tasks:
        table = Solves(forever, tasks)
        asked = await table.wait(table.begin(TASK, "ada", lends, None), report)
        with pytest.raises(UsageError, match="belongs to another call"):
            table.back(asked.state, "eve", TASK, {})
        assert table.back(asked.state, "ada", TASK, {}).owner == "ada"
        tasks.cancel_scope.cancel()


async def test_no_more_tasks_than_fit_are_begun_and_forgotten_answers_go_first(monkeypatch):
    monkeypatch.setattr(solves, "MOST", 2)
    ends = anyio.Event()

    async def solver(task, *, model, ask, watch):
        await ends.wait()
        return Answer(task, "answered", "done")

    lends = types.ClientCapabilities(sampling=types.SamplingCapability())
    async with anyio.create_task_group() as tasks:
        table = Solves(solver, tasks)
        first, _ = table.begin("a", "x", lends, None), table.begin("b", "x", lends, None)
        with pytest.raises(UsageError, match="2 tasks are being solved already"):
            table.begin("c", "x", lends, None)
        ends.set()
        while not first.ended:
            await anyio.lowlevel.checkpoint()
        assert table.begin("c", "x", lends, None).owner == "x"


@BOTH
async def test_a_call_that_is_taken_back_ends_its_task(serve, server, shop, tmp_path, mode):
    running = anyio.Event()

    async def hang():
        running.set()
        await anyio.sleep_forever()

    shop.before = hang
    async with Client(serve(server), mode=mode, sampling_callback=Model(DESIGN, GOOD)) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(solve, client)
            await running.wait()
            tasks.cancel_scope.cancel()
        assert await status_at_the_end(tmp_path) == "interrupted"


async def status_at_the_end(tmp_path):
    """Nobody is told of the end of a task that no call waits for; its trace shows it."""
    with anyio.fail_after(30):
        while (last := trace_of(tmp_path)[-1]).event != "task.end":
            await anyio.sleep(0.01)
    return last.data["status"]


def trace_of(tmp_path):
    (path,) = (tmp_path / "traces").iterdir()
    return read(path)


@BOTH
async def test_a_task_ends_with_its_time_though_the_model_never_answers(serve, server, tmp_path, mode):
    async def never(_context, _params):
        await anyio.sleep_forever()

    async with Client(serve(server, seconds=0.3), mode=mode, sampling_callback=never) as client:
        if mode == MODERN:
            result = await client.session.call_tool("solve", {"task": TASK}, allow_input_required=True)
            assert await status_at_the_end(tmp_path) == "failed"
            # On a machine that is busy enough the time is over before the model can be asked at all.
            if isinstance(result, types.InputRequiredResult):
                result = await client.session.call_tool("solve", {"task": TASK}, request_state=result.request_state)
        else:
            result = await solve(client)
    assert result.structured_content["reason"] == "budget"
    assert "The budget of 0.3 seconds is used up." in result.content[0].text


async def test_a_task_whose_host_is_gone_waits_for_its_end_instead_of_failing():
    class Gone:
        async def send_request(self, *_given):
            raise MCPError(types.CONNECTION_CLOSED, "Connection closed")

    ask = over_the_connection(SimpleNamespace(session=Gone(), request_id=1))
    params = types.CreateMessageRequestParams(messages=[], max_tokens=1)
    with anyio.move_on_after(0.01) as still:
        await ask(types.CreateMessageRequest(params=params))
    assert still.cancelled_caught


@BOTH
async def test_tasks_side_by_side_keep_their_questions_apart(serve, server, shop, mode):
    """Each model call sees its own task, and each call gets its own answer."""
    both = Barrier(2)

    async def model(_context, params):
        text = params.messages[-1].content.text
        (name,) = [each for each in ("Ada", "Bob") if f"orders has {each}" in text]
        await both.wait()
        reply = f"```python\n[{name!r}, len(shop.list_orders(customer={name!r}))]\n```"
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text=reply), model="host-1"
        )

    answers = {}
    async with Client(serve(server), mode=mode, sampling_callback=model) as client:

        async def ask(name):
            answers[name] = (await solve(client, f"How many orders has {name}?")).structured_content["text"]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "Ada")
            tasks.start_soon(ask, "Bob")
    assert {name: json.loads(text) for name, text in answers.items()} == {"Ada": ["Ada", 2], "Bob": ["Bob", 0]}


class Barrier:
    """Lets nobody on until all have come, again and again."""

    def __init__(self, parties: int) -> None:
        self._parties, self._here, self._all_here = parties, 0, anyio.Event()

    async def wait(self) -> None:
        self._here, all_here = self._here + 1, self._all_here
        if self._here == self._parties:
            self._here, self._all_here = 0, anyio.Event()
            all_here.set()
        await all_here.wait()


@pytest.fixture
def command(tmp_path) -> StdioServerParameters:
    """`toolweft solve-server` over the shop of `conftest`, as processes of their own."""
    script = tmp_path / "server.py"
    conftest = Path(__file__).with_name("conftest.py")
    script.write_text(
        f"import runpy\nnames = runpy.run_path({str(conftest)!r})\nnames['serve'](names['Shop']()).run('stdio')\n",
        encoding="utf-8",
    )
    arguments = ["--server", f'"{sys.executable}" "{script}"', "--traces", str(tmp_path / "traces")]
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "toolweft_catalog.cli", "solve-server", *arguments],
        env=dict(os.environ),
    )


async def test_it_serves_over_stdio_as_a_command(command):
    async with Client(command, mode=MODERN, sampling_callback=Model(DESIGN, GOOD)) as client:
        result = await solve(client)
    assert (result.structured_content["status"], result.content[0].text) == ("answered", "2")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to be handled")
def test_a_signal_ends_it_and_its_tasks_though_its_stdin_stays_open(command, tmp_path):
    process = subprocess.Popen(
        [command.command, *command.args], env=command.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    hello = {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}},
             "clientInfo": {"name": "host", "version": "1"}}  # fmt: skip
    call = {"name": "solve", "arguments": {"task": TASK}}
    try:
        for message in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": call},
        ):
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        assert '"method":"sampling/createMessage"' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        _, told = process.communicate()
    assert "Traceback" not in told
    assert trace_of(tmp_path)[-1].data["status"] == "interrupted"


def test_own_server_is_behind_it_unless_another_is_named(monkeypatch):
    from toolweft_client.commands import solve_server

    seen = []
    monkeypatch.setattr(solve_server, "against", lambda target, setup, folder: seen.append((target, setup.budget)))
    parser = cli.parser_of("solve-server", solve_server)
    for server in (None, "http://127.0.0.1:1/mcp", "some 'server with' arguments"):
        words = ["--config", "c.json", *(["--server", server, "--probes", "0"] if server else [])]
        solve_server.solver(parser.parse_args(words))
    targets = [target for target, _ in seen]
    assert targets[0][1:] == ["-m", "toolweft_catalog.cli", "serve", "--config", "c.json"]
    assert targets[1:] == ["http://127.0.0.1:1/mcp", ["some", "server with", "arguments"]]
    assert [budget for _, budget in seen[:2]] == [Budget(model_calls=6), Budget(model_calls=6, probes=0)]
