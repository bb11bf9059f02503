"""`Questions`: what one running program waits for a person to answer, collected into rounds.

What is asked is not its business (`approvals` asks about calls), nor how a question reaches a person (`person`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import anyio

from toolweft_catalog.call import Call, Caller, Result
from toolweft_catalog.tool import Json
from toolweft_server.errors import AnswerError

ROUNDS = 8
"""Rounds of one program: clients give up after ten, and a program must not wear a person down until they agree."""
QUIET, LONGEST = 0.05, 0.5
"""Seconds without a new call after which a round is complete, and seconds that it waits for calls still running.
Calls made side by side arrive within milliseconds, and nobody reads a question that fast."""

Unanswered = Literal["nobody", "rounds", "late"]
"""Why there is no answer: nobody could be asked, too many rounds, or the time was over."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person answered, in the words of the protocol's elicitation."""

    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Json] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Question:
    """One open question. `params` are those of the protocol's `elicitation/create`, as on the wire."""

    id: str
    params: Mapping[str, Json]
    topic: str
    deadline: float
    answer: Reply | Unanswered | None = None
    closed: anyio.Event = field(default_factory=anyio.Event)


class Round(NamedTuple):
    """Questions that are put to a person together."""

    number: int
    questions: tuple[Question, ...]
    seconds: float
    """Until the last of them closes."""


class Answers(NamedTuple):
    """What came back for the round of an execution."""

    execution: str
    round: int
    replies: Mapping[str, Reply]
    """By the ids of the questions."""


Ask = Callable[[Question], Awaitable[Reply | Unanswered]]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be asked through the request at hand."""

    ask: Ask | None = None
    """Asks while the request goes on; `None`: the request is answered with the questions, and made again with the
    replies."""
    modes: frozenset[str] = frozenset({"form"})
    """Kinds of questions that the client shows: `form`, `url`."""


class Questions:
    """Of one program. Each question is closed once: by an answer, by its time, or by the end of the program."""

    def __init__(self, limit: float) -> None:
        """`limit`: the seconds that a question stays open."""
        self._limit = limit
        self._open: dict[str, Question] = {}
        self._asked = self._round = self._taken = self._calls = 0
        self._modes: frozenset[str] = frozenset()
        self._ended = False
        self._changed = anyio.Event()

    async def ask(self, params: Mapping[str, Json], *, topic: str = "") -> Reply | Unanswered:
        """Opens a question and waits for its end. Questions of one `topic` can be closed together by `share`."""
        if self._ended or params["mode"] not in self._modes:
            return "nobody"
        if self._round >= ROUNDS:
            return "rounds"
        self._asked += 1
        question = Question(f"q{self._asked}", params, topic, anyio.current_time() + self._limit)
        self._open[question.id] = question
        self._note()
        try:
            with anyio.move_on_after(self._limit):
                await question.closed.wait()
        finally:
            self._close(question, "late")
        assert question.answer is not None
        return question.answer

    def share(self, topic: str, answer: Reply) -> None:
        """Gives an answer to all open questions of a topic."""
        for question in [each for each in self._open.values() if each.topic == topic]:
            self._close(question, answer)

    def counting(self, caller: Caller) -> Caller:
        """`caller`, with its calls counted: when all that are on their way wait for a person, a round is complete."""

        async def counted(call: Call) -> Result:
            # Only a round that is being gathered looks at the number, and it begins with an open question.
            self._calls += 1
            if self._open:
                self._note()
            try:
                return await caller(call)
            finally:
                self._calls -= 1
                if self._open:
                    self._note()

        return counted

    def attend(self, person: Person | None) -> None:
        """A request waits for the program, with or without somebody who can be asked through it."""
        self._modes = person.modes if person else frozenset()
        for question in [each for each in self._open.values() if each.params["mode"] not in self._modes]:
            self._close(question, "nobody")

    async def next(self) -> Round | None:
        """Waits for questions and gathers them: the next round, or `None` once the program has ended."""
        while not self._ended:
            await self._gather()
            if self._round >= ROUNDS:
                self._close_all("rounds")
            elif self._open:
                self._round += 1
                questions = tuple(self._open.values())
                left = max(each.deadline for each in questions) - anyio.current_time()
                return Round(self._round, questions, max(left, 0.0))
        return None

    async def put(self, asked: Round, ask: Ask) -> None:
        """Asks the questions of a round side by side; returns when all are closed, in whatever way."""
        async with anyio.create_task_group() as tasks:
            for question in asked.questions:
                tasks.start_soon(self._put, question, ask)

    async def _put(self, question: Question, ask: Ask) -> None:
        async with anyio.create_task_group() as tasks:

            async def ask_it() -> None:
                self._close(question, await ask(question))

            tasks.start_soon(ask_it)
            await question.closed.wait()
            tasks.cancel_scope.cancel()

    def take(self, answers: Answers) -> None:
        """Closes the questions that were answered; others stay open for the next round.

        Raises:
            AnswerError: The round is not the latest one, or was answered before.

        """
        if answers.round != self._round or answers.round == self._taken:
            raise AnswerError(answers.execution, "that round of questions was answered before, or asked again")
        self._taken = answers.round
        for id_, reply in answers.replies.items():
            if id_ in self._open:
                self._close(self._open[id_], reply)

    def end(self) -> None:
        """The program has ended: nobody waits for an answer any more."""
        self._ended = True
        self._close_all("nobody")

    async def _gather(self) -> None:
        while not self._open and not self._ended:
            await self._changed.wait()
        with anyio.move_on_after(LONGEST):
            while self._open and not self._ended:
                with anyio.move_on_after(QUIET) as quiet:
                    await self._changed.wait()
                if quiet.cancelled_caught and self._calls <= len(self._open):
                    return

    def _close(self, question: Question, answer: Reply | Unanswered) -> None:
        if question.answer is None:
            question.answer = answer
            self._open.pop(question.id, None)
            question.closed.set()
            self._note()

    def _close_all(self, why: Unanswered) -> None:
        for question in list(self._open.values()):
            self._close(question, why)
        self._note()

    def _note(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def printable(text: str, *, keep: str = "") -> str:
    """Characters that a terminal or a dialog would not show, or would show elsewhere, written out; but not `keep`."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)
