"""M3ToolEval, 82 tasks in five worlds, over a checkout given by path: its tools, tasks and judgement, none of it ours.

A task is one request with one right answer, judged by upstream's own rule over the answer as text. In four worlds
upstream computes that answer by an expression over its own tools; this expression, read from upstream's source at run
time, is the gold program, with the tools called where it calls functions. In the fifth, a shop to be browsed, the
answers stand in a table, and the gold programs are ours: they follow links from the first page on.

Left out, with the reason in `excluded`: tasks whose gold program upstream's rule rejects, or that has none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import MagicMock, patch

from benchmarks.agent.gold import program
from benchmarks.agent.task import Task, play
from benchmarks.agent.world import Effect, Logged, Operation, ToolFailure, World
from benchmarks.agent.worlds import ROOMS

SHOP = "web_browsing"
_STUBBED = ("tqdm", "IPython", "IPython.core", "IPython.core.interactiveshell", "IPython.utils")
"""Imported when upstream's package is, and needed by upstream's own runner alone."""
_TYPES: Mapping[str, str] = {"str": "string", "int": "integer", "float": "number"}
_MOVES = ("click_url", "go_to_previous_page", "scroll_down", "scroll_up")
"""Tools that change what the next one shows. All others only read, whatever they are called."""


class Parameters(NamedTuple):
    names: tuple[str, ...]
    rest: str
    """Of those that are given without a name, any number of them; empty where there are none."""


class Upstream:
    """What is read of the checkout."""

    def __init__(self, checkout: Path) -> None:
        """
        Raises:
            SystemExit: The folder holds no M3ToolEval.

        """
        inner = checkout / "scripts" / "eval" / "m3tooleval"
        folder = inner if inner.is_dir() else checkout
        if not (folder / "tasks" / "impl").is_dir():
            raise SystemExit(f"{str(checkout)!r} holds no m3tooleval: give the folder of the upstream checkout")
        stubs = {name: MagicMock() for name in _STUBBED}
        # It prints each task with its answer; its modules have names that anybody's may have.
        path = patch.object(sys, "path", [str(folder), *sys.path])
        with redirect_stdout(io.StringIO()), patch.dict(sys.modules, stubs), path:
            self.modules: Mapping[str, ModuleType] = {
                name: importlib.import_module(f"tasks.impl.{name}") for name in ROOMS
            }

    def tools(self, world: str) -> Mapping[str, Any]:
        """New ones: those of the shop share a browser that stands on the first page."""
        module = self.modules[world]
        made: Mapping[str, Any] = module.create_tools() if world == SHOP else module.CUR_TOOLS
        return made


class Room:
    """One of the worlds."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self.name, self._upstream = name, upstream
        self.tools = upstream.tools(name)
        self.parameters = {tool: _parameters(each.function) for tool, each in self.tools.items()}

    def reset(self, task: str) -> None:  # noqa: ARG002 - each task begins in the same state
        self.tools = self._upstream.tools(self.name)

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                name, each.description, _effect(name), _schemas(each, self.parameters[name]), self._run(name),
                frozenset({self.parameters[name].rest} - {""}),
            )
            for name, each in self.tools.items()
        ]  # fmt: skip

    def _run(self, name: str) -> Callable[[Mapping[str, Any]], Any]:
        names, rest = self.parameters[name]

        def run(arguments: Mapping[str, Any]) -> dict[str, Any]:
            given = [arguments[each] for each in names]
            try:
                return {"result": self.tools[name].function(*given, *arguments.get(rest, ()))}
            except Exception as error:
                raise ToolFailure(f"{type(error).__name__}: {error}") from error

        return run


class M3ToolEval:
    name = "m3tooleval"
    label = "M3ToolEval, upstream's rule for answers"
    measures = ("correct",)

    def __init__(self, checkout: Path) -> None:
        upstream = Upstream(checkout)
        self._rooms = [Room(name, upstream) for name in ROOMS]
        self._given: dict[str, Any] = {}
        self._tasks: list[Task] = []
        self.excluded: dict[str, str] = {}
        for room in self._rooms:
            module = upstream.modules[room.name]
            expressions = _expressions(module)
            for given in module.TASKS:
                self._given[given.name] = given
                self._add(given, _browsed(given) if room.name == SHOP else _computed(given, room, module, expressions))

    def worlds(self) -> Sequence[World]:
        return self._rooms

    def tasks(self) -> Sequence[Task]:
        return self._tasks

    def score(self, task: Task, answer: Any, calls: Sequence[Logged], *, answered: bool) -> Mapping[str, bool]:  # noqa: ARG002
        return {"correct": answered and bool(self._given[task.id].check_answer(str(answer)))}

    def _add(self, given: Any, source: str | None) -> None:
        """The task, unless it has no gold program or upstream rejects what that one answers."""
        if source is None:
            self.excluded[given.name] = "no program is known for it"
            return
        task = Task(given.name, given.instruction, source)
        try:
            value = play(task, self._rooms).value
        except Exception as error:  # noqa: BLE001 - upstream's tools over upstream's data
            self.excluded[given.name] = f"its gold program ends with {error!r}"
            return
        if not given.check_answer(str(value)):
            self.excluded[given.name] = f"upstream's rule rejects {value!r}"
            return
        self._tasks.append(task)


# ---- gold programs from upstream's own expressions ---------------------------------------------------------------


def _expressions(module: ModuleType) -> dict[str, ast.expr]:
    """What computes the expected answer of each task that is written out, by the part of its name after the slash."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Task":
            given = {str(each.arg): each.value for each in node.keywords}
            found[ast.unparse(given["name"]).rstrip("'\"").rpartition("/")[2]] = given["expected_output"]
    return found


def _computed(given: Any, room: Room, module: ModuleType, expressions: Mapping[str, ast.expr]) -> str | None:
    expression = expressions.get(given.name.partition("/")[2])
    if expression is None:
        return None
    served = _Served(room, vars(module))
    value = ast.unparse(ast.fix_missing_locations(served.visit(expression)))
    if isinstance(given.expected_output, tuple):  # what comes from a server is a list, and upstream compares texts
        value = f"str(tuple({value}))"
    lines = [line for helper in served.helpers.values() for line in helper.split("\n")]
    return program("What the request asks for.", lines, value)


class _Served(ast.NodeTransformer):
    """Calls of upstream's functions as calls of the tools that they are; constants of its module as they are."""

    def __init__(self, room: Room, names: Mapping[str, Any]) -> None:
        self._room, self._names = room, names
        self._tools = {name for name, each in room.tools.items() if names.get(name) is each.function}
        self.helpers: dict[str, str] = {}
        """Functions of the module that are no tools, as source, those that others need first."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id in self._tools):
            return node
        names, rest = self._room.parameters[node.func.id]
        keywords = [ast.keyword(name, each) for name, each in zip(names, node.args, strict=False)]
        if more := node.args[len(names) :]:
            keywords.append(ast.keyword(rest, ast.List(more, ast.Load())))
        tool = ast.Attribute(ast.Name(self._room.name, ast.Load()), node.func.id, ast.Load())
        return ast.Subscript(ast.Call(tool, [], keywords), ast.Constant("result"), ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._names.get(node.id)
        if isinstance(value, list | str) and isinstance(node.ctx, ast.Load):
            return ast.parse(repr(value), mode="eval").body
        if inspect.isfunction(value) and node.id not in (*self._tools, *self.helpers):
            (helper,) = ast.parse(inspect.getsource(value)).body
            self.helpers[node.id] = ast.unparse(ast.fix_missing_locations(self.visit(helper)))
        return node


# ---- gold programs for the shop, whose answers stand in a table --------------------------------------------------

_FOLLOW = r"""
import re
def read(url):
    page = web_browsing.click_url(url=url)["result"]
    if "not found" in page:  # some links are spelt otherwise than the page is
        page = web_browsing.click_url(url=url.replace("_", "-"))["result"]
    for _ in range(1, int(re.search(r"page \d+ of (\d+)", page)[1])):
        page += web_browsing.scroll_down()["result"]
    return page
def links(url):
    return re.findall(r"- (.*?) \[Clickable '(.*?)'\]", read(url))
def slug(name):
    return "/" + name.lower().replace(" ", "_")
"""
_PRICE = r"""
def price(item):
    kinds = [url for kind, url in links("/products") if item.endswith(kind)]
    (page,) = [read(url) for _, url in links(kinds[0]) if url.endswith(slug(item))]
    return float(re.findall(r"\$([\d.]+)", page)[-1])
"""
_SUM = "sum(price(each) for each in {0!r}.split(', '))"
_PEOPLE = r"""
def people():
    return (url for _, team in links("/team") for _, url in links(team))
"""
_OF = "next(read(url) for url in people() if url.endswith(slug({0!r})))"
FAMILIES: Sequence[tuple[str, str, str]] = (
    (r"current price of (.+)\.", _PRICE, "price({0!r})"),
    (r"total price of \[(.+)\] after applying a 10% off", _PRICE, f"{_SUM} * 0.9"),
    (r"total price of \[(.+)\]", _PRICE, _SUM),
    (r"email of (.+)\.", _PEOPLE, f"re.search(r'Email: (.*)', {_OF})[1]"),
    (r"department of (.+)\.", _PEOPLE, f"re.search(r' of (.*) Department', {_OF})[1]"),
    (r"phone number of (.+)\.", _PEOPLE, f"re.search(r'Phone: (.*)', {_OF})[1]"),
    (r"expertise of (.+)\.", _PEOPLE, f"re.search(r'Expertise: (.*)', {_OF})[1]"),
    (r"How many people are in the (.+) Department", "",
     "next(len(links(url)) for team, url in links('/team') if {0!r} in team)"),
    (r"phone number is (.+)\?", _PEOPLE,
     "next(re.search(r'(.*) of .* Department', page)[1] for page in map(read, people()) if {0!r} in page)"),
)  # fmt: skip
"""What a request asks for as a pattern, and its program: functions, and the value with what the pattern found."""


def _browsed(given: Any) -> str | None:
    for asked, functions, value in FAMILIES:
        if found := re.search(asked, given.instruction):
            lines = (_FOLLOW + functions).replace("\n\n", "\n").strip("\n").split("\n")
            return program("Follows the links of the shop.", lines, value.format(found[1]))
    return None


# ---- upstream's functions as tools -------------------------------------------------------------------------------


def _parameters(function: Callable[..., Any]) -> Parameters:
    try:
        given = inspect.signature(function).parameters.values()
    except ValueError:  # min and max, which Python itself does not describe
        return Parameters((), "args")
    rest = [each.name for each in given if each.kind is each.VAR_POSITIONAL]
    return Parameters(tuple(each.name for each in given if each.name not in rest), "".join(rest))


def _schemas(tool: Any, parameters: Parameters) -> dict[str, Mapping[str, Any]]:
    """Types are the function's own or, where it has none, those of the signature that upstream shows to a model."""
    (shown,) = ast.parse(f"def {tool.fn_signature}: ...").body
    assert isinstance(shown, ast.FunctionDef)
    told = [ast.unparse(each.annotation) if each.annotation else "" for each in shown.args.args]
    kinds = dict(zip(parameters.names, told, strict=False)) if len(told) == len(parameters.names) else {}
    if shown.args.vararg and shown.args.vararg.annotation:
        kinds[parameters.rest] = ast.unparse(shown.args.vararg.annotation)
    with suppress(ValueError):
        own = inspect.signature(tool.function).parameters.values()
        kinds |= {each.name: each.annotation.__name__ for each in own if each.annotation is not each.empty}
    made: dict[str, Mapping[str, Any]] = {name: _typed(kinds.get(name, "")) for name in parameters.names}
    if parameters.rest:
        made[parameters.rest] = {"type": "array", "items": _typed(kinds.get(parameters.rest, ""))}
    return made


def _typed(kind: str) -> dict[str, str]:
    return {"type": _TYPES[kind]} if kind in _TYPES else {}


def _effect(name: str) -> Effect:
    return "add" if name in _MOVES else "read"
