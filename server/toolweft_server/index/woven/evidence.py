"""What came of tools after requests, and how much it weighs: saturation, decay, and caps for owners and servers.

What is learned from the weights is `usage`'s business. Only calls that were executed speak for or against a tool;
being shown says nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """Chosen on simulated logs of the `dev` requests; `benchmarks/usage.py` prints what they give."""

    half_life: float = 45 * DAY
    """Seconds after which evidence counts half."""
    owner_most: float = 6.0
    """Weight that one owner can give to one tool: some dozens of different requests still saturate."""
    server_most: float = 40.0
    """Weight that all tools of one server have together: what exceeds it is scaled down."""
    furthest: float = 0.5
    """The largest share of a shift."""
    kappa: float = 3.0
    """Weight at which a tool has half of what it can get."""
    against: float = 0.05
    """The largest share of a push away from requests where it failed or was passed over."""
    local: float = 30.0
    """Pseudo-weight of the general centre against the centre of the server's other tools."""
    least: float = 0.45
    """Similarity from which one request says anything in particular about another."""
    anywhere: float = 0.1
    """What a use says about every other request: people use few tools, and those often."""
    most_requests: int = 2_000
    """Latest requests kept for scores: 2,000 x 384 numbers are 3 MB, and 0.4 ms a search."""


DIALS = Dials()


class Ident(NamedTuple):
    """A tool as it was: another text is another tool, which starts anew."""

    server: str
    tool: str
    digest: str


Weights = dict[Ident, dict[str, float]]
"""Tool -> request -> weight."""


def weigh(evidence: Sequence[Evidence], now: float, dials: Dials) -> tuple[Weights, Weights]:
    """What speaks for tools and what against, after saturation, decay and the caps."""
    counts: defaultdict[tuple[str, str, Ident, Outcome, int], int] = defaultdict(int)
    for each in evidence:
        tool = Ident(each.server, each.tool, each.digest)
        counts[each.owner, each.request, tool, each.outcome, int(each.at // DAY)] += 1
    seen: defaultdict[tuple[str, str], defaultdict[Ident, dict[Outcome, float]]]
    seen = defaultdict(lambda: defaultdict(dict))
    for (owner, request, tool, outcome, day), times in counts.items():
        age = max(now - (day + 1) * DAY, 0.0)
        fresh = math.log2(1 + times) * 0.5 ** (age / dials.half_life)
        found = seen[owner, request][tool]
        found[outcome] = found.get(outcome, 0.0) + fresh
    good, bad = _settled(seen)
    return _capped(good, dials), _capped(bad, dials)


_Owned = dict[Ident, dict[tuple[str, str], float]]
"""Tool -> (owner, request) -> weight."""


def _settled(seen: Mapping[tuple[str, str], Mapping[Ident, Mapping[Outcome, float]]]) -> tuple[_Owned, _Owned]:
    """One weight for each tool of a request: success less failure, and little where a sibling was called more."""
    good: defaultdict[Ident, dict[tuple[str, str], float]] = defaultdict(dict)
    bad: defaultdict[Ident, dict[tuple[str, str], float]] = defaultdict(dict)
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


def _capped(given: _Owned, dials: Dials) -> Weights:
    """No owner lends a tool more than `owner_most`, nor does a server hold more than `server_most`."""
    out: Weights = {}
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
