"""What codes are worth: search pruned by them, heads that read requests as codes, and whole sets.

    python -m benchmarks.codes speed     --encoder FOLDER [--cache FOLDER] [--heads FOLDER] [--sets A,B] [--repeat 3]
    python -m benchmarks.codes train     --encoder FOLDER [--cache FOLDER] --out FOLDER [--sets A,B] [--seed 1]
    python -m benchmarks.codes heads     --encoder FOLDER [--cache FOLDER] [--heads FOLDER] [--sets A,B]
    python -m benchmarks.codes sets      --encoder FOLDER [--cache FOLDER] [--sets A,B]

All on `dev`; training reads `train` alone, and toolbench, whose tools are for evaluation, is never trained on. `speed`
compares one exact scan with search by whole codes and by blocks of first digits, encoding left out of all; at 49,001
tools it needs toolbench encoded once. `train --epochs 0` writes a codebook with untrained heads. `heads` fuses log P
of the first hundred tools of the hybrid (BM25F and cosine, .3 and .7) with their scores, gamma times
`1 + max(log P - best, -10) / 10`. Figures have a meaning only beside the encoder that they were made with.
Codebooks and heads made in other ways are compared by `benchmarks.ablations`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks import datasets, machine
from benchmarks.encodings import Kept
from numpy.typing import NDArray

from toolweft_server.evaluation import metrics, statistics
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.systems import Lexical, best, by_best, min_max
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven import sets
from toolweft_server.index.woven.codes import Candidates, Woven
from toolweft_server.index.woven.document import text_of
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.heads import Heads

TRAINED_ON = ("weft_queries", "metatool", "sealtools", "bfcl", "apibank")
ALPHA, DEPTH, DRAFTS = 0.3, 100, 50
GAMMAS = (0.05, 0.1, 0.2, 0.4)
MOST_A_TOOL = 40
"""Train requests of one tool that are learned from: metatool has hundreds of each."""

Array = NDArray[Any]


class Encoded(NamedTuple):
    data: Dataset
    vectors: Array  # (N, d)
    requests: Array  # (R, d)
    servers: Array  # (N,)

    @property
    def ids(self) -> list[str]:
        return [tool.id for tool in self.data.tools]


def encoded(name: str, split: datasets.Split, encoder: Kept) -> Encoded:
    data = datasets.load(name, split)
    vectors = encoder.encode([text_of(tool) for tool in data.tools])
    requests = encoder.encode([request.text for request in data.requests])
    encoder.save()
    servers = np.unique([tool.server for tool in data.tools], return_inverse=True)[1]
    return Encoded(data, vectors, requests, servers)


def lexical(found: Encoded) -> Callable[[Sequence[str]], Array]:
    return Lexical(LexicalIndex.build(found.data.tools), found.ids).scores


def hybrid(found: Encoded, words: Callable[[Sequence[str]], Array]) -> Iterator[Array]:
    """(N,) scores in 0..1, a request at a time."""
    for request, vector in zip(found.data.requests, found.requests, strict=True):
        dense = min_max((found.vectors @ vector)[None])[0]
        yield ALPHA * by_best(words([request.text]))[0] + (1 - ALPHA) * dense


def judged(found: Encoded, orders: Sequence[Sequence[int] | Array]) -> dict[str, Array]:
    ids = found.ids
    rankings = [[ids[row] for row in order] for order in orders]
    return metrics.score(metrics.judge(rankings, found.data.requests, found.data.group))


def line(label: str, scores: Mapping[str, Array], baseline: Mapping[str, Array] | None = None) -> None:
    names = ("N@1", "N@5", "R@5", "R@10", "COMP@10")
    row = f"{label:42}" + " ".join(f"{name} {100 * scores[name].mean():5.1f}" for name in names)
    if baseline is not None:
        mean, low, high = (100 * each for each in statistics.paired(scores["N@5"], baseline["N@5"]))
        row += f"  N@5 {mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    print(row, flush=True)


def untrained(found: Sequence[Encoded], seed: int, levels: int = 3, codes: int = 256) -> Heads:
    from toolweft_server.training import heads

    return of(heads.fit(_not_at_all(), codebook(found, seed, levels, codes), [_nothing(found[0])], generator(seed)))


def codebook(found: Sequence[Encoded], seed: int, levels: int = 3, codes: int = 256, **options: Any) -> Any:
    """Of the tools of all these catalogues together, each text once."""
    from toolweft_server.training.quantise import fit
    from toolweft_server.training.quantiser import Data
    from toolweft_server.training.rqkmeans import RqKMeansConfig

    config = RqKMeansConfig(levels=levels, codes=codes, rounds=25, projection_steps=0, **options)
    vectors = np.unique(np.concatenate([each.vectors for each in found]), axis=0)
    return fit(config, Data(vectors), generator(seed)).quantiser


def corpus(found: Encoded, *, synthetic: Kept | None = None, most: int | None = None) -> Any:
    """What heads learn from: the requests of `found`, or with an encoder up to `most` tools' own first sentences."""
    from toolweft_server.training.encoder.pairs import pseudo
    from toolweft_server.training.heads import Corpus

    rows: dict[str, list[int]] = {}
    for row, tool in enumerate(found.data.tools):
        rows.setdefault(found.data.group[tool.id], []).append(row)
    gold = [tuple(row for group in sorted(each.gold) for row in rows[group]) for each in found.data.requests]
    if synthetic is not None:
        known = {found.data.tools[row].server for each in gold for row in each}
        made = [each for each in pseudo(found.data.tools) if found.data.tools[each.gold[0]].server in known]
        made = made[:: -(-len(made) // most)] if most else made
        twins = [rows[found.data.group[found.data.tools[each.gold[0]].id]] for each in made]
        requests = [replace(found.data.requests[0], text=each.text) for each in made]
        found = found._replace(requests=synthetic.encode([each.text for each in made]))
        found = found._replace(data=replace(found.data, requests=requests))
        gold = [tuple(each) for each in twins]
    taken: Counter[tuple[int, ...]] = Counter()
    kept = []
    for n, each in enumerate(gold):
        taken[each] += 1
        kept += [n] if taken[each] <= MOST_A_TOOL else []
    data = replace(found.data, requests=[found.data.requests[n] for n in kept])
    found = found._replace(data=data, requests=found.requests[kept])
    drafts = np.zeros((len(kept), min(DRAFTS, len(found.vectors))), np.int64)
    scores = np.zeros(drafts.shape, np.float32)
    for n, each in enumerate(hybrid(found, lexical(found))):
        drafts[n] = best(each, drafts.shape[1])[: drafts.shape[1]]
        scores[n] = each[drafts[n]]
    return Corpus(found.vectors, found.servers, found.requests, [gold[n] for n in kept], drafts, scores)


def train(names: Sequence[str], encoder: Kept, seed: int, config: Any = None, **options: Any) -> Any:
    """Heads for the codebook of all tools of these sets, from their train requests."""
    from toolweft_server.training import heads

    if "toolbench" in names:
        raise SystemExit("the tools of toolbench are for evaluation only: nothing is trained on them")
    found = [encoded(name, "train", encoder) for name in names]
    quantiser = codebook(found, seed, **options)
    corpora = [corpus(each) for each in found] if config is None or config.epochs else [_nothing(found[0])]
    print(f"{sum(len(each.requests) for each in corpora)} requests of {len(corpora)} sets", flush=True)
    return heads.fit(config or heads.HeadsConfig(), quantiser, corpora, generator(seed), progress=_told)


def of(trained: Any) -> Heads:
    return Heads.of(trained.arrays, encoder="", digest="")


def measure_heads(found: Encoded, own: Heads, *, gammas: Sequence[float] = GAMMAS) -> None:
    """Generate-only, verify, and what fusing either the whole code or its first digit gives over the hybrid."""
    woven = Woven.build(found.vectors, own.encode(found.vectors), firsts=own.firsts)
    orders, bases, steps, generated = [], [], [], []
    for vector, each in zip(found.requests, hybrid(found, lexical(found)), strict=True):
        order = best(each, DEPTH)[:DEPTH]
        orders.append(order)
        bases.append(each[order])
        steps.append(own.verify(vector, woven, order))
        generated.append(own.generate(vector, woven, DEPTH).rows)
    baseline = judged(found, orders)
    line("hybrid", baseline)
    line("codes, generate only", judged(found, generated), baseline)
    line("codes, verify only", judged(found, [o[_by(s.sum(1))] for o, s in zip(orders, steps, strict=True)]), baseline)
    for what, upto in (("whole code", None), ("first digit", 1)):
        for gamma in gammas:
            again = [
                order[_by(base + gamma * _scaled(each[:, :upto].sum(1)))]
                for order, base, each in zip(orders, bases, steps, strict=True)
            ]
            line(f"hybrid + {gamma} {what}", judged(found, again), baseline)


def measure_speed(found: Encoded, own: Heads, repeat: int) -> None:
    """One exact scan against pruned search, dot products only; R@5 of the cosine alone."""
    woven = Woven.build(found.vectors, own.encode(found.vectors), firsts=own.firsts)
    took, exact = [], []
    for vector in np.repeat(found.requests, repeat, axis=0):
        start = time.perf_counter()
        scores = found.vectors @ vector
        took.append(time.perf_counter() - start)
        exact.append(best(scores, DEPTH)[:DEPTH])
    line(f"exact scan, p50 {1000 * np.median(took):.2f} ms", judged(found, exact[::repeat]))
    size = len(found.vectors)

    def by_codes(vector: Array, budget: int) -> Candidates:
        return woven.drafts(vector, own.tables(vector), budget)

    def by_first(vector: Array, budget: int) -> Candidates:
        return woven.candidates(vector, own.first(vector), budget)

    ways = (("whole codes", by_codes, (0.01, 0.02, 0.04, 0.08)), ("first digits", by_first, (0.04, 0.12, 0.32)))
    for what, search, shares in ways:
        for share in shares:
            took, orders, read = [], [], []
            for vector in np.repeat(found.requests, repeat, axis=0):
                start = time.perf_counter()
                near = search(vector, int(share * size))
                took.append(time.perf_counter() - start)
                orders.append(near.rows[best(near.scores, DEPTH)[:DEPTH]])
                read.append(len(near.rows) / size)
            label = f"{what}, {100 * np.mean(read):4.1f} % read, p50 {1000 * np.median(took):.2f} ms"
            line(label, judged(found, orders[::repeat]))


def measure_sets(found: Encoded, encoder: Kept, weights: Sequence[tuple[str, sets.Weights | None]]) -> None:
    """Requests for several tools and for one, apart; the pool: the first hundred, and the best servers' others."""
    parts = [clauses if len(clauses := sets.clauses(each.text)) > 1 else [] for each in found.data.requests]
    flat = encoder.encode([clause for each in parts for clause in each])
    encoder.save()
    ends = np.cumsum([0, *map(len, parts)])
    pools = []
    for each in hybrid(found, lexical(found)):
        rows = best(each, DEPTH)[:DEPTH]
        near = np.isin(found.servers, list(dict.fromkeys(found.servers[rows[:8]]))[:3])
        others = np.setdiff1d(np.flatnonzero(near), rows)
        rows = np.concatenate([rows, others[best(each[others], DEPTH)[:DEPTH]]])
        pools.append((rows, sets.Pool(each[rows], found.vectors[rows], found.servers[rows])))
    several = np.array([len(request.gold) > 1 for request in found.data.requests])
    for label, given in weights:
        orders = []
        for n, (rows, pool) in enumerate(pools):
            if given is None:
                orders.append(rows[np.argsort(-pool.scores, kind="stable")])
                continue
            clauses = flat[ends[n] : ends[n + 1]]
            orders.append(rows[sets.complete(pool, clauses, weights=given)])
        scores = judged(found, orders)
        for kind, mine in (("several", several), ("one", ~several)):
            if mine.any():
                line(f"{label}, {kind} ({int(mine.sum())})", {name: each[mine] for name, each in scores.items()})


SETS_RIVALS: Sequence[tuple[str, sets.Weights | None]] = (
    ("ranking alone", None),
    ("whole sets", sets.Weights()),
    ("without servers", sets.Weights(server=0.0, trust=0.0)),
    ("without parts", sets.Weights(clause=0.0)),
)


def _by(scores: Array) -> Array:
    return np.argsort(-scores, kind="stable")


def _scaled(logp: Array) -> Array:
    return 1 + np.maximum(logp - logp.max(), -10.0) / 10


def _not_at_all() -> Any:
    from toolweft_server.training.heads import HeadsConfig

    return HeadsConfig(hidden=4, epochs=0)


def _nothing(found: Encoded) -> Any:
    """A corpus of one request, for heads that shall stay as they begin."""
    from toolweft_server.training.heads import Corpus

    row = np.zeros((1, 1), np.int64)
    return Corpus(found.vectors[:2], np.arange(2), found.vectors[:1], [(0,)], row, row.astype(np.float32))


def generator(seed: int) -> Any:
    import torch

    torch.set_num_threads(1)
    return torch.Generator().manual_seed(seed)


def _told(step: Any) -> None:
    print(f"   {step.stage} {step.done}/{step.total} loss {step.loss:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "train", "heads", "sets"))
    parser.add_argument("--encoder", type=Path, required=True, help="a folder of `training.encoder.export`")
    parser.add_argument("--cache", type=Path, help="keeps vectors between runs")
    parser.add_argument("--heads", type=Path, help="a folder of `train`; without one, untrained heads")
    parser.add_argument("--out", type=Path, help="where `train` writes")
    parser.add_argument("--sets", default="weft_queries", help="comma-separated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="of `train`")
    parser.add_argument("--repeat", type=int, default=1, help="how often `speed` asks each request")
    given = parser.parse_args()
    loaded = Encoder.load(given.encoder)
    encoder, names = Kept(loaded, given.cache), given.sets.split(",")
    print(f"{given.what}, split dev, encoder {loaded.digest[:8]}; {machine.line()}")
    if given.what == "train":
        from toolweft_server.training import heads

        config = heads.HeadsConfig() if given.epochs is None else heads.HeadsConfig(epochs=given.epochs)
        trained = train(names, encoder, given.seed, config)
        said = asdict(config) | {"seed": given.seed, "sets": names}
        print(json.dumps([each._asdict() for each in trained.history[-1:]]))
        if given.out is None:
            raise SystemExit("nothing was written: --out names the folder")
        print(heads.save(trained, given.out, encoder=loaded.digest, config=said).digest)
        return
    judges = [encoded(name, "dev", encoder) for name in names]
    for found in judges:
        print(f"== {found.data.name}: {len(found.vectors)} tools, {len(found.requests)} requests", flush=True)
        if given.what == "sets":
            measure_sets(found, encoder, SETS_RIVALS)
        else:
            base = [each for each in judges if each.data.name in TRAINED_ON] or [encoded(TRAINED_ON[0], "dev", encoder)]
            own = Heads.load(given.heads, encoder=loaded.digest) if given.heads else untrained(base, given.seed)
            if given.what == "speed":
                measure_speed(found, own, given.repeat)
            else:
                measure_heads(found, own)


if __name__ == "__main__":
    main()
