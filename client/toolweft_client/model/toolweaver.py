"""`Toolweaver`: a model that `toolweft train lm` taught to act. It names a tool by its code, `<a_10><b_45>`.

It is a `ChatModel` like any other, and more: it knows which tools a code means, and the words of the turns that it was
trained with. What runs the weights is not part of the client: the entry point group `toolweft.models` names who does,
and the group's `toolweaver` is the server package's, with the extra `train`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property, partial
from importlib import metadata
from typing import NamedTuple, Protocol

import anyio

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, Role, Usage

GROUP = "toolweft.models"
NEEDED = ("torch", "transformers", "safetensors")


class Said(NamedTuple):
    """One turn, as an actor reads it."""

    role: Role
    text: str


class Written(Protocol):
    """One turn, as an actor wrote it."""

    @property
    def text(self) -> str: ...

    @property
    def whole(self) -> bool:
        """Whether the model ended the turn itself."""
        ...

    @property
    def read(self) -> int:
        """Tokens."""
        ...

    @property
    def wrote(self) -> int: ...


class Actor(Protocol):
    """What an entry point of the group gives for a folder. Blocking, thread-safe."""

    @property
    def answer(self) -> str:
        """How the turn begins that ends a task."""
        ...

    @property
    def tools(self) -> Mapping[str, str]:
        """The code of each tool that it knows, by id."""
        ...

    def task(self, request: str) -> str: ...

    def action(self) -> str: ...

    def arguments(self, documentation: str) -> str: ...

    def feedback(self, text: str) -> str: ...

    def write(self, turns: Sequence[Said], *, most: int, without: Collection[str] = ()) -> Written: ...


class Toolweaver:
    """`words` has the texts of the user's turns. A code that it writes is always one of a tool that it knows."""

    def __init__(self, actor: Actor, *, name: str) -> None:
        self.name = f"toolweaver:{name}"
        self.words = actor
        self.gone: set[str] = set()
        """Ids of tools that are not there any more: it never writes their codes again."""
        self._actor = actor

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] | None = None,  # noqa: ARG002 - a turn ends where the model was taught to end it
        stage: str = "",  # noqa: ARG002 - for scripts and logs
    ) -> Reply:
        turns = [Said(each.role, each.text) for each in messages]
        write = partial(self._actor.write, turns, most=max_tokens, without=frozenset(self.gone))
        try:
            written = await anyio.to_thread.run_sync(write)
        except Exception as error:
            raise ModelError(f"{self.name}: {type(error).__name__}: {error}") from error
        usage = Usage(written.read, written.wrote)
        return Reply(written.text, usage, "stop" if written.whole else "length", model=self.name)

    def meant(self, text: str) -> tuple[str, ...]:
        """Ids of the tools of a code, those that are gone apart; none when the text is no code."""
        return tuple(tool for tool in self._by_code.get(text.strip(), ()) if tool not in self.gone)

    def is_code(self, text: str) -> bool:
        return text.strip() in self._by_code

    def final(self, text: str) -> str | None:
        """The answer, when the text is the turn that ends a task."""
        begins = text.startswith(self._actor.answer)
        return text.removeprefix(self._actor.answer).strip() if begins else None

    @cached_property
    def _by_code(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for tool, code in self._actor.tools.items():
            found[code] = (*found.get(code, ()), tool)
        return found


@asynccontextmanager
async def open_toolweaver(folder: str) -> AsyncIterator[Toolweaver]:
    """The model in `folder`.

    Raises:
        UsageError: The extra is not installed, or nobody here can run such a model.
        ModelError: The folder is missing, damaged, or holds something else.

    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"toolweaver: models need {', '.join(missing)}: pip install 'toolweft[train]'")
    found = [each for each in metadata.entry_points(group=GROUP) if each.name == "toolweaver"]
    if not found:
        raise UsageError(f"toolweaver: no installed package runs such models (entry point group {GROUP!r})")
    try:
        actor = await anyio.to_thread.run_sync(lambda: found[0].load()(folder))
    except Exception as error:
        raise ModelError(f"toolweaver:{folder}: {error}") from error
    yield Toolweaver(actor, name=folder)
