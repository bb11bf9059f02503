"""`World`: what stands behind a benchmark's tools, its state, and the log of every call that really reached it.

A world lives in the process of a real MCP server (`benchmarks.agent.serve`). The runner talks to it through a folder
and never through a tool: `now.json` says which task runs, as which run, and what goes wrong in it; `RUN.jsonl` is what
was called in that run. So no figure about writes rests on what the agent says of itself.

Not covered: two runs at once in one folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

Effect = Literal["read", "add", "change", "remove"]
"""What a call does to the world. `add` makes something new each time, so a second one is a duplicate."""

Trouble = Literal[
    "",
    "error_once",
    "error_always",
    "huge",
    "slow",
    "inject",
    "no_data",
    "dies_after",
    "dies_reading",
    "moved",
    "killed",
]
"""`no_data`: nothing where data was due. `dies_after`: the call takes effect and the process ends before it answers: an
outcome that nobody knows. `dies_reading`: the same of a call that changes nothing; toolweft starts the server again.
`moved`: from its first call on, which fails, the tool has another name. `killed`: toolweft itself is killed during
a call that changes nothing; it is started again, and the run resumed."""


MOVED = "{}_anew"
"""What a tool is called once it was `moved`."""


class ToolFailure(Exception):  # noqa: N818 - it is a tool's answer, not a fault of this code
    """What a tool says when it cannot do what was asked."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One tool. `parameters` are JSON Schema properties; all those not in `optional` are required."""

    name: str
    description: str
    effect: Effect
    parameters: Mapping[str, Mapping[str, Any]]
    run: Callable[[Mapping[str, Any]], Any]
    optional: frozenset[str] = frozenset()
    output: Mapping[str, Any] | None = None
    """JSON Schema of the result, always an object; `None` where the family declares none."""

    @property
    def schema(self) -> dict[str, Any]:
        required = [name for name in self.parameters if name not in self.optional]
        return {"type": "object", "properties": dict(self.parameters), "required": required,
                "additionalProperties": False}  # fmt: skip


class World(Protocol):
    name: str
    """Of its server in the configuration."""

    def operations(self) -> Sequence[Operation]: ...

    def reset(self, task: str) -> None:
        """The state in which that task begins."""
        ...


@dataclass(frozen=True, slots=True)
class Now:
    """What runs. `tool` is the one that `trouble` befalls, on its first call that arrives."""

    run: int
    task: str
    tool: str = ""
    trouble: Trouble = ""

    def write(self, folder: Path) -> None:
        """At once or not at all: a server may read in the same moment."""
        draft = folder / "now.json.new"
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(folder / "now.json")

    @classmethod
    def read(cls, folder: Path) -> Now:
        return cls(**json.loads((folder / "now.json").read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Logged:
    """One call that reached the world. `tool` is the id the agent knows it by, `server.operation`."""

    run: int
    tool: str
    effect: Effect
    arguments: Mapping[str, Any]
    result: Any = None
    failure: str = ""

    @property
    def key(self) -> str:
        """Equal for calls that mean the same."""
        return f"{self.tool} {json.dumps(self.arguments, sort_keys=True)}"


def read_log(folder: Path, run: int) -> list[Logged]:
    path = folder / f"{run}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Logged(**json.loads(line)) for line in lines]


@dataclass
class Stage:
    """A world with its log and with what goes wrong: all that the server's process needs."""

    world: World
    folder: Path
    _run: int = -1
    moved: str = ""
    """The operation that has another name in this run."""

    def __post_init__(self) -> None:
        self._operations = {each.name: each for each in self.world.operations()}

    def operations(self) -> list[Operation]:
        """As the server lists them now."""
        return [
            replace(each, name=MOVED.format(each.name)) if each.name == self.moved else each
            for each in self._operations.values()
        ]

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[Any, Trouble]:
        """The result, and what the server still has to do to it.

        Raises:
            ToolFailure: The tool says no, or there is none of the name.

        """
        self.turn()
        now, asked = Now.read(self.folder), name
        name = self.moved if self.moved and name == MOVED.format(self.moved) else name
        if name not in self._operations or asked == self.moved:
            raise ToolFailure(f"Unknown tool: {asked}")
        operation = self._operations[name]
        tool = f"{self.world.name}.{name}"
        trouble: Trouble = now.trouble if tool == now.tool else ""
        mark = self.folder / f"{now.run}.troubled"
        if trouble and trouble != "error_always" and mark.exists():
            trouble = ""
        if trouble:
            mark.touch()
        if trouble == "moved":
            self.moved = name
            self._log(Logged(now.run, tool, operation.effect, arguments, failure="moved"))
            raise ToolFailure(f"Unknown tool: {name}")
        if trouble in ("error_once", "error_always"):
            words = "the service is busy, try again" if trouble == "error_once" else "this service has been closed"
            self._log(Logged(now.run, tool, operation.effect, arguments, failure=words))
            raise ToolFailure(words)
        try:
            result = operation.run(arguments)
        except ToolFailure as failure:
            self._log(Logged(now.run, tool, operation.effect, arguments, failure=str(failure)))
            raise
        self._log(Logged(now.run, tool, operation.effect, arguments, result=result))
        return result, trouble

    def turn(self) -> None:
        """Takes up the run that `now.json` names, if it is another one."""
        now = Now.read(self.folder)
        if now.run != self._run:
            self._begin(now)

    def _begin(self, now: Now) -> None:
        """A new task; or the same one after this process died, whose calls are then done again to have their effect."""
        self.world.reset(now.task)
        self._run, self.moved = now.run, ""
        for each in read_log(self.folder, now.run):
            server, _, name = each.tool.partition(".")
            if server == self.world.name and not each.failure and each.effect != "read":
                self._operations[name].run(each.arguments)

    def _log(self, line: Logged) -> None:
        """Out of this process before the answer is, should it die the next moment."""
        with (self.folder / f"{line.run}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(line), default=str) + "\n")
