"""Approval: what a program would ask of a person is asked once, before it runs, and goes to the server as grants.

Every call of a tool whose policy is `ask` is shown as it stands in the program. Where nobody can be asked the program
runs as it is, and the server refuses the calls with the line of configuration that allows them. Calls that only the
running program knows of (through variables) are the server's to ask about, one by one.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_client import prompt
from toolweft_client.calls import Use, uses
from toolweft_client.errors import StoppedError
from toolweft_client.reply import syntax_error

if TYPE_CHECKING:
    from toolweft_client.work import Work

ALLOW, REFUSE = "allow them", "refuse"
SHOWN, CHARACTERS = 20, 300
"""Calls shown, and characters of each."""


async def batch(work: Work, program: str) -> None:
    """Asks about the calls that ask, and were not allowed before in this run.

    Raises:
        StoppedError: The person refused.

    """
    asking = [call for use in _uses(program) for call in await _behind(work, use) if _asks(work, call.tool)]
    tools = list(dict.fromkeys(call.tool for call in asking))
    # A run is resumed as it went, whoever can be asked by now: what nobody was asked then, the server asks or refuses.
    if work.tape.next("approval") and (held := work.tape.take("approval", tools=[*tools])) is not None:
        decision: str | None = str(held["decision"])
    elif asking and work.session.attended and not work.tape:
        decision = await work.session.ask(_question(work, asking), (ALLOW, REFUSE))
    else:
        return
    work.trace.add("approval", tools=[*tools], decision=decision or "none")
    if decision != ALLOW:
        told = "A person refused" if decision == REFUSE else "Nobody answered the question whether to allow"
        raise StoppedError("refused", f"{told} the calls of {', '.join(tools)}; the program was not run.")
    work.granted.update(tools)


class _Call(NamedTuple):
    """What a line of the program calls, itself or through a saved function."""

    use: Use
    tool: str


async def _behind(work: Work, use: Use) -> list[_Call]:
    known = work.tools.get(use.tool)
    if known is None or known.origin != "library" or known.effect == "read":
        return [_Call(use, use.tool)]
    tools = await work.behind(use.tool.partition(".")[2])
    for tool in tools:
        if tool not in work.tools:
            found = await work.find(tool, limit=1, stage="approval")
            work.know(each for each in found.tools if each.id == tool)
    return [_Call(use, tool) for tool in tools]


def _uses(program: str) -> list[Use]:
    return [] if syntax_error(program) else sorted(uses(parse(program)), key=lambda use: use.line)


def _asks(work: Work, tool: str) -> bool:
    known = work.tools.get(tool)
    return known is not None and known.policy == "ask" and tool not in work.granted


def _question(work: Work, asking: list[_Call]) -> str:
    lines = [f"The task: {prompt.cut(' '.join(work.task.split()), CHARACTERS)}", "A program for it would call:"]
    for use, tool in asking[:SHOWN]:
        call = ast.unparse(use.call) if use.call is not None else use.tool
        what = {"write": "writes", "read": "reads"}.get(work.tools[tool].effect, "may write")
        through = "" if tool == use.tool else f", which calls {tool}"
        lines.append(f"  line {use.line}, {what}: {prompt.cut(' '.join(call.split()), CHARACTERS)}{through}")
    if (more := len(asking) - SHOWN) > 0:
        lines.append(f"  … and {more} more calls")
    return "\n".join(lines)
