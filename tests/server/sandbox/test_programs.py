"""What a program can do and what it is told: values, variables, tools, saved functions, errors."""

import pytest

from toolweft_catalog.call import Blob


async def test_variables_stay_from_run_to_run(run):
    await run("import math\nx = 5\ndef f(): return x * 2")
    assert (await run("f() + math.floor(1.5)")).value == 11
    assert (await run("_")).value == 11


async def test_value_that_json_cannot_carry_comes_as_its_repr(run):
    outcome = await run("{1, 2}")
    assert (outcome.status, outcome.value, outcome.value_repr) == ("ok", None, "{1, 2}")
    assert (await run("float('nan')")).value_repr == "nan"
    assert (await run("a = []\na.append(a)\na")).value_repr == "[[...]]"
    assert (await run("b'raw'")).value_repr == "b'raw'"


async def test_deeply_nested_value_comes_as_its_repr(run):
    outcome = await run("x = 1\nfor _ in range(200):\n    x = [x]\nx")
    assert outcome.status == "ok"
    assert outcome.value is None
    assert outcome.value_repr.startswith("[[[")


async def test_value_above_its_limit_comes_as_a_cut_repr_and_says_so(run):
    outcome = await run("'x' * 2_000_000")
    assert outcome.value is None
    assert len(outcome.value_repr) == 200_000
    assert outcome.limits == ("value=1048576 bytes", "value_repr=200000 characters")


async def test_every_limit_that_was_hit_is_reported(run):
    outcome = await run("try:\n    box.echo('x' * 2_000_000)\nexcept ToolError as error:\n    print(error)\nobject()")
    assert (outcome.status, outcome.limits) == ("ok", ("arguments=1048576 characters",))
    outcome = await run("raise ValueError('x' * 30_000)")
    assert (len(outcome.error.message), outcome.limits) == (20_000, ("error=20000 characters",))
    assert (await run("1")).limits == ()


async def test_more_blobs_than_anybody_looks_at_come_as_a_repr(run):
    assert len((await run("[Blob('a/b', b'') for _ in range(100)]")).value) == 100
    outcome = await run("[Blob('a/b', b'') for _ in range(101)]")
    assert (outcome.status, outcome.value, outcome.limits) == ("ok", None, ("value=100 blobs",))
    assert outcome.value_repr.startswith("[Blob('a/b', 0 bytes), ")


async def test_blobs_travel_both_ways_at_any_depth(run, host):
    outcome = await run("p = tools.box.picture()\n[p, p['parts'][0].size, p['parts'][0].read()[1:].decode()]")
    assert outcome.value == [{"name": "p", "parts": [Blob("image/png", b"\x89PNG"), "text"]}, 4, "PNG"]
    assert (await run("Blob('text/plain', b'hi')")).value == Blob("text/plain", b"hi")


@pytest.mark.work_directory
async def test_saved_blob_becomes_a_file(run):
    outcome = await run("tools.box.picture()['parts'][0].save('p.png')")
    assert [(file.name, file.data) for file in outcome.files] == [("p.png", b"\x89PNG")]


@pytest.mark.work_directory
async def test_each_file_comes_back_once_and_links_never(run):
    code = "import os\nos.mkdir('d')\nopen('d/a', 'w').write('1')\nos.symlink('/etc/passwd', 'link')"
    assert [(file.name, file.data) for file in (await run(code)).files] == [("d/a", b"1")]
    assert (await run("open('b', 'wb').write(bytes(3_000_000))")).files[0].data == bytes(3_000_000)
    assert (await run("1")).files == ()


async def test_tools_are_reached_in_every_form_people_write(run, host):
    code = (
        "import tools, tools.box as t\nfrom tools import box as again\nfrom tools.box import echo\n"
        "[f(1, k='v') for f in (box.echo, tools.box.echo, t.echo, again.echo, echo)]"
    )
    assert (await run(code)).value == [[1, {"k": "v"}]] * 5
    assert host.calls == [("box.echo", [1], {"k": "v"})] * 5


async def test_bare_name_is_bound_only_where_it_shadows_nothing(run):
    servers = ("box", "time", "list", "tools", "class_", "mine")
    await run("mine = 3", servers=())
    code = "[mine, 'time' in globals(), list is tools.list, class_.echo.__qualname__, tools.time.now.__qualname__]"
    assert (await run(code, servers=servers)).value == [3, False, False, "class_.echo", "time.now"]
    assert (await run("box", servers=())).error.type == "NameError"


async def test_unknown_tool_raises_with_the_text_of_the_server(run):
    outcome = await run("box.eco('x')")
    assert (outcome.error.type, outcome.error.line) == ("ToolError", 1)
    assert outcome.error.message == "There is no tool 'box.eco'. Nearest: box.echo."


async def test_tool_error_tells_who_refused_and_can_be_caught(run):
    code = (
        "from tools import ToolError as E\ntry:\n    box.refuse()\nexcept ToolError as e:\n"
        "    r = [str(e), e.tool, e.kind, E is ToolError]\nr"
    )
    assert (await run(code)).value == ["policy says no", "box.refuse", "refused", True]


async def test_defect_behind_a_tool_costs_the_call_and_shows_nothing(run, caplog):
    outcome = await run("try:\n    box.defect()\nexcept ToolError as e:\n    r = [e.kind, str(e)]\nr")
    assert outcome.value[0] == "unavailable"
    assert "secret" not in outcome.value[1]
    assert "a secret of ours" in caplog.text


async def test_argument_that_is_not_json_is_named_and_not_sent(run, host):
    outcome = await run("import datetime\nbox.echo(when=datetime.date(2024, 1, 1))")
    assert outcome.error.message == "box.echo: an argument cannot be sent: date is not JSON"
    assert "base64" in (await run("box.echo(Blob('a/b', b''))")).error.message
    assert host.calls == []


async def test_help_prints_what_the_server_says_about_a_tool(run):
    assert (await run("help(box.echo)")).stdout == "box.echo(text: str) -> str\n\nSays it back.\n"
    assert (await run("help(box.nothing)")).stdout == "No tool is called 'box.nothing'.\n"
    assert "len(obj, /)" in (await run("help(len)")).stdout


@pytest.mark.parametrize(
    "code",
    [
        "parallel(box.meet, range(5))",
        "import asyncio\nawait asyncio.gather(*(box.meet(n) for n in range(5)))",
        "import asyncio\nawait asyncio.gather(*[asyncio.create_task(box.meet(n)) for n in range(5)])",
        "import asyncio\nawait asyncio.gather(*(asyncio.to_thread(box.meet, n) for n in range(5)))",
        "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as g:\n"
        "        ts = [g.create_task(box.meet(n)) for n in range(5)]\n    return [t.result() for t in ts]\n"
        "asyncio.run(main())",
        "from concurrent.futures import ThreadPoolExecutor\nlist(ThreadPoolExecutor(5).map(box.meet, range(5)))",
        "async def one(n):\n    return await box.meet(n)\nparallel(one, range(5))",
    ],
    ids=["parallel", "gather", "create_task", "to_thread", "task_group", "thread_pool", "parallel_async"],
)
async def test_five_calls_are_in_flight_at_once(run, host, code):
    outcome = await run(code)
    assert (outcome.status, outcome.value) == ("ok", [0, 1, 2, 3, 4])
    assert host.most == 5


async def test_plain_helper_called_from_async_code_gets_its_value(run):
    code = (
        "def first(x):\n    return box.echo(x)[0]\nasync def main():\n    return [first(1), (await box.echo(2))[0]]\n"
        "await main()"
    )
    assert (await run(code)).value == [1, 2]


async def test_forgotten_await_is_explained(run):
    outcome = await run("async def main():\n    return box.echo(1)[0]\nawait main()")
    assert outcome.error.hint == "In async code a tool call gives a coroutine: write `await tools.server.tool(…)`."
    assert (
        "await"
        in (await run("async def main(): return await f()\ndef f(): return box.echo(1)\nawait main()")).error.hint
    )


async def test_main_left_as_last_expression_is_awaited(run):
    assert (await run("async def main():\n    return 3\nmain()")).value == 3


async def test_parallel_keeps_order_and_returns_errors_where_asked(run):
    code = "parallel(lambda n: 10 // n, [1, 0, 5], errors='return', limit=2)"
    assert (await run(f"[x if isinstance(x, int) else type(x).__name__ for x in {code}]")).value == [
        10, "ZeroDivisionError", 2,
    ]  # fmt: skip
    outcome = await run("parallel(lambda n: 10 // n, [1, 0, 5])")
    assert outcome.error.type == "ZeroDivisionError"
    assert (await run("parallel(print, [], limit=0)")).error.message == "limit=0: at least 1"


async def test_saved_functions_run_with_tools_in_versions_and_are_fetched_once(run, host):
    host.functions["twice"] = ["def twice(x):\n    return 'old'", "def twice(x):\n    return tools.box.echo(x)[0] * 2"]
    code = "from functions import twice\n[twice(2), functions.twice(3), functions.version('twice', 1)(9)]"
    assert (await run(code)).value == [4, 6, "old"]
    outcome = await run("functions.nothing()")
    assert outcome.error.message == "There is no saved function 'nothing'."
    assert (await run("def mine(): pass\nfunctions.save(mine)")).value == {"name": "mine", "state": "candidate"}


async def test_error_shows_the_programs_own_lines_and_values(run):
    code = "import json\nrows = [1, 2]\ndef pick(i, *, table=rows):\n    n = i + 5\n    return table[n]\npick(1)"
    error = (await run(code)).error
    assert error.model_dump() == {
        "type": "IndexError", "message": "list index out of range", "line": 5,
        "frames": ["line 6: pick(1)", "line 5 in pick: return table[n]"],
        "locals": {"table": "[1, 2]", "n": "6", "i": "1"}, "hint": None,
    }  # fmt: skip


async def test_error_in_a_function_of_an_earlier_run_names_both_places(run):
    await run("def f():\n    return 1 / 0")
    error = (await run("x = 1\nf()")).error
    assert error.line == 2
    assert error.frames == ["line 2: f()", "line 2 of program in f: return 1 / 0"]


async def test_frames_of_the_library_are_left_out(run):
    error = (await run("import json\njson.loads('{')")).error
    assert error.frames == ["line 2: json.loads('{')"]
    assert error.type == "JSONDecodeError"


async def test_causes_are_told(run):
    code = "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e"
    assert (await run(code)).error.frames[-1] == "caused by KeyError: 'k' (line 2: {}['k'])"


async def test_syntax_error_points_at_the_place(run):
    error = (await run("x = 1\nif x\n    y = 2")).error
    assert (error.type, error.message, error.line) == ("SyntaxError", "expected ':'", 2)
    assert error.frames == ["line 2: if x", "            ^"]


async def test_local_values_are_cut_and_hostile_ones_named(run):
    code = (
        "class Bad:\n    def __repr__(self): raise OSError\ndef f():\n    long = 'x' * 9999\n    bad = Bad()\n"
        "    return long + 1\nf()"
    )
    told = (await run(code)).error.locals
    assert len(told["long"]) <= 200
    assert told["bad"].startswith("<Bad ")


async def test_deep_recursion_is_told_in_few_frames(run):
    error = (await run("def f(n): return f(n + 1)\nf(0)")).error
    assert error.type == "RecursionError"
    assert len(error.frames) == 21


async def test_exit_with_zero_is_fine_and_with_another_code_an_error(run):
    assert (await run("import sys\nsys.exit()")).status == "ok"
    outcome = await run("exit('no input')")
    assert (outcome.status, outcome.error.type, outcome.error.message) == ("error", "SystemExit", "no input")


async def test_output_is_caught_at_the_descriptor(run):
    code = (
        "import ctypes, os, sys\nprint('a')\nos.write(1, b'b\\xff')\n"
        "c = ctypes.CDLL(None)\nc.puts(b'c')\nc.fflush(None)\nprint('e', file=sys.stderr)"
    )
    outcome = await run(code)
    assert (outcome.stdout, outcome.stderr) == ("a\nb\ufffdc\n", "e\n")


async def test_input_is_at_its_end(run):
    assert (await run("input()")).error.type == "EOFError"


async def test_text_with_lone_surrogates_arrives(run, host):
    outcome = await run("print('\\ud800')\nbox.echo('\\ud800')\n'x\\udc00'")
    assert (outcome.value, outcome.stdout) == ("x?", "\\ud800\n")
    assert host.calls[0][1] == ["?"]


async def test_program_longer_than_the_limit_is_not_run(open_session, host):
    from toolweft_server.sandbox.base import Program

    session = await open_session(code=10)
    outcome = await session.run(Program("ex", "1 + 1 + 1 + 1"), host)
    assert (outcome.status, outcome.kept) == ("limit", True)
    assert "13 characters" in outcome.error.message


async def test_parameter_may_be_called_self(run):
    assert (await run("box.echo(self=1, name=2)")).value == [{"self": 1, "name": 2}]


async def test_name_that_is_too_long_is_the_programs_error_and_no_attack(run):
    outcome = await run("try: functions.save('x' * 400)\nexcept ToolError as e: r = str(e)\nr")
    assert outcome.value == "a name of 410 characters, 300 are allowed"
    outcome = await run("functions.version('x', '3')")
    assert (outcome.status, outcome.error.type, outcome.kept) == ("error", "TypeError", True)


async def test_group_within_groups_is_told_without_end(run):
    code = "e = ValueError(1)\nfor _ in range(100): e = ExceptionGroup('g', [e] * 9)\nraise e"
    outcome = await run(code)
    assert (outcome.status, outcome.error.type) == ("error", "ExceptionGroup")
    assert outcome.error.message.startswith("g (9 sub-exceptions); ExceptionGroup: g (9 sub-exceptions)")


async def test_class_that_lies_about_its_name_is_named_all_the_same(run):
    code = (
        "class Meta(type):\n    def __getattribute__(cls, name): return 7\n"
        "class Own(Exception, metaclass=Meta): pass\nraise Own('x')"
    )
    outcome = await run(code)
    assert (outcome.status, outcome.error.type, outcome.error.message) == ("error", "Own", "x")
