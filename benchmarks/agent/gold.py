"""The gold coder: a rule-based `ChatModel` that knows the right program, and makes the mistakes it is told to make.

It stands where a model stands: it sees prompts and answers with text. It mends a mistake only if the prompt before it
says what is wrong; a prompt that does not is answered with the same mistake in other words, as a model would. So it
measures what the loop does with errors, what that costs, and whether anything is done twice. It understands no
language and proves nothing about how well a model would do: its figures are recovery rates, never benchmark scores.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from benchmarks.agent.faults import BY_NAME, Fault, Mistake, Operations, Stage, body, fenced, mistake, sites

from toolweft_client.model.base import Message, Reply, Usage

Draw = Callable[[str], "Fault | None"]
"""Which fault, if any, befalls the next reply of a stage."""


def program(doc: str, lines: Sequence[str], value: str) -> str:
    """A gold program: one function that reads and writes line by line, checks its value and returns it."""
    said = doc.replace("\\", "/").replace('"""', "'''")
    inside = "\n".join(f"    {line}" for line in lines)
    return f'''def solve():
    """{said}

    Success: there is a value.
    """
{inside}
    value = {value}
    assert value is not None and value != [], f"nothing was found: {{value}}"
    return value


solve()
'''


def never(_stage: str) -> Fault | None:
    return None


def once(name: str, stage: Stage) -> Draw:
    """One fault, in the first reply of that stage. One in a repair needs a failure to be repaired before it."""
    left = {stage: BY_NAME[name]}
    if stage == "repair":
        before = "crash_after_write" if BY_NAME[name].writes_only else "exception"
        left["implement"] = BY_NAME[before]
    return lambda asked: left.pop(asked, None)  # type: ignore[call-overload,no-any-return]


def at_rate(rate: float, names: Sequence[str], rng: Random) -> Draw:
    """In each reply with this probability one of these."""

    def draw(stage: str) -> Fault | None:
        fitting = [BY_NAME[name] for name in names if stage in BY_NAME[name].stages]
        return rng.choice(fitting) if fitting and rng.random() < rate else None

    return draw


@dataclass
class GoldCoder:
    """For one task. Its random numbers are its own: the same seed makes the same mistakes."""

    source: str
    operations: Operations
    draw: Draw = never
    rng: Random = field(default_factory=lambda: Random(0))
    strict: bool = False
    """Whether a tool that no search has shown is unknown to it, so that it asks for one as a model must."""
    name: str = "gold"
    made: list[str] = field(default_factory=list)
    """The faults that it made, `fault@stage`, in order."""
    seen: set[str] = field(default_factory=set)
    """Ids of the gold tools that its first design prompt showed."""
    _sent: list[str] = field(default_factory=list)
    _mistake: Mistake | None = None
    _calls: int = 0

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,  # noqa: ARG002 - its programs are short
        stop: Sequence[str] | None = None,  # noqa: ARG002
        stage: str = "",
    ) -> Reply:
        self._calls += 1
        prompt = messages[-1].text
        again = len(messages) > 1 and messages[-2].role == "assistant"
        text = fenced(self._mended(prompt)) if again else self._reply(prompt, stage)
        return Reply(text, Usage(sum(len(each.text) for each in messages) // 4, len(text) // 4), model=self.name)

    def _reply(self, prompt: str, stage: str) -> str:
        code = self._design(prompt) if stage == "design" else self._mended(prompt)
        fault = self.draw(stage)
        if fault is None:
            return fenced(self._noted(code))
        if fault.spoil is not None:
            self.made.append(f"{fault.name}@{stage}")
            return fault.spoil(self._noted(code))
        return fenced(self._noted(self._mistaken(fault, code, stage)))

    def _mistaken(self, fault: Fault, code: str, stage: str) -> str:
        if self._mistake is not None:
            return code
        if fault.name == "same_program":
            self.made.append(f"{fault.name}@{stage}")
            return self._sent[-1]
        self._mistake = mistake(fault, code, self.operations, self.rng)
        if self._mistake is None:
            return code
        self.made.append(f"{fault.name}@{stage}")
        return self._mistake.source

    def _mended(self, prompt: str) -> str:
        """The right program if the prompt tells what was wrong with the last one, else that one in other words."""
        if self._mistake is not None and not self._mistake.told(prompt):
            return self._varied(self._mistake.source)
        self._mistake = None
        return self._varied(self.source) if self.source in self._sent else self.source

    def _varied(self, code: str) -> str:
        """The same program, told apart by one more line: who writes it again believes to have changed something."""
        try:
            tree = ast.parse(code)
        except SyntaxError:
            return f"{code}# reply {self._calls}\n"
        body(tree).insert(1, ast.parse(f"attempt = {self._calls}").body[0])
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"

    def _noted(self, code: str) -> str:
        self._sent.append(code)
        return code

    def _design(self, prompt: str) -> str:
        """The program as a sketch: each call with its mark; what no search has shown is asked for, if `strict`."""
        self._mistake = self._mistake if self._mistake and not self._mistake.told(prompt) else None
        if self._mistake is not None:
            return self._varied(self._mistake.source)
        tools = list(dict.fromkeys(site.tool for site in sites(ast.parse(self.source), self.operations)))
        unseen = [tool for tool in tools if f"{tool}(" not in prompt]
        if self._calls == 1:
            self.seen = set(tools) - set(unseen)
        if not self.strict or not unseen or self._calls > 1:
            return self.source
        lines = [f"# missing: {self.operations[tool].description}" for tool in unseen]
        rest = [f"{tool}()" for tool in tools if tool not in unseen]
        return "\n".join([*lines, *rest, "..."]) + "\n"
