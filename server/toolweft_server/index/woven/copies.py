"""Copies step back: the same tool on many servers, or one server's many near copies of one, take a place and not all.

A *copy* has the name, the description and the parameters of another tool. Of a tool and its copies the one whose
server the request names comes first, else the best; the others come after everything else that matches. Beside the
very best tool one copy stays, because nobody can say which of the two is meant, and no copy is to hide an original.
*Near copies* are tools of one server whose vectors hardly differ; from the third on they let pass what other servers
have that is nearly as good. Where one server has all that matches, nobody lets anybody pass.

Everything here is a pure function of arrays. N tools in all; C of them may be meant by a request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.best import least, top
from toolweft_server.index.woven.fusion import Scores
from toolweft_server.index.woven.seen import Moved
from toolweft_server.index.woven.traits import Records

ALIKE = 0.9
"""Cosine from which two tools of one server are near copies. With it no answer to the `dev` requests of the public sets
gets worse; from 0.85 on `bfcl` loses some."""
FAMILY = 3
"""Near copies, the first one included, that keep their places."""
LEADERS = 16
"""Tools of a server whose near copies are looked for."""
CROWDED = 0.75
"""Share of the tools looked at from which one server's make room for others."""

_NONE = -1
_LOOKED_AT = 4
"""Times as many tools as are wanted."""

Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.int64]


class Copies:
    """Which tools of a catalogue are copies of one another. Equal for equal tools, in whatever order they came."""

    def __init__(self, records: Records, ids: Sequence[str]) -> None:
        self._ids, self._servers = ids, records["server"]
        marks, group, sizes = np.unique(records["copy"], return_inverse=True, return_counts=True)
        rows = np.flatnonzero((sizes[group] > 1) & (marks[group] > 0)).tolist()
        rows.sort(key=lambda row: (group[row], ids[row]))
        self._rows: Rows = np.array(rows, np.int64)
        self._group = group[self._rows]
        self._place = np.full(len(records), _NONE, np.int64)
        """(N,): where among the copies each tool stands, by group and by id; `_NONE` for all that have no copy."""
        self._place[self._rows] = np.arange(len(self._rows))

    def best(self, scores: Scores, count: int) -> Rows:
        """`likely` of all tools; most are not even looked at where the best are of many servers, and few are copies."""
        rows = np.flatnonzero((scores >= least(scores, _LOOKED_AT * count)) & (scores > 0))
        if int((self._place[rows] == _NONE).sum()) < count or self._crowded(rows) is not None:
            rows = np.flatnonzero(scores > 0)
        return self.likely(rows, scores[rows], count)

    def _crowded(self, rows: Rows) -> int | None:
        """The number of the server that has nearly all of these tools."""
        numbers, counts = np.unique(self._servers[rows], return_counts=True)
        return int(numbers[counts.argmax()]) if len(rows) and counts.max() > CROWDED * len(rows) else None

    def likely(self, rows: Rows, scores: Scores, count: int) -> Rows:
        """Of the tools `rows`, the best `count` that are no copies of one another, and at most as many of their copies.

        When one server has nearly all of them, a quarter as many of other servers are added.
        """

        def key(at: int) -> str:
            return self._ids[int(rows[at])]

        if len(rows) <= count:
            return rows[top(scores, count, key)]
        place = self._place[rows]
        copies = np.flatnonzero(place != _NONE)
        copies = copies[np.argsort(place[copies])]
        begins = _begins(self._group[place[copies]])
        number = np.cumsum(begins) - 1
        chosen = _chosen(scores[copies], np.flatnonzero(begins), number)
        later = np.delete(np.arange(len(copies)), chosen)
        first = scores
        if len(later):
            first = scores.copy()
            first[copies[later]] = 0
        best = top(first, count, key)
        if (server := self._crowded(rows[best])) is not None:
            others = np.where(self._servers[rows] == server, np.float32(0), first)
            best = np.union1d(best, top(others, count // 4, key))
        if len(later):
            shown = np.zeros(len(rows), np.bool_)
            shown[best] = True
            more = copies[later[shown[copies[chosen]][number[later]]]]
            more = more[np.argsort(-scores[more].round(3), kind="stable")][:count]
            best = np.concatenate([best, more[scores[more] > 0]])
        return rows[best]


def _chosen(scores: Scores, starts: Rows, number: Rows) -> Rows:
    """Where among copies the best of each group stands; `scores` by group and by id, `number` the group of each."""
    if not len(scores):
        return np.zeros(0, np.int64)
    # Where a vector stands in memory shows in the last bits of its score: what differs by so little is equal.
    best = np.flatnonzero(scores >= np.maximum.reduceat(scores, starts)[number] - np.float32(1e-4))
    return best[_begins(number[best])]


def _begins(groups: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where in a sorted array each number stands for the first time."""
    return np.concatenate([np.ones(min(len(groups), 1), np.bool_), groups[1:] != groups[:-1]])


def copies_back(
    scores: Scores, records: Records, ids: Sequence[str], *, named: Callable[[str], bool], share: float
) -> tuple[Scores, dict[str, Moved]]:
    """(C,): the scores after copies have stepped back to `share` of theirs; and who moved.

    `named` says whether the request names the server of a tool.
    """
    together = _together(records["copy"])
    if not together:
        return scores, {}
    out, moved, best = scores.copy(), dict[str, Moved](), float(scores.max())
    for mine in together:
        mine.sort(key=lambda at: (not named(ids[at]), -scores[at], ids[at]))
        first, had = mine[0], np.sort(scores[mine])[::-1]
        if scores[first] < had[0]:
            moved[ids[first]] = Moved("server")
        out[mine] = had
        kept = 2 if had[0] >= best else 1
        out[mine[kept:]] *= np.float32(share)
        moved |= {ids[at]: Moved("copy", ids[first]) for at in mine[kept:]}
    return out, moved


def _together(marks: NDArray[np.unsignedinteger]) -> list[list[int]]:
    """The places of each mark that several have; 0 is none."""
    order = np.argsort(marks, kind="stable")
    order = order[marks[order] > 0]
    starts = [*np.flatnonzero(_begins(marks[order])).tolist(), len(order)]
    return [order[start:end].tolist() for start, end in itertools.pairwise(starts) if end - start > 1]


def near_copies_back(
    scores: Scores, records: Records, ids: Sequence[str], vectors: Callable[[Rows], Floats], *, share: float
) -> tuple[Scores, dict[str, Moved]]:
    """(C,): the scores after near copies have stepped back to `share` of theirs; and who moved.

    `vectors` gives those of some of the tools, by their places among the C.
    """
    good = scores >= share * scores.max(initial=0.0)
    servers, sizes = np.unique(records["server"][good], return_counts=True)
    out, moved = scores.copy(), dict[str, Moved]()
    for server in servers[sizes > FAMILY].tolist() if len(servers) > 1 else ():
        mine = sorted(np.flatnonzero(records["server"] == server).tolist(), key=lambda at: (-scores[at], ids[at]))
        rows, left = vectors(np.array(mine, np.int64)), np.ones(len(mine), np.bool_)
        for _ in range(LEADERS):
            if not left[leader := int(left.argmax())]:
                break
            family = np.flatnonzero(left & (rows @ rows[leader] >= ALIKE))
            left[family] = left[leader] = False
            if later := [mine[each] for each in family[FAMILY:].tolist()]:
                out[later] *= np.float32(share)
                moved |= {ids[at]: Moved("near copy", ids[mine[leader]]) for at in later}
    return out, moved
