"""A Python module of the person's as an upstream: its functions run in this process.

The module is imported on first use, in a thread. Plain functions run in threads of their own, so that one that never
returns keeps neither the server nor its exit waiting; `async` ones run on the event loop. Not a sandbox: the module
is as trusted as the configuration that names it. How a function becomes a tool is `ingest.python`'s business.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

import anyio

from toolweft_catalog.call import Call, Result, Value, failed
from toolweft_catalog.ingest import python as ingest
from toolweft_catalog.tool import digest
from toolweft_server.errors import UpstreamError
from toolweft_server.upstream import python_values
from toolweft_server.upstream.base import Manifest

CONCURRENCY = 8
"""Plain functions of one module that run at the same time."""

IMPORT_LIMIT = 120.0
"""Seconds for the import: numerical libraries need many on a cold disk."""

T = TypeVar("T")


class _Outcome(Generic[T]):
    """What a function did in its thread. An exception is kept: not every kind can travel through a future."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.value: T | None = None
        self.error: BaseException | None = None
        try:
            self.value = work()
        except BaseException as error:  # noqa: BLE001 - `SystemExit` in a tool must not end the server
            self.error = error


class PythonUpstream:
    """Satisfies `Upstream`. `module` is a dotted name, or the path of a `.py` file."""

    def __init__(self, name: str, *, module: str, timeout: float = 60.0) -> None:
        self.name = name
        self.on_change: Callable[[], None] | None = None
        self._module = module
        self._timeout = timeout
        self._found: dict[str, ingest.Found] | None = None
        self._manifest: Manifest | None = None
        self._loading = anyio.Lock()
        """Protects `_found` and `_manifest`: the module is imported once, whoever asks first."""
        self._limiter = anyio.CapacityLimiter(CONCURRENCY)

    async def manifest(self) -> Manifest:
        await self._functions()
        assert self._manifest is not None
        return self._manifest

    async def __call__(self, call: Call) -> Result:
        limit = self._timeout if call.timeout is None else call.timeout
        try:
            found = (await self._functions()).get(call.tool.name)
        except UpstreamError as error:
            return failed("unavailable", str(error), sent=False)
        if found is None:
            return failed("unknown_tool", f"{self._module} has no function {call.tool.name!r} any more", sent=False)
        try:
            bound = found.bind(call.arguments)
        except ValueError as error:
            return failed("arguments", python_values.complaint(error), sent=False)
        with anyio.move_on_after(limit):
            return await self._run(found, bound)
        return failed("timeout", f"{call.tool.id} gave no answer within {limit:g} s")

    async def aclose(self) -> None:
        self._found = self._manifest = None

    async def _functions(self) -> dict[str, ingest.Found]:
        async with self._loading:
            if self._found is None:
                try:
                    with anyio.fail_after(IMPORT_LIMIT):
                        outcome = await _in_thread(self._load)
                except TimeoutError:
                    raise self._error("hangs", f"importing {self._module!r} took over {IMPORT_LIMIT:g} s") from None
                if outcome.error is not None:
                    raise self._import_error(outcome.error) from outcome.error
                assert outcome.value is not None
                self._manifest, self._found = outcome.value
            return self._found

    def _load(self) -> tuple[Manifest, dict[str, ingest.Found]]:
        module = _import(self._module)
        ingested = ingest.tools(module, server=self.name)
        found = {each.name: each for each in ingest.functions(module, [])}
        return Manifest(ingested.tools, ingested.problems, protocol="python"), found

    def _import_error(self, error: BaseException) -> UpstreamError:
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            missing = error.name
            if self._module == missing or self._module.startswith(f"{missing}."):
                fix = "Install it into the environment that runs toolweft, or give the path of its .py file."
                return self._error("import", f"there is no module {missing!r} for Python at {sys.prefix}.", fix)
            fix = f"Install {missing!r} into the environment that runs toolweft ({sys.prefix})."
            return self._error("import", f"the module {self._module!r} needs {missing!r}, which is missing.", fix)
        said = f"importing {self._module!r} raised {type(error).__name__}: {str(error)[:500]}."
        alone = self._module if self._module.endswith(".py") else f"-c 'import {self._module}'"
        return self._error("import", said, f"Try it alone: {sys.executable} {alone}")

    def _error(self, cause: str, message: str, fix: str = "") -> UpstreamError:
        return UpstreamError(self.name, cause, message, fix=fix)

    async def _run(self, found: ingest.Found, bound: ingest.Bound) -> Result:
        work = partial(found.function, *bound.positional, **bound.named)
        if inspect.iscoroutinefunction(found.function):
            return await self._awaited(work)
        async with self._limiter:
            outcome = await _in_thread(partial(_finished, work))
        return _failure(outcome.error) if outcome.error is not None else Result(outcome.value)

    async def _awaited(self, work: Callable[[], Awaitable[object]]) -> Result:
        try:
            return Result(python_values.plain(await work()))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a tool raises is its answer
            return _failure(error)


def _finished(work: Callable[[], object]) -> Value:
    """The result as a JSON value, made in the thread: it may be large, and serialising it may run a tool's code."""
    return python_values.plain(work())


def _failure(error: BaseException) -> Result:
    said = str(error).strip()
    return failed("tool", f"{type(error).__name__}: {said}" if said else type(error).__name__)


async def _in_thread(work: Callable[[], T]) -> _Outcome[T]:
    """Runs `work` in a daemon thread. On cancellation the wait ends and the thread is left behind.

    The event loop's own worker threads are joined at exit, where a tool that hangs would keep the process alive.
    """
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    finished = anyio.Event()
    outcomes: list[_Outcome[T]] = []

    def run() -> None:
        outcomes.append(context.run(_Outcome, work))
        if not loop.is_closed():
            loop.call_soon_threadsafe(finished.set)

    threading.Thread(target=run, name="toolweft-python", daemon=True).start()
    await finished.wait()
    return outcomes[0]


def _import(module: str) -> ModuleType:
    if not module.endswith(".py"):
        return importlib.import_module(module)
    path = Path(module).expanduser().resolve()
    if not path.is_file():
        raise ImportError(f"there is no file {str(path)!r}")
    # A name of its own, so that `text.py` hides nobody's `text`; registered, because dataclasses look it up.
    name = f"_toolweft_{digest(str(path))[:8]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{str(path)!r} cannot be imported")
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    try:
        spec.loader.exec_module(found)
    except BaseException:
        del sys.modules[name]
        raise
    return found
