"""Repair: one model call for a changed program, from the error, where it happened, and what was already done."""

from __future__ import annotations

from toolweft_catalog.wire import Execution
from toolweft_client import prompt
from toolweft_client.calls import called
from toolweft_client.errors import StoppedError
from toolweft_client.reply import syntax_error
from toolweft_client.stages.implement import stubs
from toolweft_client.work import Attempt, Work, same_program

AROUND = 5
"""Lines shown before and after the failing one."""
MOST_CALLS = 30


async def repair(work: Work, attempt: Attempt) -> str:
    """The next program.

    Raises:
        StoppedError: No repair is left, or the model wrote a program that has failed already.

    """
    work.spent.repair(work.budget, because=attempt.trouble)
    work.trace.enter("repair")
    uses = () if syntax_error(attempt.program) else called(attempt.program, work.tools)
    wanted = [*uses, *(each.name for each in attempt.problems if each.name in work.tools and each.name not in uses)]
    text = prompt.render(
        "repair", program=attempt.program.rstrip(), failure=prompt.data("run", failure(attempt), limit=6_000),
        calls=prompt.data("calls", call_log(work.last_execution), limit=4_000), stubs=await stubs(work, wanted),
        task=work.task.strip(),
    )  # fmt: skip
    program = await work.ask("repair", text)
    if any(same_program(program, each.program) for each in work.attempts):
        raise StoppedError("stuck", f"The model wrote a program again that had failed: {attempt.trouble}")
    return program


def failure(attempt: Attempt) -> str:
    """What went wrong, where, and the values there."""
    if attempt.problems or attempt.execution is None:
        return "\n".join(["The program was not run. The check found:", *(
            f"- {f'line {each.line}: ' if each.line else ''}{each.message}" for each in attempt.problems
        )])  # fmt: skip
    ran, error = attempt.execution, attempt.execution.error
    parts = [f"status: {ran.status}", *(f"limit: {each}" for each in ran.limits)]
    if error:
        parts.append(f"{error.type}: {prompt.cut(error.message, 1_500)}")
        parts += [f"hint: {error.hint}"] if error.hint else []
        parts += [excerpt(attempt.program, error.line)] if error.line else []
        parts += ["frames:", *(f"  {each}" for each in error.frames[-8:])] if error.frames else []
        values = [f"  {name} = {prompt.cut(value, 300)}" for name, value in list(error.locals.items())[:20]]
        parts += ["values at that line:", *values] if values else []
    for name, output in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        parts += [f"{name}:\n{prompt.cut(output.rstrip(), 1_000)}"] if output.strip() else []
    return "\n".join(parts)


def excerpt(program: str, line: int) -> str:
    lines = program.rstrip().split("\n")
    first = max(1, line - AROUND)
    return "\n".join(
        f"{'>' if number == line else ' '} {number:4} {text}"
        for number, text in enumerate(lines[first - 1 : line + AROUND], first)
    )


def call_log(ran: Execution | None) -> str:
    if ran is None or not ran.calls:
        return "(no tool was called)"
    rows = [f"{each.seq}. {each.tool} {each.effect} {each.status} {prompt.cut(each.sample, 300)}" for each in ran.calls]
    return "\n".join(rows[-MOST_CALLS:])
