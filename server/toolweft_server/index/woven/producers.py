"""Producers: tools that give an identifier which another one requires and the request does not hold.

A tool of the same server, or one that was used together with the other, gives an identifier when its declared output
has a property of that name, or when its name says that it lists, finds or reads what the identifier is of; not when it
requires the identifier itself. `Producers` answers for one catalogue from the `traits` of its tools. It is laid out
with the first question after a change: of 10 tools in 0.1 ms, of 1,000 in 0.4 ms, of 50,000 in 25 ms on one core; a
question takes some 30 µs, however many tools there are.

N tools.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index import text
from toolweft_server.index.woven.traits import Records

TOO_MANY = 8
"""Tools that give an identifier equally well: which of them is meant is then a guess, and guesses take no places."""

Rows: TypeAlias = NDArray[np.int64]

NOBODY: Rows = np.zeros(0, np.int64)
_NEVER = 3

_RUN = re.compile(r"[\w./:-]+")
_NO_VALUE = re.compile(
    r"(?:19|20)\d\d(?:-\d\d(?:-\d\d)?)?|\d{1,2}/\d{1,2}(?:/\d{2,4})?|\d{1,2}:\d\d|"
    r"\d+(?:st|nd|rd|th|am|pm|km|kg|mb|gb|min|px)|\w+-(?:day|week|month|year|hour|minute|step|star)s?",
    re.IGNORECASE,
)
"""Years and dates, times, ordinals and measures."""
_LEAST = 3


def held(request: str) -> bool:
    """Whether a request holds what could be an identifier: letters with digits, an address, a path.

    It is never known of what.
    """
    runs = (run.strip("./:-") for run in _RUN.findall(request[: text.LONGEST_TEXT]))
    return any(
        ("/" in run or (len(run) >= _LEAST and any(map(str.isdigit, run)))) and not _NO_VALUE.fullmatch(run)
        for run in runs
    )


class _Postings(NamedTuple):
    """Which rows have a mark."""

    marks: NDArray[np.uint64]  # sorted: the server above, the mark below
    rows: Rows


class Producers:
    """Of the tools whose records these are, named by their rows."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def of(self, row: int, together: Rows = NOBODY) -> Rows:
        """The rows of the surest producers for the tool of `row`, in no order; none when `TOO_MANY` are equally sure.

        Surest is who declares the identifier as output, then who lists or finds, then who reads. `together` are rows of
        tools of any server that were used together with this one.
        """
        record, found = self._records[row], NOBODY
        best = _NEVER
        for need, of in zip(record["needs"].tolist(), record["nouns"].tolist(), strict=True):
            if not (nouns := [noun for noun in of if noun]):
                continue
            giving = self._having(self._gives, record["server"], need)
            naming = self._having(self._said, record["server"], nouns[0])
            others = np.unique(np.concatenate([giving, naming, together]))
            surely = _surely(self._records[others], need, nouns)
            surely[others == row] = _NEVER
            if (now := int(surely.min(initial=_NEVER))) < _NEVER and now <= best:
                found = others[surely == now] if now < best else np.union1d(found, others[surely == now])
                best = now
        return found if len(found) < TOO_MANY else NOBODY

    @cached_property
    def _gives(self) -> _Postings:
        return _postings(self._records, self._records["gives"])

    @cached_property
    def _said(self) -> _Postings:
        """Of tools that list, find or read."""
        return _postings(self._records, np.where(self._records["reads"][:, None] > 0, self._records["said"], 0))

    def _having(self, postings: _Postings, server: np.uint32, mark: int) -> Rows:
        wanted = np.uint64((int(server) << 32) | mark)
        low, high = np.searchsorted(postings.marks, wanted, "left"), np.searchsorted(postings.marks, wanted, "right")
        return postings.rows[low:high]


def _surely(givers: Records, need: int, nouns: list[int]) -> NDArray[np.int64]:
    """(N,): 0 declares the identifier, 1 lists or finds, 2 reads what it is of; `_NEVER` for all others."""
    surely = np.where(givers["reads"] > 0, givers["reads"], _NEVER).astype(np.int64)
    for noun in nouns:
        surely[~(givers["said"] == noun).any(axis=1)] = _NEVER
    surely[(givers["gives"] == need).any(axis=1)] = 0
    surely[(givers["needs"] == need).any(axis=1)] = _NEVER
    return surely


def _postings(records: Records, marks: NDArray[np.uint32]) -> _Postings:
    rows, places = np.nonzero(marks)
    keys = (records["server"][rows].astype(np.uint64) << np.uint64(32)) | marks[rows, places]
    order = np.argsort(keys, kind="stable")
    return _Postings(keys[order], rows[order].astype(np.int64))
