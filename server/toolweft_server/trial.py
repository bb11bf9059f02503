"""`Trial`: is ranking with use better than without? Asked of real requests, and use is switched off when it is worse.

Both rankings are mixed into one answer by a fair draft (`index.woven.interleave`), so that the person gets the best of
either at the top; who placed the tool that was then executed wins the request. The first `FIRST` requests on which the
two differ are answered so, once something was learned, and of later ones every tenth, until the sequential test says
`better` (then use stays and the trial is over) or `worse` (then use is off). The verdict stands in the store, for every
process and start, until it is forgotten (`toolweft index rollback`) or another encoder comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from random import Random
from typing import NamedTuple

from toolweft_server.index.base import Hit, Matches
from toolweft_server.index.woven.interleave import Interleaved, Verdict, compare, credit, draft
from toolweft_server.store.usage import Uses

FIRST, AFTERWARDS = 200, 0.1
"""Requests that are mixed at first, and the share of later ones. Each costs a second search."""


class Mix(NamedTuple):
    """One answer made of two rankings."""

    answer: Interleaved
    alike: int
    """So many first places are the same in both: who was shown no more cannot tell them apart."""
    trial: str


class Trial:
    """`judge` and `note` block; the rest is quick. One thread learns, one notes, and others read what they found."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self._name = ""
        self._answered = 0
        self._verdict: Verdict | None = None
        """None until the store was asked: nothing is mixed before."""

    def wanted(self, query: str) -> bool:
        """Whether the request is for the trial."""
        if self._verdict != "open":
            return False
        return self._answered < FIRST or self._coin("wanted", query).random() < AFTERWARDS

    def _coin(self, what: str, query: str) -> Random:
        """A fair one over many requests; over an equal store an equal request is answered alike, so that runs can be
        repeated.
        """
        return Random(f"{what} {self._answered} {query}")  # noqa: S311 - it keeps no secret

    def mixed(self, query: str, challenger: Matches, champion: Matches, limit: int) -> tuple[Matches, Mix | None]:
        """The answer for the person; the ranking with use as it is when both are the same."""
        mine, other = ([hit.tool for hit in each.hits] for each in (challenger, champion))
        if mine == other:
            return challenger, None
        answer = draft(mine, other, limit, self._coin("first", query))
        known: dict[str, Hit] = {hit.tool: hit for hit in (*champion.hits, *challenger.hits)}
        # Scores say who stands above whom within one answer: places of two rankings share theirs, best first.
        scores = sorted((known[tool].score for tool in answer.order), reverse=True)
        hits = [known[tool]._replace(score=score) for tool, score in zip(answer.order, scores, strict=True)]
        alike = next(n for n, (a, b) in enumerate(zip_longest(mine, other)) if a != b)
        total = max(challenger.total, champion.total, len(hits))
        return Matches(hits, total, challenger.nearest), Mix(answer, alike, self._name)

    def count(self) -> None:
        """A mixed answer goes out; `note` follows."""
        self._answered += 1

    def note(self, number: int, shown: Sequence[str], mix: Mix) -> None:
        """Notes that a request was answered so.

        Raises:
            StoreError: It is not noted; the request then decides nothing.

        """
        self._uses.mixed(number, mix.trial, shown, sorted(mix.answer.challenger & set(shown)))

    def judge(self, encoder: str) -> Verdict:
        """Where the trial stands by all that the store holds; ends it when that is clear.

        Raises:
            StoreError: The store cannot be read or written.

        """
        self._name = f"use against no use, encoder {encoder[:8]}"
        ended = {each.name: each.verdict for each in self._uses.trials() if each.ended is not None}
        if (before := ended.get(self._name)) in ("worse", "better"):
            self._verdict = "worse" if before == "worse" else "better"
            return self._verdict
        answers = self._uses.answered(self._name)
        stands = compare(credit(Interleaved(each.shown, each.challenger), each.worked) for each in answers)
        if stands.verdict != "open":
            self._uses.ended(self._name, stands.verdict)
        self._answered, self._verdict = len(answers), stands.verdict
        return stands.verdict

    @property
    def note_for_people(self) -> str | None:
        if self._verdict == "worse":
            return (
                "Use is switched off: on real requests ranking without it was better (toolweft index ab). It begins "
                "anew after `toolweft index rollback`."
            )
        if self._verdict == "open" and self._answered:
            return f"Use is on trial: {self._answered} answers were mixed of two rankings so far (toolweft index ab)."
        return None
