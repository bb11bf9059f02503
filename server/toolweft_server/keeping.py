"""`Keeping`: saved functions stay true to their tools. It joins the live catalogue, the library and `Proving`.

A function whose tool changed or disappeared is stale at once: when the catalogue changes, and again at the moment of
a call, so that none runs against a tool it was not verified with. It is verified anew when somebody next asks for it,
by its name or for what it does.
A tool that this server is not configured for, or cannot read just now, says nothing: others share the library.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio

from toolweft_catalog.catalog import Delta
from toolweft_catalog.names import identifier
from toolweft_server.errors import ToolweftError
from toolweft_server.index.text import STOP_WORDS, stem, terms
from toolweft_server.library.drift import drifted, problems
from toolweft_server.library.function import SERVER, Function, overreach
from toolweft_server.library.store import FunctionStore
from toolweft_server.live import LiveCatalog
from toolweft_server.proving import Proving
from toolweft_server.sandbox.base import SavedSource

logger = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds before a function that could not be verified anew is tried again while its tools stay as they are."""
READING = 120.0
"""Seconds to wait for servers whose tools are being read."""
ABOUT, WORDS = 0.5, 2
"""Share of a stale function's words that a request must hold to be about it, and how many at least."""
DEEP = 5
"""Stale functions that use stale functions, verified anew on one demand."""


class _Failed(NamedTuple):
    """A function that could not be verified anew, and its tools then."""

    digests: Mapping[str, str | None]
    why: str
    at: float


@dataclass(eq=False, slots=True)
class _Trial:
    """A function that is being verified anew, for all who want it."""

    over: anyio.Event = field(default_factory=anyio.Event)
    proven: Mapping[str, str | None] | None = None
    """Its tools, once it is verified with them."""
    cut: bool = False
    """What it uses lies too deep for the demand that led here. That says nothing of a demand for this one."""


_CHAIN: ContextVar[tuple[_Trial, ...]] = ContextVar("toolweft_verifying", default=())
"""The trials that led here, each of a function that uses the next one's. Other demands have chains of their own."""


class Keeping:
    def __init__(self, live: LiveCatalog, library: FunctionStore, proving: Proving, owner: str = "local") -> None:
        self._live, self._library, self._proving, self._owner = live, library, proving, owner
        self._failed: dict[tuple[str, int], _Failed] = {}
        self._stale_words: dict[str, frozenset[str]] = {}
        """Of the stale functions that a call by name would verify anew: what each is about."""
        self._slow: dict[str, float] = {}
        self._trials: dict[tuple[str, int], _Trial] = {}

    def concerns(self, delta: Delta) -> bool:
        """Whether a change of the catalogue may make functions stale."""
        # Tools of a server that was read anew count as added: what was known of it before was not trusted.
        return any(not each.startswith(f"{SERVER}.") for part in delta for each in part)

    async def check(self) -> None:
        """Marks stale what is; everybody who listens hears of it. Once more when servers that are being read were."""
        await self._check()
        if await self._live.settled(0):
            await self._live.settled(READING)
            await self._check()

    async def _check(self) -> None:
        try:
            found = drifted(await self._live.look(self._library.active), self._judge)
            for name, version, why in found:
                await self._live.thread(self._stale, name, version, why)
            self._stale_words = await self._live.look(self._words)
            if found:
                await self._live.reload()
        except ToolweftError as error:
            # Whatever was not marked now is seen at the moment of its call.
            logger.warning("stale functions were not marked: %s", error)

    async def source(self, name: str, version: int | None) -> SavedSource | str:
        """A saved function on its way into a program, or why it cannot be had."""
        function, why = await self._live.look(self._library.get, name, version), ""
        if function is not None:
            why = "; ".join(problems(function, self._judge))
            if not why:
                return _source(function)
            await self._live.thread(self._stale, function.name, function.version, why)
        stale = await self._live.look(self._library.stale, name, version)
        if stale is None:
            return f"version {version} of {name!r} retired, and {why}" if why else await self._unknown(name)
        if why_not := await self._again(stale):
            return f"the saved function {name!r} is stale ({stale.why}) and could not be verified anew: {why_not}"
        return _source(stale)

    def demanded(self, request: str) -> list[str]:
        """The stale function that a request in words is about, as far as its own words can tell; one at most."""
        mine = _about(request)
        now = time.monotonic()
        tried = {name for name, at in self._slow.items() if now - at < PAUSE}
        shared = [(len(mine & its), len(its), name) for name, its in self._stale_words.items() if name not in tried]
        fitting = [(both / of, name) for both, of, name in shared if both >= WORDS and both >= ABOUT * of]
        return [max(fitting)[1]] if fitting else []

    def slow(self, names: Sequence[str]) -> None:
        """Verifying them takes longer than a search waits: for a while no search in words begins it again."""
        self._slow.update(dict.fromkeys(names, time.monotonic()))

    async def revived(self, name: str) -> str | None:
        """Verifies a function anew if it is stale: what remains the matter with it, as the end of a sentence."""
        stale = await self._live.look(self._library.stale, name, None)
        if stale is None or await self._live.look(self._library.get, name, None) is not None:
            return None
        if (why := await self._again(stale)) is None:
            return None
        return f"is stale ({stale.why}) and could not be verified anew ({why}); save it again under its name"

    async def overreached(self, name: str, version: int, tool: str) -> str:
        """A function that would call what it does not declare is quarantined at once; the refusal, for the program.

        What the sandbox says is checked: no function is quarantined for a tool that it declares.
        """
        held = await self._live.look(self._library.versions, name)
        function = next((each for each in held if each.version == version), None)
        if function is None or tool in function.tools:
            return f"there is no saved function {name}@{version} that may not call {tool}"
        why = f"it wanted to call {tool}, which it does not declare"
        logger.warning("functions.%s@%d is quarantined: %s", name, version, why)
        await self._live.thread(self._quarantine, name, version, why)
        await self._live.reload()
        return overreach(function, tool)

    async def _again(self, function: Function) -> str | None:
        """Verifies a stale function against its tools as they are now: why not, or `None`: it is active.

        Whoever wants it meanwhile waits for the same trial. Where that was cancelled, one of them begins another.
        """
        key, chain = (function.name, function.version), _CHAIN.get()
        while (other := self._trials.get(key)) is not None:
            if other in chain:
                return "it uses itself"
            await other.over.wait()  # no two wait for each other: a function uses only what was there before it
            if other.proven is not None and other.proven == self._digests(function):
                return None
        now, before = self._digests(function), self._failed.get(key)
        if before is not None and before.digests == now and time.monotonic() - before.at < PAUSE:
            return before.why
        if missing := [each for each, digest in now.items() if digest is None]:
            return f"there is no tool {missing[0]}"
        if len(chain) >= DEEP:
            for each in chain[1:]:  # the first is what was demanded: it has failed, and waits its pause
                each.cut = True
            return "too many functions that it uses are stale"
        trial = self._trials[key] = _Trial()
        try:
            why = await self._tried(function, trial, now)
            if why is not None and not trial.cut:
                self._failed[key] = _Failed(now, why, time.monotonic())
            return why
        finally:
            del self._trials[key]
            trial.over.set()

    async def _tried(self, function: Function, trial: _Trial, now: Mapping[str, str | None]) -> str | None:
        token = _CHAIN.set((*_CHAIN.get(), trial))
        try:
            if why := await self._proving.again(function, self, self._owner):
                return why
        finally:
            _CHAIN.reset(token)
        digests = {each: digest for each, digest in now.items() if digest is not None}
        await self._live.thread(self._revive, function, digests)
        trial.proven = now
        self._stale_words.pop(function.name, None)
        await self._live.reload()
        return None

    def _words(self) -> dict[str, frozenset[str]]:
        stale = [each for each in self._library.list() if each.state == "stale"]
        said = {each.name: f"{each.name} {each.description.partition(chr(10))[0]}" for each in stale}
        return {name: _about(text) for name, text in said.items()}

    def _revive(self, function: Function, digests: dict[str, str]) -> None:
        why = "verified anew, against its tools as they are now"
        self._library.mark(function.name, function.version, "active", why, expect="stale", tools=digests)

    def _quarantine(self, name: str, version: int, why: str) -> None:
        self._library.mark(name, version, "quarantined", why, expect="active")

    def _stale(self, name: str, version: int, why: str) -> None:
        self._library.mark(name, version, "stale", why, expect="active")

    def _judge(self, tool: str, held: str) -> str | None:
        card = self._live.catalog.get(tool)
        if card is not None:
            return "changed" if card.digest != held and card.server not in self._live.contested else None
        return "disappeared" if tool.partition(".")[0] in self._read() else None

    def _read(self) -> set[str]:
        """Prefixes of our own servers whose list of tools is known for certain."""
        unsure = self._live.reading | self._live.unread.keys() | self._live.contested
        return {identifier(name) for name in self._live.entries if name not in unsure}

    def _digests(self, function: Function) -> dict[str, str | None]:
        cards = {each: self._live.catalog.get(each) for each in function.tools}
        return {each: card.digest if card else None for each, card in cards.items()}

    async def _unknown(self, name: str) -> str:
        versions = await self._live.look(self._library.versions, name)
        if versions:
            last = versions[-1]
            because = f" ({last.why})" if last.why else ""
            return f"the saved function {name!r} is {last.state}{because}; it cannot be called"
        near = [each.name for each in await self._live.look(self._library.offered)]
        return f"there is no saved function {name!r}; there are: {', '.join(near[:10]) or 'none yet'}"


def _about(text: str) -> frozenset[str]:
    return frozenset(stem(each) for each in {*terms(text)} - STOP_WORDS)


def _source(function: Function) -> SavedSource:
    return SavedSource(function.name, function.version, function.source, function.functions, tuple(function.tools))
