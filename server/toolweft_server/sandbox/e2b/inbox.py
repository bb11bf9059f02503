"""`Inbox`: what a cloud sandbox said and the broker has not taken yet, in order, and no more than is agreed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from toolweft_server.sandbox.e2b.lines import Data, Exit
from toolweft_server.sandbox.frames import ViolationError

PENDING = 32 * 1024 * 1024
"""Bytes that may wait here; the relay stops at an eighth of it, so that more is not our relay's doing."""
OFTEN = 16
"""Lines after which the relay is told how far we are, when they come without a gap."""


class Inbox:
    def __init__(self, deliver: Callable[[str, bytes], Awaitable[None]]) -> None:
        self.delivered = 0
        """The last line that was handed over."""
        self._deliver = deliver
        self._waiting: deque[Data | Exit] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()

    @property
    def ends(self) -> bool:
        """Whether the runner's exit is among what waits."""
        return any(isinstance(each, Exit) for each in self._waiting)

    def put(self, messages: Sequence[Data | Exit]) -> None:
        """Raises:
        ViolationError: It sends without waiting to be heard.

        """
        self._bytes += sum(len(each.data) for each in messages if isinstance(each, Data))
        if self._bytes > PENDING:
            raise ViolationError("it sends without waiting to be heard")
        self._waiting.extend(messages)
        self._arrived.set()

    async def carry(self, acknowledge: Callable[[int], Awaitable[None]]) -> int:
        """Hands everything over, and only then acknowledges it; returns the runner's exit status when that comes."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                if isinstance(message, Exit):
                    return message.status
                await self._deliver(message.kind, message.data)
                self._bytes -= len(message.data)
                self.delivered = message.n
                if not self._waiting or not message.n % OFTEN:
                    await acknowledge(message.n)
            self._arrived.clear()
            await self._arrived.wait()
