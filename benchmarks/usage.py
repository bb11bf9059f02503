"""Learning from use on simulated logs: what 500 sessions teach, in good and in hard regimes, and with poison.

    python -m benchmarks.usage --encoder FOLDER [--cache FOLDER] [--people 8] [--seeds 3] [--json FILE]

A *person* has a catalogue and asks for some of what it can do. A *session* is one logged request: the person looks at
the first five tools of the text ranking (convex mix of BM25F and cosine) from the top, each place with probability
1 / place, and calls the first right tool seen; one in ten calls a wrong one instead, drawn by the same bias; where
none of the five was seen to be right, half of the people find a right tool some other way. Only calls are logged. Each
request text is either in the log or measured, never both. All requests are of `dev`: no encoder was trained on them.

Regimes: `own` a person's own catalogue (20 to 500 tools, whole servers), popularity of intents by Zipf's law (s = 1) in
the log and in what is measured, in other words; `large` the same with all tools of the set connected and requests for
twelve servers; `even` as `own`, each intent equally often; `halves` requests split at random, so that part
of the intents are new; `new` no intent that is measured was ever logged (learning can only be in the way). N@5 counts
all right
tools in the ideal ranking; of several right ones any of one `dup_group` will do.

Poison: one session in a hundred calls the attacker's tool, successfully, whatever was asked, as the person's own
sessions do. The gain is the attacker's mean rise in rank over all measured requests, in the whole catalogue.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks import datasets, machine
from numpy.typing import NDArray

from toolweft_server.evaluation.data import Dataset
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven import usage
from toolweft_server.index.woven.document import text_of
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.evidence import DAY, DIALS, Dials, Evidence
from toolweft_server.index.woven.usage import Usage
from toolweft_server.index.woven.vectors import VectorCache

ALPHA = 0.3
"""Share of BM25F in the text score: DATA.md's mix."""
DELTA = 0.1
"""What a use score of 1 adds to a text score in [0, 1]."""
SHOWN, WRONG, PERSISTENT = 5, 0.1, 0.5
SESSIONS, NOW = 500, 1_000 * DAY
ATTACKERS = 4
REGIMES = ("own", "large", "even", "halves", "new")

Floats = NDArray[np.float32]


@dataclass
class Person:
    """A catalogue of N tools, M requests for it, and which of them are logged or measured."""

    tools: list[tuple[str, str]]
    servers: list[str]
    groups: list[str]
    vectors: Floats  # (N, d)
    requests: Floats  # (M, d)
    gold: list[frozenset[str]]
    lexical: Floats  # (M, N), best 1
    logged: list[int]
    measured: list[int]
    often: NDArray[np.float64]
    """(M,): how often each request is made."""

    @cached_property
    def text(self) -> Floats:
        """(M, N): the text ranking's scores, before anything was learned."""
        dense = self.requests @ self.vectors.T
        low, high = dense.min(1, keepdims=True), dense.max(1, keepdims=True)
        mixed: Floats = ALPHA * self.lexical + (1 - ALPHA) * (dense - low) / np.maximum(high - low, 1e-9)
        return mixed

    def fused(self, learned: Usage, parts: str) -> Floats:
        """(M, N): the scores after learning, of the measured requests; `parts` names what of it is used."""
        out = self.text.copy()
        for row in self.measured:
            request, pool = self.requests[row], usage.pool(self.text[row])
            dense = self.vectors @ request
            tools = [self.tools[tool] for tool in pool]
            if "shift" in parts:
                lift = learned.lift(request, tools, self.vectors[pool])
                out[row, pool] += (1 - ALPHA) * lift / (dense.max() - dense.min())
            if "score" in parts:
                out[row, pool] += DELTA * learned.scores(request, tools)
        return out


class Encoded(NamedTuple):
    data: Dataset
    vectors: Floats
    requests: Floats


def encode(name: str, encoder: Encoder, cache: Path | None) -> Encoded:
    data = datasets.load(name, "dev")
    kept = VectorCache(cache, encoder.digest, encoder.size)
    digests = [tool.digest for tool in data.tools]
    rows, have = kept.get(digests)
    missing = np.flatnonzero(~have)
    if len(missing):
        rows[missing] = encoder.encode([text_of(data.tools[row]) for row in missing.tolist()])
        kept.put([digests[row] for row in missing.tolist()], rows[missing])
        kept.save()
    return Encoded(data, rows, encoder.encode([request.text for request in data.requests]))


def person(encoded: Encoded, regime: str, random: np.random.Generator) -> Person:
    """Draws one. Deterministic given the generator."""
    data = encoded.data
    of_server: defaultdict[str, list[int]] = defaultdict(list)
    of_group: defaultdict[str, list[int]] = defaultdict(list)
    for row, tool in enumerate(data.tools):
        of_server[tool.server].append(row)
        of_group[data.group[tool.id]].append(row)
    homes = {group: data.tools[rows[0]].server for group, rows in of_group.items()}
    asked = sorted({homes[group] for request in data.requests for group in request.gold})
    single = max(map(len, of_server.values())) == 1  # a set without servers is one person's catalogue as it stands
    chosen = set(asked) if single else set(_servers(asked, of_server, regime, random))
    whole = single or regime == "large"
    rows = sorted(range(len(data.tools)) if whole else (row for server in chosen for row in of_server[server]))
    inside = {data.group[data.tools[row].id] for row in rows}
    wanted = [
        n
        for n, request in enumerate(data.requests)
        if request.gold <= inside and {homes[group] for group in request.gold} <= chosen
    ]
    tools = [data.tools[row] for row in rows]
    index = LexicalIndex.build(tools)
    order = {tool_id: n for n, tool_id in enumerate(index.ids())}
    columns = [order[tool.id] for tool in tools]
    lexical = np.stack([index.scores(data.requests[n].text)[columns] for n in wanted])
    gold = [data.requests[n].gold for n in wanted]
    logged, measured, often = _split(gold, regime, random)
    return Person(
        tools=[(tool.id, tool.digest) for tool in tools],
        servers=[tool.server for tool in tools],
        groups=[data.group[tool.id] for tool in tools],
        vectors=encoded.vectors[rows],
        requests=encoded.requests[wanted],
        gold=gold,
        lexical=(lexical / np.maximum(lexical.max(1, keepdims=True), 1e-9)).astype(np.float32),
        logged=logged,
        measured=measured,
        often=often,
    )


def _servers(
    asked: Sequence[str], of_server: dict[str, list[int]], regime: str, random: np.random.Generator
) -> Iterator[str]:
    """Whole servers until there are enough tools, or twelve of them."""
    order = [asked[n] for n in random.permutation(len(asked))]
    if regime == "large":
        yield from order[:12]
        return
    target, size = np.exp(random.uniform(np.log(20), np.log(500))), 0
    for server in order:
        if size >= target:
            return
        if not size or size + len(of_server[server]) <= max(1.5 * target, 20):
            size += len(of_server[server])
            yield server


def _split(
    gold: Sequence[frozenset[str]], regime: str, random: np.random.Generator
) -> tuple[list[int], list[int], NDArray[np.float64]]:
    """Which requests are logged, which measured, and how often each is made."""
    intents: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, groups in enumerate(gold):
        intents[tuple(sorted(groups))].append(row)
    names = sorted(intents)
    popular = 1 / np.arange(1, len(names) + 1) if regime in ("own", "large") else np.ones(len(names))
    popularity = dict(zip([names[n] for n in random.permutation(len(names))], popular, strict=True))
    if regime == "halves":
        mixed = random.permutation(len(gold)).tolist()
        logged, measured = mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]
    elif regime == "new":
        known = {names[n] for n in random.permutation(len(names))[: len(names) // 2]}
        logged = [row for name in known for row in intents[name]]
        seen = {group for row in logged for group in gold[row]}
        measured = [row for row, groups in enumerate(gold) if not groups & seen]
    else:
        logged, measured = [], []
        for name in names:
            mixed = [intents[name][n] for n in random.permutation(len(intents[name]))]
            if len(mixed) > 1:
                logged += mixed[: len(mixed) // 2]
                measured += mixed[len(mixed) // 2 :]
    often = np.zeros(len(gold))
    for part in (logged, measured):
        told = defaultdict(list)
        for row in part:
            told[tuple(sorted(gold[row]))].append(row)
        for name, rows in told.items():
            often[rows] = popularity[name] / len(rows)
    return sorted(logged), sorted(measured), often


class Session(NamedTuple):
    request: int
    tool: int
    shown: tuple[int, ...]


def sessions(who: Person, count: int, random: np.random.Generator) -> list[Session]:
    text, log = who.text, []
    chance = who.often[who.logged] / who.often[who.logged].sum()
    bias = 1 / np.arange(1, SHOWN + 1)
    for request in random.choice(who.logged, count, p=chance).tolist():
        shown = tuple(np.argsort(-text[request], kind="stable")[:SHOWN].tolist())
        seen = random.random(len(shown)) < bias[: len(shown)]
        right = [
            tool for tool, looked in zip(shown, seen, strict=True) if looked and who.groups[tool] in who.gold[request]
        ]
        if random.random() < WRONG:
            weights = bias[: len(shown)] / bias[: len(shown)].sum()
            log.append(Session(request, int(random.choice(shown, p=weights)), shown))
        elif right:
            log.append(Session(request, right[0], shown))
        elif random.random() < PERSISTENT:
            any_right = [tool for tool, group in enumerate(who.groups) if group in who.gold[request]]
            log.append(Session(request, int(random.choice(any_right)), shown))
    return log


def evidence(who: Person, log: Sequence[Session]) -> Iterator[Evidence]:
    """What a store would hold: sessions spread over 30 days, the called tool, and siblings passed over above it."""
    for n, each in enumerate(log):
        at = NOW - 30 * DAY * (1 - n / len(log))
        passed = [tool for tool in each.shown if tool != each.tool and who.servers[tool] == who.servers[each.tool]]
        for tool, outcome in [(each.tool, "worked"), *((tool, "passed") for tool in passed)]:
            tool_id, digest = who.tools[tool]
            yield Evidence(
                str(each.request), each.request, "local", who.servers[tool], tool_id, digest,
                "worked" if outcome == "worked" else "passed", at,
            )  # fmt: skip


def ndcg5(who: Person, scores: Floats) -> float:
    """The mean over the measured requests, each as often as it is made."""
    discounts = 1 / np.log2(np.arange(2, 7))
    total = 0.0
    for row in who.measured:
        best = np.argsort(-scores[row], kind="stable")[:60]
        first = list(dict.fromkeys(who.groups[tool] for tool in best))[:5]
        gains = sum(discounts[n] for n, group in enumerate(first) if group in who.gold[row])
        total += who.often[row] * gains / discounts[: len(who.gold[row])].sum()
    return float(total / who.often[who.measured].sum())


def rises(who: Person, log: Sequence[Session], clean: Usage, centre: Floats, dials: Dials, seed: int) -> list[float]:
    """How many ranks each attacker gains on average, when one session in a hundred is poisoned."""
    random = np.random.default_rng(seed)
    right = {group for groups in who.gold for group in groups}
    rogues = [n for n, group in enumerate(who.groups) if group not in right] or list(range(len(who.groups)))
    before, found = who.fused(clean, "shift score")[who.measured], []
    for rogue in random.choice(rogues, min(ATTACKERS, len(rogues)), replace=False).tolist():
        poisoned = list(log)
        for n in random.choice(len(log), max(1, len(log) // 100), replace=False):
            poisoned[n] = log[n]._replace(tool=rogue)
        after = who.fused(_learned(who, poisoned, centre, dials), "shift score")[who.measured]
        found.append(float(np.mean(_rank(before, rogue) - _rank(after, rogue))))
    return found


def _rank(scores: Floats, tool: int) -> NDArray[np.int64]:
    above: NDArray[np.int64] = (scores > scores[:, [tool]]).sum(1)
    return above


def _learned(who: Person, log: Sequence[Session], centre: Floats, dials: Dials) -> Usage:
    return usage.learn(evidence(who, log), who.requests, centre, NOW, dials)


def measure(
    encoded: Encoded, regime: str, centre: Floats, *, people: int, seeds: int, dials: Dials = DIALS
) -> dict[str, Any]:
    parts = ("shift", "score", "shift score")
    before: list[float] = []
    gains: dict[str, list[float]] = {each: [] for each in parts}
    poison: list[float] = []
    sizes = []
    for n in range(people * seeds):
        who = person(encoded, regime, np.random.default_rng([n, 1]))
        log = sessions(who, SESSIONS, np.random.default_rng([n, 2]))
        learned = _learned(who, log, centre, dials)
        before.append(ndcg5(who, who.text))
        sizes.append(len(who.tools))
        for each in parts:
            gains[each].append(ndcg5(who, who.fused(learned, each)) - before[-1])
        poison += rises(who, log, learned, centre, dials, n)
    spread = np.random.default_rng(0).choice(gains["shift score"], (2_000, len(before))).mean(1)
    return {
        "set": encoded.data.name, "regime": regime, "people": len(before), "tools": int(np.median(sizes)),
        "before": 100 * float(np.mean(before)),
        **{each: 100 * float(np.mean(values)) for each, values in gains.items()},
        "low": 100 * float(np.quantile(spread, 0.025)), "high": 100 * float(np.quantile(spread, 0.975)),
        "rise": float(np.mean(poison)), "worst": float(np.max(poison)),
    }  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--encoder", type=Path, required=True, help="folder of an exported encoder")
    arguments.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    arguments.add_argument("--sets", default="weft_queries,metatool", help="comma-separated")
    arguments.add_argument("--regimes", default=",".join(REGIMES), help="comma-separated")
    arguments.add_argument("--people", type=int, default=12)
    arguments.add_argument("--seeds", type=int, default=1, help="as many times more people")
    arguments.add_argument("--dial", action="append", default=[], metavar="NAME=VALUE", help="another value for a dial")
    arguments.add_argument("--json", type=Path, help="write the rows there too")
    given = arguments.parse_args()
    dials = DIALS
    for each in given.dial:
        dial, _, value = each.partition("=")
        dials = dataclasses.replace(dials, **{dial: type(getattr(dials, dial))(float(value))})
    encoder = Encoder.load(given.encoder)
    centre = usage.centre_of(encoder.encode)
    print(f"{SESSIONS} sessions; {machine.line()}; encoder {encoder.digest}")
    print("set          regime  people tools  N@5 before  +shift  +score   +both [95 % of people]   rise  worst rise")
    rows = []
    for name in given.sets.split(","):
        encoded = encode(name, encoder, given.cache)
        for regime in given.regimes.split(","):
            if name == "metatool" and regime == "large":
                continue  # its catalogue is as large as it gets
            row = measure(encoded, regime, centre, people=given.people, seeds=given.seeds, dials=dials)
            rows.append(row)
            print(
                "{set:12} {regime:7} {people:6} {tools:5}  {before:10.1f}  {shift:+6.1f}  {score:+6.1f}  "
                "{shift score:+6.1f} [{low:+.1f} {high:+.1f}]  {rise:11.2f}  {worst:10.2f}".format(**row),
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
