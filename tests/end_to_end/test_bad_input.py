"""Bad input at the MCP surface: each row a clear answer, and the server goes on with nothing lost.

Where the rest of the table lies, each at the highest surface that can see it:
configurations in `tests/server/test_config.py`; lines of stdio in `tests/server/test_stdio.py` and `test_protocol.py`;
frames and programs that attack the sandbox in `tests/server/sandbox/test_hostile_programs.py` and `test_frames.py`;
manifests and answers of broken servers in `tests/server/upstream/`; schemas at random in
`tests/catalog/test_signature.py`; OpenAPI and other documents in `tests/catalog/ingest/`; saved functions and shared
folders in `tests/server/library/`; the store's file in `tests/server/store/test_store.py`; model replies in
`tests/client/test_agent.py`. Here: what a model can send to the two tools, what hostile servers make of it, and stores.
"""

import ast
import os
import shutil
import sqlite3
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters

from toolweft_catalog import cli
from toolweft_server.store.database import Database

KEPT = 'def kept(n: int) -> int:\n    """Twice."""\n    return 2 * n\n\nfunctions.save(kept)\nkept(1)'
SELF = "x = []\nx.append(x)\n"
DEEP = "x = []\nfor _ in range(5000): x = [x]\n"


class Row(NamedTuple):
    arguments: dict[str, Any]
    status: str | None
    """The execution's status; `None`: the arguments are refused before anything runs."""
    words: str
    """What the text for the model says."""


def program(code: str, status: str, words: str, **arguments: Any) -> Row:
    return Row({"code": code, **arguments}, status, words)


OURS = "toolweft://executions"
PROGRAMS = {
    "nothing": program("", "ok", "ok (ex_"),
    "blank lines": program(" \n\n", "ok", "ok (ex_"),
    "no Python": program("def f(:\n  pass", "error", "SyntaxError: invalid syntax"),
    "null byte": program("x = 1\0", "error", "SyntaxError: source code string cannot contain null bytes"),
    "nested too deeply": program("(" * 500 + ")" * 500, "error", "SyntaxError: too many nested parentheses"),
    "half an emoji": Row({"code": "'\ud83d'"}, None, "code: Input should be a valid string"),
    "too long": program("#" + "x" * 200_000, "limit", "has 200001 characters, 200000 are allowed (limit `code`)"),
    "far too long": Row({"code": "#" * 4_000_001}, None, "code: String should have at most 4000000 characters"),
    "not a text": Row({"code": 5}, None, "code: Input should be a valid string"),
    "a list": Row({"code": ["1"]}, None, "code: Input should be a valid string"),
    "missing": Row({}, None, "code: Field required. Its arguments: code, session, retry_of, timeout, files."),
    "unknown argument": Row({"code": "1", "language": "js"}, None, "language: Extra inputs are not permitted"),
    "negative timeout": Row({"code": "1", "timeout": -1}, None, "timeout: Input should be greater than 0"),
    "timeout of nothing": Row({"code": "1", "timeout": 0}, None, "timeout: Input should be greater than 0"),
    "timeout of ages": Row({"code": "1", "timeout": 1e12}, None, "timeout: Input should be less than or equal to"),
    "timeout as text": Row({"code": "1", "timeout": "5"}, None, "timeout: Input should be a valid number"),
    "timeout as truth": Row({"code": "1", "timeout": True}, None, "timeout: Input should be a valid number"),
    "retry of nobody": program("1", "refused", "there is no execution 'ex_nope' to retry", retry_of="ex_nope"),
    "retry of a number": Row({"code": "1", "retry_of": 7}, None, "retry_of: Input should be a valid string"),
    "session without a name": Row({"code": "1", "session": ""}, None, "session: String should have at least 1"),
    "file of nobody": program(
        "1", "refused", "there is nothing at 'toolweft://executions/ex_0/files/a'", files={"a": f"{OURS}/ex_0/files/a"}
    ),
    "file at no address": program("1", "refused", "there is nothing at 'toolweft://x'", files={"a": "toolweft://x"}),
    "file that is not base64": program("1", "refused", "is not base64", files={"a": "data:text/csv;base64,#"}),
    "file name outside": Row({"code": "1", "files": {"../a": ""}}, None, "'../a' is no name for a file in the work"),
    "file name from the root": Row({"code": "1", "files": {"/etc/a": ""}}, None, "use a relative path such as"),
    "file under two names of one": program(
        "1", "error", "FileNotWritten: the file 'a/b' could not be handed in", files={"a": "", "a/b": ""}
    ),
    "files as a list": Row({"code": "1", "files": ["a"]}, None, "files: Input should be a valid dictionary"),
    "file without a text": Row({"code": "1", "files": {"a": None}}, None, "files.a: Input should be a valid string"),
    "101 files": Row({"code": "1", "files": {str(n): "" for n in range(101)}}, None, "files: Dictionary should have"),
    "session of 10 kB": Row({"code": "1", "session": "s" * 10_000}, None, "session: String should have at most 200"),
    "session like a path": program("1", "ok", "value:\n1", session="../../etc/passwd\0\n\u202e"),
    "endless loop": program("while True: pass", "timeout", "ran longer than 0.3 s", timeout=0.3),
    "endless wait": program(
        "import asyncio\nawait asyncio.Event().wait()", "timeout", "ran longer than 0.3 s", timeout=0.3
    ),
    "all the memory": program("x = []\nwhile True: x.append(bytes(1 << 24))", "error", "MemoryError"),
    "100 MB of prints": program("for _ in range(100): print('x' * 1_000_000)", "limit", "more than 4 MiB to stdout"),
    "ends its process": program("import os\nos._exit(3)", "crashed", "ended its process with exit status 3"),
    "exits": program("import sys\nsys.exit('bye')", "error", "SystemExit: bye"),
    "endless recursion": program("def f(): return f()\nf()", "error", "RecursionError: maximum recursion depth"),
    "error without words": program(
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "error", "E: <an exception whose str"
    ),
    "interrupts itself": program("raise KeyboardInterrupt", "error", "KeyboardInterrupt"),
    "value is an object": program("object()", "ok", "<object object at"),
    "value is no number": program("float('nan')", "ok", "value:\nnan"),
    "value holds itself": program(SELF + "x", "ok", "value:\n[[...]]"),
    "value nested too deeply": program(DEEP + "x", "ok", "<list whose repr fails: RecursionError>"),
    "value of 5,001 digits": program("10 ** 5000", "ok", "<int whose repr fails: ValueError>"),
    "value is bytes": program(r"b'\x00\xff'", "ok", r"b'\x00\xff'"),
    "value is half an emoji": program("chr(0xd83d)", "ok", "value:\n"),
    "value without a repr": program(
        "class A:\n    def __repr__(self): raise ValueError\nA()", "ok", "<A whose repr fails: ValueError>"
    ),
}

ARGUMENTS = {
    "no number": ("urgent=float('nan')", "an argument cannot be sent: Out of range float"),
    "an object": ("text=object()", "an argument cannot be sent: object is not JSON"),
    "itself": ("text=x", "an argument cannot be sent: Circular reference detected"),
    "too deep": ("text=y", "an argument cannot be sent: nested deeper than 90"),
    "2 MB": ("text='x' * 2_000_000", "arguments of 2000060 characters, 1048576 are allowed"),
    "another type": ("text=5", '"text" must be of type string, got 5'),
    "twice": ("'a', text='b'", '"text"'),
    "unknown": ("txt='a'", '"txt"'),
    "missing": ("", 'needs "text"'),
}

REQUESTS = {
    "nothing": Row({"query": ""}, "ok", "The query is empty: say what the tool should do"),
    "blank": Row({"query": " \n\t"}, "ok", "The query is empty"),
    "signs only": Row({"query": '((("*:^--'}, "ok", "No tool among"),
    "null byte": Row({"query": "write_note\0"}, "ok", "desk.write_note"),
    "20 kB": Row({"query": "qqzz " * 4000}, "ok", " among "),
    "a word of 20 kB": Row({"query": "q" * 20_000}, "ok", " among "),
    "more than 20 kB": Row({"query": "x" * 20_001}, None, "query: String should have at most 20000 characters"),
    "half an emoji": Row({"query": "\ud83d"}, None, "query: Input should be a valid string"),
    "a number": Row({"query": 4}, None, "query: Input should be a valid string"),
    "missing": Row({}, None, "query: Field required. Its arguments: query, limit, server, detail."),
    "limit 0": Row({"query": "note", "limit": 0}, None, "limit: Input should be greater than or equal to 1"),
    "limit 51": Row({"query": "note", "limit": 51}, None, "limit: Input should be less than or equal to 50"),
    "limit as text": Row({"query": "note", "limit": "5"}, None, "limit: Input should be a valid integer"),
    "limit as truth": Row({"query": "note", "limit": True}, None, "limit: Input should be a valid integer"),
    "unknown server": Row({"query": "note", "server": "dsk"}, "ok", "There is no server 'dsk' (nearest: desk"),
    "server of 10 kB": Row({"query": "note", "server": "x" * 10_000}, "ok", "There is no server 'xxx"),
    "unknown detail": Row({"query": "note", "detail": "all"}, None, "detail: Input should be 'signature' or 'full'"),
    "unknown argument": Row({"query": "note", "k": 1}, None, "k: Extra inputs are not permitted"),
}

HOSTILE_CALLS = {
    "breaks out of the docstring": ("evil.breakout(a='x')", {"tool": "breakout", "given": {"a": "x"}}),
    "keywords for names": (
        "evil.class_(from_='x', **{'a-b': 1, '': 2})",
        {"tool": "class", "given": {"from": "x", "a-b": 1, "": 2}},
    ),
    "dunder for a name": ("evil.import_()", {"tool": "__import__", "given": {}}),
    "schema in a circle": ("evil.circle()", {"tool": "circle", "given": {}}),
    "recursive schema": ("evil.tree(t={'kids': [{}]})", {"tool": "tree", "given": {"t": {"kids": [{}]}}}),
    "schema elsewhere": ("evil.elsewhere(x=1)", {"tool": "elsewhere", "given": {"x": 1}}),
    "1,000 properties": ("evil.wide(p999='x')", {"tool": "wide", "given": {"p999": "x"}}),
    "the first of two": ("evil.twice()", {"tool": "twice", "given": {}}),
    "required and never declared": ("evil.lie(ghost=1)", {"tool": "lie", "given": {"ghost": 1}}),
    "pattern without end": (
        "evil.slow_pattern(r='a' * 40 + 'b')['given']['r'][-2:]", "ab",
    ),
    "type that is none": ("evil.no_type(x=1)", {"tool": "no_type", "given": {"x": 1}}),
    "name that turns the text": ("evil.rightu202eleft()", {"tool": "right\u202eleft", "given": {}}),
    "server called tools": ("tools.tools_2.twice()", {"tool": "twice", "given": {}}),
    "server called os": ("import os\n(os.sep, tools.os.twice())[1]", {"tool": "twice", "given": {}}),
    "server called print": ("print(1)\ntools.print.twice()", {"tool": "twice", "given": {}}),
    "server called class": ("class_.twice()", {"tool": "twice", "given": {}}),
}  # fmt: skip

asks = pytest.mark.asyncio(loop_scope="module")


def table(rows: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("row", rows.values(), ids=rows.keys())


async def still_fine(host) -> None:
    """The server answers, and what was saved before is there."""
    ran = await host.execute(KEPT if "kept" not in await saved(host) else "functions.kept(21)")
    assert ran["status"] == "ok"
    assert "kept" in await saved(host)


async def saved(host) -> list[str]:
    return [each["name"] for each in (await host.read("toolweft://reusable_functions"))["functions"]]


@asks
@table(PROGRAMS)
async def test_a_bad_program_is_a_clear_answer(lasting_host, row):
    result = await lasting_host.client.call_tool("execute_code", row.arguments)
    answer = result.structured_content or {}
    assert (answer.get("status"), result.is_error) == (row.status, row.status != "ok")
    assert row.words in result.content[0].text
    assert len(result.content[0].text) < 60_000
    await still_fine(lasting_host)


@asks
@pytest.mark.parametrize(("given", "words"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
async def test_a_bad_argument_of_a_tool_is_named_and_nothing_is_sent(lasting_host, given, words):
    ran = await lasting_host.execute(f"{DEEP}y = x\n{SELF}desk.write_note({given})")
    assert (ran["status"], ran["error"]["type"], ran["error"]["line"]) == ("error", "ToolError", 6)
    assert "desk.write_note" in ran["error"]["message"]
    assert words in ran["error"]["message"]
    assert [call for call in ran["calls"] if call["status"] == "ok"] == []


@asks
@table(REQUESTS)
async def test_a_bad_request_for_tools_is_a_clear_answer(lasting_host, row):
    result = await lasting_host.client.call_tool("find_tools", row.arguments)
    assert result.is_error == (row.status is None)
    assert row.words in result.content[0].text
    assert len(result.content[0].text) < 2_000


@asks
@pytest.mark.parametrize(("code", "value"), HOSTILE_CALLS.values(), ids=HOSTILE_CALLS.keys())
async def test_a_tool_of_a_hostile_server_can_be_called_as_shown(lasting_host, code, value):
    ran = await lasting_host.execute(code)
    assert (ran["status"], ran["value"]) == ("ok", value)


@asks
async def test_every_stub_of_a_hostile_server_is_python_and_bounded(lasting_host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = await lasting_host.find("twice", server="evil", limit=50)
    names = {tool["id"] for tool in found["tools"]} | set(found["also"])
    for name in names:
        shown = await lasting_host.find(name, server="evil", limit=1, detail="full")
        assert len(shown["text"]) < 9_000
        if not shown["text"].endswith("…"):
            (stub,) = ast.parse(shown["text"][shown["text"].index("def ") :].partition("\nAlso: ")[0]).body
            assert isinstance(stub, ast.FunctionDef), name
    assert list(tmp_path.iterdir()) == []


@asks
async def test_a_choice_that_is_not_offered_is_told_with_the_choices_cut(lasting_host):
    ran = await lasting_host.execute("evil.choice(e='no')")
    assert 'argument "e" must be one of' in ran["error"]["message"]
    assert len(ran["error"]["message"]) < 600


@pytest.mark.parametrize("code", ["broken.look()", "tools.broken.look()"], ids=["bare", "under tools"])
async def test_a_program_that_names_a_server_that_does_not_start_is_told_so(write_config, in_process, code):
    broken = {"command": sys.executable, "args": ["-c", "raise SystemExit('no configuration')"]}
    async with in_process(write_config(mcpServers={"broken": broken})) as host:
        ran = await host.execute(f"desk.read_notes()\n{code}")
    assert (ran["error"]["type"], ran["error"]["line"]) == ("ToolError", 2)
    assert "the server 'broken' could not be read; `toolweft doctor` says why" in ran["error"]["message"]


def not_a_database(path):
    path.write_bytes(b"dear diary, " * 500)


def cut_short(path):
    os.truncate(path, 8192)


def newer(path):
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()


def somebody_elses(path):
    path.unlink()
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE photo (id)")
    raw.close()


def a_folder(path):
    path.unlink()
    path.mkdir()


def read_only(path):
    path.chmod(0o400)


may_write_anywhere = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
STORES = [
    pytest.param(not_a_database, "is not a toolweft store. It was left as it is", id="not a database"),
    pytest.param(cut_short, "is damaged. It was left as it is; move it away", id="cut short"),
    pytest.param(newer, "version 99 and this toolweft knows versions up to", id="newer than the code"),
    pytest.param(somebody_elses, "not toolweft's (photo)", id="somebody else's"),
    pytest.param(a_folder, "is a folder. Name a file as `store`", id="a folder"),
    pytest.param(read_only, "cannot be opened for writing", id="read-only", marks=may_write_anywhere),
]


@pytest.mark.parametrize(("spoil", "words"), STORES)
async def test_a_store_that_cannot_be_used_is_said_and_left_as_it_is(
    tmp_path, write_config, in_process, capsys, spoil, words
):
    config, path = write_config(), tmp_path / "store.db"
    async with in_process(config) as host:
        await still_fine(host)
    shutil.copy(path, tmp_path / "good.db")
    spoil(path)
    before = path.read_bytes() if path.is_file() else None

    assert await anyio.to_thread.run_sync(cli.main, ["find", "note", "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""

    async with in_process(config) as host:
        for request in (host.find("note"), host.execute("1"), host.read("toolweft://reusable_functions")):
            with pytest.raises(MCPError) as refused:
                await request
            assert words in str(refused.value)
        assert before == (path.read_bytes() if path.is_file() else None)
        shutil.move(path, tmp_path / "bad.db")
        shutil.move(tmp_path / "good.db", path)
        await still_fine(host)


async def test_a_store_deleted_while_serving_takes_no_promise_and_is_made_again(tmp_path, write_config, in_process):
    config, path = write_config(), tmp_path / "store.db"
    async with in_process(config) as host:
        await still_fine(host)
        path.unlink()
        ran = await host.execute(KEPT)
        assert (ran["status"], ran["saved"]) == ("crashed", [])
        assert "was deleted or replaced while it was in use" in ran["text"]
        with anyio.fail_after(20):
            while (await host.execute("1"))["status"] != "ok":
                await anyio.sleep(0.05)
        assert await saved(host) == []
        await still_fine(host)
    async with in_process(config) as host:
        assert await saved(host) == ["kept"]


async def test_a_store_locked_by_another_process_delays_no_search_and_loses_nothing(
    tmp_path, write_config, in_process, monkeypatch
):
    patience = 4.0  # seconds, of ten: each program waits three times
    monkeypatch.setattr(Database, "open", partial(Database.open, busy_ms=int(1000 * patience)))
    async with in_process(write_config()) as host:
        await still_fine(host)
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(refused_as_locked, host)
            with anyio.fail_after(0.9 * patience):
                assert (await host.find("write a note"))["tools"]
                assert await saved(host) == ["kept"]
        other.execute("ROLLBACK")
        other.close()
        assert (await host.execute("desk.write_note('x')"))["value"] == 1
        await still_fine(host)


async def refused_as_locked(host):
    ran = await host.execute("desk.write_note('x')")
    assert (ran["status"], ran["error"]["type"]) == ("error", "ToolError")
    assert "is locked" in ran["text"]
    assert "Close what else uses it, then retry." in ran["text"]


SERVE_SMALL = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
runpy.run_module("toolweft_catalog.cli", run_name="__main__")
"""


@asynccontextmanager
async def on_a_small_disk(config, size):
    """A serving process that cannot write a file beyond `size` bytes."""
    arguments = ["-c", SERVE_SMALL, str(size), "serve", "--config", str(config)]
    environ = {"PYTHONPATH": os.environ["PYTHONPATH"]}
    async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=environ)) as client:
        yield client


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX's")
async def test_a_full_disk_costs_what_is_kept_and_not_the_answer(write_config, in_process):
    config = write_config()
    async with in_process(config) as host:
        await still_fine(host)
    code = "print('x' * 250_000)\ndesk.write_note('written')"
    async with on_a_small_disk(config, 100_000) as client:
        result = await client.call_tool("execute_code", {"code": code})
        assert (result.structured_content["status"], result.structured_content["value"]) == ("ok", 1)
        assert "only this answer is left of the execution: the store" in result.content[0].text
        assert (await client.call_tool("find_tools", {"query": "write a note"})).structured_content["tools"]
    async with in_process(config) as host:
        await still_fine(host)
