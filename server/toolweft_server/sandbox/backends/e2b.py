"""The `e2b` backend: each session is a small virtual machine of E2B's cloud, and the tools stay here.

Covered: programs run on no machine of the person's; the sandbox has no internet access, none of our environment and
no key; tools are called over the runner's frames, answered and checked on this side as with every other backend.
Not covered: the program, what it prints and what tools answer it pass through E2B's machines. A session's variables
wait there, too, while it is paused.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import os
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from toolweft_catalog.call import Result
from toolweft_catalog.tool import Json
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.backends.local import RUNNER, rlimits
from toolweft_server.sandbox.base import Finding, Host, Outcome, Program, SavedSource
from toolweft_server.sandbox.broker import ChildSession
from toolweft_server.sandbox.e2b.child import CloudChild
from toolweft_server.sandbox.e2b.cloud import Cloud
from toolweft_server.sandbox.e2b.link import Link
from toolweft_server.sandbox.e2b.records import Records
from toolweft_server.sandbox.e2b.settings import E2BEntry
from toolweft_server.sandbox.limits import Limits

_logger = logging.getLogger(__name__)


class E2BSandbox:
    """Makes no request before the first session. Sandboxes that a dead server left are ended then, too."""

    name = "e2b"

    def __init__(
        self, entry: E2BEntry, *, state_folder: Path, packages: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """`state_folder` keeps the ids of running sandboxes, `environ` has the key.

        `packages` are requirements by name; the template has to have them, for nothing is installed there.
        """
        self._entry, self._packages = entry, list(packages)
        self._cloud = Cloud(entry, os.environ if environ is None else environ)
        self._records = Records(state_folder / "e2b")
        self._sweep: asyncio.Task[None] | None = None
        self._open: set[E2BSession] = set()

    async def open(self, limits: Limits) -> E2BSession:
        """A waiting session in a sandbox of its own.

        Raises:
            SandboxError: The extra or the key is missing, E2B refuses or cannot be reached, or no runner started.

        """
        sandbox = await self._cloud.create()
        child = CloudChild(self._cloud, sandbox, self._entry, self._records)
        try:
            self._records.add(child.link.id)
            if self._sweep is None:
                self._sweep = asyncio.get_running_loop().create_task(self.sweep())
            await child.start(_archive(), {"rlimits": rlimits(limits), "requirements": self._packages})
            session = E2BSession(child, ChildSession(child, limits), self._open)
            await session.start()
        except BaseException:
            await child.aclose()
            raise
        return session

    async def sweep(self) -> None:
        """Ends the sandboxes of servers that died without a chance to. Failures are left to the next sweep."""
        await self._end(self._records.orphans())

    async def self_check(self) -> Sequence[Finding]:
        from toolweft_server.sandbox.self_check import check

        return await check(self)

    async def aclose(self) -> None:
        if self._sweep is not None:
            await self._sweep
        for session in list(self._open):
            await session.aclose()
        await self._end(self._records.held)  # what could not be ended when its session was

    async def _end(self, sandboxes: Collection[str]) -> None:
        for sandbox in list(sandboxes):
            try:
                await self._cloud.kill(sandbox)
            except SandboxError as error:
                _logger.warning("%s (%s): it ends with its timeout, or at a later start", error, sandbox)
            else:
                self._records.remove(sandbox)


class E2BSession:
    """A session of the broker's whose sandbox is kept awake while it is needed, and whose outcomes say the cost."""

    def __init__(self, child: CloudChild, session: ChildSession, open_ones: set[E2BSession]) -> None:
        self._child, self._session, self._open = child, session, open_ones

    async def start(self) -> None:
        await self._session.start()
        self._child.link.end()
        self._open.add(self)

    @property
    def alive(self) -> bool:
        return self._session.alive

    async def run(self, program: Program, host: Host) -> Outcome:
        """See `base.Session.run`.

        Raises:
            SandboxError: The sandbox is gone, or was lost while the program ran.

        """
        link = self._child.link
        await link.begin()
        try:
            outcome = await self._session.run(program, _Waiting(host, link))
        finally:
            link.end()
        if outcome.status == "timeout" and link.cut:
            raise SandboxError(
                "the connection to the E2B sandbox was lost, and did not come back in the program's time. Nobody knows "
                "how far the program came"
            )
        return replace(outcome, cost=link.meter.line())

    async def aclose(self) -> None:
        self._open.discard(self)
        await self._session.aclose()


class _Waiting:
    """A host that tells the link while it is being asked, and answers a sandbox that is awake."""

    def __init__(self, host: Host, link: Link) -> None:
        self._host, self._link = host, link

    async def call(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Result:
        self._link.ask()
        try:
            return await self._host.call(tool, args, kwargs)
        finally:
            await self._link.answer()

    async def describe(self, tool: str) -> str | None:
        self._link.ask()
        try:
            return await self._host.describe(tool)
        finally:
            await self._link.answer()

    async def function(self, name: str, version: int | None) -> SavedSource | str:
        self._link.ask()
        try:
            return await self._host.function(name, version)
        finally:
            await self._link.answer()

    async def save(self, name: str) -> Json:
        self._link.ask()
        try:
            return await self._host.save(name)
        finally:
            await self._link.answer()


@functools.cache
def _archive() -> bytes:
    """The relay, and beside it the runner with its folder, as one file that Python starts."""
    here = RUNNER.parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(here / "e2b" / "relay.py", "__main__.py")
        archive.write(RUNNER, "runner.py")
        for path in sorted((here / "inside").glob("*.py")):
            archive.write(path, f"inside/{path.name}")
    return buffer.getvalue()
