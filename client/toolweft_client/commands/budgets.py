"""The budgets of a task on the command line: one flag for each field of `Budget`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TypeAlias

from toolweft_client.budget import Budget

Number: TypeAlias = Callable[[str], float]


def seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time that ends")
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than nothing")
    return number


def pause(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time to wait")
    return number


FLAGS: Mapping[str, tuple[Number, str]] = MappingProxyType({
    "model_calls": (positive, "replies of the model"),
    "repairs": (count, "repairs of a program that failed"),
    "replans": (count, "new designs"),
    "readings": (count, "second looks of the model at an answer, each one reply; one that is doubted is designed anew"),
    "probes": (count, "runs of the reading part of a program"),
    "retries": (count, "runs of a program as it is, after a read failed for the moment"),
    "tool_calls": (positive, "calls of tools; one more ends the task"),
    "writes": (positive, "calls that write and that nobody was asked about; one more ends the task"),
    "seconds": (seconds, "time for the whole task"),
    "run_seconds": (seconds, "a program's own time, without waiting for tools"),
    "pause": (pause, "seconds before the first retry, twice as many before the next"),
    "design_tokens": (positive, "of a prompt for a design, four characters each, as all of these"),
    "implement_tokens": (positive, "of a prompt for a program, and of all turns of a conversation together"),
    "repair_tokens": (positive, "of a prompt for a repair"),
    "reply_tokens": (positive, "of a reply"),
})  # fmt: skip
"""How each is read, and what it bounds."""


def add(parser: argparse.ArgumentParser, **defaults: str) -> None:
    """A group of flags. `defaults` say in words what holds where that is not the field's own default."""
    group = parser.add_argument_group("budgets", "what a task may cost; each is checked before it is spent")
    for field in fields(Budget):
        read, told = FLAGS[field.name]
        default = defaults.get(field.name, f"{field.default:g}")
        group.add_argument(
            f"--{field.name.replace('_', '-')}", type=read, metavar="N", help=f"{told} (default: {default})"
        )


def budget_of(args: argparse.Namespace, *, model_calls: int) -> Budget:
    """What the flags say; `model_calls` unless they say so."""
    given = {field.name: value for field in fields(Budget) if (value := getattr(args, field.name)) is not None}
    return Budget(**{"model_calls": model_calls, **given})
