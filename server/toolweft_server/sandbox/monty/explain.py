"""A program's error in Monty, told as every backend tells it, and what to do where Python would have gone on."""

from __future__ import annotations

import builtins
import re
import sys
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING

from toolweft_catalog.wire import Error
from toolweft_server.sandbox.monty.prelude import TOOL_ERROR

if TYPE_CHECKING:
    from pydantic_monty import Frame, MontyError

TIER = "This sandbox runs programs in Monty, which is a part of Python"
REMEDY = (
    "Write it without, or configure a backend that runs all of Python in `sandbox.backend` "
    "(`namespaces`, `bwrap` or `landlock` on Linux, `e2b` anywhere)."
)
FILES = f"{TIER} and has no work directory: no file can be read, written or handed in. {REMEDY}"
MAX_FRAMES = 20

_OWN = re.compile(r"<python-input-0>|<string>")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_IMPORTED = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
_ATTRIBUTE = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'|'([\w.]+)' object has no attribute '(\w+)'")
_TYPE_ATTRIBUTE = re.compile(r"type object '([\w.]+)' has no attribute '(\w+)'")
_TYPES: Mapping[str, type] = {
    "type": type, "function": types.FunctionType, "method": types.MethodType, "module": types.ModuleType,
    "coroutine": types.CoroutineType,
}  # fmt: skip
_NAME = re.compile(r"name '(\w+)' is not defined")


def told(error: MontyError, file: str, source: str, limit: int) -> Error:
    """The error of the program in `file`, its texts cut to `limit`."""
    kind, message = type_of(error), message_of(error)[:limit]
    frames: list[Frame] = getattr(error, "traceback", list)()
    own = [frame for frame in frames if not _OWN.fullmatch(frame.filename)]
    here = [frame.line for frame in own if frame.filename == file]
    lines = source.split("\n")
    return Error(
        type=kind, message=message, line=here[-1] if here else None, hint=hint(kind, message[:1000]),
        frames=[_line(frame, lines, file) for frame in own[-MAX_FRAMES:]],
    )  # fmt: skip


def type_of(error: MontyError) -> str:
    inner = type(error.exception())
    name = f"{inner.__module__}.{inner.__qualname__}"
    return "ToolError" if name == TOOL_ERROR else inner.__qualname__


def message_of(error: MontyError) -> str:
    display = getattr(error, "display", None)
    try:
        return str(display("msg")) if display else str(error)
    except TypeError:
        return str(error)


def hint(kind: str, message: str) -> str | None:
    """What is missing and what to do, when Monty is the reason; `None` when Python would have failed too."""
    if kind == "TypeError" and "'coroutine' object" in message:
        return "In async code a tool call gives a coroutine: write `await tools.server.tool(…)`."
    missing = _missing(kind, message)
    if missing == FILES:
        return FILES
    return f"{TIER}: {missing}. {REMEDY}" if missing else None


def _missing(kind: str, message: str) -> str | None:
    match kind:
        case "NotImplementedError" if "synchronous context" in message:
            return (
                "a function given to `map`, `sorted` and the like cannot call tools; a comprehension or `parallel` can"
            )
        case "NotImplementedError" if "monty" in message or "supported" in message or "not yet support" in message:
            what = message.removeprefix("The monty syntax parser does not yet support ")
            return f"it does not have {what}" if what != message else message
        case "ModuleNotFoundError" | "ImportError" | "AttributeError" | "NameError":
            return _name(message)
        case "TypeError" if "'list' object is not an iterator" in message:
            return "a generator expression gives a list there: write `next(iter(…))`"
        case "PermissionError" if "Permission denied" in message:
            return FILES
        case "RuntimeError" if "not supported in this environment" in message:
            return message
        case "RuntimeError" if "Internal error in monty" in message:
            return "it could not do this, for a reason of its own"
        case "SyntaxError" if "too deeply nested" in message:
            return "it does not parse programs nested so deeply"
    return None


def _name(message: str) -> str | None:
    """A module, an attribute or a name that CPython has."""
    if found := _MODULE.search(message):
        name = found[1].partition(".")[0]
        if name in sys.stdlib_module_names:
            return f"it does not have the module `{found[1]}`"
        return f"there is no module `{found[1]}` here, and no package can be installed"
    if found := _IMPORTED.search(message):
        return _module_attribute(found[2], found[1])
    if found := _TYPE_ATTRIBUTE.search(message):
        return _type_attribute(found[1], found[2])
    if found := _ATTRIBUTE.search(message):
        return _module_attribute(found[1], found[2]) if found[1] else _type_attribute(found[3], found[4])
    if (found := _NAME.search(message)) and hasattr(builtins, found[1]):
        return f"it does not have the built-in `{found[1]}`"
    return None


def _module_attribute(module: str, name: str) -> str | None:
    # Nothing is imported for a program's sake: what this process has not loaded gets the benefit of the doubt.
    loaded = sys.modules.get(module)
    known = module.partition(".")[0] in sys.stdlib_module_names
    return f"it does not have `{module}.{name}`" if known and (loaded is None or hasattr(loaded, name)) else None


def _type_attribute(kind: str, name: str) -> str | None:
    module, _, last = kind.rpartition(".")
    owner = _TYPES.get(kind) or getattr(sys.modules.get(module or "builtins"), last, None)
    if isinstance(owner, type) and (hasattr(owner, name) or kind == "function"):
        return f"its `{kind}` does not have `{name}`"
    return None


def _line(frame: Frame, lines: list[str], file: str) -> str:
    where = "" if frame.function_name in {None, "<module>"} else f" in {frame.function_name}"
    # Monty shows the spliced line; the person's own is the one of that number.
    same = frame.filename == file and 0 < frame.line <= len(lines)
    source = lines[frame.line - 1] if same else (frame.source_line or "").partition("\n")[0]
    return f"line {frame.line}{where}: {source.strip()[:200]}"
