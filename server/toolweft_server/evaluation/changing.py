"""Runs a scenario of `splits`: a system lives through the changes of a catalogue and is asked after each.

An index is changed by its own `updated`, as when it serves, and asked when its work in the background is done; what
keeps no state between catalogues is made anew.
Beside the scores stands the bias: the share of the first places that goes to the tools in question, against their
share of the catalogue. A system that cannot find what is new shows it there first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from toolweft_catalog.tool import Tool
from toolweft_server.evaluation import report
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.report import Measured
from toolweft_server.evaluation.splits import Scenario
from toolweft_server.evaluation.suite import Suite
from toolweft_server.evaluation.systems import Progress, System, from_index, silent
from toolweft_server.index.base import ToolIndex

FIRST_PLACES = 5


class Changing(Protocol):
    """A system whose catalogue changes."""

    def updated(self, added: Sequence[Tool], removed: Sequence[str]) -> Changing: ...

    def system(self) -> System: ...


class Served:
    """An index, changed as it is while it serves."""

    def __init__(self, index: ToolIndex, *, name: str | None = None) -> None:
        self._index = index
        self._name = name

    def updated(self, added: Sequence[Tool], removed: Sequence[str]) -> Served:
        index = self._index.updated(added, removed)
        while index.unfinished():
            index = index.further()
        return Served(index, name=self._name)

    def system(self) -> System:
        return from_index(self._index, name=self._name)


class Remade:
    """A system that is made from a whole catalogue each time."""

    def __init__(self, tools: Sequence[Tool], make: Callable[[Sequence[Tool]], System]) -> None:
        self._tools = {tool.id: tool for tool in tools}
        self._make = make

    def updated(self, added: Sequence[Tool], removed: Sequence[str]) -> Remade:
        gone = set(removed)
        kept = {tool_id: tool for tool_id, tool in self._tools.items() if tool_id not in gone}
        return Remade(list((kept | {tool.id: tool for tool in added}).values()), self._make)

    def system(self) -> System:
        return self._make(list(self._tools.values()))


def first(name: str, known: Sequence[Tool], make: Callable[[Sequence[Tool]], Suite]) -> Changing:
    """The system of that name over the tools that are known: an index that lives through changes, or what is remade.

    Raises:
        EvaluationError: As `Suite.make`.

    """
    served: dict[str, Callable[[Suite], ToolIndex]] = {
        "lexical": lambda suite: suite.index,
        "woven": lambda suite: suite.woven,
        "generative": lambda suite: suite.generative,
    }
    if name in served:
        return Served(served[name](make(known)))
    return Remade(known, lambda tools: make(tools).make(name))


class Bias(NamedTuple):
    """Shares of the tools that are new, edited or removed."""

    places: float
    """Of the first `FIRST_PLACES` places of all requests together."""
    catalogue: float


class Lived(NamedTuple):
    """One stage of a scenario."""

    stage: str
    tools: int
    measured: Measured
    bias: Bias


def live(data: Dataset, scenario: Scenario, first: Changing, *, progress: Progress = silent) -> list[Lived]:
    """Every stage at which something is asked. `first` holds `scenario.known`."""
    present = {tool.id for tool in scenario.known}
    lived = []
    for stage in scenario.stages:
        if stage.added or stage.removed:
            first = first.updated(stage.added, stage.removed)
            present = (present - set(stage.removed)) | {tool.id for tool in stage.added}
        if not stage.requests:
            continue
        measured = report.measure(replace(data, requests=stage.requests), first.system(), progress=progress)
        lived.append(Lived(stage.name, len(present), measured, _bias(measured, present, scenario.held)))
    return lived


def _bias(measured: Measured, present: set[str], held: frozenset[str]) -> Bias:
    places = [tool for ranking in measured.rankings for tool in ranking[:FIRST_PLACES]]
    return Bias(sum(tool in held for tool in places) / max(len(places), 1), len(present & held) / max(len(present), 1))
