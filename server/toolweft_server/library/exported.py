"""Does the function still answer its recorded calls alike? `pytest` in this folder says so; nothing else is needed.

Tools answer from `recorded.json`, so nothing is called for real. Of what the function answered only the digest is kept.
A function that uses others needs their folders beside its own. `toolweft functions export` writes this file; it is the
same for every function.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import inspect
import json
import sys
import unittest
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
_TRANSPARENT = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
"""Code that belongs to the function around it."""


def test_the_function_answers_its_recorded_calls_alike() -> None:
    held = json.loads((HERE / "recorded.json").read_text(encoding="utf-8"))
    for example in held["examples"]:
        # The same call of a tool may be on record with several answers: the first is tried, then the last.
        answers = [_answered(HERE, held, example["arguments"], latest=latest) for latest in (False, True)]
        told = f"{held['name']}(**{example['arguments']}) answers otherwise than recorded: {answers[0]!r}"
        assert example["digest"] in map(_digest, answers), told


def _answered(folder: Path, held: Mapping[str, Any], arguments: Mapping[str, Any], *, latest: bool) -> Any:
    """What the function answers, loaded anew among tools that answer from the record."""
    world = _World(folder, held, latest=latest)
    before = {name: sys.modules.get(name) for name in world.modules}
    sys.modules.update(world.modules)
    try:
        answer = world.load(folder, held["name"])(**arguments)
        return asyncio.run(answer) if inspect.iscoroutine(answer) else answer
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class _World:
    """What a program of toolweft has besides Python: tools, saved functions, `parallel`, `ToolError`."""

    def __init__(self, folder: Path, held: Mapping[str, Any], *, latest: bool) -> None:
        self._beside, self._held, self._latest = folder.parent, held, latest
        self._made = Counter[str]()
        tools, functions = ModuleType("tools"), ModuleType("functions")
        self.modules = {"tools": tools, "functions": functions}
        for tool, parameters in held["tools"].items():
            server, name = tool.split(".", 1)
            if server not in vars(tools):
                self.modules[f"tools.{server}"] = ModuleType(f"tools.{server}")
                setattr(tools, server, self.modules[f"tools.{server}"])
            setattr(getattr(tools, server), name, self._tool(tool, parameters))
        vars(tools).update(ToolError=_ToolError, parallel=_parallel)
        vars(functions).update(__getattr__=self._function, version=lambda name, _number: self._function(name))

    def load(self, folder: Path, name: str) -> Any:
        tools = self.modules["tools"]
        names = {each: getattr(tools, each) for each in vars(tools) if not each.startswith("__")}
        names |= {"tools": tools, "functions": self.modules["functions"], "__name__": name}
        text = (folder / "functions.py").read_text(encoding="utf-8")
        exec(compile(text, str(folder / "functions.py"), "exec"), names)  # noqa: S102 - this folder's own function
        return names[name]

    def _function(self, name: str) -> Any:
        folder = self._held["functions"].get(name)
        if folder is None:
            raise AttributeError(name)
        if not (self._beside / folder / "functions.py").exists():
            raise unittest.SkipTest(f"functions.{name} is not beside this folder: export it, too")
        return self.load(self._beside / folder, name)

    def _tool(self, tool: str, parameters: Iterable[tuple[str, str]]) -> Callable[..., Any]:
        pairs = list(parameters)  # (Python name, the tool's own)
        own = dict(pairs)

        def call(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip((original for _, original in pairs), args, strict=False))
            given |= {own.get(key, key): value for key, value in kwargs.items()}
            result = self._result(tool, given)
            frame = sys._getframe(1)  # noqa: SLF001 - the one way to see whether async code calls
            while frame.f_code.co_name in _TRANSPARENT and frame.f_back is not None:
                frame = frame.f_back
            return _later(result) if frame.f_code.co_flags & inspect.CO_COROUTINE else result

        return call

    def _result(self, tool: str, given: Mapping[str, Any]) -> Any:
        """The recorded answer; the n-th one for the n-th call of the same."""
        for wanted in (given, {key: value for key, value in given.items() if value is not None}):
            found = [each for each in self._held["calls"] if (each["tool"], each["arguments"]) == (tool, wanted)]
            if found:
                key = f"{tool} {_digest(wanted)}"
                self._made[key] += 1
                number = len(found) if self._latest else min(self._made[key], len(found))
                return copy.deepcopy(found[number - 1]["result"])
        raise AssertionError(f"{tool} was not called with {given} when this was recorded")


class _ToolError(Exception):
    def __init__(self, message: str, tool: str = "", kind: str = "tool") -> None:
        super().__init__(message)
        self.message, self.tool, self.kind = message, tool, kind


def _parallel(function: Callable[[Any], Any], items: Iterable[Any], *, limit: int = 8, errors: str = "raise") -> Any:  # noqa: ARG001
    results: list[Any] = []
    for item in items:
        try:
            result = function(item)
            results.append(asyncio.run(result) if inspect.iscoroutine(result) else result)
        except Exception as error:
            if errors == "raise":
                raise
            results.append(error)
    return results


async def _later(result: Any) -> Any:
    return result


def _digest(value: Any) -> str:
    try:
        text = json.dumps(json.loads(json.dumps(value)), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps({"type": type(value).__name__}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
