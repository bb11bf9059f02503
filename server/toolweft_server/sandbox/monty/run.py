"""One program in a Monty session, from its first line to its outcome.

Monty runs until it wants something and hands us a snapshot; we answer and it goes on. A call in plain code is
awaited there (see `script`), so that an answer may be late while other tasks go on. A turn of Monty is never
cancelled: what must end, ends by the death of its worker.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from toolweft_catalog.wire import Error
from toolweft_server.sandbox.base import Host, Outcome, OutcomeStatus, Program
from toolweft_server.sandbox.clock import Clock
from toolweft_server.sandbox.limits import MIB, Limits
from toolweft_server.sandbox.monty import explain
from toolweft_server.sandbox.monty.answers import Answer, Answers, raised
from toolweft_server.sandbox.monty.script import Script, prepare
from toolweft_server.sandbox.monty.values import (
    NotJsonError,
    Picture,
    TooBigError,
    to_json,
    type_name,
)
from toolweft_server.sandbox.monty.world import Functions, Server, World
from toolweft_server.sandbox.output import FLOOD
from toolweft_server.sandbox.texts import seconds, size

if TYPE_CHECKING:
    from pydantic_monty import AsyncFunctionSnapshot, AsyncFutureSnapshot, AsyncMontySession, AsyncNameLookupSnapshot

TURN_GRACE = 5.0
"""Seconds that a worker which was killed may take to be noticed."""
LARGE = 5000
"""Characters of a program that is made ready beside the event loop: milliseconds for each thousand."""
_logger = logging.getLogger(__name__)


class Worker(Protocol):
    """What a run needs of its session."""

    limits: Limits
    world: World
    monty: AsyncMontySession
    scripts: dict[str, Script]
    """What was fed, by the file name that Monty gives it."""
    taken: frozenset[str]
    coroutines: frozenset[str]

    @property
    def file(self) -> str:
        """The name that the next feed will get."""
        ...

    @property
    def attached(self) -> bool:
        """Whether the worker is there, between two turns."""
        ...

    def fed(self, script: Script) -> None:
        """Notes down what is fed next."""
        ...

    def counted(self, file: str) -> None:
        """Corrects what the next feed will be called: the last one was `file`."""
        ...

    def saved(self, script: Script) -> None:
        """Notes down the saved function that is loaded next."""
        ...

    def kill(self) -> None: ...


class Run:
    def __init__(self, worker: Worker, program: Program, host: Host) -> None:
        self._worker, self._program = worker, program
        self._limits = limits = worker.limits
        self._clock = Clock(
            wall=limits.wall if program.timeout is None else program.timeout,
            total=limits.total, cpu=limits.cpu, processor=lambda: None,
        )  # fmt: skip
        self._printed: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._count = {"stdout": 0, "stderr": 0}
        self._slots = anyio.Semaphore(limits.pending_calls)
        self._settled: dict[int, Answer] = {}
        self._news = anyio.Event()
        self._verdict: tuple[OutcomeStatus, str] | None = None
        self._hit: list[str] = []
        self._answers = Answers(host, worker.world, limits, self._clock, self._note)
        self._talk = anyio.CancelScope()
        self._tasks: TaskGroup | None = None

    async def outcome(self) -> Outcome:
        from pydantic_monty import MontyCrashedError, MontyError

        ended: dict[str, Any] = {}
        file = self._worker.file
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._watch_clock)
            with self._talk:
                try:
                    ended = await self._program_value()
                except MontyCrashedError as error:
                    self._verdict = self._verdict or self._crashed(str(error))
                except MontyError as error:
                    ended = self._failed(error, file)
                except RuntimeError as error:
                    _logger.warning("a Monty session cannot go on: %s", error)
                    self._verdict = self._verdict or ("crashed", f"Monty could not go on: {str(error)[:200]}")
            self._tasks.cancel_scope.cancel()
        self._clock.stop()
        return self._outcome(ended)

    def close(self) -> None:
        """Ends the run from outside."""
        self._end("cancelled", "the session was closed")

    def _end(self, status: OutcomeStatus, reason: str) -> None:
        self._verdict = self._verdict or (status, reason)
        self._worker.kill()
        self._talk.cancel()

    def _crashed(self, text: str) -> tuple[OutcomeStatus, str]:
        if "SIGXCPU" in text:
            self._note("session_cpu")
            return "limit", f"the session used more than {self._limits.session_cpu} s of processor time"
        return "crashed", f"Monty's worker ended: {text[:200]}"

    async def _program_value(self) -> dict[str, Any]:
        """Runs the program; what `Outcome` says of its value."""
        worker = self._worker
        prepared = functools.partial(
            prepare, self._program.code, coroutines=worker.coroutines,
            servers=[name for name in self._program.servers if name not in worker.taken],
        )  # fmt: skip
        large = len(self._program.code) > LARGE
        script = await anyio.to_thread.run_sync(prepared) if large else prepared()
        names = worker.world.names(self._program.servers, worker.taken | script.bound)
        worker.taken |= script.bound
        worker.coroutines = (worker.coroutines - script.bound) | script.coroutines
        value = await self._feed(script, names)
        try:
            return {"value": to_json(value, self._limits.value)}
        except NotJsonError:
            pass
        except TooBigError:
            self._note(f"value={self._limits.value} bytes")
        return {"value_repr": await self._repr(value)}

    async def _repr(self, value: object) -> str:
        """As the program itself would see it: asked of the session, where parts may be shared without end."""
        from pydantic_monty import MontyCrashedError, MontyError

        try:
            shown = await self._feed(Script("repr(_)"), {})
        except MontyCrashedError:
            raise
        except MontyError as error:
            return f"<{type_name(value)} whose repr fails: {explain.type_of(error)}>"
        limit = self._limits.value_repr
        text = shown if isinstance(shown, str) else f"<{type_name(value)}>"
        return text if len(text) <= limit else text[: limit - 1] + "…"

    async def _feed(self, script: Script, names: Mapping[str, Any]) -> Any:
        from pydantic_monty import (
            AsyncFunctionSnapshot,
            AsyncFutureSnapshot,
            AsyncNameLookupSnapshot,
            MontyRuntimeError,
            MontySyntaxError,
        )

        self._worker.fed(script)
        monty = self._worker.monty
        try:
            snapshot = await self._turn(
                # What is empty, or does not parse at all, Monty does not count: the next feed would have its name.
                monty.feed_start(
                    script.text if script.text.strip() else "None", inputs=dict(names), print_callback=self._print
                )
            )
        except MontySyntaxError:
            probe = await self._turn(monty.feed_start("_toolweft_probe"))
            self._worker.counted(probe.position.filename)
            with suppress(MontyRuntimeError):
                await self._turn(probe.resume())
            raise
        while True:
            if isinstance(snapshot, AsyncFunctionSnapshot):
                snapshot = await self._turn(await self._function(snapshot))
            elif isinstance(snapshot, AsyncNameLookupSnapshot):
                snapshot = await self._turn(self._lookup(snapshot))
            elif isinstance(snapshot, AsyncFutureSnapshot):
                snapshot = await self._turn(await self._late(snapshot))
            else:
                return snapshot.output

    async def _turn(self, turn: Awaitable[Any]) -> Any:
        task = asyncio.ensure_future(turn)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._worker.kill()
            with anyio.CancelScope(shield=True), suppress(Exception):
                await asyncio.wait({task}, timeout=TURN_GRACE)
                task.exception()
            raise

    def _lookup(self, snapshot: AsyncNameLookupSnapshot) -> Awaitable[Any]:
        world, identity = self._worker.world, snapshot.object_id
        owner = world.objects.get(identity) if identity else None
        value = world.attribute(owner, snapshot.variable_name) if owner else None
        return snapshot.resume() if value is None else snapshot.resume(value=value)

    async def _function(self, snapshot: AsyncFunctionSnapshot) -> Awaitable[Any]:
        """Answers a call, or notes it down for later."""
        name = str(snapshot.function_name)
        if snapshot.is_os_function:
            return await self._system(snapshot, name)
        world, identity = self._worker.world, snapshot.object_id
        owner = world.objects.get(identity) if identity else None
        if (isinstance(owner, Server) and not name.startswith("_")) or "." in name:
            full = f"{owner.server}.{name}" if isinstance(owner, Server) else name
            return await self._tool(snapshot, full)
        if isinstance(owner, Functions) and name == "save":
            answer = await self._answers.save(*snapshot.args[:1])
        elif isinstance(owner, Picture):
            answer = {"return_value": owner.data} if name == "read" else raised("PermissionError", explain.FILES)
        elif identity == world.blob.id and name == "__call__":
            answer = self._answers.blob(*snapshot.args)
        elif identity is not None:
            answer = raised("AttributeError", f"`{name}` is nothing that this object does")
        else:
            answer = await self._named(snapshot, name)
        return snapshot.resume(answer)  # type: ignore[arg-type]

    async def _named(self, snapshot: AsyncFunctionSnapshot, name: str) -> Answer:
        """A call of a name that is nowhere in the session."""
        args = snapshot.args
        match name:
            case "help":
                self._print("stdout", await self._answers.help(*args[:1]))
                return {"return_value": None}
            case "exit" | "quit":
                return raised("SystemExit", "" if args[:1] in {(), (None,), (0,)} else str(args[0])[:200])
            case "_toolweft_refusal" if len(args) == 2:
                return self._answers.refusal(*args)
            case "_toolweft_source" if len(args) == 2:
                return await self._answers.source(*args, load=self._worker.saved)
        return raised("NameError", f"name '{name}' is not defined")

    async def _system(self, snapshot: AsyncFunctionSnapshot, name: str) -> Awaitable[Any]:
        """What Monty would ask of an operating system: there is none, but there is time."""
        match name, snapshot.args:
            case "import", ("tools",):
                return snapshot.resume({"return_value": self._worker.world.tools})
            case "import", ("functions",):
                return snapshot.resume({"return_value": self._worker.world.functions})
            case "system.sleep", (float() | int() as wait, *_):
                await anyio.sleep(max(0.0, min(float(wait), self._limits.total)))
                return snapshot.resume({"return_value": None})
            case "system.async_sleep", (float() | int() as wait, *_):
                self._start(self._sleep, snapshot.call_id, max(0.0, min(float(wait), self._limits.total)))
                return snapshot.resume({"future": ...})
        return snapshot.resume_not_handled()

    async def _sleep(self, call: int, wait: float) -> None:
        await anyio.sleep(wait)
        self._settle(call, {"return_value": None})

    async def _late(self, snapshot: AsyncFutureSnapshot) -> Awaitable[Any]:
        """Waits for one at least of the answers that the program waits for."""
        pending = snapshot.pending_call_ids
        while not any(call in self._settled for call in pending):
            self._news = anyio.Event()
            await self._news.wait()
        ready = {call: self._settled.pop(call) for call in pending if call in self._settled}
        return snapshot.resume(ready)  # type: ignore[arg-type]

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        assert self._tasks is not None
        self._tasks.start_soon(work, *args)

    def _settle(self, call: int, answer: Answer) -> None:
        self._settled[call] = answer
        self._news.set()

    async def _tool(self, snapshot: AsyncFunctionSnapshot, name: str) -> Awaitable[Any]:
        self._answers.calls += 1
        if self._answers.calls > 2 * self._limits.calls:
            self._note(f"calls={self._limits.calls}")
            self._end("limit", f"more than {2 * self._limits.calls} calls in one run")
            await anyio.sleep_forever()  # until the cancellation arrives
        refused, sent = self._answers.sendable(name, snapshot.args, snapshot.kwargs)
        where = snapshot.position
        script = self._worker.scripts.get(where.filename)
        if script is None or script.waits(where.start, where.end):
            return snapshot.resume(refused or await self._answers.call(name, *sent))  # type: ignore[arg-type]
        if refused:
            self._settle(snapshot.call_id, refused)
        else:
            await self._slots.acquire()
            self._start(self._call_later, snapshot.call_id, name, sent)
        return snapshot.resume({"future": ...})

    async def _call_later(self, call: int, name: str, sent: Any) -> None:
        try:
            self._settle(call, await self._answers.call(name, *sent))
        finally:
            self._slots.release()

    def _print(self, stream: str, text: str) -> None:
        """Called by Monty, from whichever thread it likes."""
        cap = self._limits.stdout
        kept = max(0, cap - self._count[stream])
        self._count[stream] += len(text.encode("utf-8", "replace"))
        if kept:
            self._printed[stream].append(text.encode("utf-8", "replace")[:kept].decode("utf-8", "replace"))
        if self._count[stream] > FLOOD * cap and self._verdict is None:
            self._verdict = ("limit", f"the program wrote more than {size(FLOOD * cap)} to {stream}")
            self._worker.kill()

    async def _watch_clock(self) -> None:
        while (over := self._clock.over()) is None:  # noqa: ASYNC110  (time itself is what is waited for)
            await anyio.sleep(self._clock.next_look())
        self._note(over.text)
        self._end("timeout", over.reason)

    def _note(self, text: str) -> None:
        if text not in self._hit:
            self._hit.append(text)

    def _failed(self, error: Any, file: str) -> dict[str, Any]:
        """What `Outcome` says of a program that ended with an exception."""
        kind, message = explain.type_of(error), explain.message_of(error)[:200]
        if kind == "SystemExit" and not message:
            return {}
        if kind == "TimeoutError" and "time limit exceeded" in message:
            cpu = self._limits.cpu
            self._note(f"cpu={seconds(cpu)}")
            self._verdict = self._verdict or ("timeout", f"the program used more than {seconds(cpu)} of processor time")
        elif kind == "MemoryError":
            self._note(f"memory={size(memory(self._limits))}")
        return {"error": explain.told(error, file, self._program.code, self._limits.error)}

    def _outcome(self, ended: dict[str, Any]) -> Outcome:
        error: Error | None = ended.pop("error", None)
        status: OutcomeStatus = "error" if error else "ok"
        reset = None if self._worker.attached else "Monty's worker was ended at its memory limit"
        if self._verdict is not None:
            status, reset = self._verdict
            kind = {"timeout": "TimeoutError", "limit": "LimitExceeded"}.get(status, "Crash")
            error = (error or Error(type="", message="")).model_copy(update={"type": kind, "message": reset})
            ended = {}
        for name, count in self._count.items():
            if count > self._limits.stdout:
                self._note(f"{name}={size(self._limits.stdout)}")
        return Outcome(
            status, error=error, stdout="".join(self._printed["stdout"]), stderr="".join(self._printed["stderr"]),
            kept=reset is None, reset_reason=reset, limits=tuple(self._hit), seconds=round(self._clock.active(), 6),
            **ended,
        )  # fmt: skip


def memory(limits: Limits) -> int:
    """What a session may hold: a value, an argument or an error may be all of it, and then crosses to us at once."""
    return min(limits.memory, 64 * MIB)
