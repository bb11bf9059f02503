"""Programs in Monty: tools and sessions as everywhere, limits, hostile programs, errors that say what is missing."""

import anyio
import pytest
import pytest_asyncio

from toolweft_catalog.call import Blob
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends.monty import MontySandbox
from toolweft_server.sandbox.base import FileIn, Program
from toolweft_server.sandbox.limits import MIB, Limits

pytest.importorskip("pydantic_monty", reason="the extra `monty` is not installed")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def backend():
    found = MontySandbox()
    yield found
    await found.aclose()


pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("tools.box.echo(1, k='v')", [1, {"k": "v"}]),
        ("box.echo(1)[0] + 1", 2),
        ("import tools.box as t\nfrom tools import box as again\n[f.echo(1)[0] for f in (t, again)]", [1, 1]),
        ("from tools.box import echo, value as v\necho(1)[0] + v(2)", 3),
        ("import tools, json\njson.dumps(tools.box.value([1]))", "[1]"),
        ("f = box.value\n[f(n) for n in range(3)]", [0, 1, 2]),
        ("async def main():\n    return (await box.echo(1))[0] + box_of(2)\ndef box_of(n): return box.value(n)\n"
         "await main()", 3),
        ("async def main():\n    return 3\nmain()", 3),
        ("def f(n):\n    return sum(box.value(i) for i in range(n))\nf(4)", 6),
        ("f'{box.value(1)}'", "1"),
        ("class Reader:\n    def read(self, n):\n        return box.value(n)\nReader().read(7)", 7),
        ("box = [1]\nbox.append(2)\nbox", [1, 2]),
        ("{'a': (1, 2.5), 3: None}", {"a": [1, 2.5], "3": None}),
        ("import sys\nprint('x')\nsys.exit(0)", None),
        ("[next(n for n in (1, 2, 3) if n > 1), next((n for n in [] if n), 'none'), next(n for n in (box.value(7),))]",
         [2, "none", 7]),
    ],
)  # fmt: skip
async def test_programs_reach_tools_in_every_form_people_write(run, code, value):
    outcome = await run(code)
    assert (outcome.status, outcome.value) == ("ok", value), outcome.error


@pytest.mark.parametrize(
    "code",
    [
        "parallel(box.meet, range(5))",
        "parallel(lambda n: box.meet(n), range(5))",
        "def one(n):\n    return box.meet(n)\nparallel(one, range(5))",
        "async def one(n):\n    return await box.meet(n)\nparallel(one, range(5))",
        "import asyncio\nawait asyncio.gather(*(box.meet(n) for n in range(5)))",
        "import asyncio\nasync def one(n):\n    return await box.meet(n)\n"
        "async def main():\n    return await asyncio.gather(*[one(n) for n in range(5)])\nasyncio.run(main())",
    ],
    ids=["tool", "lambda", "function", "coroutine", "gather", "asyncio_run"],
)
async def test_five_calls_are_in_flight_at_once(run, host, code):
    outcome = await run(code)
    assert (outcome.status, outcome.value) == ("ok", [0, 1, 2, 3, 4]), outcome.error
    assert host.most == 5


async def test_calls_in_flight_are_bounded(open_session, host):
    session = await open_session(pending_calls=2)
    host.crowd = 2
    code = "import asyncio\nlen(await asyncio.gather(*[box.meet(n) for n in range(20)]))"
    outcome = await session.run(Program("a", code, ("box",)), host)
    assert (outcome.value, host.most) == (20, 2)


async def test_parallel_keeps_order_and_returns_errors_where_asked(run):
    code = "found = parallel(lambda n: 10 // n, [1, 0, 5], errors='return', limit=2)\n[type(x).__name__ for x in found]"
    assert (await run(code)).value == ["int", "ZeroDivisionError", "int"]
    assert (await run("parallel(lambda n: 10 // n, [1, 0, 5])")).error.type == "ZeroDivisionError"
    assert (await run("parallel(print, [], limit=0)")).error.message == "limit=0: at least 1"


async def test_variables_stay_from_run_to_run_and_the_last_value_is_kept(run):
    await run("import math\nx = 5\ndef f(): return x * 2")
    assert (await run("f() + math.floor(1.5)")).value == 11
    assert (await run("_")).value == 11
    assert (await run("1 / 0")).error.type == "ZeroDivisionError"
    assert (await run("x")).value == 5


async def test_a_package_without_its_program_is_an_error_that_says_so(monkeypatch):
    def absent(**_settings):
        raise FileNotFoundError("could not locate the `monty` binary")

    monkeypatch.setattr("pydantic_monty.AsyncMonty", absent)
    with pytest.raises(SandboxError, match="Monty does not start on this machine: could not locate"):
        await MontySandbox().open(Limits())


async def test_sessions_share_nothing(open_session, host):
    one, other = await open_session(), await open_session()
    await one.run(Program("a", "secret = 5"), host)
    assert (await other.run(Program("b", "secret"), host)).error.type == "NameError"


async def test_tool_error_tells_who_refused_and_can_be_caught(run):
    code = (
        "from tools import ToolError as E\ntry:\n    box.refuse()\nexcept ToolError as e:\n"
        "    r = [str(e), e.tool, e.kind, E is ToolError, type(e).__name__]\nr"
    )
    assert (await run(code)).value == ["policy says no", "box.refuse", "refused", True, "ToolError"]
    error = (await run("x = 1\nbox.eco('x')")).error
    assert (error.type, error.line) == ("ToolError", 2)
    assert error.message == "There is no tool 'box.eco'. Nearest: box.echo."


async def test_defect_behind_a_tool_costs_the_call_and_shows_nothing(run, caplog):
    outcome = await run("try:\n    box.defect()\nexcept ToolError as e:\n    r = [e.kind, str(e)]\nr")
    assert outcome.value[0] == "unavailable"
    assert "secret" not in outcome.value[1]


async def test_arguments_that_cannot_be_sent_are_named_and_not_sent(run, host, open_session):
    outcome = await run("import datetime\nbox.echo(when=datetime.date(2024, 1, 1))")
    assert outcome.error.message == "box.echo: an argument cannot be sent: date is not JSON"
    assert "base64" in (await run("box.echo(Blob('a/b', b''))")).error.message
    shared = await run("a = [1]\nfor _ in range(60): a = [a, a]\nbox.echo(a)")
    assert "limit `arguments`" in shared.error.message
    assert host.calls == []


async def test_binary_values_travel_both_ways(run):
    outcome = await run("p = tools.box.picture()\n[p, p['parts'][0].size, p['parts'][0].read()[1:].decode()]")
    assert outcome.value == [{"name": "p", "parts": [Blob("image/png", b"\x89PNG"), "text"]}, 4, "PNG"]
    assert (await run("Blob('text/plain', b'hi')")).value == Blob("text/plain", b"hi")
    assert "no work directory" in (await run("Blob('text/plain', b'hi').save()")).error.message


async def test_binary_values_that_a_session_holds_are_bounded(run):
    outcome = await run("held = []\nwhile True: held.append(Blob('a/b', b'x' * 8_000_000))")
    assert outcome.error.type == "MemoryError"


async def test_saved_functions_run_with_tools_in_versions_and_are_fetched(run, host):
    host.functions["twice"] = ["def twice(x):\n    return 'old'", "def twice(x):\n    return tools.box.echo(x)[0] * 2"]
    code = "from functions import twice\n[twice(2), functions.twice(3), functions.version('twice', 1)(9)]"
    assert (await run(code)).value == [4, 6, "old"]
    assert (await run("functions.nothing()")).error.message == "There is no saved function 'nothing'."
    assert (await run("def mine(): pass\nfunctions.save(mine)")).value == {"name": "mine", "state": "candidate"}


async def test_help_prints_what_the_server_says_about_a_tool(run):
    assert (await run("help(box.echo)")).stdout == "box.echo(text: str) -> str\n\nSays it back.\n"
    assert (await run("help(box.nothing)")).stdout == "No tool is called 'box.nothing'.\n"


async def test_value_that_json_cannot_carry_comes_as_its_repr(run):
    outcome = await run("{1, 2}")
    assert (outcome.status, outcome.value, outcome.value_repr) == ("ok", None, "{1, 2}")
    assert (await run("class D:\n    def __repr__(self): return 'mine'\nD()")).value_repr == "mine"
    assert (await run("class D:\n    def __repr__(self): return 1 / 0\nD()")).value_repr == (
        "<D whose repr fails: ZeroDivisionError>"
    )
    big = await run("'x' * 2_000_000")
    assert (len(big.value_repr), big.limits) == (200_000, ("value=1048576 bytes",))


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("import subprocess", "the module `subprocess`"),
        ("import numpy", "no module `numpy`"),
        ("import asyncio\nasyncio.create_task", "`asyncio.create_task`"),
        ("from collections import ChainMap", "`collections.ChainMap`"),
        ("class A(Exception): pass", "class inheritance"),
        ("def g():\n    yield 1", "yield"),
        ("x = 1\ndel x", "the 'del' statement"),
        ("globals()", "the built-in `globals`"),
        ("def f(): pass\nf.count = 1", "its `function` does not have `count`"),
        ("import datetime\ndatetime.date(2024, 1, 1).isocalendar()", "its `datetime.date`"),
        ("(1).real", "its `int` does not have `real`"),
        ("open('x', 'w')", "no work directory"),
        ("import os\nos.environ", "'os.environ' is not supported"),
        ("list(map(lambda n: box.echo(n), [1]))", "a comprehension or `parallel` can"),
    ],
)
async def test_error_says_what_monty_lacks_and_what_to_do(run, code, missing):
    error = (await run(code)).error
    assert error.hint.startswith("This sandbox runs programs in Monty")
    assert missing in error.hint
    assert "`sandbox.backend`" in error.hint


@pytest.mark.parametrize(
    "code", ["1 / 0", "nothing", "[].nothing", "x = (", "raise ValueError('a')", "import math.nope"]
)
async def test_error_that_python_would_give_too_blames_nobody(run, code):
    assert (await run(code)).error.hint in {None} or "math" in code


async def test_error_shows_the_persons_own_lines(run):
    error = (await run("def pick(i):\n    return box.value([1])[i]\n\npick(5)")).error
    assert (error.type, error.line) == ("IndexError", 2)
    assert error.frames == ["line 4: pick(5)", "line 2 in pick: return box.value([1])[i]"]


async def test_program_with_files_is_told_that_there_is_no_work_directory(open_session, host):
    session = await open_session()
    outcome = await session.run(Program("a", "1", files=(FileIn("data.csv", b"a"),)), host)
    assert (outcome.status, outcome.error.type) == ("error", "NoWorkDirectory")
    assert "data.csv" in outcome.error.message
    assert "no work directory" in outcome.error.hint
    assert (await session.run(Program("b", "1"), host)).value == 1


@pytest.mark.parametrize(
    "code",
    ["while True: pass", "import time\ntime.sleep(60)", "while True:\n    try: tools.x\n    except Exception: pass"],
)
async def test_program_that_does_not_end_is_ended_and_the_session_is_reset(open_session, host, code):
    session = await open_session(wall=0.3)
    outcome = await session.run(Program("a", code), host)
    assert (outcome.status, outcome.error.type, outcome.limits) == ("timeout", "TimeoutError", ("wall=0.3 s",))
    assert (outcome.kept, outcome.reset_reason) == (False, outcome.error.message)
    assert not session.alive


async def test_processor_time_is_limited(open_session, host):
    session = await open_session(cpu=0.2)
    outcome = await session.run(Program("a", "x = 1\nwhile True:\n    x += 1"), host)
    assert (outcome.status, outcome.limits, outcome.kept) == ("timeout", ("cpu=0.2 s",), False)


async def test_clock_stops_while_a_tool_answers(open_session, host):
    session = await open_session(wall=0.5)
    async with anyio.create_task_group() as tasks:

        async def open_late():
            await host.arrived.wait()
            await anyio.sleep(1)  # twice what the program itself has
            host.open.set()

        tasks.start_soon(open_late)
        outcome = await session.run(Program("a", "box.gate()", ("box",)), host)
    assert (outcome.status, outcome.value) == ("ok", "opened")
    assert outcome.seconds < 0.5


async def test_endless_waiting_ends_at_the_total(open_session, host):
    session = await open_session(total=0.3)
    outcome = await session.run(Program("a", "box.gate()", ("box",)), host)
    assert (outcome.status, outcome.limits, outcome.kept) == ("timeout", ("total=0.3 s",), False)
    assert host.inside == 0


async def test_memory_is_limited_and_variables_survive(open_session, host):
    session = await open_session(memory=32 * MIB)
    outcome = await session.run(Program("a", "x = 5\ny = 'y' * (1 << 29)"), host)
    assert (outcome.status, outcome.error.type, outcome.limits) == ("error", "MemoryError", ("memory=32 MiB",))
    grown = await session.run(Program("b", "z = []\nwhile True: z.append('a' * 100_000 + str(len(z)))"), host)
    assert grown.error.type == "MemoryError"
    assert (await session.run(Program("c", "z = None\nx"), host)).value == 5


@pytest.mark.parametrize(
    "code", ["raise ValueError('x' * 50_000_000)", "'x' * 50_000_000", "box.echo('x' * 50_000_000)"]
)
async def test_what_is_too_big_to_leave_never_reaches_the_server(open_session, host, code):
    session = await open_session()
    outcome = await session.run(Program("a", code, ("box",)), host)
    assert (outcome.status, outcome.error.type, outcome.kept) == ("error", "MemoryError", False)
    assert host.calls == []


async def test_error_text_is_cut(run):
    error = (await run("raise ValueError('x' * 1_000_000)")).error
    assert (error.type, len(error.message)) == ("ValueError", 20_000)


async def test_output_is_cut_and_a_flood_ends_the_program(open_session, host):
    session = await open_session(stdout=1000)
    outcome = await session.run(Program("a", "print('é' * 5000)\n1"), host)
    assert (outcome.value, len(outcome.stdout.encode())) == (1, 1000)
    assert outcome.limits == ("stdout=1000 bytes",)
    outcome = await session.run(Program("b", "while True: print('x' * 4096)"), host)
    assert (outcome.status, outcome.kept) == ("limit", False)


async def test_calls_above_the_limit_are_refused_and_twice_as_many_end_the_program(open_session, host):
    session = await open_session(calls=3)
    code = (
        "ok = 0\nfor n in range({}):\n    try: ok += bool(box.echo(n))\n"
        "    except ToolError as e: last = e.kind\n[ok, last]"
    )
    outcome = await session.run(Program("a", code.format(5), ("box",)), host)
    assert (outcome.value, outcome.limits) == ([3, "limit"], ("calls=3",))
    outcome = await session.run(Program("b", code.format(99), ("box",)), host)
    assert (outcome.status, outcome.kept) == ("limit", False)


async def test_result_above_its_limit_is_a_tool_error(open_session, host):
    session = await open_session(result=100_000)
    outcome = await session.run(Program("a", "box.big(300_000)", ("box",)), host)
    assert (outcome.error.type, "limit `result`" in outcome.error.message) == ("ToolError", True)


@pytest.mark.parametrize("code", ["box.gate()", "while True: pass", "parallel(box.gate, range(3))"])
async def test_cancelled_run_ends_the_program_and_its_calls(open_session, host, code):
    session = await open_session()
    started = f"box.echo('in')\n{code}"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run, Program("a", started, ("box",)), host)
        await host.arrived.wait()
        tasks.cancel_scope.cancel()
    assert host.inside == 0
    assert not session.alive
    with pytest.raises(SandboxError, match="open another session"):
        await session.run(Program("b", "1"), host)


async def test_closing_a_session_ends_its_run(open_session, host):
    session = await open_session()
    outcomes = []
    async with anyio.create_task_group() as tasks:

        async def one():
            outcomes.append(await session.run(Program("a", "box.gate()", ("box",)), host))

        tasks.start_soon(one)
        await host.arrived.wait()
        await session.aclose()
    assert (outcomes[0].status, outcomes[0].kept) == ("cancelled", False)


async def test_program_that_is_no_text_is_refused_and_the_session_goes_on(open_session, host):
    session = await open_session()
    assert (await session.run(Program("a", "x = '\ud800'"), host)).error.type == "SyntaxError"
    assert (await session.run(Program("b", "[tools.box.value(1), box.value('\\d')]", ("box",)), host)).value == [
        1,
        "\\d",
    ]


@pytest.mark.parametrize("code", ["", "\n", "   1", "x = (", "(" * 50_000, "1 / 0", "class A(B): pass"])
async def test_calls_are_told_apart_after_any_program(open_session, host, code):
    session = await open_session()
    await session.run(Program("a", code), host)
    assert (await session.run(Program("b", "await box.value(2)", ("box",)), host)).value == 2
    assert (await session.run(Program("c", "x = box.value(3)\nx", ("box",)), host)).value == 3


async def test_long_program_is_made_ready_beside_the_event_loop(run):
    assert (await run("x = box.value(1)\n" * 300 + "x")).value == 1


async def test_second_program_at_a_time_and_one_too_long_are_outcomes(open_session, host):
    session = await open_session(code=100)
    assert (await session.run(Program("a", "1" * 101), host)).error.type == "CodeTooLong"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.run, Program("a", "box.gate()", ("box",)), host)
        await host.arrived.wait()
        assert (await session.run(Program("b", "1"), host)).error.type == "SessionBusy"
        host.open.set()


HOSTILE = {
    "object_graph": "().__class__.__bases__[0].__subclasses__()",
    "builtins": "__builtins__",
    "import_function": "__import__('os').system('id')",
    "read_a_file": "open('/etc/passwd').read()",
    "path_out": "import pathlib\npathlib.Path('../../etc/passwd').read_text()",
    "list_the_root": "import os\nos.listdir('/')",
    "environment": "import os\nos.getenv('HOME') or 1 / 0",
    "network": "import socket",
    "processes": "import subprocess",
    "c_code": "import ctypes",
    "frames": "import sys\nsys._getframe()",
    "code_objects": "(lambda: 0).__code__",
    "our_internals": "_toolweft_source('nothing')",
    "dunder_of_a_tool": "box.__class__.__init__.__globals__",
    "class_of_tools": "type(tools)()",
    "exit_of_the_process": "import os\nos._exit(0)",
    "signals": "import signal",
    "garbage_collector": "import gc",
    "pickle": "import pickle",
    "recursion": "def f(): return f()\nf()",
    "big_power": "10 ** (10 ** 12)",
    "deep_nesting": "(" * 50_000,
    "long_chain": "+".join(["1"] * 50_000),
    "null_byte": "x = '\x00",
    "many_servers": "for n in range(5000): getattr(tools, 'n' + str(n))\n1 / 0",
    "forged_refusal": "raise ToolError('refused by policy')",
    "blob_of_nothing": "Blob(1, 2)",
    "call_tools": "tools()",
    "call_a_server": "box()",
    "call_what_is_not_there": "tools.box.echo.deeper(1)",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_program_gets_an_error_and_the_session_goes_on(open_session, host, name):
    session = await open_session(wall=30.0)
    outcome = await session.run(Program("a", HOSTILE[name], ("box",)), host)
    assert outcome.status == "error", outcome
    assert "root:" not in repr(outcome)
    assert host.calls == []
    if outcome.kept:
        assert (await session.run(Program("b", "1 + 1"), host)).value == 2


async def test_value_that_contains_itself_over_and_over_is_bounded(open_session, host):
    session = await open_session(wall=1.0)
    outcome = await session.run(Program("a", "a = [1]\nfor _ in range(60): a = [a, a]\na"), host)
    assert (outcome.status, outcome.value) == ("timeout", None)


async def test_every_check_passes_or_says_that_it_cannot_be_expressed(backend):
    findings = await backend.self_check()
    assert [each for each in findings if not each.ok] == []
    assert any(each.detail.startswith("not offered here") for each in findings)
