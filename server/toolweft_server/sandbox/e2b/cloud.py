"""`Cloud`: all that is said to E2B. The key stays in here, and every error comes out as one of ours, without it.

The SDK is an extra and slow to import: nothing of it is loaded before the first sandbox. It needs asyncio, so that
the files of this folder use asyncio's tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from toolweft_catalog import __version__
from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.e2b.settings import E2BEntry

if TYPE_CHECKING:
    from e2b import AsyncCommandHandle, AsyncSandbox
    from e2b.sandbox_async.commands.command_input_handle import AsyncCommandInputHandle

FOLDER = ".toolweft"
"""In the home directory of the sandbox's user."""
REQUEST = 30.0
"""Seconds for one request; the SDK's own minute is longer than most hosts wait for a whole call."""
CLOSE = 1.0
"""Seconds to close a stream in good order; one that is lost cannot be."""
_SAID = 2000


class GoneError(SandboxError):
    """The sandbox, or what ran in it, is no more. To try again is of no use."""


class Cloud:
    """Makes no request before it is asked for one."""

    def __init__(self, entry: E2BEntry, environ: Mapping[str, str]) -> None:
        self._entry, self._environ = entry, environ

    async def create(self) -> AsyncSandbox:
        """A running sandbox without internet access and without any variable of ours.

        Raises:
            SandboxError: E2B, or the way to it, said no.

        """
        with self._errors("create a sandbox"):
            return await _sdk().create(
                template=self._entry.template, timeout=self._entry.timeout, metadata={"toolweft": __version__},
                allow_internet_access=False, **self._options(),
            )  # fmt: skip

    async def connect(self, sandbox: str) -> AsyncSandbox:
        """The sandbox of that id, resumed if it was paused, with its whole timeout before it."""
        with self._errors("reach the sandbox"):
            return await _sdk().connect(sandbox, timeout=self._entry.timeout, **self._options())

    async def renew(self, sandbox: str) -> None:
        with self._errors("renew the sandbox"):
            await _sdk().set_timeout(sandbox, self._entry.timeout, **self._options())

    async def pause(self, sandbox: str) -> None:
        with self._errors("pause the sandbox"):
            await _sdk().pause(sandbox, **self._options())

    async def kill(self, sandbox: str) -> None:
        """Ends it, also when it is paused. One that is no more is fine."""
        with self._errors("end the sandbox"):
            await _sdk().kill(sandbox, **self._options())

    async def upload(self, sandbox: AsyncSandbox, name: str, data: bytes) -> None:
        with self._errors("upload the runner"):
            await sandbox.files.write(f"{FOLDER}/{name}", data, request_timeout=REQUEST)

    async def stream(
        self, sandbox: AsyncSandbox, name: str, mode: str, settings: Mapping[str, Any],
        heard: Callable[[str], Awaitable[None]],
    ) -> Stream:  # fmt: skip
        """Runs an uploaded program with both its streams connected to here."""
        command = shlex.join(["exec", "python3", "-I", "-u", f"{FOLDER}/{name}", mode, json.dumps(settings)])
        said: list[str] = []

        def hear_error(text: str) -> None:
            if sum(map(len, said)) < _SAID:
                said.append(text[:_SAID])

        with self._errors("start the runner"):
            handle = await sandbox.commands.run(
                command, background=True, stdin=True, on_stdout=heard, on_stderr=hear_error, timeout=0,
                request_timeout=REQUEST, retain_output=False,
            )  # fmt: skip
            return Stream(handle, sandbox.commands.stream_input(handle.pid, timeout=None), said)

    def _options(self) -> dict[str, Any]:
        return {"api_key": self._key(), "request_timeout": REQUEST}

    def _key(self) -> str:
        name = self._entry.key_env
        if not (key := self._environ.get(name, "").strip()):
            raise SandboxError(
                f"the sandbox backend 'e2b' needs a key: set the environment variable {name} to one from "
                "https://e2b.dev/dashboard?tab=keys, or name another variable in `sandbox.e2b.key_env`"
            )
        return key

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except SandboxError:
            raise
        except Exception as error:  # noqa: BLE001  (the SDK raises its own, httpx's, the system's and bare `Exception`s)
            # `from None`: the SDK's exception holds the request, and with it the key.
            raise self._translated(doing, error) from None

    def _translated(self, doing: str, error: Exception) -> SandboxError:
        import httpx
        from e2b import exceptions as e2b

        text = (str(error) or type(error).__name__).replace(self._environ.get(self._entry.key_env) or "\0", "***")
        could_not = f"E2B could not {doing}"
        if isinstance(error, e2b.AuthenticationException):
            return SandboxError(
                f"{could_not}: it refused the key in {self._entry.key_env} (401). Check that the key is whole and "
                "still valid at https://e2b.dev/dashboard?tab=keys"
            )
        if isinstance(error, e2b.RateLimitException):
            return SandboxError(
                f"{could_not}: too many requests or sandboxes at once (429). Wait a little, close sessions, or raise "
                "the limits of the E2B account"
            )
        if isinstance(error, e2b.NotFoundException | e2b.SandboxNotRunningException):
            return GoneError(f"{could_not}: {text[:300]}")
        if isinstance(error, ValueError):
            return SandboxError(f"{could_not}: its answer is not understood ({text[:300]}); perhaps a proxy gave it")
        if isinstance(error, httpx.TransportError | OSError | e2b.TimeoutException):
            return SandboxError(f"{could_not}: it cannot be reached ({text[:300]}). Check the network, and try again")
        return SandboxError(f"{could_not}: {text[:300]}")


class Stream:
    """Both streams of a command. One that is lost says so by `ended`, not by an exception."""

    def __init__(self, handle: AsyncCommandHandle[None], feed: AsyncCommandInputHandle, said: list[str]) -> None:
        self._handle, self._feed, self._said = handle, feed, said
        self.ended: asyncio.Task[int | None] = asyncio.get_running_loop().create_task(self._end())
        """The command's exit status, once it has one, or `None` when the connection was lost."""

    @property
    def said(self) -> str:
        """The beginning of its stderr."""
        return "".join(self._said).strip()

    async def send(self, line: bytes) -> bool:
        """Queues a line; whether the stream still takes any."""
        try:
            await self._feed.send(line)
        except Exception:  # noqa: BLE001  (whatever broke it: the link makes a new one)
            return False
        return True

    async def aclose(self) -> None:
        """Lets go of the command, which goes on. Cannot fail."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._handle.disconnect(), CLOSE)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._feed.close(), CLOSE)
        self.ended.cancel()
        await asyncio.wait({self.ended})

    async def _end(self) -> int | None:
        from e2b import CommandExitException

        try:
            return (await self._handle.wait()).exit_code
        except CommandExitException as error:
            return error.exit_code
        except Exception:  # noqa: BLE001  (the SDK has a dozen types for a lost connection, one of them `Exception`)
            return None


def _sdk() -> type[AsyncSandbox]:
    try:
        from e2b import AsyncSandbox
    except ImportError as error:
        raise SandboxError("the sandbox backend 'e2b' is not installed: run `pip install 'toolweft[e2b]'`") from error
    return AsyncSandbox
