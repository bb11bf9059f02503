"""What a host's model sees before it asks anything: two tools and the instructions. Byte-stable and counted.

Names, titles, descriptions, input schemas and instructions together stay within 600 tokens, the output schemas,
written by hand because generated ones are four times as long, within 300 (`benchmarks/tokens.py`; a test holds both
to `toolweft_catalog.wire`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHOWN = 12
"""Servers, and packages, named; the rest are a number, so that the prompt does not grow with the catalogue."""

FIND_TOOLS: dict[str, Any] = {
    "name": "find_tools",
    "title": "Find tools",
    "description": (
        "Search every tool and saved function of this person. Call it first whenever a task touches outside data, "
        "files, services or actions, even if you are unsure that a tool exists. Describe one step in plain words, or "
        "give a tool's name. Returns Python stubs, ready to call in execute_code."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "What the tool should do, or its name"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 5},
            "server": {"type": "string", "description": "Only this server"},
            "detail": {"enum": ["signature", "full"], "default": "signature", "description": "full: whole schemas"},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "tools": {"type": "array", "items": {"type": "object", "required": ["id", "call"]}},
            "also": {"type": "array", "items": {"type": "string"}},
            "total": {"type": "integer"},
            "catalogue": {"type": "integer"},
            "index": {"type": "string"},
            "note": {"type": ["string", "null"]},
        },
        "required": ["tools", "also", "total", "catalogue", "index", "note"],
    },
    "annotations": {
        "title": "Find tools",
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": True,
        "openWorldHint": False,
    },
}

EXECUTE_CODE: dict[str, Any] = {
    "name": "execute_code",
    "title": "Run Python with tools",
    "description": (
        "Run real Python in which found tools are functions: tools.server.tool(arg=…). A failing tool raises "
        "ToolError. parallel(fn, items) fans out; inside async def, await the calls. The last expression's value and "
        "prints come back; filter and join there instead of returning everything. Wrap reusable steps in a typed "
        "function with a docstring: after a clean run it is saved as functions.name. If status is waiting, call "
        "again with retry_of=id."
    ),
    "inputSchema": {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "session": {"type": "string", "description": "Any name; keeps variables between calls"},
            "retry_of": {"type": "string", "description": "An execution's id: calls it finished are not repeated"},
            "timeout": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds"},
            "files": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "Placed by name: an earlier file's toolweft:// address, or text",
            },
        },
        "required": ["code"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "status": {"type": "string"},
            "backend": {"type": "string"},
            "value": {},
            "stdout": {"type": "string"},
            "stderr": {"type": "string"},
            "error": {"type": ["object", "null"]},
            "calls": {"type": "array", "items": {"type": "object"}},
            "saved": {"type": "array", "items": {"type": "object"}},
            "session": {"type": ["object", "null"]},
            "files": {"type": "array", "items": {"type": "object"}},
            "limits": {"type": "array", "items": {"type": "string"}},
            "output_uri": {"type": ["string", "null"]},
            "truncated": {"type": "boolean"},
            "seconds": {"type": "number"},
        },
        "required": ["id", "status", "value"],
    },
    "annotations": {
        "title": "Run Python with tools",
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
    },
}

TOOLS = (FIND_TOOLS, EXECUTE_CODE)


def tools(packages: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Both; `packages`, requirements by name, are what programs may import beside the standard library."""
    if not packages:
        return [*TOOLS]
    more = f" Packages: {_shown(packages)}."
    told = {"description": EXECUTE_CODE["description"] + more, "_meta": {"dev.toolweft/packages": [*packages]}}
    return [FIND_TOOLS, EXECUTE_CODE | told]


def _shown(names: Sequence[str]) -> str:
    """The first ones, and how many more there are."""
    more = f", +{len(names) - SHOWN}" if len(names) > SHOWN else ""
    return ", ".join(name[:40] for name in names[:SHOWN]) + more


def instructions(servers: Sequence[str]) -> str:
    """What a host adds to its prompt. `servers` are names as the person wrote them: cut, and kept to one line each."""
    names = [" ".join(name.split()) for name in servers]
    connected = f"Connected: {_shown(names)}." if names else "Connected: everyday text, date, table and unit tools."
    return (
        f"toolweft puts all of this person's tools behind find_tools and execute_code. {connected} "
        "Before saying that something cannot be done, or doing it by hand, call find_tools; then do the whole step in "
        "one execute_code program. Saved functions are resources under toolweft://reusable_functions."
    )
