"""`Work`: what the stages of one run share. A stage is a function of it; the order of stages is `agent`'s."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Effect, Json
from toolweft_catalog.wire import CallRecord, Execution, FoundTool, FoundTools
from toolweft_client import approval, prompt
from toolweft_client.budget import Budget, Spent
from toolweft_client.dialect import is_text
from toolweft_client.errors import SessionError, StoppedError
from toolweft_client.model.base import ChatModel, Message, Reply, StopReason, Usage
from toolweft_client.reply import DefectError, program_in
from toolweft_client.session import Session
from toolweft_client.tape import Tape
from toolweft_client.trace import Trace, named

MOST_BEHIND = 20
"""Saved functions that are read to know what one of them calls."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What the check found wrong, without a model and without running anything."""

    kind: str
    """unknown_tool, unknown_argument, missing_argument, too_many_arguments, wrong_type, syntax, probe or no_result."""
    line: int
    message: str
    name: str = ""
    """The tool it is about."""


@dataclass(frozen=True, slots=True)
class Design:
    source: str
    problems: tuple[Problem, ...] = ()
    uses: tuple[str, ...] = ()
    """Ids of the tools it calls, in order of first use."""
    missing: tuple[str, ...] = ()
    """Capabilities the model asked for and no tool offers."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A program, and what became of it: problems found before it ran or in its result, an execution if it ran."""

    program: str
    problems: tuple[Problem, ...] = ()
    execution: Execution | None = None

    @property
    def ok(self) -> bool:
        return self.execution is not None and self.execution.status == "ok" and not self.problems

    @property
    def trouble(self) -> str:
        """Why it failed, in one line."""
        if self.problems:
            return "; ".join(each.message for each in self.problems)
        if self.execution is None:
            return "it has not run"
        error = self.execution.error
        told = f"{error.type}: {error.message}" if error else ", ".join(self.execution.limits)
        return f"{self.execution.status}" + (f", {told}" if told else "")


@dataclass(frozen=True, slots=True)
class Kept:
    """A good attempt while it is looked at once more: the answer, where nothing better comes of that."""

    attempt: Attempt
    calls: int
    """How many the run had made by then."""
    missing: tuple[str, ...] = ()
    """What its answer lacks; a later design may lack something else."""
    doubt: str = ""


@dataclass(slots=True)
class Work:
    task: str
    model: ChatModel
    session: Session
    budget: Budget
    trace: Trace
    tape: Tape = field(default_factory=Tape)
    """Answers that are known already, when a run is resumed."""
    spent: Spent = field(default_factory=Spent)
    tools: dict[str, FoundTool] = field(default_factory=dict)
    """Every tool found so far, by id."""
    stubs: dict[str, str] = field(default_factory=dict)
    near: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names that no tool has, with what a search for them brought."""
    granted: set[str] = field(default_factory=set)
    """Tools whose calls a person allowed for this run."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """What calls of a tool do: as the server says, and as they did. A tool that is not in here may write."""
    attempts: list[Attempt] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    """All that ran, probes too, the latest last: its ledger holds what already happened."""
    seen: list[str] = field(default_factory=list)
    """What probes brought."""
    learnt: list[str] = field(default_factory=list)
    """What a new design must know of the ones before."""
    missing: tuple[str, ...] = ()
    """Capabilities that the design asked for and no tool offers: what the answer will lack."""
    kept: Kept | None = None
    running: str = ""
    """The program that was handed over last, until what became of it is known."""
    notes: list[str] = field(default_factory=list)
    _behind: dict[str, list[str]] = field(default_factory=dict)
    _sent: int = 0
    """Programs that this run has named."""

    @property
    def last_execution(self) -> Execution | None:
        return self.executions[-1] if self.executions else None

    @property
    def calls(self) -> list[CallRecord]:
        """All real calls of the run; replayed ones are in here once."""
        return [call for ran in self.executions for call in ran.calls if not call.replayed]

    def know(self, tools: Iterable[FoundTool]) -> None:
        for tool in tools:
            self.tools.setdefault(tool.id, tool)
            if tool.effect != "unknown":
                self.effects.setdefault(tool.id, tool.effect)

    async def find(self, query: str, *, limit: int, stage: str, **more: Json) -> FoundTools:
        """Tools for a request, and the trace knows of it.

        Raises:
            SessionError: The server is gone.

        """
        held = self.tape.take("find", query=self.trace.redacted(query), limit=limit)
        found = (
            await self.session.find_tools(query, limit=limit, meta=self.meta(stage))
            if held is None
            else FoundTools.model_validate(held["answer"])
        )
        self.trace.add(
            "find", query=query, limit=limit, tools=[each.id for each in found.tools], total=found.total,
            answer=found.model_dump(mode="json"), **more,
        )  # fmt: skip
        return found

    async def stub(self, tool: str, *, stage: str) -> str:
        """Everything the server knows of a tool, as text for a prompt.

        Raises:
            SessionError: The server is gone.

        """
        if tool in self.tools and is_text(self.tools[tool]):
            return self.tools[tool].call  # all that the server said
        held = self.tape.take("find", query=self.trace.redacted(tool), detail="full")
        text = await self.session.stub(tool, meta=self.meta(stage)) if held is None else str(held["answer"])
        self.trace.add("find", query=tool, tools=[tool], detail="full", answer=text)
        return text

    async def behind(self, function: str) -> list[str]:
        """Tools that a saved function calls, itself and through others. None where nobody can say."""
        if function in self._behind:
            return self._behind[function]
        held = self.tape.take("find", query=function, detail="tools")
        answer = held["answer"] if held is not None else await self._read_behind(function)
        tools = self._behind[function] = [str(each) for each in answer] if isinstance(answer, list) else []
        self.trace.add("find", query=function, tools=[*tools], detail="tools", answer=[*tools])
        return tools

    async def _read_behind(self, function: str) -> list[Json]:
        seen, left, tools = set[str](), [function], set[str]()
        while left and len(seen) < MOST_BEHIND:
            name = left.pop()
            seen.add(name)
            try:
                card = await self.session.function(name)
            except SessionError:  # gone: the server refuses the call
                continue
            tools |= card.tools.keys()
            left += [each for each in card.functions if each not in seen]
        return [*sorted(tools)]

    async def execute(
        self, program: str, *, stage: str = "run", session: str | None = None, fresh: bool = False
    ) -> Execution:
        """Runs a program within the budget and puts it into the trace.

        What earlier ones finished is replayed, unless it is a `fresh` one: another step and no other attempt.

        Raises:
            StoppedError: The budget allows for no further program, or a person refused its calls.
            SessionError: The server is gone.

        """
        await approval.batch(self, program)
        before = None if fresh or self.last_execution is None else self.last_execution.id
        self.running = program
        ran = await self._executed(program, stage, session, before)
        self.running = ""
        self.executions.append(ran)
        made = [call for call in ran.calls if not call.replayed and call.status not in ("refused", "limit")]
        self.spent.tool_calls += len(made)
        # A call that said no has changed nothing; of one that got no answer nobody knows. One that asks was allowed.
        self.spent.writes += sum(
            call.effect != "read" and call.status != "tool" and not self._asks(call.tool) for call in made
        )
        self.effects.update((call.tool, call.effect) for call in ran.calls)
        told: dict[str, Json] = ran.model_dump(mode="json", exclude={"id"})
        self.trace.add("run", execution=ran.id, program=program, retry_of=before, **told)
        return ran

    async def _executed(self, program: str, stage: str, session: str | None, before: str | None) -> Execution:
        """What became of a program: from the tape, or from the server, which then knows it by the id in the trace."""
        attempts = [before]
        while self.tape:
            # One that never arrived is on record nowhere: what came after it retries what was before.
            while len(attempts) > 1 and self.tape.peek("retry_of") != attempts[-1]:
                attempts.pop()
            begun = self.tape.take("begin", retry_of=attempts[-1])
            assert begun is not None
            self.trace.add("begin", execution=begun["execution"], retry_of=attempts[-1])
            if self.tape.next("run") and (held := self.tape.take("run", program=self.trace.redacted(program))):
                known = {key: value for key, value in held.items() if key in Execution.model_fields}
                return Execution.model_validate({**known, "id": held["execution"]})
            attempts.append(str(begun["execution"]))
        while True:
            name = self._name()
            self.trace.add("begin", execution=name, retry_of=attempts[-1])
            ran = await self.session.execute_code(
                program, session=session, retry_of=attempts[-1], execution=name, seconds=self.budget.run_seconds,
                meta=self.meta(stage) | self._terms(),
            )  # fmt: skip
            # One that was sent and never arrived is not on record: then the one before it is what this one retries.
            never_arrived = ran.status == "refused" and ran.error is not None and ran.error.type == "UnknownExecution"
            if not (never_arrived and len(attempts) > 1):
                return ran
            attempts.pop()

    def _name(self) -> str:
        """An execution's id: the run's own id and a number say it, so that equal runs give equal ones."""
        self._sent += 1
        return f"ex_{hashlib.sha256(f'{self.trace.run} {self._sent}'.encode()).hexdigest()[:12]}"

    def _asks(self, tool: str) -> bool:
        return tool in self.tools and self.tools[tool].policy == "ask"

    def meta(self, stage: str) -> dict[str, Json]:
        """What the server may know of the run, for its own learning; and that nobody looks at each program."""
        return {"task": self.task[:2_000], "step": stage, "preset": "careful"}

    def _terms(self) -> dict[str, Json]:
        """What the next program may do: our own server holds it to that while it runs."""
        calls, writes = self.budget.tool_calls - self.spent.tool_calls, self.budget.writes - self.spent.writes
        grants: dict[str, Json] = {"grants": [*sorted(self.granted)]} if self.granted else {}
        return {"calls": max(0, calls), "writes": max(0, writes), **grants}

    async def ask(self, stage: str, text: str, take: Callable[[Reply], str] = program_in) -> str:
        """One program from the model, as `take` reads it. A reply that `take` refuses is asked for once more.

        Raises:
            StoppedError: The second reply is no better, the model declines, or the budget has no call left.
            ModelError: The endpoint failed.

        """
        messages = [Message("system", prompt.head(stage, self.session.packages)), Message("user", text)]
        reply = await self.complete(stage, messages)
        try:
            return take(reply)
        except DefectError as defect:
            room = self.budget.prompt_tokens(stage) * 4 - _characters(messages)
            quoted, again = prompt.reask(reply.text, str(defect), room=room)
            messages += [Message("assistant", quoted), Message("user", again)]
        reply = await self.complete(stage, messages)
        try:
            return take(reply)
        except DefectError as defect:
            raise StoppedError("reply", f"No program from the model in stage {stage}, asked twice: {defect}."
                          f" It wrote: {prompt.cut(reply.text.strip(), 300)!r}") from defect  # fmt: skip

    async def complete(self, stage: str, messages: Sequence[Message]) -> Reply:
        """One reply, within the budget and in the trace.

        Raises:
            StoppedError: The budget has no call left, the prompt is longer than the stage's, or the model declines.
            ModelError: The endpoint failed.

        """
        if (size := _characters(messages)) > 4 * (most := self.budget.prompt_tokens(stage)):
            raise StoppedError("budget", f"The prompt of stage {stage} has {-(-size // 4)} tokens; the budget is "
                               f"{most}. Shorten the task or raise the budget.")  # fmt: skip
        self.spent.model_call(self.budget)
        shown = [{"role": each.role, "text": each.text} for each in messages]
        held = self.tape.take("llm", messages=[dict(each, text=self.trace.redacted(each["text"])) for each in shown])
        if held is None:
            reply = await self.model.complete(messages, max_tokens=self.budget.reply_tokens, stage=stage)
        else:
            reply = _recorded(held)
        self.spent.input_tokens += reply.usage.input
        self.spent.output_tokens += reply.usage.output
        self.trace.add(
            "llm", **named(self.model.name), gen_ai__response__model=reply.model,
            gen_ai__response__finish_reasons=[reply.stop_reason],
            gen_ai__usage__input_tokens=reply.usage.input, gen_ai__usage__output_tokens=reply.usage.output,
            gen_ai__usage__cache_read__input_tokens=reply.usage.cached,
            messages=[dict[str, Json](each) for each in shown], reply=reply.text,
        )  # fmt: skip
        if reply.stop_reason == "refusal":
            raise StoppedError("reply", f"The model declined in stage {stage}: {prompt.cut(reply.text.strip(), 300)!r}")
        return reply


def _recorded(held: Mapping[str, Json]) -> Reply:
    """A reply as the trace has it."""
    read, written = (int(str(held[f"gen_ai.usage.{each}_tokens"])) for each in ("input", "output"))
    usage = Usage(read, written, int(str(held.get("gen_ai.usage.cache_read.input_tokens", 0))))
    reasons = held["gen_ai.response.finish_reasons"]
    reason = reasons[0] if isinstance(reasons, list) else "other"
    known: StopReason = next((each for each in get_args(StopReason) if each == reason), "other")
    return Reply(str(held["reply"]), usage, known, str(held["gen_ai.response.model"]))


def _characters(messages: Iterable[Message]) -> int:
    return sum(len(each.text) for each in messages)


def same_program(one: str, other: str) -> bool:
    """Whether two programs differ in layout and comments at most."""
    try:
        return ast.dump(parse(one)) == ast.dump(parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return one.strip() == other.strip()
