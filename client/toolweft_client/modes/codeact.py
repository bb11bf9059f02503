"""CodeAct: free turns of code, to compare the agent's own loop with (arXiv 2402.01030).

    task -> code -> what it gave -> code -> … -> answer

Variables stay from turn to turn. A reply with a code fence is run; one without is the answer, which counts only when a
program has ended well before. A turn may also ask for tools, with the one line `# missing: …`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from toolweft_catalog.wire import Execution
from toolweft_client import prompt
from toolweft_client.model.base import Message
from toolweft_client.reply import DefectError, program_in
from toolweft_client.stages.answer import Answer, concluded
from toolweft_client.stages.design import only_missing, search
from toolweft_client.stages.discover import discover
from toolweft_client.stages.run import stop_if_hopeless
from toolweft_client.stubs import LONGEST, SHORTER, SHORTEST, fetch, shown
from toolweft_client.turns import Since, Turn, within
from toolweft_client.work import Attempt, Work

MOST_CALLS = 20
OBSERVATION = 4_000


async def solve(work: Work) -> Answer:
    """The loop."""
    await discover(work)
    tools = list(work.tools)
    await fetch(work, tools)
    packages = prompt.beside(work.session.packages)
    heads, turns = beginnings(work, "codeact", tools, packages=packages), list[Turn]()
    session = f"codeact-{work.trace.run}"
    while True:
        work.trace.enter("act")
        since = Since(work)
        reply = await work.complete("act", within(work.budget.prompt_tokens("act"), heads, turns))
        if "```" not in reply.text and reply.text.strip():
            return concluded(work, reply.text.strip())
        try:
            program = program_in(reply)
            wanted = only_missing(program)
            observed = await searched(work, wanted) if wanted else await _ran(work, program, session)
        except DefectError as defect:
            observed = f"Nothing was run: {defect}."
        turns.append(since.turn(reply.text, observed))


def beginnings(work: Work, name: str, tools: Sequence[str], **values: str) -> list[list[Message]]:
    """How a conversation begins, with longer and with shorter stubs: the instructions of `name`, and the task."""
    return [
        [
            Message("system", prompt.render(name, tools=shown(work, tools, limit), **values)),
            Message("user", work.task.strip()),
        ]
        for limit in (LONGEST, SHORTER, SHORTEST)
    ]


async def searched(work: Work, wanted: Sequence[str]) -> str:
    """The stubs of the tools that a search brings and that were not known before."""
    before = set(work.tools)
    await search(work, wanted)
    new = [tool for tool in work.tools if tool not in before]
    await fetch(work, new)
    return shown(work, new) if new else "No further tool was found."


async def _ran(work: Work, program: str, session: str) -> str:
    work.trace.enter("run")
    known = len(work.calls)
    attempt = Attempt(program, execution=await work.execute(program, session=session, fresh=True))
    work.attempts.append(attempt)
    stop_if_hopeless(work, attempt, known)
    assert attempt.execution is not None
    return prompt.data("run", observation(attempt.execution), limit=OBSERVATION)


def observation(ran: Execution) -> str:
    """What a program printed, gave, or died of."""
    parts = [ran.stdout.rstrip(), ran.stderr.rstrip()]
    if ran.error:
        parts += [f"{ran.error.type}: {ran.error.message}", *ran.error.frames[-8:]]
    elif ran.status != "ok":
        parts.append(f"{ran.status}: {', '.join(ran.limits)}")
    elif ran.value is not None:
        parts.append(ran.value if isinstance(ran.value, str) else json.dumps(ran.value, ensure_ascii=False))
    return "\n".join(part for part in parts if part) or "(no output)"
