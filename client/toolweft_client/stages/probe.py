"""Probe: runs the reading beginning of a design alone, where nobody knows yet what its tools return.

No model is asked. The server keeps the shape of what came back and shows it in the tool's stub; the calls are
replayed when the whole program makes them again.
"""

from __future__ import annotations

import json

from toolweft_catalog.wire import Execution
from toolweft_client import prompt
from toolweft_client.calls import called
from toolweft_client.signature import shape_known
from toolweft_client.steps import reading
from toolweft_client.stubs import fetch, forget
from toolweft_client.work import Design, Work

VALUE = 3_000
"""Characters of what a probe brought, in the next prompt."""


async def probe(work: Work, plan: Design) -> None:
    if plan.problems or work.spent.probes >= work.budget.probes:
        return
    program = reading(plan.source, work.effects)
    if program is None:
        return
    tools = called(program, work.tools)
    await fetch(work, tools)
    if tools and not all(shape_known(work.tools[each].call, work.stubs[each], each) for each in tools):
        await look(work, program, tools)


async def look(work: Work, program: str, tools: tuple[str, ...]) -> None:
    """Runs `program`, and keeps what it brought for the next prompt; a failure is worth knowing, too."""
    work.trace.enter("probe")
    work.spent.probes += 1
    ran = await work.execute(program, stage="probe")
    forget(work, tools)
    work.seen.append(_told(program, ran))


def _told(program: str, ran: Execution) -> str:
    value = f"{ran.error.type}: {ran.error.message}" if ran.error else json.dumps(ran.value, ensure_ascii=False)
    return f"{program.strip()}\n\n{ran.status}: {prompt.cut(value, VALUE)}" + (
        f"\n{prompt.cut(ran.stdout, 1_000)}" if ran.stdout else ""
    )


def asked_for(source: str) -> bool:
    """Whether the model wrote the reading part only, to see what comes back."""
    return source.lstrip().partition("\n")[0].strip().lower().startswith("# probe")
