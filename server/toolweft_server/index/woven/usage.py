"""`Usage`: what past requests and the calls that followed them say about the next request.

Two ways, because they hold in different places (`benchmarks/usage.py`). A *shift* moves a tool's vector towards the
requests that it served: it helps with requests put in other words. A *score* remembers the requests themselves: it
helps whoever asks for much the same again. Only calls that were executed and succeeded speak for a tool; being shown
says nothing. Both are pure functions of what the store holds, so forgetting rows is all there is to a rollback.

*Covered*: repetition saturates, per request, owner and day and again in all; one owner and one server can lend only so
much weight; what counts for a server comes from its own calls alone, so no server moves another's vectors; old
evidence fades; a tool whose text changed starts anew; use reorders what the text found and brings up nothing else.
*Not covered*: an owner who really uses a bad tool for many different requests teaches that he uses it.

After OATS (outcome-shifted tool vectors), with a centre subtracted: requests resemble one another more than they
resemble tools, and without it every used tool would rise for every request.

R requests with evidence, N tools, d dimensions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.evidence import DIALS, Dials, Evidence, Weights, weigh

Floats = NDArray[np.float32]


class Used(NamedTuple):
    """What is known of one tool, for people."""

    weight: float
    """Requests that it served, after saturation and decay."""
    shift: float
    """How far its vector is moved: the share `w`, 0 to `Dials.furthest`."""


POOL = 20
"""Use reorders the first so many tools by text, by shifts and scores alike. What no text speaks for is not brought up
by use alone: a poisoned log would else lift its tool past hundreds that are as far from the request."""


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """An immutable snapshot, made by `learn`."""

    dials: Dials
    moves: Mapping[tuple[str, str], Floats]
    """(tool, digest) -> what is added to its vector, (d,)."""
    used: Mapping[tuple[str, str], Used]
    requests: Floats
    """(R, d), unit length: the requests that scores remember, oldest first."""
    served: Mapping[tuple[str, str], tuple[NDArray[np.int64], Floats]]
    """(tool, digest) -> rows of `requests`, and the weight of each."""

    def apply(self, tools: Sequence[tuple[str, str]], vectors: Floats) -> Floats:
        """The vectors (N, d) of `tools` (id, digest) after their shifts; those of other tools are the very same.

        The array given is never changed; it is returned itself when nothing moves. For a search, give it the `pool`.
        """
        rows = [row for row, tool in enumerate(tools) if tool in self.moves]
        if not rows:
            return vectors
        moved = vectors[rows] + np.stack([self.moves[tools[row]] for row in rows])
        out = vectors.copy()
        out[rows] = _unit(moved)
        return out

    def lift(self, request: Floats, tools: Sequence[tuple[str, str]], vectors: Floats) -> Floats:
        """(N,): what the shifts add to the cosine of `request` (d,) with each tool's vector; 0 for those not moved."""
        change = self.apply(tools, vectors) - vectors
        lifted: Floats = (change @ request).astype(np.float32)
        return lifted

    def scores(self, request: Floats, tools: Sequence[tuple[str, str]]) -> Floats:
        """(N,) in [0, 1): how much past use speaks for each tool, for the unit vector `request` (d,)."""
        out = np.zeros(len(tools), np.float32)
        if not self.served:
            return out
        dials = self.dials
        close = np.clip((self.requests @ request - dials.least) / (1 - dials.least), 0, 1) ** 2
        heard = dials.anywhere + (1 - dials.anywhere) * close
        for row, tool in enumerate(tools):
            if tool in self.served:
                rows, given = self.served[tool]
                weight = float(given @ heard[rows])
                out[row] = weight / (weight + dials.kappa)
        return out


def pool(text: Floats, most: int = POOL) -> NDArray[np.intp]:
    """The rows of the `most` best tools by text score (N,): those that use may reorder. Equals by row."""
    return np.argsort(-text, kind="stable")[:most]


def bonus(text: Floats, use: Floats, most: int = POOL) -> Floats:
    """The use scores (N,) of the pool by text score (N,), and 0 for all others: what fusion may add."""
    out = np.zeros_like(use)
    rows = pool(text, most)
    out[rows] = use[rows]
    return out


TYPICAL = (
    "find what I need", "show me the list", "create a new one", "delete the old entry", "update its settings",
    "send a message to the team", "what is the weather tomorrow", "read this file", "search the web for news",
    "book a flight to Paris", "how much did we spend last month", "translate this into French",
    "which issues are open in our repository", "run the query on the database", "convert the picture",
    "play some music", "remind me on Friday", "check whether the server is up", "summarise the document",
    "get the price of the stock", "add the customer to the list", "plan the meeting for next week",
    "where is the nearest station", "deploy the latest version",
)  # fmt: skip
"""Requests of every kind: what their vectors have in common says nothing about any tool."""


def centre_of(encode: Callable[[Sequence[str]], Floats]) -> Floats:
    """(d,): what vectors of requests have in common under an encoder, for `learn`. No log has a say in it."""
    middle: Floats = encode(TYPICAL).mean(0).astype(np.float32)
    return middle


def nothing(size: int) -> Usage:
    """What is known before anything was learned, for vectors of `size` dimensions."""
    return Usage(DIALS, {}, {}, np.zeros((0, size), np.float32), {})


def learn(evidence: Iterable[Evidence], requests: Floats, centre: Floats, now: float, dials: Dials = DIALS) -> Usage:
    """What the evidence teaches. `requests` (R, d) are unit vectors; `centre` (d,) is what requests have in common.

    Order does not matter. `centre` must not come from the evidence (`centre_of` gives one),
    so that the calls of one server cannot reach another through it.

    Raises:
        ValueError: A row that `requests` does not have, shapes that do not fit, or numbers that are not finite.

    """
    _check(requests, centre)
    kept = sorted(evidence)
    rows = {each.request: each.row for each in kept}
    if kept and not (min(rows.values()) >= 0 and max(rows.values()) < len(requests)):
        raise ValueError(f"evidence names request {max(rows.values())}; there are {len(requests)}")
    good, bad = weigh(kept, now, dials)
    used = _used(good, dials)
    moves = _moves(good, bad, used, rows, requests, centre, dials)
    latest = _latest(kept, {request for weights in good.values() for request in weights}, dials.most_requests)
    place = {request: n for n, request in enumerate(latest)}
    served = {}
    for key, weights in good.items():
        mine = [request for request in weights if request in place]
        if mine:
            at = np.array([place[request] for request in mine], np.int64)
            served[key.tool, key.digest] = at, np.array([weights[request] for request in mine], np.float32)
    remembered = requests[[rows[request] for request in latest]].astype(np.float32)
    return Usage(dials, moves, used, remembered.reshape(-1, requests.shape[1]), served)


def weights(evidence: Iterable[Evidence], now: float, dials: Dials = DIALS) -> Mapping[tuple[str, str], Used]:
    """What is known of each tool (id, digest) that worked for some request: `Usage.used`, without any vector."""
    return _used(weigh(sorted(evidence), now, dials)[0], dials)


def _used(good: Weights, dials: Dials) -> dict[tuple[str, str], Used]:
    totals = {(tool.tool, tool.digest): sum(weights.values()) for tool, weights in good.items()}
    return {tool: Used(total, dials.furthest * total / (total + dials.kappa)) for tool, total in totals.items()}


def _moves(
    good: Weights,
    bad: Weights,
    used: Mapping[tuple[str, str], Used],
    rows: Mapping[str, int],
    requests: Floats,
    centre: Floats,
    dials: Dials,
) -> dict[tuple[str, str], Floats]:
    """What each tool's vector gains.

    The centre that is subtracted leans to the requests of the server's other tools: what they have in common with
    this tool's says that the server is meant, not which tool, and would lift used tools above their unused siblings.
    """
    sums = {tool: _sum(weights, rows, requests) for tool, weights in good.items()}
    of_server: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(requests.shape[1] + 1))
    for tool, total in sums.items():
        of_server[tool.server] += total
    moves = {}
    for tool, total in sums.items():
        others = of_server[tool.server] - total
        middle = (dials.local * centre + others[:-1]) / (dials.local + others[-1])
        move = used[tool.tool, tool.digest].shift * (total[:-1] / total[-1] - middle)
        if tool in bad:
            away = _sum(bad[tool], rows, requests)
            push = dials.against * away[-1] / (away[-1] + dials.kappa)
            move -= push * (away[:-1] / away[-1] - middle)
        moves[tool.tool, tool.digest] = move.astype(np.float32)
    return moves


def _sum(weights: Mapping[str, float], rows: Mapping[str, int], requests: Floats) -> NDArray[np.float64]:
    """(d + 1,): the weighted sum of the requests, then the sum of the weights."""
    given = np.array(list(weights.values()))
    total = given @ requests[[rows[request] for request in weights]].astype(np.float64)
    return np.append(total, given.sum())


def _latest(evidence: Sequence[Evidence], wanted: set[str], most: int) -> list[str]:
    """The requests that were asked last, oldest first."""
    last: dict[str, float] = {}
    for each in evidence:
        if each.request in wanted:
            last[each.request] = max(each.at, last.get(each.request, each.at))
    return sorted(last, key=lambda request: (last[request], request))[-most:]


def _unit(vectors: Floats) -> Floats:
    unit: Floats = (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return unit


def _check(requests: Floats, centre: Floats) -> None:
    if requests.ndim != 2 or centre.shape != requests.shape[1:]:
        raise ValueError(f"requests of shape {requests.shape} and a centre of shape {centre.shape} do not fit")
    if not (np.isfinite(requests).all() and np.isfinite(centre).all()):
        raise ValueError("a request's vector, or the centre, holds NaN or infinity")
