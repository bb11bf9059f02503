"""Retrieval quality on the shared data sets, pooled and set by set, each system beside the baselines of the same run.

    python -m benchmarks.retrieval [--split dev|test] [--sets weft_queries,metatool] [--systems bm25f,lexical]
                                   [--encoder FOLDER] [--heads FOLDER] [--zero-shot FOLDER] [--keep FOLDER]
                                   [--json FILE]

N@k counts every right tool in the ideal ranking, so a tool that is missed costs. A tool of the same name and text as a
right one is as right. `all requests` weighs every request the same, `all sets` every set. The last lines ask of each
system whether it is worse than the better of `bm25f` and `mix`: pooled, the lower end of the 95 % interval of the
difference must be -0.5 points or higher, and on no set may the whole interval lie below 0; in each set the better of
the two is the one with the higher mean there. Tune on `dev`; `test` is for reporting, once a release.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks import datasets, encodings, machine
from benchmarks.encodings import Kept

from toolweft_server.commands.eval import Ticker
from toolweft_server.errors import ToolweftError
from toolweft_server.evaluation import report, statistics
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.report import Measured
from toolweft_server.evaluation.statistics import Interval
from toolweft_server.evaluation.suite import HYBRID_LEXICAL, NAMES, Suite
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.engine import Engine

SHOWN = ("hit@1", "N@5", "R@5", "R@10", "COMP@10")
RIVALS = ("bm25f", "mix")
JUDGED = ("N@5", "R@5")
MARGIN = 0.005
"""How much worse the pooled lower bound may be."""


class OfSet(NamedTuple):
    """Every system on one set."""

    name: str
    tools: int
    measured: Sequence[Measured]

    def of(self, system: str) -> Measured | None:
        return next((each for each in self.measured if each.system == system), None)


def measure(data: Dataset, suite: Suite, names: Sequence[str]) -> OfSet:
    measured = [report.measure(data, suite.make(name), progress=Ticker()) for name in names]
    return OfSet(data.name, len(data.tools), measured)


def better(found: OfSet, metric: str) -> Measured | None:
    """The better of the rivals on one set; None when neither ran."""
    rivals = [each for each in map(found.of, RIVALS) if each]
    return max(rivals, key=lambda each: float(each.scores[metric].mean()), default=None)


class Verdict(NamedTuple):
    """Whether a system is as good as the better rival."""

    pooled: Interval
    each: Mapping[str, Interval]

    @property
    def worse(self) -> list[str]:
        """The sets whose whole interval lies below 0."""
        return [name for name, interval in self.each.items() if interval.high < 0]

    @property
    def holds(self) -> bool:
        return self.pooled.low >= -MARGIN and not self.worse


def verdict(found: Sequence[OfSet], system: str, metric: str) -> Verdict | None:
    """None where the system or its rivals did not run."""
    differences = {}
    for each in found:
        mine, rival = each.of(system), better(each, metric)
        if mine is None or rival is None:
            return None
        differences[each.name] = mine.scores[metric] - rival.scores[metric]
    intervals = {name: statistics.interval(values) for name, values in differences.items()}
    return Verdict(statistics.pooled(list(differences.values())), intervals)


def pooled(found: Sequence[OfSet], system: str) -> dict[str, dict[str, Interval]]:
    """Metric -> interval, for `all requests` and for `all sets`; of the latter the mean alone is known."""
    scores = [each.scores for each in (one.of(system) for one in found) if each]
    requests = {name: statistics.pooled([each[name] for each in scores]) for name in SHOWN}
    means = {name: float(np.mean([each[name].mean() for each in scores])) for name in SHOWN}
    return {"all requests": requests, "all sets": {name: Interval(mean, mean, mean) for name, mean in means.items()}}


def lines_of(found: OfSet, names: Sequence[str]) -> list[list[str]]:
    lines = []
    for row in report.rows([each for each in found.measured if each.system in names], SHOWN, baseline=None):
        cells = [report.percent(value) for value in row.metrics.values()]
        lines.append([found.name, row.system, str(found.tools), str(row.requests), *cells])
    return lines


def said(system: str, metric: str, found: Verdict, rivals: Sequence[str]) -> str:
    each = ", ".join(f"{name} {_points(interval)}" for name, interval in found.each.items())
    answer = "not worse" if found.holds else "WORSE"
    return (
        f"{system} minus {' or '.join(rivals)}, the better, {metric}: pooled {_points(found.pooled)}: {answer}; {each}"
    )


def _points(value: Interval) -> str:
    return f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def engine_of(encoder: Kept, heads: Path | None) -> Engine | None:
    """None where nobody named heads and the shipped ones were made for another encoder."""
    try:
        return encodings.engine(encoder, heads)
    except ToolweftError:
        if heads:
            raise
        return None


def main() -> None:
    given = _arguments()
    zero_shot = Kept(Encoder.load(given.zero_shot), given.keep) if given.zero_shot else None
    encoder = Kept(Encoder.load(given.encoder), given.keep) if given.encoder else None
    engine = engine_of(encoder, given.heads) if encoder else None
    print(f"split {given.split}; {machine.line()}")
    found: list[OfSet] = []
    head = ["set", "system", "tools", "requests", *SHOWN]
    for name in given.sets.split(","):
        data = datasets.load(name, given.split)
        if not data.requests:
            continue
        suite = Suite(data.tools, encoder, engine=engine, zero_shot=zero_shot, hybrid=given.hybrid, progress=Ticker())
        names = given.systems.split(",") if given.systems else suite.names()
        found.append(measure(data, suite, names))
        print(report.aligned([head, *lines_of(found[-1], names)]) + "\n", flush=True)
        for kept in (zero_shot, encoder):
            if kept:
                kept.save()
    if not found:
        print(f"none of {given.sets} has requests in the split {given.split!r}", file=sys.stderr)
        return
    summary = {each.system: pooled(found, each.system) for each in found[0].measured}
    print(report.aligned([["pooled", "system", *SHOWN], *_pooled_lines(summary)]))
    verdicts = {
        (system, metric): answer
        for system in summary
        for metric in JUDGED
        if system not in RIVALS and (answer := verdict(found, system, metric))
    }
    rivals = [name for name in RIVALS if name in summary]
    print(*(said(*which, answer, rivals) for which, answer in verdicts.items()), sep="\n")
    if given.json:
        given.json.write_text(json.dumps(_json(given.split, found, summary, verdicts), indent=1), encoding="utf-8")


def _pooled_lines(summary: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> list[list[str]]:
    lines = []
    for which in ("all requests", "all sets"):
        for system, means in summary.items():
            halves = {name: 50 * (each.high - each.low) for name, each in means[which].items()}
            cells = [
                f"{100 * each.mean:.1f}" + (f" ±{halves[name]:.1f}" if halves[name] else "")
                for name, each in means[which].items()
            ]
            lines.append([which, system, *cells])
    return lines


def _json(
    split: str,
    found: Sequence[OfSet],
    summary: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    verdicts: Mapping[tuple[str, str], Verdict],
) -> dict[str, Any]:
    return {
        "split": split,
        "machine": machine.line(),
        "sets": [
            {
                "set": each.name,
                "tools": each.tools,
                "systems": [
                    {"system": row.system, "requests": row.requests}
                    | {name: value._asdict() for name, value in row.metrics.items()}
                    for row in report.rows(each.measured, SHOWN, baseline=None)
                ],
            }
            for each in found
        ],
        "pooled": {
            system: {which: {name: value._asdict() for name, value in means.items()} for which, means in both.items()}
            for system, both in summary.items()
        },
        "not_worse": [
            {
                "system": system,
                "metric": metric,
                "holds": answer.holds,
                "pooled": answer.pooled._asdict(),
                "sets": {name: interval._asdict() for name, interval in answer.each.items()},
            }
            for (system, metric), answer in verdicts.items()
        ],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--sets", default=",".join(datasets.SETS), help="comma-separated")
    parser.add_argument("--systems", help=f"comma-separated, of {', '.join(NAMES)}; default: all that can run")
    parser.add_argument("--encoder", type=Path, help="folder of the encoder to measure")
    parser.add_argument(
        "--heads", type=Path, help="folder of heads for its codes, without examples (default: what ships, if it fits)"
    )
    parser.add_argument("--zero-shot", type=Path, help="folder of an encoder that was not trained for tools")
    parser.add_argument("--hybrid", type=float, default=HYBRID_LEXICAL, help="share of the lexical index in `hybrid`")
    parser.add_argument("--keep", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--json", type=Path, help="write everything there too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
