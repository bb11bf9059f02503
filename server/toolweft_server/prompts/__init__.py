"""Prompts that a host can offer to its person. The texts are the `.md` files beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

__all__ = ["PROMPTS", "render"]

PROMPTS: Sequence[dict[str, Any]] = (
    {
        "name": "toolcoder",
        "title": "Solve a task by programming with tools",
        "description": "Teaches the model to find tools, plan, write one program, repair it, and keep what worked.",
        "arguments": [{"name": "task", "description": "What is to be done", "required": True}],
    },
)


def render(name: str, arguments: Mapping[str, str]) -> str:
    """The text of a prompt.

    Raises:
        KeyError: No such prompt, or an argument missing or unknown; its argument is a sentence.

    """
    known = {prompt["name"]: prompt for prompt in PROMPTS}
    if name not in known:
        raise KeyError(f"unknown prompt {name[:100]!r}; there are {', '.join(known)}")
    wanted = {argument["name"] for argument in known[name]["arguments"]}
    if wanted != arguments.keys():
        raise KeyError(f"prompt {name!r} takes exactly the arguments {', '.join(sorted(wanted))}")
    text = resources.files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8")
    return Template(text).substitute(arguments)
