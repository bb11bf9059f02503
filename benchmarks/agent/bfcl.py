"""BFCL multi-turn, base and long context, over a checkout given by path: its tools, data and checker, none of it ours.

A task is one entry with all its turns joined into one request. It is judged by upstream's own checker over the calls
that reached the world: the state they leave and the answers they gave, both against the gold calls. The turns are one
turn here, so a state that was right in between and is wrong at the end counts as wrong, and the other way round.

Upstream's tools tell of an error in their result; here such a result fails the call, as any MCP server would.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.agent.gold import program
from benchmarks.agent.task import Task
from benchmarks.agent.world import Effect, Logged, Operation, ToolFailure, World

CATEGORIES = ("base", "long_context")
CLASSES = ("GorillaFileSystem", "MathAPI", "MessageAPI", "TicketAPI", "TradingBot", "TravelAPI", "TwitterAPI",
           "VehicleControlAPI")  # fmt: skip
_READS = ("get_", "list_", "view_", "search_", "check_", "display_", "estimate_", "find", "ls", "pwd", "cat", "tail",
          "grep", "sort", "diff", "wc", "du", "retrieve_", "verify_", "compute_")  # fmt: skip
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list, tuple),
    "object": (dict,),
}  # fmt: skip
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_KEPT = ("description", "enum", "items", "properties", "required")


class Upstream:
    def __init__(self, checkout: Path) -> None:
        """
        Raises:
            SystemExit: The folder holds no BFCL.

        """
        inner = checkout / "berkeley-function-call-leaderboard"
        root = inner if inner.is_dir() else checkout
        if not (root / "bfcl_eval" / "eval_checker").is_dir():
            raise SystemExit(f"{str(checkout)!r} holds no bfcl_eval: give the folder of the upstream checkout")
        sys.path.insert(0, str(root))
        self._data = root / "bfcl_eval" / "data"
        where = importlib.import_module("bfcl_eval.constants.executable_backend_config")
        self.files: Mapping[str, str] = where.CLASS_FILE_PATH_MAPPING
        self._docs: Mapping[str, str] = where.MULTI_TURN_FUNC_DOC_FILE_MAPPING
        self.check = importlib.import_module(
            "bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker"
        ).multi_turn_checker
        names = [f"BFCL_v4_multi_turn_{category}.json" for category in CATEGORIES]
        answers = self._data / "possible_answer"
        self.entries = {row["id"]: row for name in names for row in _rows(self._data / name)}
        self.gold = {row["id"]: row["ground_truth"] for name in names for row in _rows(answers / name)}
        self._methods: Mapping[str, Sequence[str]] = {
            name: list(inspect.signature(method).parameters)
            for each in CLASSES
            for name, method in inspect.getmembers(self.instance(each, {}), inspect.ismethod)
        }

    def parsed(self, text: str) -> tuple[str, dict[str, Any]]:
        """A gold call: the tool, and its arguments by name."""
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Name)
        arguments = dict(zip(self._methods[call.func.id], map(ast.literal_eval, call.args), strict=False))
        return call.func.id, arguments | {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}

    def passed(self) -> dict[tuple[str, str], list[Any]]:
        """What the gold calls give each parameter of each tool."""
        found: dict[tuple[str, str], list[Any]] = {}
        for text in (call for turns in self.gold.values() for turn in turns for call in turn):
            tool, arguments = self.parsed(text)
            for name, value in arguments.items():
                found.setdefault((tool, name), []).append(value)
        return found

    def instance(self, name: str, scenario: Mapping[str, Any], *, long_context: bool = False) -> Any:
        made = getattr(importlib.import_module(self.files[name]), name)()
        if hasattr(made, "_load_scenario"):
            made._load_scenario(copy.deepcopy(dict(scenario)), long_context=long_context)  # noqa: SLF001 - upstream's own way in
        return made

    def documents(self, name: str) -> list[Mapping[str, Any]]:
        return _rows(self._data / "multi_turn_func_doc" / self._docs[name])


class Errands:
    name = "bfcl"

    def __init__(self, checkout: Path) -> None:
        self.upstream = Upstream(checkout)
        self._held: dict[str, Any] = {}

    def reset(self, task: str) -> None:
        entry = self.upstream.entries.get(task, {"involved_classes": [], "initial_config": {}})
        scenarios, long = entry["initial_config"], "long_context" in task
        self._held = {
            each: self.upstream.instance(each, scenarios.get(each, {}), long_context=long)
            for each in entry["involved_classes"]
        }

    def operations(self) -> Sequence[Operation]:
        passed = self.upstream.passed()
        return [
            Operation(
                row["name"], row["description"].partition("Tool description: ")[2] or row["description"],
                _effect(each, row["name"]), _properties(row, passed), self._run(each, row["name"]),
                frozenset(set(row["parameters"]["properties"]) - set(row["parameters"].get("required", ()))),
            )
            for each in CLASSES
            for row in self.upstream.documents(each)
        ]  # fmt: skip

    def _run(self, owner: str, name: str) -> Callable[[Mapping[str, Any]], Any]:
        def run(arguments: Mapping[str, Any]) -> dict[str, Any]:
            if owner not in self._held:
                raise ToolFailure(f"{name} is not there in this session")
            try:
                made = getattr(self._held[owner], name)(**copy.deepcopy(dict(arguments)))
            except Exception as error:
                raise ToolFailure(str(error)) from error
            plain = json.loads(json.dumps(made, default=str))
            if isinstance(plain, dict) and plain.get("error"):
                raise ToolFailure(str(plain["error"]))
            return plain if isinstance(plain, dict) else {"result": plain}

        return run


class Bfcl:
    measures = ("valid",)

    def __init__(self, checkout: Path, category: str = "base") -> None:
        self.name = f"bfcl-{category}"
        self.label = f"BFCL v4 multi-turn {category}, all turns as one task, upstream's checker"
        self.excluded: dict[str, str] = {}
        self._world, self._category = Errands(checkout), category
        self._numbers = itertools.count()

    def worlds(self) -> Sequence[World]:
        return [self._world]

    def tasks(self) -> Sequence[Task]:
        rows = self._world.upstream.entries.items()
        return [Task(name, _request(row), self._program(name)) for name, row in rows if self._category in name]

    def score(self, task: Task, answer: Any, calls: Sequence[Logged], *, answered: bool) -> Mapping[str, bool]:  # noqa: ARG002
        """What upstream says of the calls. Each judgement has a name of its own: upstream keeps instances by name."""
        upstream = self._world.upstream
        made = [f"{each.tool.partition('.')[2]}({_given(each.arguments)})" for each in calls]
        gold = [call for turn in upstream.gold[task.id] for call in turn]
        entry = upstream.entries[task.id]
        verdict = upstream.check([[made]], [gold], entry, self._category, f"run{next(self._numbers)}")
        return {"valid": answered and bool(verdict["valid"])}

    def _program(self, task: str) -> str:
        """The gold calls in order. One that upstream means to fail is allowed to."""
        world, lines, kept = self._world, list[str](), list[str]()
        world.reset(task)
        named = {each.name: each for each in world.operations()}
        for number, text in enumerate((call for turn in world.upstream.gold[task] for call in turn), 1):
            name, arguments = world.upstream.parsed(text)
            lines.append(f"step_{number} = bfcl.{name}({_given(arguments)})")
            try:
                named[name].run(arguments)
            except ToolFailure:
                lines[-1:] = [
                    "try:",
                    f"    {lines[-1]}",
                    "except ToolError as error:",
                    f"    step_{number} = str(error)",
                ]
            kept.append(f"step_{number}")
        return program("What the person asks for, one after the other.", lines, f"[{', '.join(kept)}]")


def _rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _given(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _request(row: Mapping[str, Any]) -> str:
    said = [message["content"] for turn in row["question"] for message in turn if message["role"] == "user"]
    return "Do what this person asks for, one after the other:\n" + "\n".join(said)


def _effect(owner: str, name: str) -> Effect:
    return "read" if owner == "MathAPI" or name.startswith(_READS) else "add"


def _properties(row: Mapping[str, Any], passed: Mapping[tuple[str, str], Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """A type that upstream's own gold calls break is not said: upstream never checks it, and we would."""
    made = {name: _schema(each) for name, each in row["parameters"]["properties"].items()}
    for name, schema in made.items():
        if not all(isinstance(value, _KINDS[schema["type"]]) for value in passed.get((row["name"], name), ())):
            del schema["type"]
    return made


def _schema(given: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema from upstream's own dialect of it."""
    made: dict[str, Any] = {key: given[key] for key in _KEPT if key in given}
    made["type"] = _TYPES.get(given.get("type", "string"), given.get("type", "string"))
    if "items" in made:
        made["items"] = _schema(made["items"])
    if "properties" in made:
        made["properties"] = {name: _schema(each) for name, each in made["properties"].items()}
    return made
