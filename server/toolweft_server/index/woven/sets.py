"""Whole sets: a request that needs several tools gets them together, not the first one and nine that resemble it.

A request is cut into its parts (`clauses`), each encoded by itself. Behind the first few tools, which stay, places go
to tools by what they add: their own score, what speaks for their server, the part of the request that they answer
better than what is chosen, and that it was used together with a chosen one. A request in one part keeps its order but
for such partners. Who gives an input that the request does not hold: `producers`. Everything here is a pure function of
texts and arrays.

P tools in the pool, J parts of a request, d dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index import text

Floats: TypeAlias = NDArray[np.float32]
Order: TypeAlias = NDArray[np.int64]

MOST_CLAUSES = 6
"""Each costs an encoding of its own."""

_LEAST_WORDS = 2
_SENTENCE = re.compile(r"(?<=[a-z0-9\"')\]][.!?;])\s+|\n+")
_JOINT = re.compile(
    r",?\s+(?:and then|and also|after that|if not|if so|and|then|before|plus|also|but|so|finally|next|lastly|"
    r"additionally|furthermore|moreover)\b,?\s*|,\s+|:\s+|\s+[-–—]\s+",
    re.IGNORECASE,
)


def clauses(request: str) -> list[str]:
    """The parts of a request that may each need a tool of their own; one part, or none, when it asks for one thing.

    Cut at sentences, commas and words that join ("and", "then", "finally"): more often than a grammar would, because
    a part that means nothing finds nothing that the whole does not.
    """
    parts = [
        part.strip(" .,;:!?")
        for sentence in _SENTENCE.split(request[: text.LONGEST_TEXT])
        for part in _JOINT.split(sentence)
    ]
    return list(dict.fromkeys(part for part in parts if len(text.words(part)) >= _LEAST_WORDS))[:MOST_CLAUSES]


def several(request: str) -> bool:
    """Whether a request seems to ask for more than one thing: two of its parts begin as orders or questions do.

    True of three quarters of the train requests that need several tools, and of a twelfth of the others, which gain
    nothing from being taken apart. English.
    """
    parts = clauses(request)
    return len(parts) >= MANY or sum(_begins(part) for part in parts) > 1


MANY = 5
"""Parts from which a request asks for several things, however they begin."""

_BEFORE = re.compile(
    r"^(?:(?:please|kindly|also|then|and|now|next|finally|lastly|afterwards|if [^,]*,|(?:can|could|would|will) you|"
    r"i (?:want|need) to|i(?:'d| would) like to|help me|let me know|let me|to|for each|for the [a-z]+ one|for|it|me|"
    r"just|once done|additionally)\s+)+",
    re.IGNORECASE,
)
_FIRST = re.compile(r"[a-z']+")
_ORDERS = """
add analyse analyze append apply approve archive are ask assign attach authenticate block book build buy calculate
call can cancel change charge check clean clear click clone close collect combine comment commit compare compile
compress compute configure confirm connect convert copy could count create crop cut debug decode decrypt delete deploy
describe detect determine did disable discover dispatch display do does download draft draw drop duplicate edit email
enable encode encrypt estimate evaluate examine execute explain export extract fetch file fill filter find fix
forecast format forward generate get give grab grant has hash have hide how identify import include increase insert
inspect install invite is join kill label launch list load locate lock log look lookup make map mark measure merge
message monitor move mute name notify open order organize pause pay pin ping play plot post predict preview print
provision publish pull purchase push put query read rebuild recommend record redeem refresh register reject release
reload remind remove rename render reopen repeat replace reply report request reschedule reserve reset resize resolve
restart restore resume retrieve return reverse review revoke rewrite roll rotate run save scan schedule score scrape
search see sell send set share show shut simulate snooze solve sort split start stop store submit subscribe suggest
sum summarise summarize switch sync tag take tell test text track transcribe transfer translate trigger turn uninstall
unlock unsubscribe update upgrade upload use validate verify view visit vote warn watch what when where which who
withdraw would write zip
"""
_BEGINNINGS = frozenset(_ORDERS.split())


def _begins(part: str) -> bool:
    """Whether a part begins with a word that asks or orders."""
    first = _FIRST.match(_BEFORE.sub("", part).lower())
    return first is not None and first.group().removesuffix("'s") in _BEGINNINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Tuned on the train requests of the public sets; `python -m benchmarks.codes sets` says what each is worth."""

    head: int = 2
    """So many tools keep their places."""
    limit: int = 10
    """So many places are given away; behind them the order is the old one."""
    server: float = 0.3
    trust: float = 0.5
    """How much the tools of a part are sought on the servers of the whole."""
    clause: float = 0.5
    sharpness: float = 10.0
    """How fast a tool's credit for a part falls behind the part's best tool."""
    partner: float = 0.3


class Pool(NamedTuple):
    """The tools among which a set is sought: the best of the ranking, and the other tools of the best servers."""

    scores: Floats  # (P,): fused, in 0..1
    vectors: Floats  # (P, d), unit length
    servers: NDArray[np.integer]  # (P,): a number for each tool's server


Partners: TypeAlias = Callable[[int], Iterable[tuple[int, float]]]
"""Place in the pool -> places of tools that are used together with it, and how strongly, in 0..1."""


def complete(
    pool: Pool,
    parts: Floats,
    *,
    partners: Partners | None = None,
    weights: Weights = Weights(),
) -> Order:
    """The places of the pool in a new order (P,). `parts` (J, d) are the vectors of `clauses`, in any order.

    Deterministic; equals keep the order of the pool.
    """
    scores = np.asarray(pool.scores, np.float32)
    order = np.argsort(-scores, kind="stable")
    if len(order) <= weights.head:
        return order
    base = scores.copy()
    if len(parts) > 1:
        evidence = _servers(scores, pool.servers)
        credit = _credit(pool, parts, weights.trust * evidence, weights.sharpness)
        # A tool that answers a part of the request is not judged by what the rest of it is about.
        base += weights.clause * credit + weights.server * (1.0 - credit) * evidence
    chosen = order[: weights.head].tolist()
    gain = base
    for place in chosen:
        _follow(gain, place, partners, weights)
    left = np.ones(len(order), bool)
    left[chosen] = False
    while len(chosen) < min(weights.limit, len(order)):
        place = int(order[np.where(left[order], gain[order], -np.inf).argmax()])
        chosen.append(place)
        left[place] = False
        _follow(gain, place, partners, weights)
    return np.concatenate([np.array(chosen, np.int64), order[left[order]]])


def _follow(gain: Floats, place: int, partners: Partners | None, weights: Weights) -> None:
    """What a chosen tool makes likelier."""
    if partners is not None:
        for other, weight in partners(place):
            gain[other] += np.float32(weights.partner * weight)


def _servers(scores: Floats, servers: NDArray[np.integer]) -> Floats:
    """(P,) in -1..0: how much less speaks for a tool's server than for the best one. All its tools count, softly."""
    names, number = np.unique(servers, return_inverse=True)
    sums = np.bincount(number, weights=np.exp(_SOFT * (scores - scores.max())), minlength=len(names))
    evidence = np.log(sums) / _SOFT
    relative: Floats = np.maximum(evidence - evidence.max(), -1.0).astype(np.float32)
    return relative[number]


_SOFT = 10.0
"""Of the maximum over a server's tools: scores lie in 0..1, and .1 less counts e times less."""


def _credit(pool: Pool, parts: Floats, evidence: Floats, sharpness: float) -> Floats:
    """(P,) in 0..1: how near a tool comes to being the best one for some part, given what speaks for its server."""
    fit = parts @ pool.vectors.T + evidence + 0.5 * pool.scores  # (J, P)
    best: Floats = np.exp(sharpness * (fit - fit.max(1, keepdims=True))).max(0)
    return best
