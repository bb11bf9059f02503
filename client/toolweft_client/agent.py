"""The agent: a task in, an `Answer` out, by writing one program against the tools and mending it until it runs.

    discover -> design -> (check) -> probe -> implement -> run -> answer -> learn
        |         ^                                ^        |
        + direct  +-- the same error again --------|--------+
                                                   +- repair    calls that were finished are replayed, not done again

Two model calls when nothing goes wrong (design, implement), one where the tool is obvious (direct), one more for each
repair, and for a second reading of the answer where one is wanted. Each stage is a file in `stages/`; what they share
is `work.Work`; what a run may cost is `budget.Budget`; what follows from each kind of failure is in `failure`. Other
ways to solve a task are in `modes/`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import TypeAlias

import anyio

from toolweft_catalog.tool import Json
from toolweft_client.budget import Budget
from toolweft_client.errors import AgentError, ModelError, Reason, SessionError, StoppedError, TraceError
from toolweft_client.model.base import ChatModel
from toolweft_client.session import Session
from toolweft_client.stages.answer import Answer, answer, failed
from toolweft_client.stages.design import design, whole
from toolweft_client.stages.direct import direct
from toolweft_client.stages.discover import discover
from toolweft_client.stages.implement import implement
from toolweft_client.stages.learn import learn
from toolweft_client.stages.probe import probe
from toolweft_client.stages.reading import second, stands
from toolweft_client.stages.repair import repair, stale
from toolweft_client.stages.run import run
from toolweft_client.tape import Tape
from toolweft_client.trace import Trace, named
from toolweft_client.work import Attempt, Work

Loop: TypeAlias = Callable[[Work], Awaitable[Answer]]


class Agent:
    """Solves tasks, one after the other, with one model and one server."""

    def __init__(
        self,
        model: ChatModel,
        session: Session,
        *,
        budget: Budget = Budget(),  # noqa: B008
        loop: Loop | None = None,
    ) -> None:
        """`loop` is another way to solve a task than the one above (`toolweft_client.modes`)."""
        self._model, self._session, self._budget = model, session, budget
        self._loop = loop or solve

    async def run(
        self,
        task: str,
        *,
        trace: Trace | None = None,
        tape: Tape | None = None,
        setup: Mapping[str, Json] | None = None,
    ) -> Answer:
        """The answer; a failed one when the budget, the model, the server or the tools did not allow for more.

        Every step is in the trace before the next begins, so that one interrupted anywhere can be read, and resumed:
        then `tape` holds its answers, and what is `setup` here says how the model and the server are found again.

        Raises:
            TraceError: The tape holds the answers of another run.

        """
        work = Work(task, self._model, self._session, self._budget, trace or Trace(), tape or Tape())
        work.trace.add("task.start", task=task, **named(self._model.name), budget=asdict(self._budget),
                       setup=dict(setup or {}))  # fmt: skip
        begun = time.monotonic()
        result: Answer | None = None
        status = "interrupted"
        try:
            result = await self._bounded(work)
            status = result.status
            return result
        except TraceError:
            status = "unresumable"  # half a story: nobody is to go on from here
            raise
        except Exception:
            status = "crashed"
            raise
        finally:
            work.spent.seconds = round(time.monotonic() - begun, 3)
            work.trace.end(
                status=status, reason=result.reason if result else None,
                text=result.text if result else "", spent=dict(work.spent.json()),
            )  # fmt: skip

    async def _bounded(self, work: Work) -> Answer:
        try:
            with anyio.move_on_after(self._budget.seconds) as scope, self._session.clock(scope):
                return await self._loop(work)
            late = StoppedError("budget", f"The budget of {self._budget.seconds:g} seconds is used up.")
            if work.kept is None:
                raise late
            attempt = stands(work, work.kept, late)
            return answer(work, attempt, learn(work, attempt))
        except (StoppedError, ModelError, SessionError) as error:
            return failed(work, _reason(error), str(error))


async def solve(work: Work) -> Answer:
    """The loop."""
    await discover(work)
    attempt = await ended(work, await direct(work) or await planned(work))
    attempt = await second(work, attempt, partial(anew, work))
    return answer(work, attempt, learn(work, attempt))


async def ended(work: Work, program: str) -> Attempt:
    """The program, mended until it ends well."""
    while not (attempt := await run(work, program)).ok:
        mended = None if stale(work) else await repair(work, attempt)
        program = mended or await planned(work)
    return attempt


async def anew(work: Work) -> Attempt:
    return await ended(work, await planned(work))


async def planned(work: Work) -> str:
    """A program by way of a design."""
    program = None
    while program is None:
        plan = await design(work)
        if whole(plan):
            return plan.source
        await probe(work, plan)
        program = await implement(work, plan)
    return program


def _reason(error: AgentError) -> Reason:
    if isinstance(error, StoppedError):
        return error.reason
    return "model" if isinstance(error, ModelError) else "session"
