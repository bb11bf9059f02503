"""`Usage`: what past requests and the calls that followed them say about the next request.

Two ways, because they hold in different places (`benchmarks/usage.py`). A *shift* moves a tool's vector towards the
requests that it served: it helps with requests put in other words. A *score* remembers the requests themselves: it
helps whoever asks for much the same again. Only calls that were executed and succeeded speak for a tool; being shown
says nothing. Both are pure functions of what the store holds, so forgetting rows is all there is to a rollback.

*Covered*: repetition saturates, per request, owner and day and again in all; one owner and one server can lend only so
much weight; what counts for a server comes from its own calls alone, so no server moves another's vectors; old
evidence fades; a tool whose text changed starts anew; a score reorders what the text found and brings up nothing else.
*Not covered*: an owner who really uses a bad tool for many different requests teaches that he uses it.

After OATS (outcome-shifted tool vectors), with a centre subtracted: requests resemble one another more than they
resemble tools, and without it every used tool would rise for every request.

R requests with evidence, N tools, d dimensions.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Outcome = Literal["worked", "failed", "passed"]
"""`worked`: called and succeeded. `failed`: shown, called and failed. `passed`: shown, and another tool of the same
server was called instead; of another server it would let one server push down its rival."""

DAY = 86_400.0


class Evidence(NamedTuple):
    """What came of one tool after one request."""

    request: str
    """Which request it was: equal for equal texts (the store's salted hash)."""
    row: int
    """Where the request's vector is."""
    owner: str
    server: str
    tool: str
    digest: str
    outcome: Outcome
    at: float


class Call(Protocol):
    """A call that followed a request, as the store keeps it."""

    @property
    def request(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def row(self) -> int: ...
    @property
    def owner(self) -> str: ...
    @property
    def shown(self) -> Sequence[str]: ...
    @property
    def tool(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def at(self) -> float: ...


def evidence_of(calls: Sequence[Call]) -> Iterator[Evidence]:
    """What calls say: that a tool worked or, if it was shown, failed, and which siblings were passed over for it."""
    digests = {each.tool: each.digest for each in calls}
    called = {(each.request, each.tool) for each in calls}
    for each in calls:
        if not each.ok and each.tool not in each.shown:
            continue  # a call that nobody suggested and that failed says nothing of the suggestion
        server = server_of(each.tool)
        first = Evidence(
            each.hash, each.row, each.owner, server, each.tool, each.digest, "worked" if each.ok else "failed", each.at
        )
        yield first
        if each.ok:
            for other in each.shown:
                if server_of(other) == server and (each.request, other) not in called and other in digests:
                    yield first._replace(tool=other, digest=digests[other], outcome="passed")


def server_of(tool: str) -> str:
    """The server's identity: what stands before the dot is given once and for ever."""
    return tool.partition(".")[0]


class Used(NamedTuple):
    """What is known of one tool, for people."""

    weight: float
    """Requests that it served, after saturation and decay."""
    shift: float
    """How far its vector is moved: the share `w`, 0 to `Dials.furthest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """Chosen on simulated logs of the `dev` requests; `benchmarks/usage.py` prints what they give."""

    half_life: float = 45 * DAY
    """Seconds after which evidence counts half."""
    owner_most: float = 6.0
    """Weight that one owner can give to one tool: some dozens of different requests still saturate."""
    server_most: float = 40.0
    """Weight that all tools of one server have together: what exceeds it is scaled down."""
    furthest: float = 0.35
    """The largest share of a shift."""
    kappa: float = 3.0
    """Weight at which a tool has half of what it can get."""
    against: float = 0.05
    """The largest share of a push away from requests where it failed or was passed over."""
    local: float = 10.0
    """Pseudo-weight of the general centre against the centre of the server's other tools."""
    least: float = 0.3
    """Similarity from which one request says anything in particular about another."""
    anywhere: float = 0.1
    """What a use says about every other request: people use few tools, and those often."""
    siblings: float = 0.3
    """What the use of a server's tools says about each of its tools, at most."""
    most_requests: int = 2_000
    """Latest requests kept for scores: 2,000 x 384 numbers are 3 MB, and 0.4 ms a search."""


DIALS = Dials()

POOL = 50
"""A score reorders the first so many tools by text. What no text speaks for is not brought up by use alone."""


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
    servers: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def apply(self, tools: Sequence[tuple[str, str]], vectors: Floats) -> Floats:
        """The vectors (N, d) of `tools` (id, digest) after their shifts; those of other tools are the very same.

        The array given is never changed; it is returned itself when nothing moves.
        """
        rows = [row for row, tool in enumerate(tools) if tool in self.moves]
        if not rows:
            return vectors
        moved = vectors[rows] + np.stack([self.moves[tools[row]] for row in rows])
        out = vectors.copy()
        out[rows] = _unit(moved)
        return out

    def scores(self, request: Floats, tools: Sequence[tuple[str, str]]) -> Floats:
        """(N,) in [0, 1): how much past use speaks for each tool, for the unit vector `request` (d,)."""
        out = np.zeros(len(tools), np.float32)
        if not self.served:
            return out
        found = self.speaking(request)
        for row, tool in enumerate(tools):
            out[row] = found.get(tool, 0.0)
        return out

    def speaking(self, request: Floats) -> dict[tuple[str, str], float]:
        """The tools that past use speaks for, with their score; the same numbers as `scores`."""
        dials = self.dials
        close = np.clip((self.requests @ request - dials.least) / (1 - dials.least), 0, 1) ** 2
        heard = dials.anywhere + (1 - dials.anywhere) * close
        weights = {tool: float(given @ heard[rows]) for tool, (rows, given) in self.served.items()}
        of_server: defaultdict[str, float] = defaultdict(float)
        for tool, weight in weights.items():
            of_server[self.servers[tool]] += weight
        near = {server: weight / (weight + 5 * dials.kappa) for server, weight in of_server.items()}
        return {
            tool: (weight / (weight + dials.kappa) + dials.siblings * near[self.servers[tool]]) / (1 + dials.siblings)
            for tool, weight in weights.items()
        }


def bonus(text: Floats, use: Floats, pool: int = POOL) -> Floats:
    """The use scores (N,) of the `pool` best tools by text score (N,), and 0 for all others: what fusion may add."""
    if len(text) <= pool:
        return use
    least = np.partition(text, -pool)[-pool]
    return np.where(text >= least, use, np.float32(0))


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
    good, bad = _weights(kept, now, dials)
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
    servers = {(key.tool, key.digest): key.server for key in good}
    return Usage(dials, moves, used, remembered.reshape(-1, requests.shape[1]), served, servers)


def weights(evidence: Iterable[Evidence], now: float, dials: Dials = DIALS) -> Mapping[tuple[str, str], Used]:
    """What is known of each tool (id, digest) that worked for some request: `Usage.used`, without any vector."""
    return _used(_weights(sorted(evidence), now, dials)[0], dials)


class _Tool(NamedTuple):
    server: str
    tool: str
    digest: str


_Weights = dict[_Tool, dict[str, float]]
"""Tool -> request -> weight."""


def _weights(evidence: Sequence[Evidence], now: float, dials: Dials) -> tuple[_Weights, _Weights]:
    """What speaks for tools and what against, after saturation, decay and the caps."""
    counts: defaultdict[tuple[str, str, _Tool, Outcome, int], int] = defaultdict(int)
    for each in evidence:
        tool = _Tool(each.server, each.tool, each.digest)
        counts[each.owner, each.request, tool, each.outcome, int(each.at // DAY)] += 1
    seen: defaultdict[tuple[str, str], defaultdict[_Tool, dict[Outcome, float]]]
    seen = defaultdict(lambda: defaultdict(dict))
    for (owner, request, tool, outcome, day), times in counts.items():
        age = max(now - (day + 1) * DAY, 0.0)
        fresh = math.log2(1 + times) * 0.5 ** (age / dials.half_life)
        found = seen[owner, request][tool]
        found[outcome] = found.get(outcome, 0.0) + fresh
    good, bad = _settled(seen)
    return _capped(good, dials), _capped(bad, dials)


_Owned = dict[_Tool, dict[tuple[str, str], float]]
"""Tool -> (owner, request) -> weight."""


def _settled(seen: Mapping[tuple[str, str], Mapping[_Tool, Mapping[Outcome, float]]]) -> tuple[_Owned, _Owned]:
    """One weight for each tool of a request: success less failure, and little where a sibling was called more."""
    good: defaultdict[_Tool, dict[tuple[str, str], float]] = defaultdict(dict)
    bad: defaultdict[_Tool, dict[tuple[str, str], float]] = defaultdict(dict)
    for asked, tools in seen.items():
        net = {tool: out.get("worked", 0.0) - out.get("failed", 0.0) for tool, out in tools.items()}
        best: defaultdict[str, float] = defaultdict(float)
        for tool, value in net.items():
            best[tool.server] = max(best[tool.server], value)
        for tool, value in net.items():
            if value > 0:
                good[tool][asked] = math.log2(1 + value) * value / best[tool.server]
            elif (against := tools[tool].get("failed", 0.0) + tools[tool].get("passed", 0.0)) > 0:
                bad[tool][asked] = math.log2(1 + against)
    return good, bad


def _capped(given: _Owned, dials: Dials) -> _Weights:
    """No owner lends a tool more than `owner_most`, nor does a server hold more than `server_most`."""
    out: _Weights = {}
    totals: defaultdict[str, float] = defaultdict(float)
    for tool, weights in given.items():
        owners: defaultdict[str, float] = defaultdict(float)
        for (owner, _), weight in weights.items():
            owners[owner] += weight
        mine: dict[str, float] = {}
        for (owner, request), weight in weights.items():
            mine[request] = mine.get(request, 0.0) + weight * min(1.0, dials.owner_most / owners[owner])
        out[tool] = mine
        totals[tool.server] += sum(mine.values())
    scales = {server: min(1.0, dials.server_most / total) for server, total in totals.items()}
    return {
        tool: {request: weight * scales[tool.server] for request, weight in mine.items()} for tool, mine in out.items()
    }


def _used(good: _Weights, dials: Dials) -> dict[tuple[str, str], Used]:
    totals = {(tool.tool, tool.digest): sum(weights.values()) for tool, weights in good.items()}
    return {tool: Used(total, dials.furthest * total / (total + dials.kappa)) for tool, total in totals.items()}


def _moves(
    good: _Weights,
    bad: _Weights,
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
