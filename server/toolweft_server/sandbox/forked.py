"""`Zygote` and `Forked`: the server's side of a process that forks sessions, and of one session of it.

The zygote is ours and runs no program, but it answers beside programs, so what it says is checked all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from toolweft_server.errors import SandboxError
from toolweft_server.sandbox.ends import Ends
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.process import processor_seconds

BOOT_TIMEOUT = 60.0
"""Seconds for the interpreter to start, load its libraries and confine itself; a fifth of one is usual, three where
files must be copied. Only a process that hangs comes near."""
PACKAGES_TIMEOUT = 180.0
"""The same with packages to load."""
END_TIMEOUT = 5.0
_MESSAGE = 1 << 16

_ENVIRONMENT = {
    "LANG": "C.UTF-8", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}  # fmt: skip
"""Each arena of the C library reserves 64 MiB of address space, each thread of a numeric library some more; and a
process with threads cannot fork safely. Sessions do not see these names."""


@dataclass(slots=True)
class Forked:
    """A session's process, a `Child`. Signals go by descriptor, so they can reach nobody else."""

    zygote: Zygote
    number: int
    pidfd: int
    channel: socket.socket
    outputs: tuple[int, int]
    guarded: bool = True
    ended: int | None = None
    pid: int = field(default=0)
    _frozen: bool = field(default=False)

    def __post_init__(self) -> None:
        self.pid = _pid_of(self.pidfd)

    @property
    def alive(self) -> bool:
        if self.ended is not None:
            return False
        poll = select.poll()  # `select` fails on numbers above 1023
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def interrupt(self) -> None:
        self._signal(signal.SIGINT)

    def freeze(self) -> None:
        if not self._frozen:
            self._signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._signal(signal.SIGCONT)
            self._frozen = False

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def cpu(self) -> float | None:
        return processor_seconds(self.pid)

    async def aclose(self) -> int:
        if self.ended is not None:
            return self.ended
        self.kill()
        status = -signal.SIGKILL
        try:
            with anyio.CancelScope(shield=True):
                status = await self.zygote.ended(self.number)
        finally:
            if self.ended is None:  # another task may have closed it meanwhile, and the numbers are free again
                self.ended = status
                self.zygote.forget(self.number)
                self.channel.close()
                for descriptor in (*self.outputs, self.pidfd):
                    os.close(descriptor)
        return self.ended

    async def exit_status(self) -> int:
        if self.ended is None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await self.zygote.ended(self.number)
        return await self.aclose()

    def _signal(self, number: int) -> None:
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)


class Zygote:
    """Lives on one event loop, on the thread that starts it: the kernel ends it with that thread."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process, self._control = process, control
        self._numbers = 0
        self._opened: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = False
        self._empty: anyio.Event | None = None
        asyncio.get_running_loop().add_reader(control, self._read)

    @classmethod
    async def start(cls, command: Sequence[str], settings: Mapping[str, Any], *, patience: float) -> Zygote:
        """Starts `command` with the settings as its last argument, and waits until it has confined itself.

        Raises:
            SandboxError: It did not start, or a step of the confinement was refused; the text says which.

        """
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise SandboxError(f"no process could be started for programs: {error}") from error
        given = json.dumps({**settings, "fd": theirs.fileno(), "parent": os.getpid()})
        try:
            process = subprocess.Popen(  # noqa: ASYNC220  (a fork: a thread would cost more, and is not the one it must die with)
                [*command, given], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()], cwd="/", env=_ENVIRONMENT, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise SandboxError(f"no process could be started for programs: {error}") from error
        finally:
            theirs.close()
        ours.setblocking(False)
        zygote = cls(process, ours)
        try:
            with anyio.fail_after(patience):
                await zygote._ready
        except TimeoutError:
            await zygote.aclose()
            raise SandboxError(f"the sandbox was not ready within {patience:g} s") from None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await zygote.aclose()
            raise
        return zygote

    @property
    def alive(self) -> bool:
        return not self._closed

    @property
    def forks(self) -> int:
        """Sessions that were asked of it so far."""
        return self._numbers

    async def retire(self) -> None:
        """Waits until nobody has a session of it any more, and ends it; cancelled, it ends at once."""
        self._empty = anyio.Event()
        try:
            if self._ended and not self._closed:
                await self._empty.wait()
        finally:
            await self.aclose()

    async def fork(self, limits: Limits, rlimits: Mapping[str, tuple[int, int]]) -> Forked:
        """A new session's process.

        Raises:
            SandboxError: The kernel refused, or the zygote is gone.

        """
        self._numbers += 1
        number = self._numbers
        ends = Ends.open()
        loop = asyncio.get_running_loop()
        self._opened[number], self._ended[number] = loop.create_future(), loop.create_future()
        asked = {"open": number, "rlimits": rlimits, "disk": limits.disk, "inodes": limits.inodes}
        try:
            self._send(asked, [ends.theirs.fileno(), *ends.writers])
            with anyio.fail_after(BOOT_TIMEOUT):
                pidfd = await self._opened[number]
        except BaseException as error:
            ends.close_ours()
            self._forget(number)
            if isinstance(error, TimeoutError):
                raise SandboxError(f"no process for a program within {BOOT_TIMEOUT:g} s") from None
            raise
        finally:
            ends.close_theirs()
        del self._opened[number]
        return Forked(self, number, pidfd, ends.channel, ends.outputs)

    async def ended(self, number: int) -> int:
        """A session's exit status, when it has ended; -9 when the zygote cannot tell."""
        future = self._ended.get(number)
        with anyio.move_on_after(END_TIMEOUT):
            if future is not None:
                return await asyncio.shield(future)
        return -signal.SIGKILL

    def forget(self, number: int) -> None:
        """Nobody asks for this session any more."""
        self._ended.pop(number, None)
        if self._empty is not None and not self._ended:
            self._empty.set()

    async def aclose(self) -> None:
        """Ends it, and with it every session. Idempotent."""
        self._lost("the sandbox was closed")
        with anyio.CancelScope(shield=True):
            self._process.kill()
            while self._process.poll() is None:  # noqa: ASYNC110  (no event tells of an exit on every platform)
                await anyio.sleep(0.002)
        if self._process.stderr:
            self._process.stderr.close()

    def _send(self, message: Mapping[str, Any], descriptors: list[int]) -> None:
        if self._closed:
            raise SandboxError("the sandbox's process has ended")
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            self._lost(self._last_words())
            raise SandboxError("the sandbox's process has ended") from None
        except OSError as error:
            raise SandboxError(f"the sandbox's process takes no orders: {error}") from error

    def _read(self) -> None:
        try:
            data, passed, _, _ = socket.recv_fds(self._control, _MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, passed = b"", []
        if not data:
            self._lost(self._last_words())
            return
        try:
            self._take(json.loads(data), passed)
        except (ValueError, KeyError, TypeError) as error:
            self._lost(f"it said something that cannot be ({type(error).__name__})")
        finally:
            for descriptor in passed:
                os.close(descriptor)

    def _take(self, message: dict[str, Any], passed: list[int]) -> None:
        match message:
            case {"ready": True}:
                _settle(self._ready, None)
            case {"failed": str(reason)}:
                self._lost(reason[:500])
            case {"opened": int(number)}:
                self._take_opened(self._opened.get(number), passed)
            case {"refused": int(number), "why": str(reason)}:
                _settle(self._opened.get(number), SandboxError(f"no process for a program: {reason[:500]}"))
            case {"ended": int(number), "status": int(status)}:
                _settle(self._ended.get(number), status)

    def _take_opened(self, waiting: asyncio.Future[int] | None, passed: list[int]) -> None:
        if not passed:
            _settle(waiting, SandboxError("no descriptor is left for a program's process (see `ulimit -n`)"))
        elif waiting is None or waiting.done():  # whoever wanted it has gone
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(passed[0], signal.SIGKILL)
        else:
            waiting.set_result(passed.pop())

    def _forget(self, number: int) -> None:
        future = self._opened.pop(number, None)
        if future is not None and future.done() and not future.cancelled() and future.exception() is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(future.result(), signal.SIGKILL)
            os.close(future.result())
        self.forget(number)

    def _lost(self, reason: str) -> None:
        """It is gone, or must go: everybody who waits is told."""
        if self._closed:
            return
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._process.kill()
        error = SandboxError(f"the sandbox's process ended: {reason}")
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._opened.values()]
        for future in waiting:
            _settle(future, error)
        for each in self._ended.values():
            _settle(each, -signal.SIGKILL)

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read(4096) or b""
        return said.decode("utf-8", "replace").strip()[-500:] or "without a word"


def _settle(future: asyncio.Future[Any] | None, told: object) -> None:
    """Tells whoever waits, if anybody still does."""
    if future is None or future.done():
        return
    if isinstance(told, Exception):
        future.set_exception(told)
        future.exception()  # it may be that nobody asks
    else:
        future.set_result(told)


def _pid_of(pidfd: int) -> int:
    """The number by which this process knows it; 0 when /proc does not tell."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pid:"):
                return max(0, int(line.split()[1]))
    return 0
