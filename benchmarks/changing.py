"""Catalogues that change: every scenario of `toolweft eval retrieval --scenario`, in one table.

    python -m benchmarks.changing --encoder FOLDER [--heads FOLDER] [--zero-shot FOLDER] [--cache FOLDER] [--log FILE]
                                  [--sets weft_queries,metatool] [--split dev] [--systems bm25f,woven] [--seed 0]

A line for each stage at which something is asked. Of each system N@5 and R@5, and the share of the first five places
that goes to tools that are new, edited or removed, to be compared with their share of the catalogue. `woven` and
`lexical` live through the change with their own `updated`, and are asked when every new tool has its vector; the others
are made anew. Nothing is refitted. What a scenario is: `toolweft_server.evaluation.splits`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from benchmarks import datasets, encodings, machine, rows
from benchmarks.encodings import Kept

from toolweft_catalog.tool import Tool
from toolweft_server.commands.eval import Ticker
from toolweft_server.evaluation import changing, data, report, splits
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.errors import EvaluationError
from toolweft_server.evaluation.splits import Scenario
from toolweft_server.evaluation.suite import Suite
from toolweft_server.index.woven.encoder import Encoder

SHOWN = ("N@5", "R@5")
KEPT = (*SHOWN, "places", "catalogue")


def lived(whole: Dataset, cut: Scenario, system: str, make: Callable[[Sequence[Tool]], Suite]) -> rows.Scores:
    """Of each stage the scores of its requests, and the two shares: `STAGE METRIC` -> numbers."""
    found: dict[str, np.ndarray] = {}
    first = changing.first(system, cut.known, make)
    for stage in changing.live(whole, cut, first, progress=Ticker()):
        found |= {f"{stage.stage} {metric}": stage.measured.scores[metric] for metric in SHOWN}
        found |= {f"{stage.stage} {name}": np.array([share]) for name, share in stage.bias._asdict().items()}
    return found


def lines(name: str, cut: Scenario, found: Sequence[rows.Scores]) -> list[list[str]]:
    out = []
    for stage in [each for each in cut.stages if each.requests]:
        share = 100 * float(found[0][f"{stage.name} catalogue"][0])
        line = [name, f"{cut.name} {stage.name}", str(len(stage.requests)), f"{share:.0f} %"]
        for each in found:
            means = " / ".join(f"{100 * each[f'{stage.name} {metric}'].mean():.1f}" for metric in SHOWN)
            line += [means, f"{100 * float(each[f'{stage.name} places'][0]):.0f} %"]
        out.append(line)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--heads", type=Path, help="folder of its heads (default: the shipped ones)")
    parser.add_argument("--zero-shot", type=Path, help="folder of an encoder that was not trained for tools")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--sets", default="weft_queries", help="comma-separated")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--systems", default="bm25f,woven", help="comma-separated")
    parser.add_argument("--seed", type=int, default=0, help="of what is new")
    parser.add_argument("--log", type=Path, help="keeps finished rows: a run that is stopped goes on there")
    given = parser.parse_args()
    zero_shot = Kept(Encoder.load(given.zero_shot), given.cache) if given.zero_shot else None
    encoder = Kept(Encoder.load(given.encoder), given.cache)
    engine = encodings.engine(encoder, given.heads)
    systems = given.systems.split(",")
    print(f"split {given.split}, seed {given.seed}, encoder {encoder.digest[:8]}; percent; {machine.line()}")
    head = ["set", "scenario", "requests", "new"]
    head += [each for system in systems for each in (f"{system}: {' / '.join(SHOWN)}", "places")]
    table, unasked = [head], []
    for name in given.sets.split(","):
        whole = data.read(datasets.folder() / name)
        log = rows.Kept(given.log, ["changing", name, given.split, given.seed, encoder.digest, engine.heads.digest])

        def make(tools: Sequence[Tool]) -> Suite:
            return Suite(tools, engine=engine, zero_shot=zero_shot, progress=Ticker())

        for scenario in splits.NAMES:
            try:
                cut = splits.scenario(scenario, whole, split=given.split, seed=given.seed)
            except EvaluationError as error:
                unasked.append(str(error))
                continue
            keys = [f"{stage.name} {each}" for stage in cut.stages for each in KEPT]
            found = []
            for system in systems:
                found.append(log.scores(f"{scenario} {system}", partial(lived, whole, cut, system, make), keys))
                print(f"… {name} {scenario} {system}", flush=True)
            table += lines(name, cut, found)
        for kept in (encoder, zero_shot):
            if kept:
                kept.save()
    print(report.aligned(table))
    print(*unasked, sep="\n")


if __name__ == "__main__":
    main()
