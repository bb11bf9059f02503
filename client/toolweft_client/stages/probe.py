"""Probe: runs the reading beginning of a design alone, where nobody knows yet what its tools return.

No model is asked. The server keeps the shape of what came back and shows it in the tool's stub; the calls are
replayed when the whole program makes them again.
"""

from __future__ import annotations

import json

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Execution
from toolweft_client import prompt
from toolweft_client.budget import used_up
from toolweft_client.calls import called
from toolweft_client.failure import spent
from toolweft_client.signature import shape_known
from toolweft_client.steps import reading
from toolweft_client.stubs import fetch, forget
from toolweft_client.work import Attempt, Design, Work

VALUE = 3_000
"""Characters of what a probe brought, in the next prompt."""
ITEMS, PLAIN, TEXT, DEPTH = 2, 8, 120, 6
"""What is shown of a design's own reading steps: items of a list, such as are texts and numbers, characters of a text,
levels. The shape is in the stubs by then; these are examples of values.
"""


async def probe(work: Work, plan: Design) -> None:
    if plan.problems or work.spent.probes >= work.budget.probes:
        return
    program = reading(plan.source, work.effects)
    if program is None:
        return
    tools = called(program, work.tools)
    await fetch(work, tools)
    if (
        tools
        and all(each in work.tools for each in tools)
        and not all(shape_known(work.tools[each].call, work.stubs[each], each) for each in tools)
    ):
        ran = await look(work, program, tools)
        # Its lines are those of the design, and its values are named as there.
        told = _dumped(brief(ran.value)) if ran.status == "ok" else _told(program, ran)
        work.seen.append(prompt.cut(told, VALUE))


async def asked(work: Work, program: str, tools: tuple[str, ...]) -> None:
    """Runs the reading part that the model wrote, and keeps all that it wanted to see."""
    work.seen.append(_told(program, await look(work, program, tools)))


async def look(work: Work, program: str, tools: tuple[str, ...]) -> Execution:
    """Runs `program`; a failure is worth knowing, too."""
    work.trace.enter("probe")
    work.spent.probes += 1
    ran = await work.execute(program, stage="probe")
    forget(work, tools)
    if spent(ran):
        raise used_up(work.budget, Attempt(program, execution=ran).trouble)
    return ran


def brief(value: Json, depth: int = DEPTH) -> Json:
    """Examples of what is in a value: every key, the first items of lists, the beginnings of texts."""
    if isinstance(value, str):
        return value if len(value) <= TEXT else f"{value[:TEXT]}…"
    if isinstance(value, (list, dict)) and not depth:
        return "…"
    if isinstance(value, list):
        most = ITEMS if any(isinstance(each, (list, dict)) for each in value) else PLAIN
        rest = [f"… {len(value) - most} more"] if len(value) > most else []
        return [*(brief(each, depth - 1) for each in value[:most]), *rest]
    return {key: brief(each, depth - 1) for key, each in value.items()} if isinstance(value, dict) else value


def _told(program: str, ran: Execution) -> str:
    value = f"{ran.error.type}: {ran.error.message}" if ran.error else _dumped(ran.value)
    return f"{program.strip()}\n\n{ran.status}: {prompt.cut(value, VALUE)}" + (
        f"\n{prompt.cut(ran.stdout, 1_000)}" if ran.stdout else ""
    )


def _dumped(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def asked_for(source: str) -> bool:
    """Whether the model wrote the reading part only, to see what comes back."""
    return source.lstrip().partition("\n")[0].strip().lower().startswith("# probe")
