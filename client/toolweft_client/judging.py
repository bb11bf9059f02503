"""Judging finished runs by a model, as ToolBench's ToolEval does (arXiv 2307.16789): pass rate and preference.

A judge sees the task, the tools that a search brought, and the record: program, calls, output, answer. Each question is
asked several times; what more than half of the votes say holds. All that a trace holds is foreign text: it goes in
fenced. *Not covered*: a judge is a model. It errs, an answer that pleads may talk it round, and it knows no gold.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from toolweft_client import prompt
from toolweft_client.agreement import Agreement
from toolweft_client.case import Case
from toolweft_client.errors import ModelError
from toolweft_client.model.base import ChatModel, Message
from toolweft_client.rate import Rate
from toolweft_client.reply import DefectError

REPLY_TOKENS = 8_000
"""Models that think before they write need most of it for that."""

PASSED = {"solvable": ("yes", "no", "unsure"), "solved": ("solved", "unsolved", "unsure")}
PREFERRED = {"better": ("first", "second", "tie")}
"""Questions and what may be answered, as the prompts say."""

_OBJECT = re.compile(r"\s*(?:<(think|thinking)>.*?</\1>\s*)?(?:```(?:json)?\s*)?(\{.*\})\s*(?:```\s*)?", re.DOTALL)

Vote: TypeAlias = Mapping[str, str]
"""An answer to each question, and the `reason`."""


class Pair(NamedTuple):
    """Two runs of one task."""

    a: Case
    b: Case


class Judge:
    """A model that is asked, and what that took."""

    def __init__(self, model: ChatModel) -> None:
        self.name = model.name
        self.calls = self.input_tokens = self.output_tokens = 0
        self.broken: str | None = None
        """Why it could not be asked to the end."""
        self._model = model

    async def vote(self, text: str, questions: Mapping[str, Sequence[str]]) -> Vote | None:
        """What it answers to each question. `None`: no such answer in its reply, asked twice.

        Raises:
            ModelError: The endpoint failed.

        """
        messages = [Message("system", prompt.render("judge")), Message("user", text)]
        said = await self._said(messages)
        try:
            return vote_in(said, questions)
        except DefectError as defect:
            again = prompt.render("judge_reask", defect=str(defect))
            messages += [Message("assistant", said.strip() or "(empty reply)"), Message("user", again)]
        try:
            return vote_in(await self._said(messages), questions)
        except DefectError:
            return None

    async def _said(self, messages: Sequence[Message]) -> str:
        reply = await self._model.complete(messages, max_tokens=REPLY_TOKENS, stage="judge")
        self.calls += 1
        self.input_tokens += reply.usage.input
        self.output_tokens += reply.usage.output
        return reply.text


def vote_in(text: str, questions: Mapping[str, Sequence[str]]) -> Vote:
    """The one JSON object of a reply, with one of the allowed words for each question.

    Raises:
        DefectError: It is anything else.

    """
    found = _OBJECT.fullmatch(text)
    try:
        said = json.loads(found[2]) if found else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise DefectError("it was not one JSON object and nothing else")
    if unknown := sorted(set(said) - {"reason", *questions}):
        raise DefectError(f"there is no key {prompt.cut(unknown[0], 40)!r} in the form")
    for question, words in questions.items():
        if said.get(question) not in words:
            raise DefectError(f'"{question}" has to be one of {", ".join(words)}')
    return {"reason": str(said.get("reason", ""))} | {question: said[question] for question in questions}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the votes on one task, or on one pair of runs of it, say."""

    task: str
    name: str
    votes: tuple[Vote, ...]
    """Readable ones."""
    unreadable: int
    answered: bool = True

    @classmethod
    def of(cls, task: str, name: str, said: Sequence[Vote | None], *, answered: bool = True) -> Verdict:
        votes = tuple(vote for vote in said if vote is not None)
        return cls(task, name, votes, len(said) - len(votes), answered)

    def most(self, question: str, *, otherwise: str) -> str:
        """What more than half of the votes say."""
        counts = Counter(vote[question] for vote in self.votes).most_common(1)
        return counts[0][0] if counts and 2 * counts[0][1] > len(self.votes) else otherwise

    @property
    def solvable(self) -> str:
        return self.most("solvable", otherwise="unsure")

    @property
    def solved(self) -> str:
        """A run that ended without an answer has solved nothing, whatever a judge makes of its text."""
        return self.most("solved", otherwise="unsure") if self.answered else "unsolved"

    @property
    def better(self) -> str:
        """`A`, `B` or `tie`."""
        return self.most("better", otherwise="tie")


class PassRate(NamedTuple):
    """Over tasks with a vote that could be read."""

    solved: Rate
    solved_of_solvable: Rate
    """Of the tasks that the judge holds to be solvable: an agent is not to blame for the others."""
    verdicts: Mapping[str, int]
    """How many tasks are solved, unsolved, unsure."""
    agreement: Agreement
    """On whether it was solved."""
    agreement_on_solvable: Agreement
    unreadable: int
    """Votes."""
    unjudged: int
    """Tasks without a vote."""

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> PassRate:
        judged = [each for each in verdicts if each.votes]
        able = [each for each in judged if each.solvable == "yes"]
        return cls(
            Rate(sum(each.solved == "solved" for each in judged), len(judged)),
            Rate(sum(each.solved == "solved" for each in able), len(able)),
            dict(Counter(each.solved for each in judged).most_common()), _agreed(judged, "solved"),
            _agreed(judged, "solvable"), sum(each.unreadable for each in verdicts), len(verdicts) - len(judged),
        )  # fmt: skip


class Preference(NamedTuple):
    """Over pairs with a vote that could be read."""

    a: Rate
    """For A; a tie counts half for each."""
    better: Mapping[str, int]
    """How many pairs say A, B, tie."""
    agreement: Agreement
    first: Rate
    """Votes for the run that stood first, of those that were no ties. Far from a half, the judge goes by the place."""
    unreadable: int
    unjudged: int

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> Preference:
        judged = [each for each in verdicts if each.votes]
        counts = Counter(each.better for each in judged)
        places = [vote["place"] for each in judged for vote in each.votes if vote["place"] != "tie"]
        return cls(
            Rate(counts["A"] + counts["tie"] / 2, len(judged)), dict(counts.most_common()), _agreed(judged, "better"),
            Rate(places.count("first"), len(places)), sum(each.unreadable for each in verdicts),
            len(verdicts) - len(judged),
        )  # fmt: skip


async def passed(
    judge: Judge, cases: Sequence[Case], *, votes: int, tell: Callable[[Verdict], object] = lambda _: None
) -> list[Verdict]:
    """Of each case whether its task could be solved, and whether it was; `tell` hears of each verdict.

    When the model fails, `judge.broken` says so and the verdicts until then are given.
    """
    found: list[Verdict] = []
    for case in cases:
        text = prompt.render("judge_passed", task=prompt.data("task", case.task), tools=case.tools, run=case.record)
        try:
            said = [await judge.vote(text, PASSED) for _ in range(votes)]
        except ModelError as error:
            judge.broken = str(error)
            break
        found.append(Verdict.of(case.task, case.name, said, answered=case.answered))
        tell(found[-1])
    return found


async def preferred(
    judge: Judge, pairs: Sequence[Pair], *, votes: int, tell: Callable[[Verdict], object] = lambda _: None
) -> list[Verdict]:
    """Of each pair which run is better, `A`, `B` or `tie`; else as `passed`.

    A stands first in every other vote, and in the first vote of every other pair: a judge that always likes the first
    place brings half for each. What it said of places stands in a vote's `place`.
    """
    found: list[Verdict] = []
    for number, pair in enumerate(pairs):
        try:
            said = [await _compared(judge, pair, swapped=(number + vote) % 2 == 1) for vote in range(votes)]
        except ModelError as error:
            judge.broken = str(error)
            break
        found.append(Verdict.of(pair.a.task, f"{pair.a.name} | {pair.b.name}", said))
        tell(found[-1])
    return found


def paired(a: Sequence[Case], b: Sequence[Case]) -> list[Pair]:
    """Runs of the same task, the first of A with the first of B and so on; what is left over is not compared."""
    others: defaultdict[str, deque[Case]] = defaultdict(deque)
    for case in b:
        others[case.task].append(case)
    return [Pair(case, others[case.task].popleft()) for case in a if others[case.task]]


def _agreed(verdicts: Sequence[Verdict], question: str) -> Agreement:
    return Agreement.of([[vote[question] for vote in each.votes] for each in verdicts])


async def _compared(judge: Judge, pair: Pair, *, swapped: bool) -> Vote | None:
    first, second = (pair.b, pair.a) if swapped else (pair.a, pair.b)
    text = prompt.render(
        "judge_preferred", task=prompt.data("task", pair.a.task), first=first.record, second=second.record
    )
    vote = await judge.vote(text, PREFERRED)
    if vote is None:
        return None
    names = {"first": "B" if swapped else "A", "second": "A" if swapped else "B", "tie": "tie"}
    return {"reason": vote["reason"], "better": names[vote["better"]], "place": vote["better"]}
