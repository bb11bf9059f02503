"""`Finder`: one request's view of the running server, for `tools.find_tools`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import anyio

from toolweft_catalog import shape
from toolweft_catalog.shape import Shape
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import Decision, IndexName
from toolweft_server.errors import ToolweftError
from toolweft_server.keeping import Keeping
from toolweft_server.library.function import SERVER
from toolweft_server.live import LiveCatalog
from toolweft_server.policy import Policy
from toolweft_server.serving import Asker
from toolweft_server.store.store import Store
from toolweft_server.tools.find_tools import Searched
from toolweft_server.trial import Mix
from toolweft_server.using import Using


class Finder:
    """One request's view of the app: `tools.find_tools.Finding`."""

    def __init__(
        self, live: LiveCatalog, store: Store, using: Using, keeping: Keeping, asker: Asker, policy: Policy, *,
        patience: float,
    ) -> None:  # fmt: skip
        """`patience` is how long in seconds to wait for tools being read, or functions being verified."""
        self._live, self._store, self._using, self._asker, self._policy = live, store, using, asker, policy
        self._keeping, self._patience = keeping, patience
        self._mix: Mix | None = None
        self.index_name: IndexName = live.index.name

    async def search(self, query: str, limit: int, *, more: int, server: str | None) -> Searched:
        return await self._live.look(self._search, query, limit, more, server)

    def _search(self, query: str, limit: int, more: int, server: str | None) -> Searched:
        """In one thread at one go: each further hop costs what reading five tools does."""
        matches, self._mix = self._using.search(query, limit + more, server=server)
        tools = self._live.held([hit.tool for hit in matches.hits[:limit]])
        return Searched(matches, tools, self._shapes(tools))

    def _shapes(self, tools: Sequence[Tool]) -> Mapping[str, Shape]:
        unknown = [tool.digest for tool in tools if tool.output is None]
        texts = self._store.shapes.get(unknown) if unknown else {}
        return {key: shape.from_json(json.loads(text)) for key, text in texts.items()}

    def judge(self, tool: Tool) -> Decision:
        # What a saved function calls is judged when it calls it.
        return "allow" if tool.origin == "library" else self._policy.judge(tool).decision

    def size(self) -> int:
        return len(self._live.catalog)

    def servers(self) -> Sequence[str]:
        return self._live.catalog.servers

    async def settled(self) -> str | None:
        reading = await self._live.settled(self._patience)
        notes = [f"Still being read: {', '.join(reading)}; ask again soon."] if reading else []
        broken = sorted(self._live.unread)
        notes += [f"Not reachable: {', '.join(broken)} (toolweft doctor says why)."] if broken else []
        notes += [self._live.note] if self._live.note else []
        if left := self._live.index.unfinished():
            notes.append(f"{left} of {len(self._live.index)} tools are new: for some seconds only their words count.")
        return " ".join(notes) or None

    def demanded(self, query: str) -> list[str]:
        return self._keeping.demanded(query)

    async def revived(self, names: Sequence[str]) -> str | None:
        told: list[str] = []
        with anyio.move_on_after(self._patience) as waiting:
            for name in names:
                try:
                    why = await self._keeping.revived(name)
                except ToolweftError as error:  # a locked store: what is known is found all the same
                    why = f"could not be looked at: {error}"
                told += [f"{SERVER}.{name} {why}."] if why else []
        if waiting.cancelled_caught:
            self._keeping.slow(names)
            told.append("Verifying a stale function takes longer than this answer waits; a call in a program does it.")
        return " ".join(told) or None

    def asked(self, query: str, shown: Sequence[str]) -> None:
        self._using.asked(self._asker.owner, self._asker.connection, query, shown, self._mix)
