"""`Work`: what the stages of one run share. A stage is a function of it; the order of stages is `agent`'s."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from toolweft_catalog.tool import Effect, Json
from toolweft_catalog.wire import CallRecord, Execution, FoundTool
from toolweft_client import prompt
from toolweft_client.budget import Budget, Spent
from toolweft_client.errors import StoppedError
from toolweft_client.model.base import ChatModel, Message, Reply
from toolweft_client.reply import DefectError, program_in
from toolweft_client.session import Session
from toolweft_client.trace import Trace


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


@dataclass(slots=True)
class Work:
    task: str
    model: ChatModel
    session: Session
    budget: Budget
    trace: Trace
    spent: Spent = field(default_factory=Spent)
    tools: dict[str, FoundTool] = field(default_factory=dict)
    """Every tool found so far, by id."""
    stubs: dict[str, str] = field(default_factory=dict)
    near: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names that no tool has, with what a search for them brought."""
    effects: dict[str, Effect] = field(default_factory=dict)
    """What calls of a tool did, or what the design says they do."""
    attempts: list[Attempt] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    """All that ran, probes too, the latest last: its ledger holds what already happened."""
    seen: list[str] = field(default_factory=list)
    """What probes brought."""
    learnt: list[str] = field(default_factory=list)
    """What a new design must know of the ones before."""
    missing: tuple[str, ...] = ()
    """Capabilities that the design asked for and no tool offers: what the answer will lack."""
    notes: list[str] = field(default_factory=list)

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

    async def execute(
        self, program: str, *, stage: str = "run", session: str | None = None, fresh: bool = False
    ) -> Execution:
        """Runs a program within the budget and puts it into the trace.

        What earlier ones finished is replayed, unless it is a `fresh` one: another step and no other attempt.

        Raises:
            StoppedError: The budget allows for no further program.
            SessionError: The server is gone.

        """
        self.spent.program(self.budget)
        before = None if fresh or self.last_execution is None else self.last_execution.id
        ran = await self.session.execute_code(
            program, session=session, retry_of=before, seconds=self.budget.run_seconds, meta=self.meta(stage)
        )
        self.executions.append(ran)
        made = [call for call in ran.calls if not call.replayed]
        self.spent.tool_calls += len(made)
        # A call that was refused or said no has changed nothing; of one that got no answer nobody knows.
        self.spent.writes += sum(call.effect != "read" and call.status not in ("tool", "refused") for call in made)
        self.effects.update((call.tool, call.effect) for call in ran.calls)
        calls: list[Json] = [call.model_dump(mode="json") for call in ran.calls]
        self.trace.add(
            "run", execution=ran.id, status=ran.status, program=program, retry_of=before, value=ran.value,
            stdout=ran.stdout, stderr=ran.stderr, error=ran.error.model_dump(mode="json") if ran.error else None,
            calls=calls, limits=list(ran.limits), seconds=ran.seconds,
        )  # fmt: skip
        return ran

    def meta(self, stage: str) -> dict[str, str]:
        """What the server may know of the run, for its own learning."""
        return {"task": self.task[:2_000], "step": stage}

    async def ask(self, stage: str, text: str, take: Callable[[Reply], str] = program_in) -> str:
        """One program from the model, as `take` reads it. A reply that `take` refuses is asked for once more.

        Raises:
            StoppedError: The second reply is no better, the model declines, or the budget has no call left.
            ModelError: The endpoint failed.

        """
        messages = [Message("system", prompt.render("head")), Message("user", text)]
        reply = await self.complete(stage, messages)
        try:
            return take(reply)
        except DefectError as defect:
            again = prompt.render("reask", defect=str(defect))
            messages += [Message("assistant", reply.text.strip() or "(empty reply)"), Message("user", again)]
        reply = await self.complete(stage, messages)
        try:
            return take(reply)
        except DefectError as defect:
            raise StoppedError("reply", f"No program from the model in stage {stage}, asked twice: {defect}."
                          f" It wrote: {prompt.cut(reply.text.strip(), 300)!r}") from defect  # fmt: skip

    async def complete(self, stage: str, messages: Sequence[Message]) -> Reply:
        """One reply, within the budget and in the trace.

        Raises:
            StoppedError: The budget has no call left, or the model declines.
            ModelError: The endpoint failed.

        """
        self.spent.model_call(self.budget)
        shown: list[Json] = [{"role": each.role, "text": each.text} for each in messages]
        reply = await self.model.complete(messages, max_tokens=self.budget.reply_tokens, stage=stage)
        self.spent.input_tokens += reply.usage.input
        self.spent.output_tokens += reply.usage.output
        self.trace.add(
            "llm", gen_ai__request__model=self.model.name, gen_ai__response__model=reply.model,
            gen_ai__response__finish_reasons=[reply.stop_reason], gen_ai__usage__input_tokens=reply.usage.input,
            gen_ai__usage__output_tokens=reply.usage.output, messages=shown, reply=reply.text,
        )  # fmt: skip
        if reply.stop_reason == "refusal":
            raise StoppedError("reply", f"The model declined in stage {stage}: {prompt.cut(reply.text.strip(), 300)!r}")
        return reply


def same_program(one: str, other: str) -> bool:
    """Whether two programs differ in layout and comments at most."""
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return one.strip() == other.strip()
