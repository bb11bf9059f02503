"""What programs see of the world outside: `tools`, `functions`, `parallel`, `ToolError`, `Blob`.

A call in plain code waits and returns the value. A call in the body of an `async def` (or at the top level of a
program that awaits) returns a coroutine, as people expect there: `await github.get_issue(number=1)`, or several in
`asyncio.gather`. Which of the two is decided by the code that makes the call, so a plain helper called from async
code still gets its value. Arguments are sent as they are: the server knows the parameters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CoroutineType, FrameType, ModuleType
from typing import Any

from .channel import Channel, Reply
from .values import Blob, encode, pack, unpack

USER = "<program"
SAVED = "<function"
"""How the file names of a program's code and of saved functions begin, in tracebacks."""

MAX_NAME = 300
_ASYNC = 0x80 | 0x200  # CO_COROUTINE | CO_ASYNC_GENERATOR
_TRANSPARENT = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
_loop_of_thread: Callable[[], Any] = lambda: None  # noqa: E731  (replaced by asyncio's own once that is imported)


class ToolError(Exception):
    """A tool did not give a value. `str(error)` is what it said; `kind` tells who refused."""

    def __init__(self, message: str, tool: str = "", kind: str = "tool") -> None:
        super().__init__(message)
        self.message, self.tool, self.kind = message, tool, kind

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.tool, self.kind)


ToolError.__module__ = "tools"
Blob.__module__ = "tools"


class Bridge:
    """Asks the server on behalf of a program, in threads and in event loops."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.arguments = 1 << 20
        self.hit: set[str] = set()
        """Limits that a run has hit here."""
        self.declared: dict[str, frozenset[str]] = {}
        """Tools that saved functions may call, by the file name of their code."""

    def call(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Calls a tool: the value, or a coroutine of it where the caller's code is async."""
        _check(name)
        caller = sys._getframe(2)  # noqa: SLF001  (the one way to see who calls)
        if self.declared and (file := _file(caller)) in self.declared and name not in self.declared[file]:
            # Not made: the server is told instead, and its refusal is the answer.
            name, args, kwargs = f"functions.{file[len(SAVED) + 1 : -1]}", [name], {}
        text = self._request(name, args, kwargs)
        if _in_async_code(caller):
            coroutine: Any = self._later(text, name)
            coroutine.__name__ = coroutine.__qualname__ = name  # for "… was never awaited"
            return coroutine
        return _value(self._channel.request(text), name)

    def ask(self, kind: str, subject: str, /, **fields: Any) -> Any:
        """One of the other requests, about `subject`; always waits."""
        _check(subject)
        return _value(self._channel.request(encode({"kind": kind, **fields})), subject)

    async def _later(self, text: str, name: str) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()

        def arrive(reply: Reply) -> None:
            if not future.done():
                future.set_result(reply)

        def deliver(reply: Reply) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(arrive, reply)

        c = self._channel.post(text, deliver)
        try:
            return _value(await future, name)
        finally:
            self._channel.forget(c)

    def _request(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
        try:
            text, blobs = pack({"kind": "call", "f": name, "a": list(args), "k": kwargs})
        except (TypeError, ValueError) as error:
            raise ToolError(f"{name}: an argument cannot be sent: {error}", name, "arguments") from None
        if blobs:
            raise ToolError(
                f"{name}: an argument cannot be sent: a Blob is not JSON; tools take base64 text "
                "(base64.b64encode(blob.read()).decode())", name, "arguments",
            )  # fmt: skip
        if len(text) > self.arguments:
            self.hit.add(f"arguments={self.arguments} characters")
            raise ToolError(f"{name}: arguments of {len(text)} characters, {self.arguments} are allowed", name, "limit")
        return text


def _check(name: str) -> None:
    """The server takes a longer name for an attack and would end the program."""
    if len(name) > MAX_NAME:
        raise ToolError(f"a name of {len(name)} characters, {MAX_NAME} are allowed", name[:40], "arguments")


def _value(reply: Reply, name: str) -> Any:
    if reply["ok"]:
        return unpack(reply.get("v"), reply.get("b") or [])
    failure = reply["e"]
    raise ToolError(failure["message"], name, failure["kind"])


def _in_async_code(frame: FrameType | None) -> bool:
    """Whether the nearest line of the program itself stands in async code that a loop runs in this thread."""
    global _loop_of_thread
    if "asyncio" not in sys.modules:
        return False
    if _loop_of_thread.__name__ == "<lambda>":
        from asyncio import _get_running_loop as found

        _loop_of_thread = found
    if _loop_of_thread() is None:
        return False
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith((USER, SAVED)) and code.co_name not in _TRANSPARENT:
            return bool(code.co_flags & _ASYNC)
        frame = frame.f_back
    return False


def _file(frame: FrameType | None) -> str:
    """The file name of the nearest code that is the program's or a saved function's."""
    while frame is not None and not frame.f_code.co_filename.startswith((USER, SAVED)):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


class Tool:
    """A tool as a function. `help(it)` shows its parameters and what it does."""

    def __init__(self, bridge: Bridge, name: str) -> None:
        self._bridge, self.__name__ = bridge, name.rpartition(".")[2]
        self.__qualname__ = self._name = name
        self.__module__ = "tools." + name.partition(".")[0]

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._bridge.call(self._name, args, kwargs)

    def __repr__(self) -> str:
        return f"<tool {self._name}>"


class Server(ModuleType):
    """The tools of one server: a module, so that it can be imported from. Any name is a tool until it is called."""

    _bridge: Bridge
    _server: str

    def __init__(self, bridge: Bridge, name: str) -> None:
        super().__init__("tools." + name, f"The tools of {name}.")
        self.__dict__["_bridge"], self.__dict__["_server"] = bridge, name
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Tool:
        if name.startswith("__"):
            raise AttributeError(name)
        tool = self.__dict__[name] = Tool(self._bridge, f"{self._server}.{name}")
        return tool

    def __repr__(self) -> str:
        return f"<tools of {self._server}>"


class Tools(ModuleType):
    """The module `tools`: one attribute a server."""

    _bridge: Bridge

    def __init__(self, bridge: Bridge) -> None:
        super().__init__("tools", "The tools of every connected server: tools.SERVER.TOOL(…).")
        self.__dict__["_bridge"] = bridge
        self.__path__: list[str] = []
        self.ToolError, self.Blob = ToolError, Blob
        self.__all__: list[str] = []

    def __getattr__(self, name: str) -> Server:
        if name.startswith("__"):
            raise AttributeError(name)
        server = self.__dict__[name] = Server(self._bridge, name)
        sys.modules["tools." + name] = server
        return server

    def __dir__(self) -> list[str]:
        return [*self.__all__, "Blob", "ToolError", "parallel"]


class Finder(MetaPathFinder, Loader):
    """Makes `from tools.github import create_issue` work for servers that nothing has touched yet."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        package, _, server = name.partition(".")
        if package == "tools" and server.isidentifier():
            return ModuleSpec(name, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return getattr(self._tools, spec.name.partition(".")[2])  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        pass


class Functions(ModuleType):
    """The module `functions`: saved functions by name. A source is fetched once a run and runs in its own module."""

    _bridge: Bridge
    _prepare: Callable[[dict[str, Any]], None]
    _cache: dict[tuple[str, int | None], Any]

    def __init__(self, bridge: Bridge, prepare: Callable[[dict[str, Any]], None]) -> None:
        super().__init__("functions", "Saved functions: functions.NAME(…), functions.version(NAME, 3), save(fn).")
        self.__dict__.update(_bridge=bridge, _prepare=prepare, _cache={})
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.version(name, None)

    def version(self, name: str, version: int | None) -> Any:
        """A saved function in one version; the newest for `None`."""
        if not isinstance(name, str) or not (version is None or type(version) is int):
            raise TypeError(f"functions.version takes a name and a number, not {name!r:.80} and {version!r:.80}")
        key = (name, version)
        if key not in self._cache:
            found = self._bridge.ask("function", f"functions.{name}", name=name, version=version)
            self._cache[key] = self._load(**found)
        return self._cache[key]

    def save(self, function: Any) -> Any:
        """Marks a function of this program for saving; says what will become of it."""
        name = function if isinstance(function, str) else getattr(function, "__name__", None)
        if not isinstance(name, str):
            raise TypeError(f"functions.save takes a function, not {type(function).__name__}")
        return self._bridge.ask("save", f"functions.{name}", name=name)

    def _load(self, name: str, version: int, source: str, pins: dict[str, int], tools: list[str] | None) -> Any:
        from .program import remember

        file = f"{SAVED} {name}@{version}>"
        self._bridge.declared.pop(file, None)
        if tools is not None:
            self._bridge.declared[file] = frozenset(tools)
        module = ModuleType(f"functions.{name}")
        module.__file__ = file
        sys.modules[module.__name__] = module
        self._prepare(module.__dict__)
        remember(file, source)
        own = module.__dict__["functions"] = Pinned(self, pins)
        # `from functions import x` in the source looks here, and must find the pinned version too.
        outer, sys.modules["functions"] = sys.modules["functions"], own
        try:
            exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  (its purpose)
        finally:
            sys.modules["functions"] = outer
        return module.__dict__[name]


class Pinned(ModuleType):
    """`functions` as a saved function sees it: those that it uses, in the versions it was saved against."""

    _functions: Functions
    _pins: dict[str, int]

    def __init__(self, functions: Functions, pins: dict[str, int]) -> None:
        super().__init__("functions", functions.__doc__)
        self.__dict__.update(_functions=functions, _pins=pins, version=functions.version, save=functions.save)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._functions.version(name, self._pins.get(name))


def is_async_value(value: Any) -> bool:
    return isinstance(value, CoroutineType)


def describe(thing: Any) -> str | None:
    """The name to ask the server about when `thing` is a tool or a server of ours."""
    if isinstance(thing, Tool):
        return thing._name  # noqa: SLF001  (same module)
    return thing._server if isinstance(thing, Server) else None  # noqa: SLF001  (same module)
