"""Repair: one model call for changed functions, from the error, where it happened, and what was already done.

The same error again after another edit means that the plan is wrong: then a new design is drawn. A third time, or the
same program again, ends the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolweft_client import prompt, record
from toolweft_client.asserts import weakened
from toolweft_client.calls import called
from toolweft_client.dialect import is_text
from toolweft_client.edits import doubled, merged, size
from toolweft_client.errors import StoppedError
from toolweft_client.failure import ADVICE, Failure, Kind, failure_of, on_line
from toolweft_client.model.base import Reply
from toolweft_client.reply import DefectError, program_in, syntax_error
from toolweft_client.stages.design import only_missing, search
from toolweft_client.stubs import SHORTER, SHORTEST, fetch, gone, shown
from toolweft_client.work import Attempt, Work, same_program

AROUND = 5
"""Lines shown before and after the failing one."""
OTHERS = 1_500
"""Characters of the calls of tools that the program does not make."""
ARGUMENTS: frozenset[Kind] = frozenset({"argument", "rejected", "tool"})
"""Failures that other arguments may mend."""


async def repair(work: Work, attempt: Attempt) -> str | None:
    """The next program; `None` where a new design is due, since the model lacks a tool.

    Raises:
        StoppedError: No repair is left, the model wrote a program that has failed already, or no tool was found.

    """
    work.spent.repair(work.budget, because=attempt.trouble)
    work.trace.enter("repair")
    failure = failure_of(attempt, work.calls)
    program = await work.ask("repair", await text(work, attempt, failure), lambda reply: _changed(work, attempt, reply))
    if await lacking(work, program):
        return None
    work.trace.add("repair", kind=failure.kind, signature=list(failure.signature), lines=size(attempt.program, program))
    again = failure.kind in ("no_result", "busy")
    if not again and any(same_program(program, each.program) for each in work.attempts if not each.ok):
        raise StoppedError("stuck", f"The model wrote a program again that had failed: {attempt.trouble}")
    return program


def stale(work: Work) -> bool:
    """Whether the latest error was met before, after another edit: then a new design is due, and is noted as spent.

    Raises:
        StoppedError: It was met a third time, or no new design is left.

    """
    met = [failure_of(each, work.calls).signature for each in work.attempts if not each.ok]
    times = met.count(met[-1]) if met else 0
    if times < 2 or work.attempts[-1].ok:
        return False
    trouble = work.attempts[-1].trouble
    if times > 2:
        raise StoppedError("stuck", f"The same error came a third time, after a new design: {trouble}")
    if work.spent.replans >= work.budget.replans:
        raise StoppedError("stuck", f"The same error came again after an edit, and no new design is left: {trouble}")
    work.spent.replans += 1
    work.trace.add("replan", signature=list(met[-1]))
    told = f"It failed with {trouble}\nat: {' '.join(met[-1][1:])}"
    work.learnt.append(
        "A program of an earlier design failed twice in the same way. Draw another design, which does without that.\n"
        + prompt.data("run", told, limit=3_000)
    )
    return True


async def lacking(work: Work, program: str) -> bool:
    """Whether the model wrote no program but what no tool shown can do: that was looked for, and a design is due.

    Raises:
        StoppedError: No search finds such a tool, or no new design is left.

    """
    if not (wanted := only_missing(program)):
        return False
    if not await search(work, wanted) or work.spent.replans >= work.budget.replans:
        raise StoppedError("missing", f"No tool was found for: {'; '.join(wanted)}. Connect a server that offers it.")
    work.spent.replans += 1
    work.trace.add("replan", signature=[f"missing {each}" for each in wanted])
    work.learnt.append(
        "An earlier design chose tools that were not enough. The list holds what a search for the rest has found.\n"
        + prompt.data("run", f"It lacked: {'; '.join(wanted)}")
    )
    return True


async def text(work: Work, attempt: Attempt, failure: Failure) -> str:
    """The prompt; what does not fit is left out in this order: long stubs, stubs of tools that are not on the failing
    line, values and output, reads. Never the task, the program or what was written.
    """
    source = attempt.program
    line = attempt.execution.error.line if attempt.execution and attempt.execution.error else None
    near = [each for each in on_line(source, line) if each in work.tools]
    near += [each.name for each in attempt.problems if each.name in work.tools]
    near += [tool for each in attempt.problems for tool in work.near.get(each.name, ())]
    near += [failure.call.tool] if failure.call and failure.call.tool in work.tools else []
    every = list(dict.fromkeys([*near, *(() if syntax_error(source) else called(source, work.tools))]))
    if failure.kind == "function":
        every = [each for each in every if not each.startswith("functions.")]
    await fetch(work, every)
    told = describe(attempt, outputs=1_000, values=300)
    examples = record.examples(work, near, source) if failure.kind in ARGUMENTS else ""
    shorter = [
        {"others": ""}, {"stubs": shown(work, every, SHORTER)},
        {"stubs": shown(work, list(dict.fromkeys(near)), SHORTER)},
        {"failure": prompt.data("run", describe(attempt, outputs=200, values=80), limit=2_000)},
        {"stubs": shown(work, list(dict.fromkeys(near)), SHORTEST)}, {"calls": record.shown(work, record.SHORT)},
        {"calls": record.shown(work, 0)},
    ]  # fmt: skip
    lost = gone(work, every)
    return prompt.fit(
        "repair", work.budget.repair_tokens, shorter, program=source.rstrip(), task=work.task.strip(),
        failure=prompt.data("run", told, limit=6_000), advice=lost or ADVICE.get(failure.kind, ""),
        calls=record.shown(work, examples=examples), stubs=shown(work, every), others=_others(work, every),
    )  # fmt: skip


def _others(work: Work, tools: Sequence[str]) -> str:
    """Tools that were found beside these: one of them may be what is lacking."""
    calls = [tool.call for name, tool in work.tools.items() if name not in tools and not is_text(tool)]
    told = "Further tools that were found; they may be called, too:"
    return f"{told}\n\n{prompt.data('find_tools', chr(10).join(calls), limit=OTHERS)}" if calls else ""


def _changed(work: Work, attempt: Attempt, reply: Reply) -> str:
    """The program with what the reply changes; its asserts hold, and nothing is written once more."""
    written = program_in(reply)
    if only_missing(written):
        return written
    program = merged(attempt.program, written)
    error = attempt.execution.error if attempt.execution else None
    broken = error.line if error and error.type != "AssertionError" else None
    if lost := weakened(attempt.program, program, broken=broken, keys=error is None or error.type != "AssertionError"):
        raise DefectError(f"it drops or changes `assert {prompt.cut(lost[0], 200)}`, or what has to hold before the "
                          "program comes to it and fails there; both have to stay as they are")  # fmt: skip
    twice = [use for use in doubled(attempt.program, program) if work.effects.get(use.tool) != "read"]
    if twice:
        raise DefectError(f"it calls {twice[0].tool} once more than before with the same arguments, on line "
                          f"{twice[0].line}; what succeeded is not to be written a second time")  # fmt: skip
    return program


def describe(attempt: Attempt, *, outputs: int, values: int) -> str:
    """What went wrong, where, and the values there; `outputs` and `values` are characters of each, 0 for none."""
    ran = attempt.execution
    if attempt.problems or ran is None:
        begin = "Its result was questioned:" if ran else "The program was not run. The check found:"
        return "\n".join([begin, *(
            f"- {f'line {each.line}: ' if each.line else ''}{each.message}" for each in attempt.problems
        )])  # fmt: skip
    error = ran.error
    parts = [f"status: {ran.status}", *(f"limit: {each}" for each in ran.limits)]
    if error:
        parts.append(f"{error.type}: {prompt.cut(error.message, 1_500)}")
        parts += [f"hint: {error.hint}"] if error.hint else []
        parts += [excerpt(attempt.program, error.line)] if error.line else []
        parts += ["frames:", *(f"  {each}" for each in error.frames[-8:])] if error.frames else []
        shown_locals = list(error.locals.items())[:20] if values else []
        held = [f"  {name} = {prompt.cut(value, values)}" for name, value in shown_locals]
        parts += ["values at that line:", *held] if held else []
    for name, output in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        parts += [f"{name}:\n{prompt.cut(output.rstrip(), outputs)}"] if output.strip() else []
    return "\n".join(parts)


def excerpt(program: str, line: int) -> str:
    lines = program.rstrip().split("\n")
    first = max(1, line - AROUND)
    return "\n".join(
        f"{'>' if number == line else ' '} {number:4} {text}"
        for number, text in enumerate(lines[first - 1 : line + AROUND], first)
    )
