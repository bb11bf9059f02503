"""`Work`: what the stages of one run share. A stage is a function of it; the order of stages is `agent`'s."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from toolweft_catalog.tool import Json
from toolweft_catalog.wire import Execution, FoundTool
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
    """unknown_tool, unknown_argument, missing_argument or syntax."""
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
    """A program, and what became of it: problems found before it ran, or an execution."""

    program: str
    problems: tuple[Problem, ...] = ()
    execution: Execution | None = None

    @property
    def ok(self) -> bool:
        return self.execution is not None and self.execution.status == "ok"

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
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def last_execution(self) -> Execution | None:
        """The latest that ran: its ledger holds what already happened."""
        return next((each.execution for each in reversed(self.attempts) if each.execution), None)

    def meta(self, stage: str) -> dict[str, str]:
        """What the server may know of the run, for its own learning."""
        return {"task": self.task[:2_000], "step": stage}

    async def ask(self, stage: str, text: str, *, parsed: bool = False) -> str:
        """One program from the model. A reply that is none is asked for once more, with what was wrong.

        Raises:
            StoppedError: The second reply is no better, the model declines, or the budget has no call left.
            ModelError: The endpoint failed.

        """
        messages = [Message("system", prompt.render("head")), Message("user", text)]
        reply = await self.complete(stage, messages)
        try:
            return program_in(reply, parsed=parsed)
        except DefectError as defect:
            again = prompt.render("reask", defect=str(defect))
            messages += [Message("assistant", reply.text.strip() or "(empty reply)"), Message("user", again)]
        reply = await self.complete(stage, messages)
        try:
            return program_in(reply, parsed=parsed)
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
