"""One session's programs: their variables, how a piece of code is run, what its value is."""

from __future__ import annotations

import __future__  # isort: skip
import ast
import builtins
import keyword
import linecache
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from .channel import Channel
from .parallel import parallel
from .tools import USER, Bridge, Finder, Functions, Server, ToolError, Tools, describe, is_async_value
from .values import Blob

if TYPE_CHECKING:
    import asyncio

_FUTURE = 0
for _feature in __future__.all_feature_names:
    _FUTURE |= getattr(__future__, _feature).compiler_flag

RESERVED = frozenset({"tools", "functions", "parallel"})


def remember(file: str, source: str) -> None:
    """Lets tracebacks and `inspect.getsource` find code that is in no file."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)


class Session:
    """Variables that live from run to run, in a `__main__` of their own."""

    def __init__(self, channel: Channel) -> None:
        self.bridge = Bridge(channel)
        self.tools = Tools(self.bridge)
        self.functions = Functions(self.bridge, self._bind)
        self.tools.__dict__["parallel"] = parallel
        self._bound: dict[str, Server] = {}
        self._runs = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future = 0
        main = ModuleType("__main__")
        self.variables = main.__dict__
        self.variables["__builtins__"] = builtins
        sys.modules.update(__main__=main, tools=self.tools, functions=self.functions)
        sys.meta_path.append(Finder(self.tools))
        sys.path.append("")
        vars(builtins).update(help=self._help, exit=sys.exit, quit=sys.exit)

    def prepare(self, servers: Sequence[str]) -> str:
        """Binds the names of a run that is about to start; returns the file name of its code."""
        self._runs += 1
        self.functions.__dict__["_cache"].clear()
        allowed = [name for name in servers if _bindable(name)]
        self.tools.__all__ = [*servers, "ToolError", "Blob", "parallel"]
        for name in set(self._bound) - set(allowed):
            if self.variables.get(name) is self._bound.pop(name):
                del self.variables[name]
        for name in allowed:
            if name not in self.variables:
                self._bound[name] = self.variables[name] = getattr(self.tools, name)
        self._bind(self.variables)
        file = USER + (">" if self._runs == 1 else f" {self._runs}>")
        self.variables["__file__"] = file  # where `inspect` looks for the source of a class
        return file

    def execute(self, code: str, file: str) -> Any:
        """Runs code to its end and returns the value of its last expression; also kept as `_`."""
        remember(file, code)
        body, last = self._compile(code, file)
        self._evaluate(body)
        value = None if last is None else self._evaluate(last)
        if is_async_value(value):
            value = self._run(value)
        if value is not None:
            self.variables["_"] = value
        return value

    def forget(self) -> None:
        """As if the runs so far had not been; they must have left nothing but what every run leaves."""
        self._runs = 0
        self.variables.pop("_", None)

    def _compile(self, code: str, file: str) -> tuple[CodeType, CodeType | None]:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | self._future
        tree = compile(code, file, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        body = compile(tree, file, "exec", flags, dont_inherit=True)
        self._future |= body.co_flags & _FUTURE
        if not isinstance(last, ast.Expr):
            return body, None
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | self._future
        return body, compile(ast.Expression(last.value), file, "eval", flags, dont_inherit=True)

    def _evaluate(self, code: CodeType) -> Any:
        result = eval(code, self.variables)  # noqa: S307  (running the given code is the purpose)
        return self._run(result) if code.co_flags & 0x80 else result

    def _run(self, coroutine: Any) -> Any:
        """Runs a coroutine in the session's loop, which stays, so that tasks go on in the next run that awaits."""
        import asyncio

        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(coroutine)
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            # An interrupt leaves the task alive: it must not go on in the next run.
            task.cancel()
            raise
        finally:
            asyncio.set_event_loop(None)

    def _bind(self, variables: dict[str, Any]) -> None:
        """The names that every program and every saved function may use."""
        variables.update(tools=self.tools, functions=self.functions, parallel=parallel)
        variables["__builtins__"] = builtins
        for name, value in {"ToolError": ToolError, "Blob": Blob, **self._bound}.items():
            variables.setdefault(name, value)

    def _help(self, thing: Any = None) -> None:
        if (name := describe(thing)) is not None:
            text = self.bridge.ask("describe", name, f=name)
            sys.stdout.write((text or f"No tool is called {name!r}.") + "\n")
        else:
            import pydoc

            pydoc.help("keywords" if thing is None else thing)


def _bindable(name: str) -> bool:
    taken = keyword.iskeyword(name) or name in RESERVED or hasattr(builtins, name) or name in sys.stdlib_module_names
    return name.isidentifier() and not taken
