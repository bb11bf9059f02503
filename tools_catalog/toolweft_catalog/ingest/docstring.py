"""A docstring split into what a function does and what its arguments mean.

Understands `Args:` sections (indented `name: text`, `name (type): text`) and `:param name: text` lines; everything
it does not understand stays part of the description.
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns?|Yields?|Raises|Examples?|Notes?):\s*$")
_ARGUMENTS = ("Args", "Arguments", "Parameters")
_DROPPED = (*_ARGUMENTS, "Raises")
"""Sections that a caller does not need as text: the arguments stand in the schema, errors come with their message."""
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_FIELD = re.compile(r"^:(param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_OTHER_FIELD = re.compile(r"^:(returns?|rtype|raises?|type)\b[^:]*:")


class Docstring(NamedTuple):
    description: str
    parameters: dict[str, str]


def parse(raw: str | None) -> Docstring:
    kept: list[str] = []
    parameters: dict[str, list[str]] = {}
    section, current = "", ""
    for line in inspect.cleandoc(raw or "").splitlines():
        if heading := _SECTION.match(line):
            section, current = heading.group(1), ""
        elif field := _FIELD.match(line):
            section, current = ":", field.group(2)
            parameters[current] = [field.group(3)]
            continue
        elif _OTHER_FIELD.match(line):
            section, current = ":", ""
            continue
        elif line and not line[0].isspace():
            section = ""
        if section in _ARGUMENTS:
            current = _argument(line, current, parameters)
        elif section == ":" and current and line.strip():
            parameters[current].append(line.strip())
        elif section not in _DROPPED and section != ":":
            kept.append(line)
    return Docstring(
        re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(),
        {name: " ".join(each for each in lines if each) for name, lines in parameters.items()},
    )


def _argument(line: str, current: str, parameters: dict[str, list[str]]) -> str:
    """Takes one line of an `Args:` section. An entry starts at four columns or fewer, deeper lines continue it."""
    indent = len(line) - len(line.lstrip())
    entry = _ENTRY.match(line.strip())
    if entry and 0 < indent <= 4:
        parameters[entry.group(1)] = [entry.group(2).strip()]
        return entry.group(1)
    if current and line.strip() and indent:
        parameters[current].append(line.strip())
    return current
