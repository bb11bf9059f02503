"""Which places tools get once it is known what speaks for each: copies behind, whole sets together, producers last.

Each step takes what was `Seen`, gives some tools other places and says whom it moved. What decides is in `copies`,
`sets` and `producers`; here it meets the request.

C tools that may be meant; d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index import text
from toolweft_server.index.request import read
from toolweft_server.index.woven import copies, sets
from toolweft_server.index.woven.cousage import CoUsage
from toolweft_server.index.woven.seen import Moved, Seen
from toolweft_server.index.woven.traits import Records

Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]
Vectors: TypeAlias = Callable[[Rows], Floats]
"""Places among the C -> their vectors."""

SOUGHT = 100
"""Best tools among which whole sets are sought."""
NEARLY = 0.7
"""What is left of a near copy's score: so good must the tools of others be that come before it."""
LAST = 9
"""How many tools stand before the one that gives an input of the first: it gets the last place of an answer of ten.
Seeing to the inputs of the first three, or giving two places, cost a request of `weft_queries` its right tool."""

_HARDLY = 1e-5


def distinct(seen: Seen, query: str, records: Records, vectors: Vectors, *, floor: float) -> Seen:
    """Copies and near copies step back; copies below all that matches, which has a score of `floor`."""
    asked = read(query).terms.keys()
    known: dict[str, bool] = {}

    def named(tool: str) -> bool:
        server = tool.partition(".")[0]
        if server not in known:
            known[server] = asked >= _terms(server)
        return known[server]

    near, moved = copies.near_copies_back(seen.fused, records, seen.ids, vectors, share=NEARLY)
    fused, behind = copies.copies_back(near, records, seen.ids, named=named, share=floor)
    return replace(seen, fused=fused, moved={**seen.moved, **moved, **behind}) if moved or behind else seen


@lru_cache(4096)
def _terms(server: str) -> frozenset[str]:
    return frozenset(text.terms(server))


def together(seen: Seen, parts: Floats, used: CoUsage, vectors: Vectors) -> Seen:
    """Whole sets: what the `parts` (J, d) of a request ask for, and what was used together with the best tools."""
    if not len(parts) and not used.near:
        return seen
    back = {tool for tool, each in seen.moved.items() if each.reason in ("copy", "near copy")}
    order = np.array([at for at in seen.order().tolist() if seen.ids[at] not in back][:SOUGHT], np.int64)
    if len(order) < 2:
        return seen
    ids = [seen.ids[at] for at in order.tolist()]
    place = {tool: n for n, tool in enumerate(ids)}
    by: dict[int, int] = {}

    def partners(n: int) -> list[tuple[int, float]]:
        found = [(place[each.tool], each.weight) for each in used.partners(ids[n]) if each.tool in place]
        for other, _ in found:
            by.setdefault(other, n)
        return found

    servers = np.unique([tool.partition(".")[0] for tool in ids], return_inverse=True)[1]
    again = sets.complete(sets.Pool(seen.fused[order], vectors(order), servers), parts, partners=partners)
    fused = seen.fused.copy()
    fused[order[again]] = seen.fused[order]
    risen = [place for n, place in enumerate(again.tolist()) if n < place]
    moved = {ids[n]: Moved("partner", ids[by[n]]) if n in by else Moved("part") for n in risen}
    return replace(seen, fused=fused, moved={**seen.moved, **moved})


def last(seen: Seen, at: int, of: str, before: int) -> Seen:
    """The tool at `at`, which gives an input of the tool `of`, into the last place of an answer.

    `before` tools stand before all of the C. Who has one of the first places already stays there.
    """
    order = [each for each in seen.order().tolist() if seen.worth[each]]
    first = order[: max(LAST - before, 0)]
    if at in first:
        return seen
    behind = [each for each in order[len(first) :] if each != at]
    fused, worth = seen.fused.copy(), seen.worth.copy()
    # Scores of others stay, and the newcomer's lies between its neighbours'; where those are equal, by next to nothing.
    high = float(fused[first[-1]]) if first else 1.0
    fused[at] = min((high + (float(fused[behind[0]]) if behind else 0.8 * high)) / 2, high * (1 - _HARDLY))
    equal = [each for each in behind if fused[each] >= fused[at]]
    fused[equal] = fused[at] * np.float32(1 - _HARDLY)
    worth[at] = True
    return replace(seen, fused=fused, worth=worth, moved={**seen.moved, seen.ids[at]: Moved("producer", of)})
