"""Run: check the program, then hand it to `execute_code`. Calls that an earlier attempt finished are replayed."""

from __future__ import annotations

from toolweft_catalog.tool import Json
from toolweft_client.errors import StoppedError
from toolweft_client.stages.check import check
from toolweft_client.work import Attempt, Work


async def run(work: Work, program: str) -> Attempt:
    """What became of the program. One that names unknown tools or does not parse is not run at all.

    Raises:
        StoppedError: The server or its policy said no; another program would fare no better.

    """
    work.trace.enter("run")
    attempt = Attempt(program, problems=await check(work, program))
    if not attempt.problems:
        attempt = await _execute(work, program)
    work.attempts.append(attempt)
    _stop_if_hopeless(attempt)
    return attempt


async def _execute(work: Work, program: str) -> Attempt:
    work.spent.program(work.budget)
    before = work.last_execution
    ran = await work.session.execute_code(
        program,
        retry_of=before.id if before else None,
        seconds=work.budget.run_seconds,
        meta=work.meta("run"),
    )
    work.spent.tool_calls += sum(not call.replayed for call in ran.calls)
    calls: list[Json] = [call.model_dump(mode="json") for call in ran.calls]
    work.trace.add(
        "run", execution=ran.id, status=ran.status, program=program, retry_of=before.id if before else None,
        value=ran.value, stdout=ran.stdout, stderr=ran.stderr,
        error=ran.error.model_dump(mode="json") if ran.error else None, calls=calls, limits=list(ran.limits),
        seconds=ran.seconds,
    )  # fmt: skip
    return Attempt(program, execution=ran)


def _stop_if_hopeless(attempt: Attempt) -> None:
    ran = attempt.execution
    if ran is None or ran.status == "ok":
        return
    if ran.status in ("refused", "cancelled"):
        raise StoppedError("refused", f"The server ended the program: {attempt.trouble}")
    if ran.status == "violation":
        raise StoppedError("sandbox", f"The program broke a rule of the sandbox: {attempt.trouble}")
    failed = [call for call in ran.calls if call.status != "ok"]
    if ran.status == "error" and failed and failed[-1].status == "refused":
        raise StoppedError("refused", f"{failed[-1].tool} may not be called: {attempt.trouble}")
