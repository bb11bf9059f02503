"""A saved function that is no good, put into the store for one run: the library's side of the faults.

No way through the server leads there: what it saves by itself it has proved (`drift` shows that). So the function is
written into the store as if it had been right once; a tool that changed unannounced leaves one like that.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from benchmarks.agent.faults import Entry, body, entry_name
from benchmarks.agent.task import Task

from toolweft_client.session import Session
from toolweft_server.library.extract import extract
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store

END = {"wrong": "value = {}['found']", "slow": "while True: pass", "stale": "value = {}['found']"}
"""What the function does after all its calls, before it returns."""
SEEN_TRIES = 100
"""Searches until the server shows it, or no longer; each waits a while itself."""


@asynccontextmanager
async def entry(kind: Entry, task: Task, session: Session, store: Path) -> AsyncIterator[None]:
    """The function is there inside the block, and removed after it.

    Raises:
        SystemExit: It cannot be made, or the server does not show it.

    """
    if not kind:
        yield
        return
    name = entry_name(task.source)
    with Store.open(store) as opened:
        library, tools = FunctionStore(opened), {each.id: each for each in opened.manifests.each()}
        found = extract(_source(task.source, name, kind), servers={each.partition(".")[0] for each in tools})
        made = library.admit(found.functions, tools=tools)
        if not made.saved:
            raise SystemExit(f"{task.id}: no function can be made of it: {[*found.rejected, *made.rejected]}")
        try:
            await _shown(session, name)
            if kind == "stale":  # only then: a server that has read it just before would show it for a while yet
                library.mark(name, made.saved[0].version, "stale", "its tools changed")
                await _shown(session, name, there=False)
            yield
        finally:
            library.remove(name)


def _source(gold: str, name: str, kind: Entry) -> str:
    tree = ast.parse(gold)
    body(tree)[-1:-1] = ast.parse(END[kind]).body
    return ast.unparse(ast.Module(tree.body[:-1], [])).replace("def solve(", f"def {name}(") + "\n"


async def _shown(session: Session, name: str, *, there: bool = True) -> None:
    for _ in range(SEEN_TRIES):
        found = await session.find_tools(f"functions.{name}", limit=1)
        if (f"functions.{name}" in [each.id for each in found.tools]) == there:
            return
        await anyio.sleep(0.05)
    raise SystemExit(f"the server {'does not show' if there else 'still shows'} functions.{name}")
