"""Two rankers compared on real requests: their answers mixed fairly, credit to whose tool was executed, and a test.

Team-draft interleaving (Radlinski, Kurup, Joachims 2008): each ranker picks its best tool that is not taken yet, a coin
says who goes first in each round. Whoever picked the tool that was executed and succeeded wins the request; with equal
credit nobody does. A ranker that is no better wins half of the decided requests.

The test may be looked at after every request: it is an e-process against "at least as good" (wins are Bernoulli with
p >= 1/2), the mixture of likelihood ratios over all p < 1/2 with equal weight. By Ville's inequality it ever exceeds
1/alpha with probability at most alpha (Robbins 1970; Johari and others 2017 on why a fixed-size test must not be
peeked at). With w wins and l losses, n = w + l, the mixture is exactly

    sum over k > w of C(n + 1, k) / ((n + 1) C(n, w)).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

Side = Literal["challenger", "champion"]
Verdict = Literal["worse", "better", "open"]

ALPHA = 0.05
"""Probability with which a challenger that is as good is ever switched off."""


class Interleaved(NamedTuple):
    """One answer made of two."""

    order: tuple[str, ...]
    challenger: frozenset[str]
    """The tools that the challenger picked; all others of `order` are the champion's."""


class Credit(NamedTuple):
    """What became of one interleaved answer."""

    challenger: int
    """Tools of its team that were executed and succeeded."""
    champion: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where the comparison stands."""

    wins: int
    """Requests that the challenger won."""
    losses: int
    ties: int
    alpha: float = ALPHA

    @property
    def verdict(self) -> Verdict:
        """`worse`: the challenger is to be switched off. Either verdict may come after any request and is then safe."""
        if evidence(self.wins, self.losses) >= 1 / self.alpha:
            return "worse"
        return "better" if evidence(self.losses, self.wins) >= 1 / self.alpha else "open"


def draft(challenger: Sequence[str], champion: Sequence[str], limit: int, coin: Random) -> Interleaved:
    """Mixes two rankings (ids, best first) into one of at most `limit` tools. The same coin gives the same answer."""
    order: list[str] = []
    team: set[str] = set()
    taken: set[str] = set()
    left: dict[Side, list[str]] = {"challenger": list(challenger)[::-1], "champion": list(champion)[::-1]}
    while len(order) < limit:
        turn: tuple[Side, Side] = ("challenger", "champion") if coin.random() < 0.5 else ("champion", "challenger")
        before = len(order)
        for side in turn:
            while left[side] and left[side][-1] in taken:
                left[side].pop()
            if left[side] and len(order) < limit:
                tool = left[side].pop()
                order.append(tool)
                taken.add(tool)
                if side == "challenger":
                    team.add(tool)
        if len(order) == before:
            break
    return Interleaved(tuple(order), frozenset(team))


def credit(answer: Interleaved, worked: Iterable[str]) -> Credit:
    """Counts the tools that were executed and succeeded, each once; tools from elsewhere count for none."""
    used = set(worked) & set(answer.order)
    return Credit(len(used & answer.challenger), len(used - answer.challenger))


def compare(credits_: Iterable[Credit], *, alpha: float = ALPHA) -> Comparison:
    """Adds up the requests in which something of the answer was executed."""
    wins = losses = ties = 0
    for each in credits_:
        wins += each.challenger > each.champion
        losses += each.challenger < each.champion
        ties += each.challenger == each.champion > 0
    return Comparison(wins, losses, ties, alpha)


def evidence(wins: int, losses: int) -> float:
    """The e-value against "wins at least as often as it loses": above 1 / alpha it is refuted. `inf` beyond floats."""
    n = wins + losses
    term = total = 1.0  # C(n + 1, k) / C(n + 1, wins + 1), from k = wins + 1 on
    for k in range(wins + 1, n + 1):
        term *= (n + 1 - k) / (k + 1)
        total += term
    return total / (wins + 1)
