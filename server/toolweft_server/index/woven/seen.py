"""`Seen`: the evidence on the tools that may be meant by one request, and who stands elsewhere than it says.

`copies`, `sets` and `producers` move tools. Scores belong to places: who moves up has the score of the place.

C tools that may be meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.fusion import Scores

Rows: TypeAlias = NDArray[np.int64]

Reason = Literal["part", "partner", "producer", "copy", "near copy", "server"]


class Moved(NamedTuple):
    """Why a tool does not stand where its evidence alone would put it."""

    reason: Reason
    """part: it answers a part of the request. server: the request names its server, and not those of its copies."""
    of: str | None = None
    """Which tool it was used together with, gives an input to, or is a copy of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    rows: Rows  # (C,)
    ids: Sequence[str]  # (C,)
    words: Scores  # (C,): BM25F
    cosines: Scores  # (C,): 0 for a tool without a vector
    use: Scores  # (C,): how much past use speaks for a tool, in [0, 1)
    fused: Scores  # (C,): in [0, 1], the best one 1
    worth: NDArray[np.bool_]  # (C,): who matches
    moved: Mapping[str, Moved] = field(default_factory=dict)
    """By tool."""
    raised: frozenset[str] = frozenset()
    """Tools whose score known requests made higher."""

    def order(self) -> Rows:
        """(C,): places, best first; equals by id."""
        by = sorted(zip((-self.fused).tolist(), self.ids, range(len(self.ids)), strict=True))
        return np.array([at for _, _, at in by], np.int64)

    def best(self) -> str | None:
        """The tool that matches best, if one matches."""
        edge = self.fused[self.worth].max(initial=-np.inf)
        first = np.flatnonzero(self.worth & (self.fused == edge)).tolist()
        return min((self.ids[at] for at in first), default=None)

    def beside(self, rows: Rows, ids: Sequence[str], words: Scores, cosines: Scores) -> Seen:
        """With these tools too, which nobody saw; they match no better than nothing until they get a place."""
        nothing = np.zeros(len(rows), np.float32)
        return replace(
            self,
            rows=np.concatenate([self.rows, rows]),
            ids=[*self.ids, *ids],
            words=np.concatenate([self.words, words]),
            cosines=np.concatenate([self.cosines, cosines]),
            use=np.concatenate([self.use, nothing]),
            fused=np.concatenate([self.fused, nothing]),
            worth=np.concatenate([self.worth, np.zeros(len(rows), np.bool_)]),
        )
