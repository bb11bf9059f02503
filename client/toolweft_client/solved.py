"""Tasks like this one that the server knows to be solved, for the design prompt. Our own server keeps them.

A server that has none, or no such resource, costs one failed read, and nothing is said of it. What comes back is a
stranger's text: it is checked, cut and fenced, and the trace has it as every other answer of the server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

import anyio
from pydantic import BaseModel, ValidationError

from toolweft_client import prompt
from toolweft_client.errors import SessionError
from toolweft_client.work import Work

MOST = 2
TASK, PROGRAM = 500, 2_000
"""Characters shown of an example: that is a program of some forty lines."""
PATIENCE = 5.0
"""Seconds after which the design is drawn without them."""


class Solved(BaseModel):
    task: str
    program: str


class _Answer(BaseModel):
    examples: list[Solved]


async def examples(work: Work) -> list[Solved]:
    """At most two, the most alike first, and the trace knows of them."""
    held = work.tape.take("find", query=work.trace.redacted(work.task), detail="solved")
    found = await _read(work) if held is None else _parsed(str(held["answer"]))
    answer = json.dumps({"examples": [each.model_dump() for each in found]}, ensure_ascii=False)
    work.trace.add("find", query=work.task, tools=[], detail="solved", examples=len(found), answer=answer)
    return found


def shown(found: Sequence[Solved]) -> str:
    """The examples as a part of a prompt."""
    texts = [f"The task: {each.task.strip()}\n\n{each.program.strip()}" for each in found]
    return prompt.render("design_solved", solved=prompt.data("solved_tasks", "\n\n\n".join(texts), limit=6_000)).strip()


async def _read(work: Work) -> list[Solved]:
    task = str(work.meta("design")["task"])
    try:
        with anyio.move_on_after(PATIENCE):
            return _parsed(await work.session.resource(f"toolweft://solved_tasks/{quote(task, safe='')}"))
    except SessionError:
        pass  # no such resource; a server that is gone will be noticed at the next call
    return []


def _parsed(text: str) -> list[Solved]:
    try:
        found = _Answer.model_validate_json(text).examples[:MOST]
    except ValidationError:
        return []
    return [Solved(task=prompt.cut(each.task, TASK), program=prompt.cut(each.program, PROGRAM)) for each in found]
