"""What the accounts of many runs come to: `figures` adds them up, `curve` follows them through time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from toolweft_client.account import Account
from toolweft_client.rate import Rate, Spread

ENDED = ("answered", "failed", "crashed")
"""Statuses that say something of the agent. A run that a person or a kill ended says nothing."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of several runs. Rates and spreads are of those that ended; what must never be is looked for in all."""

    runs: int
    statuses: Mapping[str, int]
    answered: Rate
    model_calls: Spread | None
    input_tokens: Spread | None
    output_tokens: Spread | None
    tool_calls: Spread | None
    seconds: Spread | None
    repairs: int
    replans: int
    probes: int
    failures: Mapping[str, int]
    """How often each kind of failure was repaired."""
    reasons: Mapping[str, int]
    """Why runs failed."""
    exceeded: Mapping[str, int]
    duplicate_writes: int
    doubtful_writes: int
    repeated_writes: int
    functions: Functions


class Functions(NamedTuple):
    """The library in these runs: numbers of runs, and how many different functions."""

    offered: int
    used: int
    saved: int
    names_offered: int
    names_used: int
    names_saved: int


def figures(runs: Sequence[Account]) -> Figures:
    ended = [run for run in runs if run.status in ENDED]
    return Figures(
        runs=len(runs), statuses=_counts(run.status for run in runs),
        answered=Rate(sum(run.status == "answered" for run in ended), len(ended)),
        model_calls=Spread.of([run.model_calls for run in ended]),
        input_tokens=Spread.of([run.input_tokens for run in ended]),
        output_tokens=Spread.of([run.output_tokens for run in ended]),
        tool_calls=Spread.of([run.tool_calls for run in ended]), seconds=Spread.of([run.seconds for run in ended]),
        repairs=sum(run.repairs for run in runs), replans=sum(run.replans for run in runs),
        probes=sum(run.probes for run in runs), failures=_counts(kind for run in runs for kind in run.failures),
        reasons=_counts(run.reason for run in runs if run.reason),
        exceeded=_counts(name for run in runs for name in run.exceeded),
        duplicate_writes=sum(len(run.writes.duplicate) for run in runs),
        doubtful_writes=sum(len(run.writes.doubtful) for run in runs),
        repeated_writes=sum(len(run.writes.repeated) for run in runs),
        functions=Functions(
            sum(bool(run.offered) for run in runs), sum(bool(run.used) for run in runs),
            sum(bool(run.saved) for run in runs), len({each for run in runs for each in run.offered}),
            len({each for run in runs for each in run.used}), len({each for run in runs for each in run.saved}),
        ),
    )  # fmt: skip


def by(runs: Iterable[Account], key: Callable[[Account], str]) -> dict[str, list[Account]]:
    """Runs in groups, by name."""
    groups: defaultdict[str, list[Account]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return dict(sorted(groups.items()))


class Part(NamedTuple):
    """Some of the runs in order of time, and everything up to their end."""

    until: int
    """Number of the last run."""
    answered: Rate
    """From the first run on."""
    model_calls: float
    """Mean, of this part alone."""
    model_calls_so_far: float
    saved_so_far: int
    """Different functions."""
    used: Rate
    """Runs of this part that used a saved function."""


def curve(runs: Iterable[Account], parts: int = 10) -> list[Part]:
    """How runs change as the library grows: ended runs in order of time, cut into parts of about the same size."""
    ended = sorted((run for run in runs if run.status in ENDED), key=lambda run: run.at)
    ends = sorted({round(len(ended) * number / parts) for number in range(1, parts + 1)} - {0})
    found: list[Part] = []
    for first, last in zip([0, *ends], ends, strict=False):
        here, far = ended[first:last], ended[:last]
        found.append(Part(
            last, Rate(sum(run.status == "answered" for run in far), last),
            sum(run.model_calls for run in here) / len(here), sum(run.model_calls for run in far) / last,
            len({each for run in far for each in run.saved}), Rate(sum(bool(run.used) for run in here), len(here)),
        ))  # fmt: skip
    return found


def resumed(runs: Sequence[Account]) -> set[str]:
    """Names of runs that broke off and that another one goes on from: it says so, or it has all their programs, and
    tells them from the beginning.
    """
    named = {Path(run.resumes).resolve() for run in runs if run.resumes}
    told: defaultdict[str, set[str]] = defaultdict(set)
    for run in runs:
        for execution in run.executions:
            told[execution].add(run.name)
    gone: set[str] = set()
    for run in runs:
        others = [told[execution] - {run.name} - gone for execution in run.executions]
        followed = Path(run.name).resolve() in named or (others and set.intersection(*others))
        if not run.over and followed:
            gone.add(run.name)
    return gone


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
