"""Measurements -> rows -> text: what each system scored, how sure that is, and who beats whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.evaluation import metrics, statistics
from toolweft_server.evaluation.data import Dataset, Facet
from toolweft_server.evaluation.metrics import Scores
from toolweft_server.evaluation.statistics import Interval, McNemar
from toolweft_server.evaluation.systems import DRAWN, Progress, System, silent

Array: TypeAlias = NDArray[Any]

SHOWN = ("hit@1", "N@5", "R@5", "R@10", "COMP@10")
"""What a table shows when nobody says what."""

_BATCH = 64
"""Requests between two signs of life."""


class Measured(NamedTuple):
    """One system on the requests of one set."""

    system: str
    scores: Scores
    rankings: list[list[str]]
    """Ids, more than are looked at: twins are counted once."""


class Against(NamedTuple):
    """One system beside a baseline, on the same requests."""

    baseline: str
    differences: Mapping[str, Interval]
    hit: McNemar


class Row(NamedTuple):
    """What is said of one system on some requests."""

    system: str
    requests: int
    metrics: Mapping[str, Interval]
    against: Against | None
    """None for the baseline itself."""


def measure(data: Dataset, system: System, *, progress: Progress = silent) -> Measured:
    rankings: list[list[str]] = []
    texts = [request.text for request in data.requests]
    for start in range(0, len(texts), _BATCH):
        rankings += system.rank(texts[start : start + _BATCH], DRAWN * metrics.DEEPEST)
        progress(f"requests ranked by {system.name}", len(rankings), len(texts))
    return Measured(system.name, metrics.score(metrics.judge(rankings, data.requests, data.group)), rankings)


def rows(measured: Sequence[Measured], shown: Sequence[str], *, baseline: str | None, seed: int = 0) -> list[Row]:
    """A row for each system. `baseline` is one of them, or None; there is at least one request."""
    rival = next((each for each in measured if each.system == baseline), None)
    return [_row(each, shown, rival, seed) for each in measured]


def by(data: Dataset, measured: Sequence[Measured], facet: Facet) -> dict[str, list[Measured]]:
    """The measurements of each part of the requests: value of the facet -> measurements, in the order of the values."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, request in enumerate(data.requests):
        places[getattr(request, facet) or "(none)"].append(at)
    return {value: [_picked(each, places[value]) for each in measured] for value in sorted(places)}


def table(rows: Sequence[Row], shown: Sequence[str]) -> str:
    """Percent, ± half a 95 % interval; below, the differences to the baseline, a star where 0 lies outside."""
    baseline = next((row.against.baseline for row in rows if row.against), None)
    head = ["system", *shown, *([f"hit@1 won/lost (p) to {baseline}"] if baseline else [])]
    lines = [[row.system, *(percent(row.metrics[name]) for name in shown)] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        if row.against:
            line.append(f"{row.against.hit.won}/{row.against.hit.lost} ({row.against.hit.p:.2g})")
    body = [head, *lines]
    if baseline:
        body.append([f"minus {baseline}"])
        body += [
            [row.system, *(_difference(row.against.differences[name]) for name in shown)] for row in rows if row.against
        ]
    return aligned(body)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns under one another, the first to the left, the others to the right."""
    wide = max(map(len, lines))
    widths = [max((len(line[at]) for line in lines if at < len(line)), default=0) for at in range(wide)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )


def percent(value: Interval) -> str:
    """The mean in percent, and half of the interval."""
    return f"{100 * value.mean:.1f} ±{50 * (value.high - value.low):.1f}"


def _row(mine: Measured, shown: Sequence[str], rival: Measured | None, seed: int) -> Row:
    intervals = {name: statistics.interval(mine.scores[name], seed=seed) for name in shown}
    against = None
    if rival is not None and rival is not mine:
        against = Against(
            rival.system,
            {name: statistics.paired(mine.scores[name], rival.scores[name], seed=seed) for name in shown},
            statistics.mcnemar(mine.scores["hit@1"], rival.scores["hit@1"]),
        )
    return Row(mine.system, len(mine.rankings), intervals, against)


def _picked(each: Measured, places: Sequence[int]) -> Measured:
    at = np.array(places, np.int64)
    scores = {name: values[at] for name, values in each.scores.items()}
    return Measured(each.system, scores, [each.rankings[place] for place in places])


def _difference(value: Interval) -> str:
    sure = "*" if value.low > 0 or value.high < 0 else " "
    return f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]{sure}"
