"""Run: check the program, then hand it to `execute_code`. Calls that an earlier attempt finished are replayed.

A read that failed for the moment is tried again with the same program and without a model: what was done is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from toolweft_client.budget import used_up
from toolweft_client.errors import StoppedError
from toolweft_client.failure import Failure, failure_of
from toolweft_client.stages.check import check
from toolweft_client.stages.probe import asked_for
from toolweft_client.stubs import forget
from toolweft_client.work import Attempt, Problem, Work, same_program


async def run(work: Work, program: str) -> Attempt:
    """What became of the program. One that names unknown tools or does not parse is not run at all.

    Raises:
        StoppedError: The server or its policy said no; another program would fare no better. Or the budget is used up.

    """
    work.trace.enter("run")
    if found := _confirmed(work, program):
        work.attempts.append(found)
        return found
    before = work.calls
    checked = await check(work, program)
    problems = list(checked.problems)
    if asked_for(program):
        problems.append(Problem("probe", 1, _unprobed(work, checked.uses)))
    attempt = Attempt(checked.source, problems=tuple(problems))
    if not attempt.problems:
        attempt = await _executed(work, checked.source)
        forget(work, checked.uses)
    work.attempts.append(attempt)
    stop_if_hopeless(work, attempt, len(before))
    return attempt


async def _executed(work: Work, program: str) -> Attempt:
    retries = 0
    while True:
        attempt = Attempt(program, execution=await work.execute(program))
        failure = None if attempt.ok else failure_of(attempt)
        if failure is None or failure.kind != "moment" or retries >= work.budget.retries:
            return _without_result(work, attempt)
        _noted(work, failure)
        await anyio.sleep(work.budget.pause * 2**retries)
        retries += 1
        work.spent.retries += 1


def _without_result(work: Work, attempt: Attempt) -> Attempt:
    """A program that read and brought nothing is looked at once more, as long as there is something to look with."""
    ran, spent, budget = attempt.execution, work.spent, work.budget
    if ran is None or not attempt.ok or ran.stdout.strip() or ran.value not in (None, "", [], {}):
        return attempt
    reads = all(call.effect == "read" for call in ran.calls)
    asked = any(each.kind == "no_result" for other in work.attempts for each in other.problems)
    if not reads or asked or spent.repairs >= budget.repairs or spent.model_calls >= budget.model_calls:
        return attempt
    told = Problem("no_result", 0, f"the program ended well and its result is {ran.value!r}")
    return replace(attempt, problems=(told,))


def _confirmed(work: Work, program: str) -> Attempt | None:
    """The attempt before, if it was questioned for its empty result and the model stands by it."""
    last = work.attempts[-1] if work.attempts else None
    if (
        last is None
        or [each.kind for each in last.problems] != ["no_result"]
        or not same_program(last.program, program)
    ):
        return None
    return replace(last, problems=())


def _unprobed(work: Work, tools: Sequence[str]) -> str:
    """Why a reading part was not run."""
    if writing := [each for each in tools if work.effects.get(each) != "read"]:
        named = ", ".join(writing)
        return f"a reading part may not call {named}: nothing says that this only reads. Write the whole program"
    if work.spent.probes >= work.budget.probes:
        return "no further reading part is run: write the whole program"
    return "this is the reading part only: write the whole program"


def stop_if_hopeless(work: Work, attempt: Attempt, known: int) -> None:
    """Notes what kind of failure the attempt is, if it is one. `known` is the number of calls made before it.

    Raises:
        StoppedError: The server, its policy or the sandbox said no.

    """
    if attempt.ok:
        return
    failure = failure_of(attempt, work.calls[:known])
    _noted(work, failure)
    if failure.kind == "policy":
        who = f"{failure.call.tool} may not be called" if failure.call else "The server ended the program"
        raise StoppedError("refused", f"{who}: {attempt.trouble}")
    if failure.kind == "spent":
        raise used_up(work.budget, attempt.trouble)
    if failure.kind == "sandbox":
        raise StoppedError("sandbox", f"The program broke a rule of the sandbox: {attempt.trouble}")


def _noted(work: Work, failure: Failure) -> None:
    """Whatever follows from it: a repair, the same program again, a new design or the end."""
    work.trace.add("failure", kind=failure.kind, signature=list(failure.signature))
