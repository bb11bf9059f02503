"""What a Monty session is given before its first program.

Monty has no inheritance, so `ToolError` is an exception type of its own that nothing else in it raises, and what is
known of a refusal beside its text is asked of the server. `await` in a plain function suspends its whole task there,
which lets `parallel` run plain functions at once.
"""

from __future__ import annotations

TOOL_ERROR = "binascii.Incomplete"

NAMES = frozenset({
    "tools", "functions", "parallel", "ToolError", "Blob", "_toolweft_attribute", "_toolweft_type_name",
    "_toolweft_function",
})  # fmt: skip

CODE = """\
from binascii import Incomplete as ToolError
import asyncio as _toolweft_asyncio

def _toolweft_attribute(thing, name):
    if isinstance(thing, ToolError):
        return _toolweft_refusal(str(thing), name)
    return getattr(thing, name)

def _toolweft_type_name(thing):
    if isinstance(thing, ToolError):
        return "ToolError"
    return repr(type(thing))[8:-2].split(".")[-1]

def _toolweft_function(name, version=None):
    values = {"tools": tools, "functions": functions, "parallel": parallel, "ToolError": ToolError, "Blob": Blob}
    values["_toolweft_attribute"] = _toolweft_attribute
    values["_toolweft_type_name"] = _toolweft_type_name
    values["_toolweft_function"] = _toolweft_function
    exec(_toolweft_source(name, version), values)
    return values[name]

def parallel(fn, items, *, limit=8, errors="raise"):
    if errors not in {"raise", "return"}:
        raise ValueError(f"errors={errors!r}: use 'raise' or 'return'")
    if limit < 1:
        raise ValueError(f"limit={limit!r}: at least 1")
    items = list(items)
    results = [None] * len(items)
    failed = {}
    state = {"next": 0, "stopped": False}
    async def worker():
        while state["next"] < len(items) and not state["stopped"]:
            index = state["next"]
            state["next"] = index + 1
            try:
                result = fn(items[index])
                if repr(type(result)) == "<class 'coroutine'>":
                    result = await result
                results[index] = result
            except Exception as error:
                failed[index] = error
                if errors == "raise":
                    state["stopped"] = True
    await _toolweft_asyncio.gather(*[worker() for _ in range(min(limit, len(items)))])
    if failed and errors == "raise":
        raise failed[min(failed)]
    for index in failed:
        results[index] = failed[index]
    return results
"""
