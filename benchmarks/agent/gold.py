"""The gold coder: a rule-based `ChatModel` that knows the right program, and makes the mistakes it is told to make.

It stands where a model stands: it sees prompts and answers with text. It mends a mistake only if the prompt before it
says what is wrong; a prompt that does not is answered with the same mistake in other words, as a model would. So it
measures what the loop does with errors, what that costs, and whether anything is done twice. It understands no
language and proves nothing about how well a model would do: its figures are recovery rates, never benchmark scores.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from benchmarks.agent.faults import BY_NAME, Fault, Mistake, Operations, Stage, body, fenced, mistake, sites
from benchmarks.agent.world import MOVED, Logged

from toolweft_client.errors import ModelError
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
        # A failure of another kind: the same one twice would be the same program again.
        before = {"exception": "missing_key", "crash_after_write": "exception"}.get(name)
        before = before or ("crash_after_write" if BY_NAME[name].writes_only else "exception")
        left["implement"] = BY_NAME[before]
    return lambda asked: left.pop(asked, None)  # type: ignore[call-overload]


def at_rate(rate: float, names: Sequence[str], rng: Random) -> Draw:
    """In each reply with this probability one of these."""

    def draw(stage: str) -> Fault | None:
        fitting = [BY_NAME[name] for name in names if stage in BY_NAME[name].stages]
        return rng.choice(fitting) if fitting and rng.random() < rate else None

    return draw


KIND: Mapping[str, str] = {
    "direct": "implement", "select": "design", "reconstruct": "design", "code": "implement", "review": "repair",
    "scaffold": "sketch", "plan": "sketch",
}  # fmt: skip
"""What a stage of another mode asks for, in the words of the agent's own loop."""


BROKEN = ("Error", "Nothing was run", "timeout", "limit", "Crash", "violation")
"""What stands in what is shown of a program that did not end well."""
MOST_REPEATED = 3
"""Calls made again in single-call mode, after the tool said no."""


def _gone(tool: str, prompt: str) -> bool:
    """Whether a prompt says that there is no such tool any more."""
    said = f"there is no tool {tool}", f"Unknown tool: {tool.partition('.')[2]}"
    return any(re.search(rf"{re.escape(each)}\b", prompt) for each in said)


@dataclass
class GoldCoder:
    """For one task. Its random numbers are its own: the same seed makes the same mistakes."""

    source: str
    operations: Operations
    calls: Sequence[Logged] = ()
    """What the right program calls, for the mode that calls tools one by one."""
    value: Any = None
    """What the right program answers, for modes in which the model says the answer itself."""
    mode: str = "program"
    draw: Draw = never
    rng: Random = field(default_factory=lambda: Random(0))
    strict: bool = False
    """Whether a tool that no search has shown is unknown to it, so that it asks for one as a model must."""
    relies: bool = False
    """Whether it asks for no tools where a saved function would do."""
    name: str = "gold"
    made: list[str] = field(default_factory=list)
    """The faults that it made, `fault@stage`, in order."""
    seen: set[str] = field(default_factory=set)
    """Ids of the gold tools in the first prompt that showed any, but for one about a single obvious tool."""
    _sent: list[str] = field(default_factory=list)
    """The programs so far: the same one again would be taken for being stuck."""
    _mistake: Mistake | None = None
    _shown: str = ""
    """All messages of the latest prompt."""
    _designed: bool = False
    _repeated: int = 0
    _asked: set[str] = field(default_factory=set)
    """Tools that it has looked for itself."""
    _turn: int = 0
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
        self._follow(prompt)
        self._shown = "\n".join(each.text for each in messages)
        again = len(messages) > 1 and messages[-2].role == "assistant"
        if not self.seen and stage != "direct":
            self.seen = set(self._tools()) - set(self._unshown(self._shown, "{}("))
        if stage == "act":
            text = self._act(prompt, len(messages) == 2)
        else:
            text = fenced(self._mended(prompt)) if again else self._reply(prompt, stage)
        return Reply(text, Usage(sum(len(each.text) for each in messages) // 4, len(text) // 4), model=self.name)

    def _reply(self, prompt: str, stage: str) -> str:
        if KIND.get(stage) == "sketch":
            return fenced(
                f'def solve():\n    """{self.source.split(chr(10))[1].strip(chr(34) + " ")}"""\n    ...\n\n\nsolve()'
            )
        if stage == "direct" and not self.relies and (lacking := self._unshown(prompt, "# call: {}(")):
            return fenced(f"# more: {'; '.join(self.operations[tool].description for tool in lacking)}")
        stage = KIND.get(stage, stage)
        code = self._design(prompt) if stage == "design" else self._mended(prompt)
        fault = self.draw(stage)
        if fault is not None and fault.fails:
            self.made.append(f"{fault.name}@{stage}")
            raise ModelError(f"{self.name}: 429 Too Many Requests")
        spoil = fault.spoil if fault is not None else None
        if fault is not None and spoil is None:
            code = self._mistaken(fault, code, stage)
        if stage != "design":
            self._sent.append(code)
        if fault is None or spoil is None:
            return fenced(code)
        self.made.append(f"{fault.name}@{stage}")
        return spoil(code)

    def _follow(self, prompt: str) -> None:
        """Takes the new name of a tool, once it is shown one."""
        for tool in self._tools():
            name = MOVED.format(tool)
            if f"{name}(" in prompt and tool in self.operations:
                self.operations = {**self.operations, name: self.operations[tool]}
                self.source = self.source.replace(f"{tool}(", f"{name}(")

    def _act(self, prompt: str, first: bool) -> str:
        """One turn of a conversation: the next call, the program, or the answer when there is nothing left to do."""
        self._turn += 1
        if self.mode == "react":
            if "ToolError:" in prompt and not first and self._repeated < MOST_REPEATED:
                self._turn, self._repeated = self._turn - 1, self._repeated + 1
            left = self.calls[self._turn - 1 : self._turn]
            if left and self.strict and left[0].tool not in self._asked and f"{left[0].tool}(" not in self._shown:
                self._turn -= 1
                self._asked.add(left[0].tool)
                return json.dumps({"thought": "missing", "find": self.operations[left[0].tool].description})
            if left:
                return json.dumps({"thought": "next", "tool": left[0].tool, "arguments": dict(left[0].arguments)})
            return json.dumps({"thought": "done", "answer": json.dumps(self.value)})
        broken = first or any(word in prompt for word in BROKEN)
        return self._reply(prompt, "implement" if first else "repair") if broken else json.dumps(self.value)

    def _mistaken(self, fault: Fault, code: str, stage: str) -> str:
        if self._mistake is not None:
            return code
        if fault.name == "same_program":
            self.made.append(f"{fault.name}@{stage}")
            return self._sent[-1]
        made = mistake(fault, code, self.operations, self.rng)
        if made is None or (fault.guessed and made.told(self._shown)):
            return code
        self._mistake = made
        self.made.append(f"{fault.name}@{stage}")
        return self._mistake.source

    def _mended(self, prompt: str) -> str:
        """The right program if the prompt tells what was wrong with the last one, else that one in other words."""
        if self._mistake is not None and not self._mistake.told(prompt):
            return self._varied(self._mistake.source)
        self._mistake = None
        if gone := [tool for tool in self._tools() if _gone(tool, prompt)]:
            return f"# missing: {self.operations[gone[0]].description}\n"
        return self._varied(self.source) if self.source in self._sent else self.source

    def _varied(self, code: str) -> str:
        """The same program, told apart by one more line: who writes it again believes to have changed something."""
        try:
            tree = ast.parse(code)
        except SyntaxError:
            return f"{code}# reply {self._calls}\n"
        body(tree).insert(1, ast.parse(f"attempt = {self._calls}").body[0])
        return ast.unparse(ast.fix_missing_locations(tree)) + "\n"

    def _design(self, prompt: str) -> str:
        """The program as a sketch: each call with its mark; what no search has shown is asked for, if `strict`."""
        self._mistake = self._mistake if self._mistake and not self._mistake.told(prompt) else None
        if self._mistake is not None:
            return self._varied(self._mistake.source)
        unseen, first = self._unshown(prompt, "{}("), not self._designed
        self._designed = True
        if not self.strict or not unseen or not first:
            return self.source
        lines = [f"# missing: {self.operations[tool].description}" for tool in unseen]
        rest = [f"{tool}()" for tool in self._tools() if tool not in unseen]
        return "\n".join([*lines, *rest, "..."]) + "\n"

    def _unshown(self, prompt: str, form: str) -> list[str]:
        """Tools of the right program that stand nowhere in the prompt in that form."""
        return [tool for tool in self._tools() if form.format(tool) not in prompt]

    def _tools(self) -> list[str]:
        return list(dict.fromkeys(site.tool for site in sites(ast.parse(self.source), self.operations)))
