"""The catalogue that ToolGen and ToolWeaver were measured on: 49,001 tools of ToolBench, and its requests G1, G2, G3.

    python -m benchmarks.toolbench --encoder FOLDER [--heads FOLDER] [--cache FOLDER] [--systems bm25f,encoder,woven]
                                   [--model FOLDER] [--log FILE]

The requests are those of the split `test` that StableToolBench found solvable (153 to 163 of each kind of G1, 106 and
123 of G2, 61 of G3), and AnyToolBench's beside them. `N@k released` is what the evaluators published with those papers
compute: right tools that are missed drop out of the ideal ranking, so it is never below `N@k`, and equal to it at 1.
The tools serve evaluation alone; no encoder was trained on their texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import datasets, encodings, machine, rows
from benchmarks.encodings import Kept

from toolweft_server.commands.eval import Ticker
from toolweft_server.evaluation import report, statistics
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.suite import Suite
from toolweft_server.index.woven.encoder import Encoder

GROUPS = {"G1": "stb_G1", "G2": "stb_G2", "G3": "stb_G3", "AnyToolBench": "anytoolbench"}
"""Name -> how the ids of its requests begin."""

SHOWN = ("N@1", "N@3", "N@5", "N@3 released", "N@5 released", "R@5", "R@10", "COMP@10")


def measured(part: Dataset, system: str, suite: Callable[[], Suite]) -> rows.Scores:
    return report.measure(part, suite().make(system), progress=Ticker()).scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--heads", type=Path, help="folder of its heads (default: the shipped ones)")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--systems", default="bm25f,encoder,woven", help="comma-separated")
    parser.add_argument("--log", type=Path, help="keeps finished rows: a run that is stopped goes on there")
    given = parser.parse_args()
    encoder = Kept(Encoder.load(given.encoder), given.cache)
    engine = encodings.engine(encoder, given.heads)
    data = datasets.load("toolbench", "test")
    log = rows.Kept(given.log, ["toolbench", encoder.digest, engine.heads.digest])
    made: list[Suite] = []

    def suite() -> Suite:
        if not made:
            made.append(Suite(data.tools, engine=engine, progress=Ticker()))
        return made[0]

    print(f"{len(data.tools)} tools, split test, encoder {encoder.digest[:8]}; percent, ± 95 %; {machine.line()}")
    table = [["requests", "system", *SHOWN]]
    for group, begins in GROUPS.items():
        part = replace(data, requests=[each for each in data.requests if each.id.startswith(begins)])
        for system in given.systems.split(","):
            scores = log.scores(f"{group} {system}", partial(measured, part, system, suite), SHOWN)
            cells = [report.percent(statistics.interval(scores[name])) for name in SHOWN]
            table.append([f"{group} ({len(part.requests)})", system, *cells])
            print("… " + "  ".join(table[-1]), flush=True)
            encoder.save()
    print("\n" + report.aligned(table))


if __name__ == "__main__":
    main()
