"""How much words and vectors should count: one share for all requests, or one that the request decides.

    python -m benchmarks.fusion --encoder FOLDER [--split dev] [--sets weft_queries,metatool] [--keep FOLDER]
                                [--json FILE]

A tool's score is share · words + (1 - share) · vectors, each part as shares of its best. Per set:

- `words`, `vectors`: the parts alone;
- `best here`: the one share that is best on this very set: what no rule that is one number can beat;
- `one share`: the share that is best on all *other* sets, the mean of sets of N@5 + R@5, among those that are not worse
  there than the better part (pooled lower 95 % bound of N@5 at -0.5 points or higher, no set wholly below 0);
- `one sum`: BM25F / scale + cosine, as `woven.fusion` has it: the share follows from how much each part knows. The
  scale is the best one on all *other* sets;
- `by request`: sigmoid(weights · features of the request's scores), learned on all *other* sets.

So every figure of the last three rows is one on a set that nobody tuned on. The shares to ship come from all sets
together and are printed last, with what they score on the sets they were chosen on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from benchmarks import datasets, machine
from benchmarks.encodings import Kept
from numpy.typing import NDArray

from toolweft_server.commands.eval import Ticker
from toolweft_server.evaluation import metrics, report, statistics
from toolweft_server.evaluation.data import Dataset
from toolweft_server.evaluation.suite import Suite
from toolweft_server.evaluation.systems import best
from toolweft_server.index import text
from toolweft_server.index.woven.encoder import Encoder

Array: TypeAlias = NDArray[Any]

DRAFTS = 100
"""Best tools of each part that are looked at: what neither has among them is not found."""

SCALES = (20.0, 30.0, 40.0, 45.0, 50.0, 60.0, 80.0)
SHARES = tuple(np.round(np.arange(0.0, 1.01, 0.05), 2))
MARGIN = 0.005
FEATURES = ("one", "terms", "margin of words", "words that tie", "best cosine", "margin of vectors", "agreement",
            "words of the nearest", "vector of the wordiest", "weight of words", "tools")  # fmt: skip


class Evidence(NamedTuple):
    """What both parts say about the likely tools of each request of a set; Q requests, C = 2 · `DRAFTS` places."""

    name: str
    words: Array  # (Q, C) float32
    vectors: Array  # (Q, C) float32
    right: Array  # (Q, C) bool
    twin: Array  # (Q, C) int32: the number of the tool's group; -1 where there is no tool
    golds: Array  # (Q,) int64
    features: Array  # (Q, len(FEATURES)) float64
    tops: Array  # (Q, 2) float64: the best BM25F and the best cosine


def evidence(data: Dataset, suite: Suite) -> Evidence:
    number = {group: n for n, group in enumerate(dict.fromkeys(data.group.values()))}
    twins = np.array([number[data.group[tool.id]] for tool in data.tools], np.int32)
    rows: list[tuple[Array, ...]] = []
    ticker = Ticker()
    for request in data.requests:
        words = suite.lexical.scores([request.text])[0]
        cosines = suite.dense.scores([request.text])[0]
        wordy, near = best(words, DRAFTS), best(cosines, DRAFTS)
        at = np.union1d(wordy, near)
        by_words, by_vectors = by_best(words), above(cosines)
        gold = np.array([number[group] for group in request.gold])
        rows.append(
            (
                _padded(by_words[at], -1.0),
                _padded(by_vectors[at], -1.0),
                _padded(np.isin(twins[at], gold), value=False),
                _padded(twins[at], -1),
                features(request.text, words, cosines, wordy, near),
                np.array([words.max(), max(float(cosines.max()), 1e-6)]),
            )
        )
        ticker(f"requests of {data.name} weighed", len(rows), len(data.requests))
    words, vectors, right, twin, found, tops = (np.array(column) for column in zip(*rows, strict=True))
    golds = np.array([len(request.gold) for request in data.requests], np.int64)
    return Evidence(data.name, words, vectors, right, twin, golds, found, tops)


def by_best(words: Array) -> Array:
    """(n,): BM25F as shares of its best."""
    most = float(words.max(initial=0.0))
    return words / np.float32(most) if most > 0 else np.zeros_like(words)


def above(cosines: Array) -> Array:
    """(n,): cosines above 0 as shares of the best."""
    most = float(cosines.max(initial=0.0))
    return np.maximum(cosines, 0) / np.float32(most) if most > 0 else np.zeros_like(cosines)


def features(query: str, words: Array, cosines: Array, wordy: Array, near: Array) -> Array:
    """(len(FEATURES),), each about 0 to 1. `wordy` and `near` are the best tools by words and by vectors."""
    terms = len([term for term in text.terms(query) if term not in text.STOP_WORDS])
    by_words, by_vectors = by_best(words), above(cosines)
    second = float(by_words[wordy[1]]) if len(wordy) > 1 else 0.0
    following = float(by_vectors[near[1:10]].mean()) if len(near) > 1 else 0.0
    found = bool(words[wordy[0]] > 0)
    return np.array(
        [
            1.0,
            np.log1p(terms) / 3.0,
            1.0 - second,
            np.log1p(np.count_nonzero(by_words > 0.8)) / 4.0 if found else 1.0,
            float(cosines[near[0]]),
            1.0 - following,
            len(np.intersect1d(wordy[:10], near[:10])) / 10.0,
            float(by_words[near[0]]),
            float(by_vectors[wordy[0]]),
            float(words[wordy[0]]) / max(terms, 1) / 5.0,
            np.log10(len(words)) / 5.0,
        ]
    )


def scored(found: Evidence, share: Array | float) -> dict[str, Array]:
    """N@5 and R@5 of every request; `share` is that of words, one for all or (Q,)."""
    part = np.broadcast_to(np.asarray(share, np.float32), len(found.golds))[:, None]
    fused = part * found.words + (1 - part) * found.vectors
    order = np.argsort(-fused, axis=1, kind="stable")[:, :40]
    twin, right = np.take_along_axis(found.twin, order, 1), np.take_along_axis(found.right, order, 1)
    repeated = np.zeros_like(right)
    for place in range(1, order.shape[1]):
        repeated[:, place] = (twin[:, :place] == twin[:, place : place + 1]).any(axis=1)
    moved = np.argsort(repeated, axis=1, kind="stable")[:, :10]
    first = np.take_along_axis(right & ~repeated, moved, 1)
    judged = metrics.Judged(np.pad(first, ((0, 0), (0, metrics.DEEPEST - first.shape[1]))), found.golds)
    scores = metrics.score(judged)
    return {name: scores[name] for name in ("N@5", "R@5")}


def value(found: Evidence, share: Array | float) -> float:
    return sum(float(each.mean()) for each in scored(found, share).values())


def one_sum(sets: Sequence[Evidence]) -> float:
    """The scale that is best over all."""
    return max(SCALES, key=lambda scale: sum(value(each, summed(each, scale)) for each in sets))


def summed(found: Evidence, scale: float) -> Array:
    """(Q,): the share of words for which the mix of normalised parts ranks as BM25F / scale + cosine does."""
    by_words, by_vectors = found.tops[:, 0] / scale, found.tops[:, 1]
    each: Array = by_words / (by_words + by_vectors)
    return each


def one_share(sets: Sequence[Evidence]) -> float:
    """The best share of all that are not worse than the better part; the best of all when every one is."""
    alone = [max((scored(each, share)["N@5"] for share in (0.0, 1.0)), key=lambda found: found.mean()) for each in sets]

    def harmless(share: float) -> bool:
        differences = [scored(each, share)["N@5"] - other for each, other in zip(sets, alone, strict=True)]
        pooled = statistics.pooled(differences, resamples=500)
        return pooled.low >= -MARGIN and all(statistics.interval(each, resamples=500).high >= 0 for each in differences)

    ranked = sorted(SHARES, key=lambda share: -sum(value(each, share) for each in sets))
    return float(next(filter(harmless, ranked), ranked[0]))


def by_request(
    sets: Sequence[Evidence], *, start: float, steps: int = 400, rate: float = 0.05, decay: float = 1e-3
) -> Array:
    """(len(FEATURES),) weights, by Adam on the listwise cross-entropy of the right tools; each set weighs the same.

    `start` is the share that every request has at first; `decay` pulls the weights of the features towards 0.
    """
    weights = np.zeros(len(FEATURES))
    weights[0] = np.log(start / (1 - start)) if 0 < start < 1 else (-3.0 if start <= 0 else 3.0)
    sharp = np.log(12.0)  # how steep the softmax is, learned too
    mean, scale = np.zeros(len(FEATURES) + 1), np.zeros(len(FEATURES) + 1)
    for step in range(1, steps + 1):
        slope = np.zeros(len(FEATURES) + 1)
        for each in sets:
            slope += _slope(each, weights, sharp) / len(sets)
        slope[1:-1] += decay * weights[1:]
        mean, scale = 0.9 * mean + 0.1 * slope, 0.999 * scale + 0.001 * slope**2
        move = rate * (mean / (1 - 0.9**step)) / (np.sqrt(scale / (1 - 0.999**step)) + 1e-8)
        weights, sharp = weights - move[:-1], sharp - move[-1]
    return weights


def shares(found: Evidence, weights: Array) -> Array:
    """(Q,)"""
    each: Array = 1 / (1 + np.exp(-(found.features @ weights)))
    return each


def _slope(found: Evidence, weights: Array, sharp: float) -> Array:
    """The gradient of the mean cross-entropy by the weights and by the logarithm of the steepness."""
    usable = found.right.any(axis=1)
    words, vectors, right = found.words[usable], found.vectors[usable], found.right[usable]
    there = found.twin[usable] >= 0
    share = shares(found, weights)[usable][:, None]
    fused = share * words + (1 - share) * vectors
    logits = np.where(there, np.exp(sharp) * fused, -np.inf)
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    wanted = np.where(right, likely, 0)
    wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-12)
    error = np.where(there, likely - wanted, 0)  # (Q, C)
    by_share = np.exp(sharp) * (error * (words - vectors)).sum(axis=1) * (share * (1 - share))[:, 0]
    by_sharp = np.exp(sharp) * (error * fused).sum(axis=1)
    return np.append(by_share @ found.features[usable], by_sharp.sum()) / max(len(by_sharp), 1)


def _padded(values: Array, value: float | bool) -> Array:
    out = np.full(2 * DRAFTS, value, values.dtype)
    out[: len(values)] = values
    return out


def report_on(sets: Sequence[Evidence]) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """A line for each set and rule, and the same as figures."""
    lines, figures = [], []
    for held in sets:
        others = [each for each in sets if each is not held] or [held]
        same = one_share(others)
        each = shares(held, by_request(others, start=same))
        here = max(SHARES, key=lambda share: value(held, share))
        rules: Mapping[str, Array | float] = {
            "words": 1.0,
            "vectors": 0.0,
            f"best here ({here:.2f})": float(here),
            f"one share ({same:.2f})": same,
            f"one sum (1/{(scale := one_sum(others)):.0f})": summed(held, scale),
            f"by request ({each.mean():.2f} ±{each.std():.2f})": each,
        }
        base = scored(held, same)
        for rule, share in rules.items():
            found = scored(held, share)
            gain = {name: statistics.paired(found[name], base[name]) for name in found}
            lines.append([held.name, rule, *(f"{100 * found[name].mean():.1f}" for name in found)])
            lines[-1] += [_points(interval) for interval in gain.values()]
            figures.append({"set": held.name, "rule": rule} | {name: float(found[name].mean()) for name in found})
            figures[-1] |= {f"{name} minus one share": interval._asdict() for name, interval in gain.items()}
    return lines, figures


def _points(value: statistics.Interval) -> str:
    return f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]"


def _sweep(sets: Sequence[Evidence]) -> list[list[str]]:
    lines = [["share of words", *(each.name for each in sets), "all requests", "all sets"]]
    for share in SHARES[::2]:
        found = [scored(each, share) for each in sets]
        cells = [f"{100 * each['R@5'].mean():.1f} / {100 * each['N@5'].mean():.1f}" for each in found]
        means: Sequence[Callable[[str], float]] = (
            lambda name, found=found: float(np.concatenate([each[name] for each in found]).mean()),
            lambda name, found=found: float(np.mean([each[name].mean() for each in found])),
        )
        cells += [f"{100 * mean('R@5'):.1f} / {100 * mean('N@5'):.1f}" for mean in means]
        lines.append([f"{share:.2f}", *cells])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--split", choices=("train", "dev", "test"), default="dev")
    parser.add_argument("--sets", default=",".join(datasets.SETS), help="comma-separated")
    parser.add_argument("--keep", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args()
    encoder = Kept(Encoder.load(given.encoder), given.keep)
    sets = []
    for name in given.sets.split(","):
        data = datasets.load(name, given.split)
        if data.requests:
            sets.append(evidence(data, Suite(data.tools, encoder, progress=Ticker())))
            encoder.save()
    print(f"split {given.split}; encoder {given.encoder.name}; {machine.line()}\n\nR@5 / N@5")
    print(report.aligned(_sweep(sets)) + "\n")
    lines, figures = report_on(sets)
    head = ["set", "rule", "N@5", "R@5", "N@5 minus one share", "R@5 minus one share"]
    print(report.aligned([head, *lines]) + "\n")
    same = one_share(sets)
    weights = by_request(sets, start=same)
    learned = dict(zip(FEATURES, np.round(weights, 3).tolist(), strict=True))
    scale = one_sum(sets)
    print(f"on all sets together: one share {same:.2f}; one sum 1/{scale:.0f}; by request {learned}")
    for each in sets:
        both = scored(each, same), scored(each, shares(each, weights))
        cells = [f"N@5 {100 * one['N@5'].mean():.1f}, R@5 {100 * one['R@5'].mean():.1f}" for one in both]
        print(f"{each.name}: one share {cells[0]}; by request {cells[1]}")
    if given.json:
        chosen = {"one share": same, "one sum": 1 / scale, "by request": learned}
        given.json.write_text(json.dumps({"sets": figures, "chosen": chosen}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
