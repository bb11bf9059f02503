"""`Bridge`: what a running program reaches of the outside, and nothing else.

It turns a program's `(name, args, kwargs)` into a bound `Call` and sends it down the chain policy → ledger → gateway.
It validates; it does not decide (policy), remember (ledger) or connect (upstream).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from toolweft_catalog import signature
from toolweft_catalog.call import Call, Caller, Failure, Progress, Result, failed
from toolweft_catalog.catalog import Catalog
from toolweft_catalog.tool import Json, Tool
from toolweft_server.sandbox.base import SavedSource
from toolweft_server.sandbox.texts import line


class Functions(Protocol):
    """The part of the function library that a program can reach."""

    async def source(self, name: str, version: int | None) -> SavedSource | str: ...

    async def overreached(self, name: str, version: int, tool: str) -> str:
        """A function wanted to call a tool that is not among those it was saved with: the refusal, as a sentence."""
        ...


_TOOL = re.compile(r"[A-Za-z_]\w{0,127}\.[A-Za-z_]\w{0,255}", re.ASCII)
"""What the id of a tool looks like."""
_OVERREACH = re.compile(r"functions\.(\w{1,64})@(\d{1,9})", re.ASCII)
"""What the sandbox calls in place of a tool that a saved function may not call: the function, given the tool's name."""
SAID = 10_000
"""Characters of a tool's failure that a program is told: taking secrets out of more would hold up everybody's calls."""


@dataclass
class Bridge:
    """One program's `sandbox.Host`."""

    catalog: Callable[[], Catalog]
    """The catalogue of the moment: a tool added while the program runs can be called."""
    load: Callable[[str], Awaitable[Tool]]
    caller: Caller
    functions: Functions
    execution: str
    owner: str = "local"
    progress: Progress | None = None
    observe: Callable[[Tool, Result], None] | None = None
    """Told of each result that came from outside, for shapes and for the link between requests and calls."""
    wanted: list[str] = field(default_factory=list)
    """Names that the program asked to save."""
    scrub: Callable[[str], str] = str
    """Takes secrets out of what a tool's failure says: a program may pass it on in any disguise."""
    absent: Callable[[], Mapping[str, str]] = dict
    """What is the matter with each configured server that has no tools, as the end of a sentence."""
    used: set[tuple[str, int]] = field(default_factory=set)
    """Saved functions that the program fetched."""

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:
        if (by := _OVERREACH.fullmatch(tool)) is not None:
            # The sandbox may say anything here: what goes into the record and the log is the name of a tool.
            wanted = line(str(args[0])) if args else ""
            if _TOOL.fullmatch(wanted) is None:
                return failed("unknown_tool", f"there is no tool {tool!r}", sent=False)
            return failed("refused", await self.functions.overreached(by[1], int(by[2]), wanted), sent=False)
        found = await self._tool(tool)
        if isinstance(found, Failure):
            return Result(failure=found)
        bound = signature.bind(found, args, kwargs)
        if isinstance(bound, Failure):
            return Result(failure=bound)
        call = Call(found, bound, execution=self.execution, owner=self.owner, progress=self.progress)
        result = await self.caller(call)
        if self.observe is not None and not result.replayed:
            self.observe(found, result)
        if (failure := result.failure) is not None:
            said = failure.message if len(failure.message) <= SAID else failure.message[:SAID] + "…"
            return replace(result, failure=replace(failure, message=self.scrub(said)))
        return result

    async def describe(self, tool: str) -> str | None:
        found = await self._tool(tool)
        return None if isinstance(found, Failure) else signature.stub(found, detail="full")

    async def function(self, name: str, version: int | None) -> SavedSource | str:
        answer = await self.functions.source(name, version)
        if isinstance(answer, SavedSource):
            self.used.add((answer.name, answer.version))
        return answer

    async def save(self, name: str) -> Json:
        if not name.isidentifier() or name.startswith("__"):
            return f"{name[:60]!r} is not a function's name"
        if name not in self.wanted:
            self.wanted.append(name)
        return f"{name} will be saved when this program has ended without an error"

    async def _tool(self, name: str) -> Tool | Failure:
        catalog = self.catalog()
        if name in catalog:
            return await self.load(name)
        server = name.partition(".")[0]
        if server not in catalog.servers and (why := self.absent().get(server)):
            return Failure("unavailable", f"the server {server!r} {why}", sent=False)
        return Failure("unknown_tool", unknown(name, catalog), sent=False)


def unknown(name: str, catalog: Catalog) -> str:
    """What to say of a tool that does not exist: the nearest ones that do. Cost is that of one server's names."""
    server, _, tool = name[:200].partition(".")
    if server not in catalog.servers:
        near = difflib.get_close_matches(server, catalog.servers, n=3, cutoff=0.5)
        there = f"servers with a similar name: {', '.join(near)}" if near else "find_tools lists what there is"
        same = [card.id for card in catalog.named(tool)][:3]
        return f"there is no server {server!r}; " + (f"{tool!r} exists as {', '.join(same)}." if same else f"{there}.")
    names = [card.id.partition(".")[2] for card in catalog if card.id.startswith(server + ".")]
    near = difflib.get_close_matches(tool, names, n=3, cutoff=0.4) or sorted(names)[:3]
    return f"{server!r} has no tool {tool!r}; nearest: {', '.join(f'{server}.{each}' for each in near)}."
