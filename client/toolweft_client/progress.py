"""The live display of a run on stderr: one line a step, a spinner when a terminal watches. A `Watcher` of traces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from toolweft_client.asking import Terminal
from toolweft_client.model.base import Heard
from toolweft_client.trace import Step, Watcher

DOING = {
    "discover": "searching tools", "direct": "writing the program", "probe": "looking at results",
    "design": "designing", "implement": "writing the program",
    "run": "running", "repair": "repairing", "answer": "composing the answer",
    "reading": "reading the answer once more", "learn": "looking at what was saved",
}  # fmt: skip


WIDTH = 72
"""Characters shown of the line that a model is writing."""
WRITTEN = 1_000
"""Characters kept of what it has written: more than a line of a program has."""


class Display(NamedTuple):
    watch: Watcher
    heard: Heard | None = None
    """Shows what a model is writing; none where nobody watches it come."""


@contextmanager
def display(*, quiet: bool = False, person: Terminal | None = None) -> Iterator[Display]:
    """Shows steps and what is written meanwhile: rich on a terminal, plain lines elsewhere, nothing when `quiet`.

    It gives way while `person` is asked.
    """
    if quiet:
        yield Display(lambda _step: None)
    elif not sys.stderr.isatty():
        yield Display(lambda step: _plain(step, lambda line: print(line, file=sys.stderr, flush=True)))  # noqa: T201
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True)
        doing = written = ""
        with console.status("starting") as status:
            if person is not None:
                person.pause, person.resume = status.stop, status.start

            # `Text` and not markup: a tool may be called [red] and an error may quote anything.
            def watch(step: Step) -> None:
                nonlocal doing, written
                if step.event == "stage":
                    doing = DOING.get(step.stage, step.stage)
                written = ""
                status.update(Text(doing))
                _plain(step, lambda line: console.print(Text(line, style="red" if " error" in line else "")))

            def heard(piece: str) -> None:
                nonlocal written
                written = (written + piece)[-WRITTEN:]
                lines = [line for line in written.split("\n") if line.strip()]
                status.update(Text(f"{doing}  {plain(lines[-1])[:WIDTH]}" if lines else doing))

            yield Display(watch, heard)


def _plain(step: Step, write: Callable[[str], object]) -> None:
    if line := describe(step):
        write(f"{step.stage:<9} {line}")


def plain(text: str) -> str:
    """What programs, tools and models said may not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def describe(step: Step) -> str:
    """A step in one line, fit for a terminal; empty for those that say nothing on their own."""
    return plain(_described(step))


def _described(step: Step) -> str:
    data = step.data
    if step.event == "find" and data.get("detail") == "solved":
        return f"{data['examples']} solved before that are like it" if data.get("examples") else ""
    if step.event == "find":
        tools = data.get("tools")
        names = [str(each) for each in tools] if isinstance(tools, list) else []
        return f"{_short(data.get('query'))}: {', '.join(names[:4]) or 'nothing'}{' …' if len(names) > 4 else ''}"
    if step.event == "llm":
        tokens = [data.get(f"gen_ai.usage.{each}_tokens") for each in ("input", "output")]
        return f"{data.get('gen_ai.request.model')}: {tokens[0]} tokens in, {tokens[1]} out"
    if step.event == "check":
        lists = [data.get("problems"), data.get("fixed")]
        return "; ".join(str(each) for part in lists if isinstance(part, list) for each in part)
    if step.event in ("repair", "replan"):
        return f"{step.event} of {data.get('kind') or 'the design'}: {_short(data.get('signature'))}"
    if step.event == "run":
        calls, error = data.get("calls"), data.get("error")
        told = f": {error.get('type')}: {_short(error.get('message'))}" if isinstance(error, dict) else ""
        return f"{data.get('status')}, {len(calls) if isinstance(calls, list) else 0} calls{told}"
    if step.event == "library" and isinstance(saved := data.get("saved"), list) and saved:
        return "saved " + ", ".join(f"functions.{each['name']}" for each in saved if isinstance(each, dict))
    return ""


def _short(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 100 else line[:99] + "…"
