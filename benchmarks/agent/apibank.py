"""API-Bank, levels 1 and 2, over a checkout given by path: its tools, data and checkers, none of them carried here.

Protocol A (`apibank`) asks for the next call of a dialogue; the gold calls before it have been made in the same world.
Protocol B (`apibank-tasks`) asks for a whole dialogue; every gold call has to be matched, in order, by a call that
upstream's checker accepts. A call is judged by upstream's own checker of its tool, over what really came back.

Out of scope: `ToolSearcher`, which `find_tools` stands for, and three tools that need the network. Excluded with their
reason in `excluded`: gold calls that upstream's own checker rejects when they are made to the letter.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

from benchmarks.agent.gold import program
from benchmarks.agent.task import Task
from benchmarks.agent.world import Effect, Logged, Operation, ToolFailure, World

OUT = frozenset({"ToolSearcher", "Translate", "Dictionary", "SearchEngine"})
LEVELS = ("level-1-given-desc", "level-2-toolsearcher")

_STUBBED = ("sentence_transformers", "googletrans", "rank_bm25", "nltk", "nltk.tokenize")
"""Imported when upstream's package is, and needed by tools out of scope alone."""
_READS = ("Query", "Get", "Search", "Calculator", "CheckToken", "DocumentQA", "EmergencyKnowledge", "ImageCaption",
          "PlayMusic", "SpeechRecognition", "SymptomSearch", "Wiki")  # fmt: skip
_REMOVES = ("Delete", "Cancel", "Modify", "Forgot")
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"},
    "list": {"type": "array"}, "list(str)": {"type": "array", "items": {"type": "string"}},
}  # fmt: skip
_RENAMED = {("CancelTimedSwitch", "device_id"): "name", ("TimedSwitch", "device_id"): "name"}
"""Gold arguments under a name that the tool does not have."""


class Gold(NamedTuple):
    tool: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]


class Dialogue(NamedTuple):
    id: str
    turns: Sequence[Mapping[str, Any]]
    """Upstream's rows, as they are."""


class Upstream:
    """What is read of the checkout. Its modules find their data by the current folder, so loading changes into it."""

    def __init__(self, checkout: Path) -> None:
        """
        Raises:
            SystemExit: The folder holds no API-Bank.

        """
        self.folder = checkout if (checkout / "apis").is_dir() else checkout / "api-bank"
        if not (self.folder / "tool_manager.py").is_file():
            raise SystemExit(f"{str(checkout)!r} holds no api-bank: give the folder of the upstream checkout")
        with _inside(self.folder):
            for name in _STUBBED:
                sys.modules.setdefault(name, MagicMock())
            self._manager = importlib.import_module("tool_manager").ToolManager()
        self._databases = json.dumps(self._manager.init_databases)
        rows = {row["name"]: row for row in self._manager.apis}
        self.classes: dict[str, Mapping[str, Any]] = {name: rows[name] for name in sorted(rows) if name not in OUT}

    def manager(self) -> Any:
        """All tools over new databases, as upstream's own start makes them, but without reading the files again."""
        made, databases = copy.copy(self._manager), json.loads(self._databases)
        made.init_databases, made.inited_tools = databases, {}
        made.apis = [
            {**row, "init_database": databases[row["class"].database_name]} if "init_database" in row else row
            for row in self._manager.apis
        ]
        made.token_checker = made.init_tool("CheckToken")
        return made

    def dialogues(self) -> list[Dialogue]:
        paths = [path for level in LEVELS for path in sorted((self.folder / "lv1-lv2-samples" / level).glob("*.jsonl"))]
        return [
            Dialogue(
                f"{path.parent.name[:7]}/{path.stem}",
                [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()],
            )
            for path in paths
        ]

    def gold(self, row: Mapping[str, Any]) -> Gold:
        """A gold call with arguments of the declared types: lists stand as text in the data."""
        name, declared = row["api_name"], self.classes[row["api_name"]]["input_parameters"]

        def renamed(given: Mapping[str, Any] | None) -> dict[str, Any]:
            return {_RENAMED.get((name, key), key): value for key, value in (given or {}).items()}

        arguments = renamed(row["param_dict"]).items()
        typed = {key: _typed(value, declared[key]["type"]) for key, value in arguments if key in declared}
        return Gold(name, typed, {**row["result"], "input": renamed(row["result"]["input"])})

    def accepts(self, manager: Any, gold: Gold, response: Mapping[str, Any]) -> bool:
        """Upstream's checker. It takes both apart, so it gets copies; on what it cannot judge it raises."""
        try:
            with _inside(self.folder):
                tool = manager.init_tool(gold.tool)
                return bool(tool.check_api_call_correctness(copy.deepcopy(dict(response)), copy.deepcopy(gold.result)))
        except Exception:  # noqa: BLE001 - whatever upstream's checker raises on a wrong answer
            return False


class Bank:
    name = "bank"

    def __init__(self, checkout: Path) -> None:
        self.upstream = Upstream(checkout)
        self._before = {task: calls for task, calls, _ in _next_calls(self.upstream)}
        self.manager = self.upstream.manager()

    def reset(self, task: str) -> None:
        """A new world in which the dialogue's earlier gold calls have been made (protocol A; none in B)."""
        self.manager = self.upstream.manager()
        for gold in self._before.get(task, ()):
            self.respond(gold.tool, gold.arguments)

    def respond(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        with _inside(self.upstream.folder):
            made: Mapping[str, Any] = self.manager.init_tool(tool).call(**arguments)
        return made

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(name, str(row["description"]), _effect(name), _parameters(row), self._run(name), _optional(row))
            for name, row in self.upstream.classes.items()
        ]

    def _run(self, name: str) -> Callable[[Mapping[str, Any]], Any]:
        def run(arguments: Mapping[str, Any]) -> dict[str, Any]:
            made = self.respond(name, arguments)
            if made["exception"]:
                raise ToolFailure(str(made["exception"]))
            return {"output": made["output"], "exception": None}

        return run


class ApiBank:
    measures = ("accepted",)

    def __init__(self, checkout: Path, *, whole: bool = False) -> None:
        self.name = "apibank-tasks" if whole else "apibank"
        self.label = f"API-Bank L1 and L2, {'whole dialogues' if whole else 'next call'}, upstream's checkers"
        self._bank, self._whole = Bank(checkout), whole
        self._gold: dict[str, list[Gold]] = {}
        self._tasks: list[Task] = []
        self.excluded: dict[str, str] = {}
        for task, _, rows in _whole(self._bank.upstream) if whole else _next_calls(self._bank.upstream):
            self._add(task, rows)

    def worlds(self) -> Sequence[World]:
        return [self._bank]

    def tasks(self) -> Sequence[Task]:
        return self._tasks

    def score(self, task: Task, answer: Any, calls: Sequence[Logged], *, answered: bool) -> Mapping[str, bool]:  # noqa: ARG002
        """Each gold call in order by one that is accepted; in protocol A it must be the only one made.

        A repair may make it again, which is harm, and is counted as such, if it was a write.
        """
        made = [each for each in calls if not each.failure]
        rest = iter(made)
        manager = self._bank.upstream.manager()

        def matched(gold: Gold) -> bool:
            return any(
                self._bank.upstream.accepts(manager, gold, _response(each))
                for each in rest
                if each.tool == f"bank.{gold.tool}"
            )

        alone = self._whole or len({each.key for each in made}) == 1
        return {"accepted": alone and all(matched(gold) for gold in self._gold[task.id])}

    def _add(self, task: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """The task, unless upstream rejects its own gold calls."""
        gold = [self._bank.upstream.gold(row) for row in rows if row["role"] == "API" and row["api_name"] not in OUT]
        wanted = gold if self._whole else gold[-1:]
        self._bank.reset(task)
        for each in wanted:
            try:
                response = self._bank.respond(each.tool, each.arguments)
            except Exception as error:  # noqa: BLE001 - upstream's tool over upstream's data
                self.excluded[task] = f"{each.tool} raises {error!r}"
                return
            if response.get("exception") or not self._bank.upstream.accepts(self._bank.manager, each, response):
                self.excluded[task] = f"{each.tool}: upstream's checker rejects its own gold call"
                return
        if wanted:
            self._gold[task] = wanted
            self._tasks.append(Task(task, _request(rows, whole=self._whole), _program(wanted)))


def _next_calls(upstream: Upstream) -> Iterator[tuple[str, list[Gold], list[Mapping[str, Any]]]]:
    """Every call in scope: its id, the gold calls before it, and the dialogue up to it, the call included."""
    for dialogue in upstream.dialogues():
        before: list[Gold] = []
        for number, row in enumerate(dialogue.turns):
            if row["role"] == "API" and row["api_name"] not in OUT:
                yield f"{dialogue.id}#{number}", list(before), list(dialogue.turns[: number + 1])
                before.append(upstream.gold(row))


def _whole(upstream: Upstream) -> Iterator[tuple[str, list[Gold], list[Mapping[str, Any]]]]:
    for dialogue in upstream.dialogues():
        yield dialogue.id, [], list(dialogue.turns)


def _request(rows: Sequence[Mapping[str, Any]], *, whole: bool) -> str:
    """In A the dialogue so far with its calls, in B what the user said: the words are upstream's, the frame is ours."""
    if whole:
        return "Do what this person asks for, one after the other:\n" + "\n".join(
            str(row["text"]) for row in rows if row["role"] == "User"
        )
    told = [
        f"{row['role']}: {row['text']}" if "text" in row
        else f"Called: {row['api_name']}({json.dumps(row['param_dict'])}) -> {json.dumps(row['result']['output'])}"
        for row in rows[:-1]
    ]  # fmt: skip
    return "Make the one tool call that comes next in this dialogue; the year is 2023.\n" + "\n".join(told)


def _program(gold: Sequence[Gold]) -> str:
    """With the gold arguments as literals: upstream's dialogues tell every value."""
    lines = []
    for number, each in enumerate(gold, 1):
        given = ", ".join(f"{key}={value!r}" for key, value in each.arguments.items())
        lines.append(f"answer_{number} = bank.{each.tool}({given})")
    return program(
        "The calls of the dialogue.", lines, f"[{', '.join(f'answer_{n}' for n in range(1, len(gold) + 1))}]"
    )


def _response(call: Logged) -> dict[str, Any]:
    """What upstream's tool answered, in upstream's form."""
    return {"api_name": call.tool.partition(".")[2], "input": dict(call.arguments) or None, **call.result}


def _parameters(row: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    declared = row["input_parameters"].items()
    return {key: {**_TYPES[each["type"]], "description": each["description"]} for key, each in declared}


def _optional(row: Mapping[str, Any]) -> frozenset[str]:
    """What upstream's function can do without, which its descriptions do not say."""
    given = inspect.signature(row["class"].call).parameters
    if any(each.kind is each.VAR_KEYWORD for each in given.values()):
        return frozenset(set(row["input_parameters"]) - set(given))
    return frozenset(name for name, each in given.items() if each.default is not each.empty)


def _effect(name: str) -> Effect:
    if name.startswith(_READS):
        return "read"
    return "remove" if name.startswith(_REMOVES) else "add"


def _typed(value: Any, kind: str) -> Any:
    if kind in ("list", "list(str)") and isinstance(value, str):
        return ast.literal_eval(value)
    if kind == "bool":
        return value in (True, "True")
    return int(value) if kind == "int" else float(value) if kind == "float" else value


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Upstream reads `./apis` and `./init_database`, and draws from the global generator."""
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        os.chdir(before)
