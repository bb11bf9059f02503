"""`Lazy`: the app behind a protocol server, opened at the first request that needs it or soon after the handshake.

This file is on the handshake path, so it knows the app's type only while types are checked: importing it means
importing the database, the index and every kind of upstream.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import anyio

from toolweft_server.config import Config
from toolweft_server.errors import ToolweftError, innermost

if TYPE_CHECKING:
    from toolweft_server.app import App

logger = logging.getLogger(__name__)


class Lazy:
    """`serving.Runtime` over `app.App`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._app: App | None = None
        self._wanted, self._settled = anyio.Event(), anyio.Event()
        self._failure: ToolweftError | None = None
        self._listeners: list[Callable[[Sequence[str]], Awaitable[None]]] = []

    def on_functions_changed(self, listener: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._listeners.append(listener)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Inside, the app can be opened; leaving closes it and everything it started."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_open)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    def warm(self) -> None:
        self._wanted.set()

    async def app(self) -> App:
        """
        Raises:
            ToolweftError: It cannot be opened. The next call tries again.

        """
        while self._app is None:
            settled = self._settled
            self._wanted.set()
            await settled.wait()
            if self._app is None and self._failure is not None:
                raise self._failure
        return self._app

    async def _keep_open(self) -> None:
        """One task opens and closes the app, because its task group must end where it began."""
        while True:
            await self._wanted.wait()
            try:
                module = await anyio.to_thread.run_sync(_loaded)
                async with module.App.open(self._config) as app:
                    self._app = app
                    self._settled.set()
                    try:
                        lost = await app.follow(self._changed)
                    finally:
                        # Nobody may reach an app that is closing: whoever comes now waits for the next one.
                        self._app, self._settled = None, anyio.Event()
                # Whoever was using it has been told by the store itself; whoever waits gets the one opened next.
                logger.warning("the store was lost and is opened again: %s", lost)
                self._close(None)
            except ToolweftError as error:
                self._close(error)
            except Exception as error:
                # A defect of ours must not end the connection: every request is told, and the next one tries again.
                logger.exception("the server could not be opened, or broke off")
                cause = innermost(error)
                unknown = ToolweftError(f"toolweft itself failed ({type(cause).__name__}); its log says why")
                self._close(cause if isinstance(cause, ToolweftError) else unknown)

    def _close(self, failure: ToolweftError | None) -> None:
        self._app, self._failure = None, failure
        settled, self._settled, self._wanted = self._settled, anyio.Event(), anyio.Event()
        settled.set()

    async def _changed(self, names: Sequence[str]) -> None:
        for listener in self._listeners:
            await listener(names)


def _loaded() -> ModuleType:
    """The module of the app. Blocking, most of a second; by now the host has its list of tools."""
    from toolweft_server import memory

    memory.settle()
    return importlib.import_module("toolweft_server.app")
