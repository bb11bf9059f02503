"""Exceptions as data: the program's own lines, the values it had there, and nothing of ours."""

from __future__ import annotations

import linecache
import re
import sys
from reprlib import Repr
from traceback import walk_tb
from types import FrameType, FunctionType, ModuleType, TracebackType
from typing import Any, TypeGuard

from .tools import SAVED, USER, Functions, Server, Tool, ToolError

MAX_FRAMES = 20
MAX_CAUSES = 4
MAX_GROUPS = 3
MAX_LOCALS = 20
MAX_LOCAL = 200

_WORD = re.compile(r"[A-Za-z_]\w*")
_SKIPPED = (ModuleType, FunctionType, type, Tool, Server, Functions)

_qualname = type.__dict__["__qualname__"]

_short = Repr()
_short.maxstring = _short.maxother = _short.maxlong = MAX_LOCAL
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 12
_short.maxlevel = 4


def report(error: BaseException, file: str, limit: int) -> dict[str, Any]:
    """What the server is told about an exception that ended the program in `file`. Never raises."""
    try:
        return _syntax(error, limit) if _is_of(error, file) else _raised(error, file, limit)
    except BaseException:  # noqa: BLE001  (a program may have broken anything that is used here)
        return {"type": _kind(error), "message": "", "line": None, "frames": [], "locals": {}, "hint": None}


def _is_of(error: BaseException, file: str) -> TypeGuard[SyntaxError]:
    return isinstance(error, SyntaxError) and error.filename == file


def _raised(error: BaseException, file: str, limit: int) -> dict[str, Any]:
    stack = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _own(frame)]
    here = [line for frame, line in stack if frame.f_code.co_filename == file]
    return {
        "type": _kind(error),
        "message": _message(error)[:limit],
        "line": here[-1] if here else None,
        "frames": _cut([_line(frame, line, file) for frame, line in stack]) + _causes(error, file),
        "locals": _locals(*stack[-1]) if stack else {},
        "hint": _hint(error),
    }


def shown(value: Any, limit: int) -> str:
    """The value's `repr`, cut; a `repr` that fails is named instead."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  (a program's __repr__ may do anything)
        return f"<{_kind(value)} whose repr fails: {_kind(error)}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _own(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith((USER, SAVED))


def _kind(value: Any) -> str:
    """The name of its class, past what a metaclass may say about it."""
    name: str = _qualname.__get__(type(value))
    return name


def _message(error: BaseException, depth: int = 0) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  (a program's __str__ may do anything)
        return "<an exception whose str fails>"
    if isinstance(error, BaseExceptionGroup) and depth < MAX_GROUPS:
        inner = error.exceptions[:MAX_CAUSES]
        text += "".join(f"; {_kind(each)}: {_message(each, depth + 1)}" for each in inner)
    return text


def _line(frame: FrameType, line: int, file: str) -> str:
    code = frame.f_code
    where = "" if code.co_name == "<module>" else f" in {code.co_name}"
    source = linecache.getline(code.co_filename, line).strip()[:200]
    origin = "" if code.co_filename == file else f" of {code.co_filename[1:-1]}"
    return f"line {line}{origin}{where}: {source}"


def _cut(lines: list[str]) -> list[str]:
    if len(lines) <= MAX_FRAMES:
        return lines
    half = MAX_FRAMES // 2
    return [*lines[:half], f"… {len(lines) - 2 * half} more …", *lines[-half:]]


def _causes(error: BaseException, file: str) -> list[str]:
    lines: list[str] = []
    cause = _cause(error)
    while cause is not None and len(lines) < MAX_CAUSES:
        stack = [(frame, line) for frame, line in walk_tb(cause.__traceback__) if _own(frame)]
        place = f" ({_line(*stack[-1], file)})" if stack else ""
        lines.append(f"caused by {_kind(cause)}: {_message(cause)[:500]}{place}")
        cause = _cause(cause)
    return lines


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _locals(frame: FrameType, line: int) -> dict[str, str]:
    """The failing frame's values, those named on the failing line first."""
    values = {
        name: value
        for name, value in frame.f_locals.items()
        if not name.startswith(("__", ".")) and not isinstance(value, _SKIPPED) and name not in {"_", "ToolError"}
    }
    mentioned = _WORD.findall(linecache.getline(frame.f_code.co_filename, line))
    order = [*(name for name in dict.fromkeys(mentioned) if name in values), *reversed(values)]
    return {name: _value(values[name]) for name in list(dict.fromkeys(order))[:MAX_LOCALS]}


def _value(value: Any) -> str:
    if isinstance(value, BaseExceptionGroup):  # its `repr` grows without end where groups hold groups
        return f"{_kind(value)}({_message(value)[:MAX_LOCAL]!r})"[:MAX_LOCAL]
    try:
        text = _short.repr(value)
    except Exception as error:  # noqa: BLE001  (a program's __repr__ may do anything)
        return f"<{_kind(value)} whose repr fails: {_kind(error)}>"
    return text if len(text) <= MAX_LOCAL else text[: MAX_LOCAL - 1] + "…"


def _syntax(error: SyntaxError, limit: int) -> dict[str, Any]:
    # A program may raise one of its own making: neither the numbers nor the text need be true.
    number = error.lineno if type(error.lineno) is int else None
    source = (error.text or "")[:MAX_LOCAL].rstrip("\n")
    frames = [f"line {number}: {source}"] if number else []
    if frames and error.offset:
        frames.append(" " * (len(f"line {number}: ") + min(error.offset, MAX_LOCAL) - 1) + "^")
    return {
        "type": _kind(error), "message": str(error.msg)[:limit], "line": number, "frames": frames,
        "locals": {}, "hint": None,
    }  # fmt: skip


def _hint(error: BaseException) -> str | None:
    text = str(error.args[0]) if error.args else ""
    if isinstance(error, TypeError) and "'coroutine'" in text:
        return "In async code a tool call gives a coroutine: write `await tools.server.tool(…)`."
    if isinstance(error, TypeError) and "in 'await' expression" in text:
        return "Outside async code a tool call gives its value: leave the `await` away."
    if isinstance(error, ModuleNotFoundError) and error.name and error.name not in sys.stdlib_module_names:
        return "Only the standard library, configured packages, `tools` and `functions` can be imported here."
    if isinstance(error, ToolError) and error.kind == "unknown_tool":
        return "`find_tools` lists what there is."
    return None


def clear(error: BaseException | None) -> None:
    """Lets go of the frames that an exception holds, and so of their (perhaps huge) values."""
    seen = 0
    while error is not None and seen < 100:
        trace: TracebackType | None = error.__traceback__
        error.__traceback__ = None
        del trace
        error, seen = error.__context__, seen + 1
