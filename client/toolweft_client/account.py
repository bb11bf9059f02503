"""`Account`: what one trace says of its run, counted from events. `report` adds several up.

A pure function of steps: no clock, no server, and no word of the agent that its own events do not bear out. Whether an
answer is right no trace knows; that is for a benchmark's gold answers, or for a judge (`judging`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json
from toolweft_client.budget import Budget, prompt_budget
from toolweft_client.calls import uses
from toolweft_client.reply import syntax_error
from toolweft_client.trace import Step

GRACE = 5.0
"""Seconds that a run may take to put things away once its time is over."""
DONE = "ok"
BROKEN_OFF = ("model", "session")
"""Reasons of failures outside of the task: the endpoint or the server was gone, and the run can be resumed."""
UNKNOWN = ("timeout", "unavailable", "cancelled")
"""Statuses of calls that got no answer: a write among them may have taken effect."""


@dataclass(frozen=True, slots=True)
class Account:
    """One trace. All counts are of events."""

    name: str
    at: str
    """When it began; UTC, ISO 8601."""
    task: str
    mode: str
    model: str
    status: str
    """`answered`, `failed`, `crashed`, `interrupted`, or `unfinished` where the trace breaks off."""
    reason: str
    """Why it failed."""
    model_calls: int
    input_tokens: int
    output_tokens: int
    programs: int
    tool_calls: int
    """Real ones: neither replayed nor refused."""
    repairs: int
    replans: int
    probes: int
    seconds: float
    failures: tuple[str, ...]
    """Kinds of the failures that were repaired, in order."""
    exceeded: tuple[str, ...]
    """Names of budgets; empty as well where the trace does not say what the budget was."""
    writes: Writes
    offered: tuple[str, ...]
    """Saved functions that a search showed."""
    used: tuple[str, ...]
    """Saved functions that a program named, and that program was run."""
    saved: tuple[str, ...]
    executions: tuple[str, ...]
    """Ids of programs that were sent. A resumed run keeps those of the run before."""
    resumes: str
    """The trace that it goes on from."""

    @property
    def over(self) -> bool:
        return over(self.status, self.reason)


class Writes(NamedTuple):
    """Tools of writes that were made again with the same arguments within one chain of retries, once for each."""

    duplicate: tuple[str, ...] = ()
    """They took effect more often than any one program of the chain asks for."""
    doubtful: tuple[str, ...] = ()
    """The same, but one of them got no answer: nobody knows whether it took effect."""
    repeated: tuple[str, ...] = ()
    """One program itself asks for them several times. That may be meant."""


def over(status: str, reason: str) -> bool:
    """Whether a run came to its end, so that nothing is left to resume."""
    return status == "answered" or (status == "failed" and reason not in BROKEN_OFF)


def account_of(steps: Sequence[Step], *, name: str = "") -> Account:
    """What the steps of one trace, at least one, say."""
    start, end = steps[0], steps[-1]
    setup = start.data.get("setup")
    told = [step for step in steps if step.event == "llm"]
    ran = [step for step in steps if step.event == "run"]
    finished = end.event == "task.end"
    return Account(
        name=name, at=start.at, task=str(start.data.get("task", "")),
        mode=str(setup.get("mode") or "unknown") if isinstance(setup, dict) else "unknown",
        model=_model(start),
        status=str(end.data.get("status")) if finished else "unfinished",
        reason=str(end.data.get("reason") or "") if finished else "",
        model_calls=len(told), input_tokens=_sum(told, "gen_ai.usage.input_tokens"),
        output_tokens=_sum(told, "gen_ai.usage.output_tokens"), programs=len(ran),
        tool_calls=sum(len(_made(step)) for step in ran), repairs=_stages(steps, "repair", "review"),
        replans=sum(step.event == "replan" for step in steps), probes=_stages(steps, "probe"), seconds=end.ms / 1000,
        failures=tuple(str(step.data.get("kind")) for step in steps if step.event == "failure"),
        exceeded=tuple(exceeded(steps, budget)) if (budget := _budget(start)) else (), writes=writes(steps),
        offered=_offered(steps), used=_used(ran), saved=_saved(steps),
        executions=tuple(dict.fromkeys(
            str(step.data.get("execution")) for step in steps if step.event in ("begin", "run")
        )), resumes=str(setup.get("resumes") or "") if isinstance(setup, dict) else "",
    )  # fmt: skip


def exceeded(steps: Sequence[Step], budget: Budget) -> list[str]:
    """Budgets that were passed, by events and by what the run says it spent, whichever is more.

    Not counted: calls that were refused, also because nothing was left; as writes, those that a person allowed.
    """
    spent = steps[-1].data.get("spent")
    said = spent if isinstance(spent, dict) else {}
    counts: dict[str, float] = {
        "model_calls": sum(step.event == "llm" for step in steps), "repairs": _stages(steps, "repair", "review"),
        "probes": _stages(steps, "probe"), "readings": _stages(steps, "reading"), "retries": 0,
        "replans": sum(step.event == "replan" for step in steps),
    }  # fmt: skip
    over = [name for name, count in counts.items() if max(count, _number(said.get(name))) > getattr(budget, name)]
    made = [call for step in steps if step.event == "run" for call in _made(step)]
    over += ["tool_calls"] if len(made) > budget.tool_calls else []
    asking = _asking(steps)
    alone = [call for call in made if _may_have_written(call) and call.get("tool") not in asking]
    over += ["writes"] if len(alone) > budget.writes else []
    # While a person thinks the clock stands still, and no trace says for how long.
    asked = any(step.event == "approval" for step in steps)
    if not asked and (_number(said.get("seconds")) or steps[-1].ms / 1000) > budget.seconds + GRACE:
        over.append("seconds")
    over += [prompt_budget(step.stage) for step in steps
             if step.event == "llm" and _prompt(step) > budget.prompt_tokens(step.stage)]  # fmt: skip
    return list(dict.fromkeys(over))


def writes(steps: Iterable[Step]) -> Writes:
    """Writes that were made more than once, chain by chain: a program and those that are retries of it."""
    chains: dict[str, str] = {}
    made: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    asked: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    unknown: set[tuple[str, tuple[str, str]]] = set()
    for step in steps:
        if step.event != "run":
            continue
        name, before = str(step.data.get("execution")), step.data.get("retry_of")
        chain = chains[name] = chains.get(str(before), str(before)) if before else name
        here: Counter[tuple[str, str]] = Counter()
        for call in filter(_may_have_written, _dicts(step.data.get("calls"))):
            key = (str(call.get("tool")), str(call.get("args_digest")))
            here[key] += 1
            if not call.get("replayed"):
                made[chain][key] += 1
                unknown |= {(chain, key)} if call.get("status") in UNKNOWN else set()
        asked[chain] |= here
    again = [(chain, key) for chain, counts in made.items() for key in (counts - asked[chain]).elements()]
    return Writes(
        tuple(key[0] for chain, key in again if (chain, key) not in unknown),
        tuple(key[0] for chain, key in again if (chain, key) in unknown),
        tuple(key[0] for counts in asked.values() for key, count in counts.items() for _ in range(count - 1)),
    )


def _model(start: Step) -> str:
    """`provider:model`, or the name alone where both are one."""
    told = [str(start.data[key]) for key in ("gen_ai.provider.name", "gen_ai.request.model") if key in start.data]
    return ":".join(dict.fromkeys(told)) or "unknown"


def _budget(start: Step) -> Budget | None:
    limits = start.data.get("budget")
    if not isinstance(limits, dict):
        return None
    known = {each.name for each in fields(Budget)}
    numbers = {key: value for key, value in limits.items() if key in known and isinstance(value, int | float)}
    return Budget(**numbers)  # type: ignore[arg-type]


def _offered(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(tool.get("id")) for tool in _found(steps) if tool.get("origin") == "library"))


def _asking(steps: Iterable[Step]) -> set[Json]:
    """Tools whose calls ask: one of them that was made was allowed by a person."""
    return {tool.get("id") for tool in _found(steps) if tool.get("policy") == "ask"}


def _found(steps: Iterable[Step]) -> list[Mapping[str, Json]]:
    answers = [step.data.get("answer") for step in steps if step.event == "find"]
    return [tool for answer in answers if isinstance(answer, dict) for tool in _dicts(answer.get("tools"))]


def _used(ran: Iterable[Step]) -> tuple[str, ...]:
    programs = [str(step.data.get("program", "")) for step in ran]
    named = [use.tool for each in programs if not syntax_error(each) for use in uses(parse(each))]
    return tuple(dict.fromkeys(name for name in named if name.startswith("functions.")))


def _saved(steps: Iterable[Step]) -> tuple[str, ...]:
    told = [each for step in steps if step.event in ("run", "library") for each in _dicts(step.data.get("saved"))]
    return tuple(dict.fromkeys(f"functions.{each.get('name')}" for each in told))


def _made(step: Step) -> list[Mapping[str, Json]]:
    """Calls of one program that were made: neither replayed nor refused."""
    return [
        call for call in _dicts(step.data.get("calls"))
        if not call.get("replayed") and call.get("status") not in ("refused", "limit")
    ]  # fmt: skip


def _may_have_written(call: Mapping[str, Json]) -> bool:
    return call.get("effect", "read") != "read" and call.get("status") in (DONE, *UNKNOWN)


def _prompt(step: Step) -> float:
    """Tokens of a prompt as budgets count them, four characters each; of a re-ask, all of it."""
    return sum(len(str(each.get("text", ""))) for each in _dicts(step.data.get("messages"))) / 4


def _stages(steps: Iterable[Step], *names: str) -> int:
    return sum(step.event == "stage" and step.stage in names for step in steps)


def _dicts(value: Json) -> list[Mapping[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _sum(steps: Iterable[Step], key: str) -> int:
    return sum(int(_number(step.data.get(key))) for step in steps)


def _number(value: Json) -> float:
    return value if isinstance(value, int | float) else 0
