"""`ScriptedModel`: replies written beforehand. What tests and `make demo` run on; it proves flow, never quality."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, Usage

Line: TypeAlias = str | Reply | Callable[[Sequence[Message]], str]
"""A reply as text, a whole `Reply` (to script a cut or refused one), or a function of what the model was shown."""


class ScriptedModel:
    def __init__(self, replies: Sequence[Line], *, name: str = "scripted") -> None:
        self.name = name
        self.prompts: list[tuple[Message, ...]] = []
        """What was shown, call by call."""
        self.stages: list[str] = []
        self._replies = tuple(replies)

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,  # noqa: ARG002 - a script decides itself how long it is
        stop: Sequence[str] | None = None,  # noqa: ARG002
        stage: str = "",
    ) -> Reply:
        number = len(self.prompts)
        if number >= len(self._replies):
            raise ModelError(
                f"{self.name}: the script has {len(self._replies)} replies and was asked for number {number + 1}, "
                f"in stage {stage!r}. Add a reply, or see in the trace why one more was needed."
            )
        self.prompts.append(tuple(messages))
        self.stages.append(stage)
        line = self._replies[number]
        if isinstance(line, Reply):
            return line
        text = line if isinstance(line, str) else line(messages)
        # Nothing counts tokens here: four characters each is the usual estimate for English and code.
        return Reply(text, Usage(sum(len(each.text) for each in messages) // 4, len(text) // 4), model=self.name)


def load(path: Path, *, asked: int = 0) -> ScriptedModel:
    """A script from a JSON file (a list of replies) or a folder (one reply a file, `.md` or `.txt`, in name order).

    The first `asked` replies are left out: they were given already.

    Raises:
        UsageError: No such file or folder, not a list of strings, nothing in it.

    """
    try:
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix in (".md", ".txt"))
            replies = [each.read_text(encoding="utf-8") for each in files]
        else:
            replies = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"scripted:{path}: cannot be read: {error}") from error
    if not isinstance(replies, list) or not replies or not all(isinstance(each, str) for each in replies):
        raise UsageError(f"scripted:{path}: expected replies, as a JSON list of strings or as .md files in a folder.")
    return ScriptedModel(replies[asked:], name="scripted")
