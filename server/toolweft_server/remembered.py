"""`Remembered`: what a person allowed for good, kept in the store and bound to the tool as it was then."""

from __future__ import annotations

from dataclasses import dataclass

from toolweft_catalog.tool import Tool
from toolweft_server.live import LiveCatalog
from toolweft_server.store.store import Store


@dataclass(frozen=True, slots=True)
class Remembered:
    """`approvals.Memory` in the store."""

    live: LiveCatalog
    store: Store
    owner: str

    async def holds(self, tool: Tool) -> bool:
        return await self.live.look(self.store.approvals.holds, self.owner, tool.id, tool.digest)

    async def keep(self, tool: Tool) -> None:
        await self.live.thread(self.store.approvals.keep, self.owner, tool.id, tool.digest)
