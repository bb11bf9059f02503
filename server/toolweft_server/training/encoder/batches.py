"""Batches for contrastive training: requests, documents, and which document is right for which request.

A batch comes from one catalogue, in clumps of requests for one server: the sibling tools of a server are the negatives
that teach most, and they cost nothing. Every tool stands in a batch once, however many requests want it. All right
tools of a request count as right wherever they turn up, and tools of one group are one tool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolweft_server.training.encoder.pairs import Corpus, lowered, view

PSEUDO = "pseudo"
"""Corpora whose name begins so have requests made of descriptions, which their documents hide."""


class Batch(NamedTuple):
    requests: list[str]  # Q
    documents: list[str]  # D
    right: NDArray[np.bool_]  # (Q, D)
    groups: list[int]  # D, of the documents
    golds: list[frozenset[int]]  # Q, the groups of all right tools, in the batch or not


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    requests: int = 64
    hard: float = 0.3
    """Share of requests that bring a hard negative."""
    gold: int = 2
    """Right tools that a request brings at most."""


def epoch(config: BatchConfig, corpus: Corpus, random: np.random.Generator) -> Iterator[Batch]:
    """One way through a corpus; the last batch may be small, and one of a single document is left out."""
    order = _order(corpus, random)
    for start in range(0, len(order), config.requests):
        batch = _batch(config, corpus, order[start : start + config.requests], random)
        if len(batch.documents) > 1:
            yield batch


def plan(config: BatchConfig, corpora: Sequence[Corpus], random: np.random.Generator) -> list[int]:
    """Which corpus each step of a whole training takes its batch from, mixed evenly over the run."""
    counts = [max(1, round(each.epochs * sum(1 for _ in _steps(config, each)))) for each in corpora]
    at = [(step + random.random()) / count for count in counts for step in range(count)]
    whose = [number for number, count in enumerate(counts) for _ in range(count)]
    return [whose[place] for place in np.argsort(at, kind="stable")]


def _steps(config: BatchConfig, corpus: Corpus) -> range:
    taken = sum(min(len(each), corpus.most) for each in _by_server(corpus))
    return range(0, taken, config.requests)


def _by_server(corpus: Corpus) -> list[list[int]]:
    servers: dict[str, list[int]] = {}
    for number, request in enumerate(corpus.requests):
        servers.setdefault(corpus.tools[request.gold[0]].server, []).append(number)
    return list(servers.values())


def _order(corpus: Corpus, random: np.random.Generator) -> list[int]:
    clumps = []
    for mine in _by_server(corpus):
        taken = [mine[at] for at in random.permutation(len(mine))[: corpus.most]]
        clumps += [taken[start : start + corpus.clump] for start in range(0, len(taken), corpus.clump)]
    return [number for at in random.permutation(len(clumps)) for number in clumps[at]]


def _batch(config: BatchConfig, corpus: Corpus, numbers: Sequence[int], random: np.random.Generator) -> Batch:
    documents: dict[int, str] = {}
    hidden = corpus.name.startswith(PSEUDO)
    for number in numbers:
        request = corpus.requests[number]
        picked = random.permutation(len(request.gold))[: config.gold]
        wanted = [request.gold[at] for at in picked]
        if corpus.hard and corpus.hard[number] and random.random() < config.hard:
            wanted.append(corpus.hard[number][int(random.integers(len(corpus.hard[number])))])
        for row in wanted:
            documents.setdefault(corpus.group[row], view(corpus.tools[row], random, hidden=hidden))
    column = {group: at for at, group in enumerate(documents)}
    right = np.zeros((len(numbers), len(documents)), bool)
    for at, number in enumerate(numbers):
        for row in corpus.requests[number].gold:
            if corpus.group[row] in column:
                right[at, column[corpus.group[row]]] = True
    texts = [lowered(corpus.requests[number].text, random) for number in numbers]
    golds = [frozenset(corpus.group[row] for row in corpus.requests[number].gold) for number in numbers]
    return Batch(texts, list(documents.values()), right, list(documents), golds)
