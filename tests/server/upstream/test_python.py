"""A module of the person's own as an upstream: real modules, imported from a folder of the test."""

import subprocess
import sys
import threading

import anyio
import pytest

from toolweft_catalog.call import Blob, Call
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream.python import PythonUpstream

MODULE = '''
"""Things to call."""
import contextvars
import dataclasses
import datetime
import enum
import threading
from collections import deque

@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0

class Colour(str, enum.Enum):
    red = "RED"

BARRIER = threading.Barrier(3)
RELEASE = threading.Event()

def moved(point: Point, by: int = 1) -> Point:
    """Move a point."""
    return Point(point.x + by, point.y)

def born(day: datetime.date) -> str:
    return f"{day:%d.%m.%Y}"

def picture() -> bytes:
    return b"\\x89PNG\\r\\n\\x1a\\n..."

def odd() -> dict:
    return {1: {"b"}, None: Colour.red, "d": datetime.date(2026, 1, 2), "n": float("nan"), "q": deque([b"x"])}

def circle() -> list:
    found = []
    found.append(found)
    return found

def unspeakable():
    return object()

def stop():
    raise StopIteration("no more")

def leave():
    raise SystemExit(3)

def fail(message: str):
    raise LookupError(message)

def hang():
    RELEASE.wait(60)

async def later(seconds: float = 0.0) -> str:
    import anyio
    await anyio.sleep(seconds)
    return "later"

async def broken() -> None:
    raise ValueError("asynchronously")

def meet() -> str:
    BARRIER.wait(20)
    return threading.current_thread().name

def positional(a: int, b: int = 2, /, *, _c: int = 3, schema: str = "s") -> list:
    return [a, b, _c, schema]
'''


@pytest.fixture
async def module(tmp_path):
    """An upstream on the module above, and a function that calls its tools by name."""
    path = tmp_path / "things.py"
    path.write_text(MODULE, encoding="utf-8")
    upstream = PythonUpstream("things", module=str(path))
    tools = {tool.name: tool for tool in (await upstream.manifest()).tools}

    async def call(name, limit=20.0, **arguments):
        return await upstream(Call(tools[name], arguments, timeout=limit))

    yield call
    await upstream.aclose()


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("moved", {"point": {"x": 1}}, {"x": 2, "y": 0.0}),
        ("moved", {"point": {"x": "1", "y": 2}, "by": 5}, {"x": 6, "y": 2.0}),
        ("born", {"day": "2026-11-21"}, "21.11.2026"),
        ("picture", {}, Blob("image/png", b"\x89PNG\r\n\x1a\n...")),
        (
            "odd",
            {},
            {"1": ["b"], "null": "RED", "d": "2026-01-02", "n": None, "q": [Blob("application/octet-stream", b"x")]},
        ),
        ("later", {}, "later"),
        ("positional", {"a": 1}, [1, 2, 3, "s"]),
        ("positional", {"a": 1, "b": 5, "_c": 6, "schema": "t"}, [1, 5, 6, "t"]),
    ],
)
async def test_a_function_gets_its_annotated_types_and_gives_a_json_value(module, name, arguments, value):
    result = await module(name, **arguments)
    assert (result.value, result.failure) == (value, None)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("fail", {"message": "nothing here"}, "LookupError: nothing here"),
        ("broken", {}, "ValueError: asynchronously"),
        ("stop", {}, "StopIteration: no more"),
        ("leave", {}, "SystemExit: 3"),
        ("unspeakable", {}, "TypeError: the function returned 'object', which JSON cannot carry; return plain values"),
        ("circle", {}, "ValueError: the result contains itself, or is nested more than 200 levels deep"),
    ],
)
async def test_what_a_function_raises_is_told(module, name, arguments, message):
    failure = (await module(name, **arguments)).failure
    assert (failure.kind, failure.message, failure.sent) == ("tool", message, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "point: Field required"),
        ({"point": {"x": "many"}}, "point.x: Input should be a valid integer"),
        ({"point": {"x": 1}, "far": 2}, "far: Extra inputs are not permitted (got 2)"),
    ],
)
async def test_arguments_that_do_not_fit_are_never_passed(module, arguments, words):
    failure = (await module("moved", **arguments)).failure
    assert (failure.kind, failure.sent) == ("arguments", False)
    assert words in failure.message


async def test_plain_functions_run_side_by_side_in_threads(module):
    names = []

    async def one():
        names.append((await module("meet")).value)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(one)
    assert len(names) == 3
    assert threading.current_thread().name not in names


@pytest.mark.parametrize(("name", "arguments"), [("hang", {}), ("later", {"seconds": 60})])
async def test_a_function_that_never_returns_is_left_behind(module, name, arguments):
    failure = (await module(name, limit=0.1, **arguments)).failure
    assert (failure.kind, failure.message) == ("timeout", f"{name_of(name)} gave no answer within 0.1 s")
    assert (await module("later")).ok


def name_of(function):
    return f"things.{function}"


def test_a_function_that_never_returns_does_not_keep_the_process_alive(tmp_path):
    (tmp_path / "things.py").write_text(MODULE, encoding="utf-8")
    program = (
        "import anyio\n"
        "from toolweft_catalog.call import Call\n"
        "from toolweft_server.upstream.python import PythonUpstream\n"
        "async def main():\n"
        "    upstream = PythonUpstream('things', module='things.py')\n"
        "    tools = {tool.name: tool for tool in (await upstream.manifest()).tools}\n"
        "    print((await upstream(Call(tools['hang'], timeout=0.1))).failure.kind)\n"
        "anyio.run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=50,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["timeout"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_library_anywhere", "needs 'no_such_library_anywhere', which is missing. Install"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def (", "raised SyntaxError"),
        ("raise SystemExit(1)", "raised SystemExit"),
    ],
)
async def test_a_module_that_cannot_be_imported_names_the_cause_and_the_fix(tmp_path, source, words):
    path = tmp_path / "broken.py"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(UpstreamError, match=words) as caught:
        await PythonUpstream("broken", module=str(path)).manifest()
    assert caught.value.cause == "import"


@pytest.mark.parametrize("module", ["no_such_module_anywhere", "json.nothing", "/nowhere/at_all.py"])
async def test_a_module_that_is_not_there_is_said_and_a_call_to_it_was_not_sent(module):
    upstream = PythonUpstream("gone", module=module)
    with pytest.raises(UpstreamError, match=r"there is no|no module"):
        await upstream.manifest()


async def test_a_tool_that_the_module_lost_is_unknown(tmp_path):
    path = tmp_path / "two.py"
    path.write_text("def a(): ...\ndef b(): ...", encoding="utf-8")
    tool = (await PythonUpstream("two", module=str(path)).manifest()).tools[1]
    path.write_text("def a(): ...", encoding="utf-8")
    failure = (await PythonUpstream("two", module=str(path))(Call(tool))).failure
    assert (failure.kind, failure.sent) == ("unknown_tool", False)


async def test_a_module_is_imported_once_whoever_asks_first(tmp_path):
    log = tmp_path / "log"
    path = tmp_path / "counted.py"
    source = f"with open({str(log)!r}, 'a', encoding='utf-8') as f: f.write('x')\ndef a(): ..."
    path.write_text(source, encoding="utf-8")
    upstream = PythonUpstream("counted", module=str(path))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(upstream.manifest)
    assert log.read_text(encoding="utf-8") == "x"
