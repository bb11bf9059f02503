"""What each choice is worth, in one table: codebooks, heads, the parts of the ranking, and learning from use.

    python -m benchmarks.ablations --encoder FOLDER [--cache FOLDER] [--heads FOLDER] [--set weft_queries] [--seeds 3]
                                   [--parts codebooks,later,generate,judge,ranking,use] [--log FILE]

All on `dev`; what is trained is trained on `train`, and the encoder is frozen. Each part has its own first row, which
the others are compared with, in pairs: each request's scores are averaged over the seeds, and the interval is over
requests (in `use` over people). After ± stands the standard deviation over seeds.

- `codebooks`: tools ranked by the distance of the request to what their codes stand for, so by what codes alone keep
  of a vector; `alone` is the share of tools that have a code of their own. Fitted on the whole catalogue.
- `later`: the same, codebook and codes made without the servers that `dev` asks for; their tools come afterwards.
- `generate`: heads name the tools. `judge`: they order the first hundred of words and vectors. One request in three.
- `ranking`: the index as it is served without one of its parts, or with every tool as a match; nothing is drawn, so
  there are no seeds.
- `use`: people of `benchmarks.usage`, regime `own`: the log has the bias of places and one wrong call in ten.

Sized down so that the table takes about half an hour of one core: see `VAE`, `HEADS` and `PEOPLE`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from benchmarks import codes, encodings, machine, rows, usage
from benchmarks.codes import Encoded
from benchmarks.encodings import Kept
from numpy.typing import NDArray
from torch import Tensor, nn

from toolweft_server.evaluation import report, statistics
from toolweft_server.evaluation.systems import best, from_index
from toolweft_server.evaluation.woven import DRAFTS, built
from toolweft_server.index.woven import index as served
from toolweft_server.index.woven import residual
from toolweft_server.index.woven.codes import Woven
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.evidence import DIALS
from toolweft_server.index.woven.fusion import WEIGHTS
from toolweft_server.index.woven.heads import Heads
from toolweft_server.index.woven.index import WovenIndex
from toolweft_server.index.woven.usage import Usage as Learned
from toolweft_server.index.woven.usage import centre_of, learn
from toolweft_server.training import assign, heads, quantise
from toolweft_server.training.affinity import Affinity, AffinityConfig, Usage, affinity
from toolweft_server.training.quantise import QuantiserConfig
from toolweft_server.training.quantiser import Data, Quantiser
from toolweft_server.training.rqkmeans import RqKMeans, RqKMeansConfig
from toolweft_server.training.rqvae import RqVaeConfig

SHOWN = ("N@5", "R@5", "R@10", "COMP@10")

KMEANS = RqKMeansConfig(levels=3, codes=256, rounds=12, projection_steps=0)
VAE = RqVaeConfig(
    levels=3, codes=256, hidden=(256,), steps=500, warmup=100, batch=256, edges_per_step=128, init_rounds=12
)
"""A tenth of the steps, a quarter of the batch, and one layer of the four that `toolweft train tokenize` has."""
HEADS, PART = heads.HeadsConfig(epochs=2), 3
"""A third of the epochs that heads are trained by default; every third request, in training and judging."""
PEOPLE = 12

Array = NDArray[Any]
Scores = rows.Scores


class Variant(NamedTuple):
    """One row: what is measured for a seed. What has no seed is measured once."""

    label: str
    measure: Callable[[int], Scores]
    seeded: bool = True


class Bench:
    """One set, one frozen encoder, and what several rows need of them."""

    def __init__(self, name: str, encoder: Kept, engine: Engine) -> None:
        self.name, self.encoder, self.engine = name, encoder, engine
        self._trained: dict[tuple[str, int], Heads] = {}

    @cached_property
    def dev(self) -> Encoded:
        return codes.encoded(self.name, "dev", self.encoder)

    @cached_property
    def train(self) -> Encoded:
        return codes.encoded(self.name, "train", self.encoder)

    @cached_property
    def graph(self) -> Affinity:
        """Co-usage in the gold sets of `train`."""
        sets = [Usage(tuple(each.tools), "train") for each in self.train.data.requests]
        return affinity(AffinityConfig(), sets, self.dev.ids)

    @cached_property
    def later(self) -> NDArray[np.bool_]:
        """(N,): the tools of the servers that `dev` asks for."""
        server = {tool.id: tool.server for tool in self.dev.data.tools}
        asked = {server[tool] for request in self.dev.data.requests for tool in request.tools}
        return np.array([tool.server in asked for tool in self.dev.data.tools])

    @cached_property
    def drafts(self) -> list[Array]:
        """For each request of `asked` its first hundred tools by words and vectors."""
        return [best(each, DRAFTS)[:DRAFTS] for each in codes.hybrid(self.asked, codes.lexical(self.asked))]

    @cached_property
    def index(self) -> WovenIndex:
        known = self.dev.vectors.any(axis=1)
        digests = [tool.digest for tool in self.dev.data.tools]
        self.engine.cache.put([digests[at] for at in np.flatnonzero(known)], self.dev.vectors[known])
        return built(self.dev.data.tools, self.engine)

    @cached_property
    def requests(self) -> tuple[heads.Corpus, heads.Corpus]:
        """What heads learn from: requests of `train`, and first sentences of tools, no more of them."""
        real = codes.corpus(some(self.train))
        made = codes.corpus(self.train, synthetic=self.encoder, most=len(real.requests))
        return real, made

    @cached_property
    def asked(self) -> Encoded:
        """The requests of `dev` that heads are judged on."""
        return some(self.dev)

    def trained(self, label: str, seed: int, make: Callable[[int], Heads]) -> Heads:
        if (label, seed) not in self._trained:
            self._trained[label, seed] = make(seed)
        return self._trained[label, seed]


def some(found: Encoded) -> Encoded:
    """Every `PART`th request."""
    data = replace(found.data, requests=found.data.requests[::PART])
    return found._replace(data=data, requests=found.requests[::PART])


def by_codes(bench: Bench, quantiser: Quantiser, assigned: assign.Assigned) -> Scores:
    """What is left of the ranking when each tool is where its code stands; `alone` beside it."""
    meant = residual.decode(assigned.codes, quantiser.codebook)
    asked = quantiser.project(bench.dev.requests)
    near = [best(-row, DRAFTS)[:DRAFTS] for start in range(0, len(asked), 256)
            for row in residual.distances(asked[start : start + 256], meant)]  # fmt: skip
    _, back, counts = np.unique(assigned.paths, axis=0, return_inverse=True, return_counts=True)
    return codes.judged(bench.dev, near) | {"alone": (counts[back.reshape(-1)] == 1).astype(np.float64)}


def coded(bench: Bench, config: QuantiserConfig, seed: int, *, unique: bool = False) -> Scores:
    quantiser = quantise.fit(config, Data(bench.dev.vectors, bench.graph), codes.generator(seed)).quantiser
    latent = quantiser.project(bench.dev.vectors)
    owners = assign.unique if unique else assign.shared
    return by_codes(bench, quantiser, owners(latent, quantiser.codebook))


def coded_later(bench: Bench, config: QuantiserConfig, seed: int, *, unique: bool = False) -> Scores:
    """The codebook knows the tools of other servers alone, and those have their codes already."""
    known = np.flatnonzero(~bench.later)
    quantiser = quantise.fit(config, Data(bench.dev.vectors[known]), codes.generator(seed)).quantiser
    latent = quantiser.project(bench.dev.vectors)
    if not unique:
        return by_codes(bench, quantiser, assign.shared(latent, quantiser.codebook))
    first = assign.unique(latent[known], quantiser.codebook)
    fresh = np.flatnonzero(bench.later)
    second = assign.unique(latent[fresh], quantiser.codebook, assign.Owned(latent[known], first))
    both = assign.Assigned(np.zeros((len(latent), len(quantiser.codebook)), np.int32), np.zeros(len(latent), np.int32))
    for at, each in ((known, first), (fresh, second)):
        both.codes[at], both.suffix[at] = each.codes, each.suffix
    return by_codes(bench, quantiser, both)


def codebooks(bench: Bench) -> Iterator[Variant]:
    def row(label: str, config: QuantiserConfig, **options: bool) -> Variant:
        return Variant(label, lambda seed: coded(bench, config, seed, **options))

    yield row("RQ-k-means 3×256, buckets", KMEANS)
    yield Variant("vectors, no codes", lambda _: _by_vectors(bench), seeded=False)
    yield row("unique codes", KMEANS, unique=True)
    for levels, size in ((2, 256), (4, 256), (3, 64), (3, 1024), (2, 1024)):
        yield row(f"L × K = {levels}×{size}", replace(KMEANS, levels=levels, codes=size))
    for anchor in (10.0, 1.0):
        yield row(f"co-usage map, anchor {anchor:g}", replace(KMEANS, projection_steps=300, anchor=anchor))
    yield row("RQ-VAE, no Laplacian", replace(VAE, graph=0.0, contrast=0.0))
    for weight in (0.1, 1.0, 10.0):
        yield row(f"RQ-VAE, Laplacian λ = {weight:g}", replace(VAE, graph=weight))
    yield row("RQ-VAE, λ = 1, no Sinkhorn", replace(VAE, balance=0.0))
    yield row("RQ-VAE, λ = 1, unique codes", VAE, unique=True)


def later(bench: Bench) -> Iterator[Variant]:
    yield Variant("RQ-k-means 3×256, buckets", lambda seed: coded_later(bench, KMEANS, seed))
    yield Variant("unique codes", lambda seed: coded_later(bench, KMEANS, seed, unique=True))


def _by_vectors(bench: Bench) -> Scores:
    found = [best(bench.dev.vectors @ each, DRAFTS)[:DRAFTS] for each in bench.dev.requests]
    return codes.judged(bench.dev, found) | {"alone": np.ones(1)}


class Free(heads.Model):
    """Heads whose codewords are learned, too, and only begin as those of the codebook. Codes stay what they were."""

    def __init__(self, quantiser: RqKMeans, config: heads.HeadsConfig, generator: torch.Generator) -> None:
        super().__init__(quantiser, config, generator)
        self.words = nn.ParameterList(nn.Parameter(each.clone()) for each in self.levels)
        self.levels = [each.detach() for each in self.words]  # the same memory: what is trained is what is written

    def logits(self, level: int, requests: Tensor, so_far: Tensor) -> Tensor:
        words = self.words[level]
        at = 2.0 * self.heads(level, requests, so_far) @ words.T - words.square().sum(1)
        out: Tensor = self.log_temperatures[level].exp() * at
        return out


def fitted(
    bench: Bench, seed: int, *, free: bool = False, synthetic: bool = False, config: heads.HeadsConfig = HEADS
) -> Heads:
    corpus, book = bench.requests[synthetic], codes.codebook([bench.dev], seed)
    with mock.patch.object(heads, "Model", Free if free else heads.Model):  # `fit` has no other way to another model
        return codes.of(heads.fit(config, book, [corpus], codes.generator(seed)))


def of_heads(bench: Bench, what: Callable[[Bench, Heads, residual.Codes], Scores]) -> Iterator[Variant]:
    ways: dict[str, Callable[[int], Heads]] = {
        "trained on requests": partial(fitted, bench),
        "untrained": partial(fitted, bench, config=replace(HEADS, epochs=0)),
        "free codewords": partial(fitted, bench, free=True),
        "synthetic requests": partial(fitted, bench, synthetic=True),
    }
    for label, make in ways.items():

        def measure(seed: int, label: str = label, make: Callable[[int], Heads] = make) -> Scores:
            frozen = heads.encode(codes.codebook([bench.dev], seed), bench.dev.vectors)
            return what(bench, bench.trained(label, seed, make), frozen)

        yield Variant(label, measure)


def generated(bench: Bench, own: Heads, frozen: residual.Codes) -> Scores:
    woven = Woven.build(bench.dev.vectors, frozen, firsts=own.firsts)
    return codes.judged(bench.asked, [own.generate(each, woven, DRAFTS).rows for each in bench.asked.requests])


def verified(bench: Bench, own: Heads, frozen: residual.Codes) -> Scores:
    woven = Woven.build(bench.dev.vectors, frozen, firsts=own.firsts)
    found = zip(bench.asked.requests, bench.drafts, strict=True)
    orders = [order[np.argsort(-own.verify(each, woven, order).sum(1), kind="stable")] for each, order in found]
    return codes.judged(bench.asked, orders)


def ranking(bench: Bench) -> Iterator[Variant]:
    def row(label: str, **weights: float) -> Variant:
        def measure(_: int) -> Scores:
            bench.index.weights = replace(WEIGHTS, **weights)
            return report.measure(bench.dev.data, from_index(bench.index)).scores

        return Variant(label, measure, seeded=False)

    yield row("as served")
    yield row("without words", words=0.0)
    yield row("without vectors", dense=0.0)
    yield row("without whole sets", sets=0.0)
    yield row("without examples", examples=0.0)
    for weight in (0.01, 0.03):
        yield row(f"with codes, weight {weight}", codes=weight)

    def unlimited(_: int) -> Scores:
        bench.index.weights = WEIGHTS
        with mock.patch.multiple(served, FLOOR=0.0, MEANT=-1.0, NEAR=-1.0):
            return report.measure(bench.dev.data, from_index(bench.index)).scores

    yield Variant("every tool matches", unlimited, seeded=False)


class Life(NamedTuple):
    """A person, one log, and what it teaches."""

    who: usage.Person
    log: list[usage.Session]
    learned: Learned


def use(bench: Bench) -> Iterator[Variant]:
    centre = centre_of(bench.encoder.encode)
    encoded = usage.Encoded(bench.dev.data, bench.dev.vectors, bench.dev.requests)

    @cache
    def lives(seed: int) -> list[Life]:
        """The same people with every seed, and other logs."""
        people = [usage.person(encoded, "own", np.random.default_rng([n, 1])) for n in range(PEOPLE)]
        logs = [
            usage.sessions(who, usage.SESSIONS, np.random.default_rng([n, 2, seed])) for n, who in enumerate(people)
        ]
        return [Life(who, log, learned(who, log, centre)) for who, log in zip(people, logs, strict=True)]

    def row(label: str, parts: str) -> Variant:
        return Variant(label, lambda seed: {"N@5": np.array([_ndcg(each, parts) for each in lives(seed)])})

    yield row("without use", "")
    yield row("with use", "shift score")
    yield row("shifts alone", "shift")
    yield row("scores alone", "score")
    yield Variant("with use, 1 % poisoned", lambda seed: poisoned(lives(seed), centre, seed))


def learned(who: usage.Person, log: Sequence[usage.Session], centre: Array) -> Learned:
    return learn(usage.evidence(who, log), who.requests, centre, usage.NOW)


def _ndcg(each: Life, parts: str) -> float:
    return usage.ndcg5(each.who, each.who.fused(each.learned, parts))


def poisoned(lives: Sequence[Life], centre: Array, seed: int) -> Scores:
    """One session in a hundred calls an attacker's tool. `rise`: the ranks that it gains, on average."""
    found: dict[str, list[float]] = {"N@5": [], "rise": []}
    for n, each in enumerate(lives):
        random, log = np.random.default_rng([n, 3, seed]), list(each.log)
        rogue = int(random.integers(len(each.who.tools)))
        for at in random.choice(len(log), max(1, len(log) // 100), replace=False):
            log[at] = log[at]._replace(tool=rogue)
        found["N@5"].append(_ndcg(each._replace(learned=learned(each.who, log, centre)), "shift score"))
        gained = usage.rises(each.who, each.log, each.learned, centre, DIALS, seed)
        found["rise"].append(float(np.mean(gained)))
    return {name: np.array(each) for name, each in found.items()}


MAKERS: dict[str, Callable[[Bench], Iterator[Variant]]] = {
    "codebooks": codebooks, "later": later, "generate": partial(of_heads, what=generated),
    "judge": partial(of_heads, what=verified), "ranking": ranking, "use": use
}  # fmt: skip


def table(part: str, measured: Sequence[tuple[str, list[Scores]]]) -> str:
    """Rows under one another; the last column is the difference of N@5 to the first row."""
    head = [part, "seeds", *SHOWN, "", "N@5 minus the first row"]
    first: Array | None = None
    lines = [head]
    for label, found in measured:
        mean = np.mean([each["N@5"] for each in found], axis=0)
        cells = [_cell([each[name].mean() for each in found]) if name in found[0] else "" for name in SHOWN]
        more = [f"{name} {_said(name, found)}" for name in ("alone", "rise") if name in found[0]]
        against = "" if first is None else _points(statistics.paired(mean, first))
        first = mean if first is None else first
        lines.append([label, str(len(found)), *cells, " ".join(more), against])
    return report.aligned(lines)


def _cell(means: Sequence[float]) -> str:
    spread = f" ±{100 * np.std(means, ddof=1):.1f}" if len(means) > 1 else ""
    return f"{100 * np.mean(means):.1f}{spread}"


def _said(name: str, found: Sequence[Scores]) -> str:
    mean = float(np.mean([each[name].mean() for each in found]))
    return f"{mean:.2f}" if name == "rise" else f"{100 * mean:.0f} %"


def _points(value: statistics.Interval) -> str:
    sure = "*" if value.low > 0 or value.high < 0 else " "
    return f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]{sure}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder, which stays as it is")
    parser.add_argument("--heads", type=Path, help="folder of its heads (default: the shipped ones)")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--set", default="weft_queries", choices=codes.TRAINED_ON)
    parser.add_argument("--parts", default=",".join(MAKERS), help="comma-separated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--log", type=Path, help="keeps finished rows: a run that is stopped goes on there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    encoder = Kept(Encoder.load(given.encoder), given.cache)
    engine = encodings.engine(encoder, given.heads)
    bench = Bench(given.set, encoder, engine)
    sizes = [asdict(KMEANS), asdict(VAE), asdict(HEADS), asdict(WEIGHTS), PEOPLE]
    log = rows.Kept(given.log, ["ablations", given.set, encoder.digest, engine.heads.digest, *sizes])
    data = bench.dev.data
    print(f"{given.set} dev: {len(data.tools)} tools, {len(data.requests)} requests; percent; ± over seeds")
    print(f"encoder {encoder.digest[:8]}, frozen; {machine.line()}")
    print(f"sized down: k-means {KMEANS.rounds} rounds; RQ-VAE {VAE.steps} steps of {VAE.batch}, layers {VAE.hidden};")
    print(f"heads {HEADS.epochs} epochs, 1 request in {PART}; {PEOPLE} people")
    for part in given.parts.split(","):
        measured = []
        for label, measure, seeded in MAKERS[part](bench):
            names = [*SHOWN, "alone", "rise"]
            seeds = range(1, (given.seeds if seeded else 1) + 1)
            found = [log.scores(f"{part}: {label}, seed {seed}", partial(measure, seed), names) for seed in seeds]
            measured.append((label, found))
            print(f"… {part}: {label}: N@5 {_cell([each['N@5'].mean() for each in found])}", flush=True)
        print("\n" + table(part, measured) + "\n", flush=True)
    encoder.save()


if __name__ == "__main__":
    main()
