"""Prompts: files under `prompts/`, filled in by a renderer that knows one thing, `{{name}}`, and is strict about it.

Rendered text is canonical: the same values give the same bytes, with no clock, id or path in it, so that a
recorded reply can be found again by what the model saw. What comes from tools or servers goes through `data`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources

from toolweft_client.errors import PromptError, StoppedError

_PLACE = re.compile(r"\{\{(\w+)\}\}(\n*)")
_SKETCHES = frozenset({"design", "scaffold", "plan", "select", "reconstruct", "reading"})
"""Stages whose reply is not run."""
NOTE = 60
"""Characters that the note of `cut` takes at most."""
DEFECT = 400
"""Characters of a reply's defect."""
REASK = 200
"""Tokens of a prompt that are kept free, for asking again what was wrong with the reply."""
PACKAGES = 200
"""Characters of names of packages."""
_CLOSING = re.compile(r"<(?=/?data\b)", re.IGNORECASE)


def source(name: str) -> str:
    """The text of `prompts/NAME.md`, placeholders and all."""
    try:
        return resources.files(__package__).joinpath("prompts", f"{name}.md").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PromptError(f"There is no prompt file prompts/{name}.md in the installed package.") from error


def render(name: str, **values: str) -> str:
    """The prompt with every placeholder filled in. Values are inserted as they are and not looked into again.

    Raises:
        PromptError: A placeholder without a value, or a value without a placeholder.

    """
    text = source(name)
    wanted = {place[1] for place in _PLACE.finditer(text)}
    if wanted != set(values):
        missing, unused = sorted(wanted - set(values)), sorted(set(values) - wanted)
        raise PromptError(f"prompts/{name}.md: no value for {missing}, no placeholder for {unused}.")
    # What is empty leaves no gap.
    return _PLACE.sub(lambda place: values[place[1]] + place[2] if values[place[1]] else "", text).strip() + "\n"


def head(stage: str, packages: str = "") -> str:
    """The system message; what only matters in a program that runs is said to those who write one."""
    return render("head", rules="" if stage in _SKETCHES else render("rules", packages=beside(packages)).strip())


def beside(packages: str) -> str:
    """What programs may import beside the standard library, as whole names; about `PACKAGES` characters of them."""
    if len(packages) > PACKAGES:
        names = packages.split(", ")
        while len(", ".join(names)) > PACKAGES:
            names.pop()
        packages = f"{', '.join(names)} and more"
    return f" and {packages}" if packages else ""


def fit(name: str, tokens: int, shorter: Sequence[Mapping[str, str]], **values: str) -> str:
    """The prompt within `tokens`, head included, four characters each. `shorter` is taken step by step until it fits.

    `REASK` of the tokens stay free. A prompt is named after its stage, those of mode paper with `paper_` before it.

    Raises:
        StoppedError: It does not fit even then. The task and the record of calls are never cut.

    """
    before = len(head(name.removeprefix("paper_"))) + PACKAGES + NOTE
    room = (tokens - REASK) * 4 - before
    for step in ({}, *shorter):
        values |= step
        if len(text := render(name, **values)) <= room:
            return text
    raise StoppedError("budget", f"The prompt of {name} has {(len(text) + before) // 4} tokens at its "
                       f"shortest; the budget is {tokens}, of which {REASK} are for asking again. "
                       "Shorten the task or raise the budget.")  # fmt: skip


def reask(reply: str, defect: str, *, room: int) -> tuple[str, str]:
    """What a reply that could not be used is quoted as, and what is asked of the model; `room` characters together."""
    again = render("reask", defect=cut(defect, DEFECT))
    return cut(reply.strip() or "(empty reply)", max(0, room - len(again) - NOTE)), again


def data(kind: str, text: str, *, limit: int = 4_000) -> str:
    """Text of foreign origin, fenced and labelled, so that it reads as material and cannot close its own fence."""
    safe = _CLOSING.sub("&lt;", cut(text, limit))
    return f'<data from="{kind}">\n{safe}\n</data>'


def cut(text: str, limit: int) -> str:
    """At most `limit` characters and a note of what is gone: the beginning and the end say the most."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n… {len(text) - head - tail} characters left out …\n{text[len(text) - tail :]}"
