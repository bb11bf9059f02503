"""What can be read: the library of reusable functions, solved tasks like another one, and the output of executions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import anyio.to_thread

from toolweft_catalog.wire import FunctionCard
from toolweft_server import skills
from toolweft_server.library.function import impersonal

ROOT = "toolweft://reusable_functions"
SOLVED = "toolweft://solved_tasks"
EXECUTIONS = "toolweft://executions"

LONGEST_TASK = 4_000
"""Characters of a task that are compared."""

TEMPLATES: Sequence[dict[str, Any]] = (
    {
        "uriTemplate": ROOT + "/{name}",
        "name": "reusable_function",
        "title": "A reusable function",
        "description": "Source, signature, the tools it calls, use and history of a saved function.",
        "mimeType": "application/json",
    },
    {
        "uriTemplate": ROOT + "/{name}@{version}",
        "name": "reusable_function_version",
        "title": "One version of a reusable function",
        "mimeType": "application/json",
    },
    {
        "uriTemplate": SOLVED + "/{task}",
        "name": "solved_tasks",
        "title": "Solved tasks like this one",
        "description": "At most two tasks, most alike first, each with the program that solved it.",
        "mimeType": "application/json",
    },
    {
        "uriTemplate": EXECUTIONS + "/{id}/{part}",
        "name": "execution_output",
        "title": "The whole output or value of an execution",
        "description": "part: output, value",
        "mimeType": "text/plain",
    },
    {
        "uriTemplate": EXECUTIONS + "/{id}/files/{file}",
        "name": "execution_file",
        "title": "A file that an execution left behind",
    },
)

_FUNCTION = re.compile(re.escape(ROOT) + r"/([^/@]+)(?:@(\d{1,9}))?")
_SOLVED = re.compile(re.escape(SOLVED) + r"/([^/]+)")
_PART = re.compile(re.escape(EXECUTIONS) + r"/(ex_[0-9a-f]+)/(output|value)")
_FILE = re.compile(re.escape(EXECUTIONS) + r"/(ex_[0-9a-f]+)/files/([^/]+)")


class Content(NamedTuple):
    mime: str
    body: str | bytes


class Examples(Protocol):
    """Tasks that were solved."""

    async def examples(self, task: str, *, owner: str) -> str:
        """Those most like `task`, as JSON."""
        ...


class Learned(Protocol):
    @property
    def solved(self) -> Examples: ...


class Library(Protocol):
    """Where the content comes from."""

    @property
    def learning(self) -> Learned: ...

    async def functions(self) -> Sequence[FunctionCard]:
        """Every function that is offered, newest version each, by name."""
        ...

    async def function(self, name: str, version: int | None) -> FunctionCard | None: ...

    async def function_names(self) -> Sequence[str]: ...

    async def output(self, execution: str, part: str, *, owner: str) -> str | None: ...

    async def file(self, execution: str, name: str, *, owner: str) -> Content | None: ...


async def listed(library: Library) -> list[dict[str, Any]]:
    """Every resource with an address of its own, as `resources/list` shows it."""
    root = {
        "uri": ROOT,
        "name": "reusable_functions",
        "title": "Reusable functions",
        "description": "Saved programs that worked: call them as functions.name(...) in execute_code.",
        "mimeType": "application/json",
    }
    return [root, *(_entry(card) for card in await library.functions())]


async def read(uri: str, library: Library, *, owner: str) -> Content | None:
    """The content at `uri`; `None` when there is nothing of that address, or it is another owner's."""
    if uri == ROOT:
        cards = await library.functions()
        rows = [{"name": c.name, "version": c.version, "signature": c.signature, "summary": _summary(c)} for c in cards]
        return Content("application/json", json.dumps({"functions": rows}, ensure_ascii=False))
    if match := _FUNCTION.fullmatch(uri):
        card = await library.function(unquote(match[1]), int(match[2]) if match[2] else None)
        return Content("application/json", _public(card).model_dump_json()) if card else None
    if match := _SOLVED.fullmatch(uri):
        task = unquote(match[1])[:LONGEST_TASK]
        return Content("application/json", await library.learning.solved.examples(task, owner=owner))
    if match := _PART.fullmatch(uri):
        text = await library.output(match[1], match[2], owner=owner)
        return None if text is None else Content("text/plain", text)
    if match := _FILE.fullmatch(uri):
        return await library.file(match[1], unquote(match[2]), owner=owner)
    if uri.startswith(skills.SCHEME):
        found = await anyio.to_thread.run_sync(skills.file, uri, await library.functions())
        return Content(*found) if found else None
    return None


def _public(card: FunctionCard) -> FunctionCard:
    """Without whose program it came from, and what they wanted: the library is everybody's on this store."""
    provenance = impersonal(card.provenance)
    history = [impersonal(event) for event in card.history]
    return card.model_copy(update={"provenance": provenance, "history": history})


def _entry(card: FunctionCard) -> dict[str, Any]:
    return {
        "uri": f"{ROOT}/{card.name}",
        "name": card.name,
        "title": card.signature[:200],
        "description": _summary(card),
        "mimeType": "application/json",
    }


def _summary(card: FunctionCard) -> str:
    return " ".join(card.description.split())[:200]
