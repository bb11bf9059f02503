"""What a program in Monty asks for, answered by its host.

An answer is what Monty takes: `{"return_value": …}`, or `{"exc_type": …, "message": …}` to raise. Requests are
hostile; an answer to one is data, never an exception.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from toolweft_catalog.call import Blob, Failure, Result
from toolweft_server.sandbox.base import Host, SavedSource
from toolweft_server.sandbox.clock import Clock
from toolweft_server.sandbox.limits import Limits
from toolweft_server.sandbox.monty.prelude import TOOL_ERROR
from toolweft_server.sandbox.monty.script import Script, prepare
from toolweft_server.sandbox.monty.values import NotJsonError, TooBigError, measure, to_json, to_session
from toolweft_server.sandbox.monty.world import World
from toolweft_server.sandbox.texts import size

Answer: TypeAlias = dict[str, Any]

_SAVED = re.compile(r"<function '(\w+)'")
_logger = logging.getLogger(__name__)


class Answers:
    """Of one run."""

    def __init__(self, host: Host, world: World, limits: Limits, clock: Clock, note: Callable[[str], None]) -> None:
        self._host, self._world, self._limits, self._clock, self._note = host, world, limits, clock, note
        self._refused: dict[str, tuple[str, str]] = {}
        self._sources: dict[tuple[str, int | None], SavedSource | str] = {}
        self.calls = 0

    def sendable(self, tool: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Answer | None, Any]:
        """The refusal of arguments that cannot be sent, else `[args, kwargs]` as JSON."""
        limit = self._limits.arguments
        try:
            sent = to_json([list(args), dict(kwargs)], limit)
            json.dumps(sent)
        except NotJsonError as error:
            return self._refuse(tool, "arguments", f"{tool}: an argument cannot be sent: {error}"), None
        except TooBigError:
            text = f"{tool}: arguments of more than {limit} characters, {limit} are allowed (limit `arguments`)"
            return self._refuse(tool, "limit", text), None
        except TypeError:  # a `Blob` is what json does not know
            text = (
                f"{tool}: an argument cannot be sent: a Blob is not JSON; tools take base64 text "
                "(base64.b64encode(blob.read()).decode())"
            )
            return self._refuse(tool, "arguments", text), None
        return None, sent

    async def call(self, tool: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Answer:
        if self.calls > self._limits.calls:
            self._note(f"calls={self._limits.calls}")
            return self._refuse(tool, "limit", f"more than {self._limits.calls} calls in one run (limit `calls`)")
        result = await self._asked(lambda: self._host.call(tool, args, kwargs))
        if not isinstance(result, Result):
            return self._refuse(tool, result.kind, result.message)
        if result.failure is not None:
            return self._refuse(tool, result.failure.kind, result.failure.message)
        count, allowed = measure(result.value), size(self._limits.result)
        if count > self._limits.result:
            self._note(f"result={allowed}")
            text = f"the result has {size(count)}, {allowed} are allowed: ask for less (limit `result`)"
            return self._refuse(tool, "limit", text)
        try:
            return {"return_value": to_session(result.value, self._world.picture)}
        except MemoryError as error:
            return self._refuse(tool, "limit", str(error))

    async def _asked(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What the host answers; a defect behind it costs this request, not the run. Its time is not the program's."""
        self._clock.pause()
        try:
            return await ask()
        except Exception as error:
            _logger.exception("a request of a program failed inside toolweft")
            text = f"toolweft failed while it served this request ({type(error).__name__}); its log says more"
            return Failure("unavailable", text)
        finally:
            self._clock.resume()

    def _refuse(self, tool: str, kind: str, message: str) -> Answer:
        text = message[: self._limits.error]
        self._refused[text] = (tool, kind)
        return raised(TOOL_ERROR, text)

    def refusal(self, message: object, attribute: object) -> Answer:
        """What is known of a `ToolError` beside its text."""
        tool, kind = self._refused.get(str(message), ("", "tool"))
        return {"return_value": {"kind": kind, "tool": tool}.get(str(attribute), str(message))}

    async def help(self, thing: object = None) -> str:
        """What `help` prints."""
        if not isinstance(thing, str) or "." not in thing:
            return "`help` knows tools here, no more.\n"
        text = await self._asked(lambda: self._host.describe(thing))
        return (text if isinstance(text, str) else f"No tool is called {thing!r}.") + "\n"

    async def save(self, function: object = None) -> Answer:
        found = _SAVED.match(str(function))
        if not found:
            return raised("TypeError", "functions.save takes a function of this program")
        said = await self._asked(lambda: self._host.save(found[1]))
        if isinstance(said, Failure):
            return self._refuse("functions.save", said.kind, said.message)
        return {"return_value": said}

    async def source(self, name: object, version: object, load: Callable[[Script], None]) -> Answer:
        """The source of a saved function, made ready; fetched once a run."""
        key = str(name), version if isinstance(version, int) else None
        if key not in self._sources:
            found = await self._asked(lambda: self._host.function(*key))
            self._sources[key] = found.message if isinstance(found, Failure) else found
        source = self._sources[key]
        if isinstance(source, str):
            return self._refuse(f"functions.{key[0]}", "unknown_tool", source)
        script = prepare(source.source, last=False, pins=source.pins)
        load(script)
        return {"return_value": script.text}

    def blob(self, mime: object = None, data: object = None, *_: object) -> Answer:
        if not isinstance(mime, str) or not isinstance(data, bytes):
            return raised("TypeError", "Blob takes a type and bytes: Blob('image/png', data)")
        try:
            return {"return_value": self._world.picture(Blob(mime, data))}
        except MemoryError as error:
            return raised("MemoryError", str(error))


def raised(kind: str, message: str) -> Answer:
    return {"exc_type": kind, "message": message}
