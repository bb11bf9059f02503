"""Which runs are wanted: tasks and the faults that befall them. The same seed makes the same plan."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from random import Random

from benchmarks.agent.faults import BY_NAME, EXPENSIVE, FAULTS, Fault, Operations, Stage, mistake, sites
from benchmarks.agent.gold import at_rate, once
from benchmarks.agent.run import Job
from benchmarks.agent.task import Task
from benchmarks.agent.world import Now

FEW = 3
"""Runs of a fault that costs seconds each."""


def jobs(tasks: Sequence[Task], operations: Operations, faults: str, *, per: int, seed: int) -> list[Job]:
    """
    Raises:
        SystemExit: `faults` names none.

    """
    if not faults:
        return [Job(task) for task in tasks]
    if faults.replace(".", "", 1).isdigit():
        fitting = [each for each in FAULTS if each.name not in EXPENSIVE and not each.entry]
        names = [each.name for each in fitting if each.expected == "recovers"]
        return [Job(task, draw=at_rate(float(faults), names, Random(seed + n)), seed=n) for n, task in enumerate(tasks)]
    return [
        job
        for label, (fault, stage) in chosen(faults).items()
        for job in _of(label, fault, stage, tasks, operations, per, seed)
    ]


def chosen(faults: str) -> Mapping[str, tuple[Fault, Stage]]:
    """By `fault@stage`. `each` is all of them; a fault's bare name is that fault at each of its stages."""
    every: dict[str, tuple[Fault, Stage]] = {
        f"{each.name}@{stage}": (each, stage) for each in FAULTS for stage in each.stages
    }
    asked = set(faults.split(","))
    found = {label: pair for label, pair in every.items() if faults == "each" or {label, pair[0].name} & asked}
    if unknown := asked - {"each"} - set(found) - {fault.name for fault, _ in found.values()}:
        raise SystemExit(f"there is no fault {sorted(unknown)[0]!r}; there are each, a rate, {', '.join(BY_NAME)}")
    return found


def _of(
    label: str, fault: Fault, stage: Stage, tasks: Sequence[Task], operations: Operations, per: int, seed: int
) -> list[Job]:
    """Tasks in which the fault has a place, drawn without repetition."""
    drawn = Random(f"{seed} {label}").sample(list(tasks), len(tasks))
    fitting = (task for task in drawn if _place(fault, task, operations))
    many = min(per, FEW) if fault.name in EXPENSIVE else per
    return [
        _job(label, fault, stage, task, operations, seed + n) for n, task in enumerate(itertools.islice(fitting, many))
    ]


def _place(fault: Fault, task: Task, operations: Operations) -> bool:
    if not _befallen(fault, task, operations):
        return False
    return fault.edit is None or mistake(fault, task.source, operations, Random(0)) is not None


def _befallen(fault: Fault, task: Task, operations: Operations) -> list[str]:
    """Tools of the gold program that the fault is about."""
    found = [each.tool for each in sites(ast.parse(task.source), operations)]
    return [each for each in found if fault.on == "any" or (operations[each].effect == "read") == (fault.on == "reads")]


def _job(label: str, fault: Fault, stage: Stage, task: Task, operations: Operations, seed: int) -> Job:
    if stage != "run":
        return Job(task, label, once(fault.name, stage), entry=fault.entry, seed=seed)
    tool = Random(seed).choice(_befallen(fault, task, operations))
    return Job(task, label, trouble=Now(0, task.id, tool, fault.trouble), seed=seed)
