"""`Task`, `Benchmark`, and `play`: a gold program run in this process, against the world itself.

`play` is where gold answers, gold paths and the writes that a task calls for come from: computed, never written down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from benchmarks.agent.world import Logged, Operation, ToolFailure, World


@dataclass(frozen=True, slots=True)
class Task:
    id: str
    text: str
    """What the agent is asked."""
    source: str
    """The gold program; its last line is the answer."""


class Played(NamedTuple):
    value: Any
    calls: list[Logged]
    """With those that failed and that the program went on from."""


class Benchmark(Protocol):
    name: str
    label: str
    """How results are to be called wherever they are shown."""

    @property
    def measures(self) -> Sequence[str]:
        """Keys of `score`; the first is what counts as success."""
        ...

    @property
    def excluded(self) -> Mapping[str, str]:
        """Ids of tasks that are left out, and why."""
        ...

    def worlds(self) -> Sequence[World]: ...

    def tasks(self) -> Sequence[Task]: ...

    def score(self, task: Task, answer: Any, calls: Sequence[Logged], *, answered: bool) -> Mapping[str, bool]:
        """`calls` are those that reached the world; `answer` is what the agent gave back, `answered` whether it did."""
        ...


def operations(worlds: Sequence[World]) -> dict[str, Operation]:
    return {f"{world.name}.{each.name}": each for world in worlds for each in world.operations()}


def play(task: Task, worlds: Sequence[World]) -> Played:
    """Runs the gold program.

    Raises:
        Exception: Whatever the program raises: a gold program that fails is a defect of the benchmark.

    """
    calls: list[Logged] = []
    names: dict[str, Any] = {"ToolError": ToolFailure}
    for world in worlds:
        world.reset(task.id)
        bound = {each.name: _caller(world, each, calls) for each in world.operations()}
        names[world.name] = SimpleNamespace(**bound)
    lines = task.source.rstrip().split("\n")
    lines[-1] = f"answer = {lines[-1]}"
    exec("\n".join(lines), names)
    return Played(names["answer"], calls)


def _caller(world: World, operation: Operation, calls: list[Logged]) -> Any:
    def call(**arguments: Any) -> Any:
        if wrong := set(arguments) - set(operation.parameters) or set(operation.schema["required"]) - set(arguments):
            raise TypeError(f"{world.name}.{operation.name}: {sorted(wrong)}")
        tool = f"{world.name}.{operation.name}"
        try:
            result = operation.run(arguments)
        except ToolFailure as failure:
            calls.append(Logged(0, tool, operation.effect, arguments, failure=str(failure)))
            raise
        calls.append(Logged(0, tool, operation.effect, arguments, result))
        return result

    return call


class Harm(NamedTuple):
    duplicates: int
    """Writes that took effect more often than the task calls for, with the same arguments."""
    strays: int
    """Writes that took effect and that the task does not call for."""


def harm(gold: Sequence[Logged], made: Sequence[Logged]) -> Harm:
    """What was done to the world beyond the task. A read does none, and a call that failed had no effect."""
    wanted = Counter(each.key for each in gold if each.effect != "read" and not each.failure)
    done = Counter(each.key for each in made if each.effect != "read" and not each.failure)
    over = {key: count - max(1, wanted[key]) for key, count in done.items()}
    return Harm(sum(max(0, each) for each in over.values()), sum(1 for key in done if not wanted[key]))


def follows(gold: Sequence[str], made: Sequence[str]) -> bool:
    """Whether `gold` is a subsequence of `made`: RestBench's notion of a correct path."""
    rest = iter(made)
    return all(any(each == other for other in rest) for each in gold)
