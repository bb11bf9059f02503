"""A data set cut into what was known and what is new, and what happens to a catalogue while it is served.

- `U0`: known tools, new requests.
- `U1`: new tools on servers of which other tools are known.
- `U2`: new servers. `U3`: new categories.
- `U4`: servers that come one after another: D0, half of all, then D1 to D5.
- `U5`: descriptions that are edited: the first sentence goes, or the last third of the words where there is but one.
- `U6`: tools that are removed.

What is drawn depends on names and a seed, never on order: the same data gives the same split everywhere. Twins (one
group) are new together or not at all, or what is asked for would be known under another name. Who learns from requests
may use `Scenario.train` alone: no request there needs a tool that is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias, get_args

from toolweft_catalog.tool import Tool
from toolweft_server.evaluation.data import Dataset, Request
from toolweft_server.evaluation.errors import EvaluationError

ScenarioName: TypeAlias = Literal["U0", "U1", "U2", "U3", "U4", "U5", "U6"]
NAMES: Sequence[ScenarioName] = get_args(ScenarioName)

SHARE = 0.2
"""Of tools, servers or categories that are new, edited or removed."""

LATER, FIRST = 5, 0.5
"""Steps after the first in `U4`, and the share of servers that the first one has."""


class Stage(NamedTuple):
    """A change of the catalogue, and what is asked once it is made."""

    name: str
    added: Sequence[Tool]
    """New tools, or tools that take the place of those of the same id."""
    removed: Sequence[str]
    requests: Sequence[Request]


@dataclass(frozen=True, slots=True)
class Scenario:
    name: ScenarioName
    known: Sequence[Tool]
    """The catalogue at first."""
    train: Sequence[Request]
    """What may be learned from."""
    held: frozenset[str]
    """Ids of the tools that are new, edited or removed at some stage."""
    stages: Sequence[Stage]


def scenario(name: ScenarioName, data: Dataset, *, split: str = "dev", seed: int = 0) -> Scenario:
    """`data` has the requests of all splits; those of `split` are asked, those of `train` may be learned from.

    Raises:
        EvaluationError: Nothing can be asked: no request needs only what is new, or the data has no such parts.

    """
    made = _SCENARIOS[name](_Cut(data, split, seed))
    if not any(stage.requests for stage in made.stages):
        raise EvaluationError(
            f"{data.name}: no request of the split {split!r} can be asked in {name}; try another seed"
        )
    return made


class _Cut(NamedTuple):
    """What every scenario is cut from."""

    data: Dataset
    split: str
    seed: int

    @property
    def asked(self) -> list[Request]:
        return [request for request in self.data.requests if request.split in (self.split, "")]

    @property
    def trained(self) -> list[Request]:
        return [request for request in self.data.requests if request.split == "train"]

    def drawn(self, names: Collection[str]) -> set[str]:
        """About `SHARE` of the names, at least one of two or more.

        Raises:
            EvaluationError: There are fewer than two.

        """
        if len(set(names)) < 2:
            raise EvaluationError(f"{self.data.name}: there is nothing to draw from, only {sorted(set(names))}")
        ordered = sorted(set(names), key=self.place)
        return set(ordered[: max(1, round(SHARE * len(ordered)))])

    def place(self, name: str) -> float:
        """A number in [0, 1) that stands for the name."""
        digest = blake2b(f"{self.seed} {name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def new(self, name: ScenarioName, held: set[str]) -> Scenario:
        """The scenario in which tools are added: asked is for what is wholly new, learned from what is wholly known."""
        group = self.data.group
        known_groups = {group[tool.id] for tool in self.data.tools if tool.id not in held}
        held_groups = {group[each] for each in held}
        asked = [each for each in self.asked if not each.gold & known_groups]
        train = [each for each in self.trained if not each.gold & held_groups]
        known = [tool for tool in self.data.tools if tool.id not in held]
        added = [tool for tool in self.data.tools if tool.id in held]
        return Scenario(name, known, train, frozenset(held), [Stage("added", added, (), asked)])


def _known(cut: _Cut) -> Scenario:
    learned = frozenset().union(*(request.gold for request in cut.trained))
    asked = [request for request in cut.asked if request.gold <= learned]
    return Scenario("U0", cut.data.tools, cut.trained, frozenset(), [Stage("known", (), (), asked)])


def _new_tools(cut: _Cut) -> Scenario:
    groups = cut.drawn(list(cut.data.group.values()))
    held = {tool.id for tool in cut.data.tools if cut.data.group[tool.id] in groups}
    by_server: dict[str, list[str]] = {}
    for tool in cut.data.tools:
        by_server.setdefault(tool.server, []).append(tool.id)
    alone = {each for tools in by_server.values() if held.issuperset(tools) for each in tools}
    kept = {cut.data.group[each] for each in alone}  # with its twins: they are new together or not at all
    return cut.new("U1", {each for each in held if cut.data.group[each] not in kept})


def _new_servers(cut: _Cut) -> Scenario:
    servers = cut.drawn([tool.server for tool in cut.data.tools])
    return cut.new("U2", {tool.id for tool in cut.data.tools if tool.server in servers})


def _new_categories(cut: _Cut) -> Scenario:
    categories = cut.drawn([each for each in cut.data.category.values() if each])
    return cut.new("U3", {tool for tool, category in cut.data.category.items() if category in categories})


def _in_time(cut: _Cut) -> Scenario:
    step = {server: _step(cut.place(server)) for server in {tool.server for tool in cut.data.tools}}
    arrived: set[str] = set()
    stages = []
    for at in range(LATER + 1):
        added = [tool for tool in cut.data.tools if step[tool.server] == at]
        arrived |= {cut.data.group[tool.id] for tool in added}
        asked = [request for request in cut.asked if request.gold <= arrived]
        stages.append(Stage(f"D{at}", added if at else (), (), asked))
    known = [tool for tool in cut.data.tools if not step[tool.server]]
    held = frozenset(tool.id for tool in cut.data.tools if step[tool.server])
    first = {cut.data.group[tool.id] for tool in known}
    train = [request for request in cut.trained if request.gold <= first]
    return Scenario("U4", known, train, held, stages)


def _step(place: float) -> int:
    return 0 if place < FIRST else 1 + int((place - FIRST) / (1 - FIRST) * LATER)


def _edited(cut: _Cut) -> Scenario:
    groups = cut.drawn(list(cut.data.group.values()))
    changed = [tool for tool in cut.data.tools if cut.data.group[tool.id] in groups]
    asked = [request for request in cut.asked if request.gold <= groups]
    stages = [
        Stage("before", (), (), asked),
        Stage("edited", [replace(tool, description=edited(tool.description)) for tool in changed], (), asked),
    ]
    return Scenario("U5", cut.data.tools, cut.trained, frozenset(tool.id for tool in changed), stages)


def edited(description: str) -> str:
    """Another text about the same tool, as a later version of its server might say it."""
    _, stop, rest = description.partition(". ")
    words = description.split()
    return rest.strip() if stop and rest.strip() else " ".join(words[: max(1, 2 * len(words) // 3)])


def _removed(cut: _Cut) -> Scenario:
    groups = cut.drawn(list(cut.data.group.values()))
    gone = [tool.id for tool in cut.data.tools if cut.data.group[tool.id] in groups]
    asked = [request for request in cut.asked if not request.gold & groups]
    stages = [Stage("before", (), (), asked), Stage("removed", (), gone, asked)]
    return Scenario("U6", cut.data.tools, cut.trained, frozenset(gone), stages)


_SCENARIOS: Mapping[ScenarioName, Callable[[_Cut], Scenario]] = {
    "U0": _known,
    "U1": _new_tools,
    "U2": _new_servers,
    "U3": _new_categories,
    "U4": _in_time,
    "U5": _edited,
    "U6": _removed,
}
