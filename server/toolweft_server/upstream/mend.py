"""Repairs what an upstream answers, before the SDK's strict models see it. Pure functions over plain JSON values.

One bad thing must not fail the whole: the SDK rejects a list of a hundred tools for one without a schema, and a call
for one unknown kind of content. Nothing is made up here that changes what a tool does: what is optional and wrong
goes, what is required and wrong costs its own tool or becomes text. `mended` applies this to live streams.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp_types import methods
from pydantic import ValidationError

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
"""The two revisions whose shapes the SDK checks: one for every older server, one for the stateless protocol."""

DEPTH = 100
"""Lists and objects within one another: whoever handles a value after us does so by recursion."""

Report = Callable[[str], None]
Location = tuple[int | str, ...]
Message = types.JSONRPCMessage

_MEMBERS = ("annotations", "capabilities", "serverInfo")
"""Objects of which one member may be wrong while the others still say something: a destructive tool stays one."""


def message(raw: object, report: Report) -> Message | None:
    """One JSON value as a JSON-RPC message; `None` when it cannot be one."""
    if not isinstance(raw, dict):
        return None
    frame: dict[str, Any] = {"jsonrpc": "2.0"}
    if isinstance(raw.get("id"), int | str) and not isinstance(raw["id"], bool):
        frame["id"] = raw["id"]
    if isinstance(raw.get("method"), str):
        frame["method"] = raw["method"]
        if isinstance(raw.get("params"), dict):
            frame["params"] = raw["params"]
        if "id" in raw and "id" not in frame:
            return None
    elif "id" in frame:
        frame |= _outcome(raw, report)
    else:
        return None
    try:
        return types.jsonrpc_message_adapter.validate_python(frame, by_name=False)
    except ValidationError:
        return None


def _outcome(raw: Mapping[str, Any], report: Report) -> dict[str, Any]:
    error, result = raw.get("error"), raw.get("result")
    if error is not None:
        return {"error": _error(error)}
    if isinstance(result, dict):
        return {"result": result}
    if result is None and "result" in raw:
        report("It answered a request with null.")
        return {"result": {}}
    report(f"It answered a request with {_kind(result)} where an object must be.")
    return {"error": {"code": types.INVALID_REQUEST, "message": f"the answer is {_kind(result)}, not an object"}}


def _error(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        return {"code": types.INTERNAL_ERROR, "message": raw if isinstance(raw, str) else as_text(raw)}
    code = raw.get("code")
    said = raw.get("message")
    error = {
        "code": code if isinstance(code, int) and not isinstance(code, bool) else types.INTERNAL_ERROR,
        "message": said if isinstance(said, str) and said else as_text(raw),
    }
    return error | ({"data": raw["data"]} if "data" in raw else {})


def result(method: str, raw: Mapping[str, Any], *, modern: bool, report: Report) -> dict[str, Any]:
    """The result of a request, in a shape that the SDK accepts. Methods we never call are left alone."""
    mended = dict(raw)
    if modern:
        _stamp(mended)
    if method == "tools/list":
        _mend_listing(mended, modern, report)
    elif method == "tools/call" and mended.get("resultType", "complete") != "input_required":
        _mend_call(mended, modern, report)
    elif method == "initialize":
        _mend_initialize(mended, report)
    return mended


def _stamp(raw: dict[str, Any]) -> None:
    """Fields that every result of the stateless protocol must have, and that are often forgotten."""
    if not isinstance(raw.get("resultType"), str):
        raw["resultType"] = "complete"
    ttl = raw.get("ttlMs")
    raw["ttlMs"] = max(0, int(ttl)) if isinstance(ttl, int | float) and not isinstance(ttl, bool) else 0
    if raw.get("cacheScope") not in ("private", "public"):
        raw["cacheScope"] = "private"


def _mend_listing(listing: dict[str, Any], modern: bool, report: Report) -> None:
    offered = listing.get("tools")
    if not isinstance(offered, list):
        report(f"Its list of tools is {_kind(offered)}, not a list.")
        offered = []
    if not isinstance(listing.get("nextCursor"), str):
        listing.pop("nextCursor", None)
    if not isinstance(listing.get("_meta"), dict):
        listing.pop("_meta", None)
    listing["tools"] = [tool for raw in offered if (tool := _mend_tool(raw, modern, report)) is not None]


def _mend_tool(raw: object, modern: bool, report: Report) -> dict[str, Any] | None:
    if not isinstance(raw, dict):
        report(f"One entry of its list of tools is {_kind(raw)}, not an object: dropped.")
        return None
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip():
        report(f"A tool has {'no name' if name is None else f'the name {name!r:.80}'}: dropped.")
        return None
    tool = _with_schema(raw, name, report)
    # Whatever the models object to is optional from here on: take away what they name until they are content.
    for _ in range(3 * len(tool)):
        wrong = _objections(tool, modern)
        if not wrong:
            return tool
        for location in wrong:
            _take_away(tool, location, lambda key: report(f"The tool {name!r} has an invalid `{key}`: ignored."))
    report(f"The tool {name!r} cannot be understood: dropped.")
    return None


def _with_schema(raw: Mapping[str, Any], name: str, report: Report) -> dict[str, Any]:
    tool = dict(raw)
    schema = tool.get("inputSchema", tool.pop("input_schema", None))
    if not isinstance(schema, dict):
        report(f"The tool {name!r} has no input schema: taken as one without parameters.")
        schema = {"type": "object", "properties": {}}
    elif schema.get("type") != "object":
        report(f"The input schema of the tool {name!r} is not of type object: taken as one that is.")
        schema = {**schema, "type": "object"}
    tool["inputSchema"] = schema
    return tool


def _objections(tool: dict[str, Any], modern: bool) -> list[Location]:
    """The places in a tool that the SDK would reject the whole list for."""
    listing: dict[str, Any] = {"tools": [tool]}
    if modern:
        _stamp(listing)
    return sorted({error["loc"][2:] for error in _errors("tools/list", listing, modern)}, key=str)


def _key(part: object, owner: Mapping[str, Any]) -> str:
    """The key that a part of an error's place means. Models may name a field where the wire has its alias."""
    name = str(part)
    head, *rest = name.split("_")
    for candidate in (name, head + "".join(part.title() for part in rest), "_" + name):
        if candidate in owner:
            return candidate
    return name


def _errors(method: str, raw: Mapping[str, Any], modern: bool) -> list[Any]:
    """What the SDK's models, the one of the wire and the one of its API, object to."""
    try:
        methods.parse_server_result(method, MODERN if modern else HANDSHAKE, raw)
    except ValidationError as error:
        return list(error.errors(include_url=False, include_context=False, include_input=False))
    return []


def _mend_call(answer: dict[str, Any], modern: bool, report: Report) -> None:
    content = answer.get("content")
    if content is None:
        content = []
    elif not isinstance(content, list):
        report(f"A call was answered with {_kind(content)} where a list of content must be.")
        content = [content]
    if not isinstance(answer.get("isError"), bool):
        answer["isError"] = bool(answer.get("isError"))
    if not isinstance(answer.get("_meta"), dict):
        answer.pop("_meta", None)
    structured = answer.get("structuredContent")
    if not modern and structured is not None and not isinstance(structured, dict):
        report(f"A call was answered with structured content that is {_kind(structured)}: taken as text.")
        answer.pop("structuredContent")
        content = content or [structured]
    answer["content"] = content
    if _errors("tools/call", answer, modern):
        answer["content"] = [_mend_block(block, modern, report) for block in content]


def _mend_block(block: object, modern: bool, report: Report) -> dict[str, Any]:
    if isinstance(block, dict):
        for candidate in (block, {k: v for k, v in block.items() if k not in ("annotations", "_meta", "icons")}):
            answer: dict[str, Any] = {"content": [candidate]}
            if modern:
                _stamp(answer)
            if not _errors("tools/call", answer, modern):
                return candidate
        report(f"A call was answered with content of the kind {str(block.get('type'))[:40]!r}: taken as text.")
    return {"type": "text", "text": block if isinstance(block, str) else as_text(block)}


def _mend_initialize(answer: dict[str, Any], report: Report) -> None:
    if not isinstance(answer.get("protocolVersion"), str):
        report("It does not say which revision of the protocol it speaks.")
        answer["protocolVersion"] = HANDSHAKE
    info = answer.get("serverInfo")
    info = dict(info) if isinstance(info, dict) else {}
    for key in ("name", "version"):
        if not isinstance(info.get(key), str):
            info[key] = ""
    answer["serverInfo"] = info
    if not isinstance(answer.get("capabilities"), dict):
        answer["capabilities"] = {}
    for _ in range(8):
        if not (wrong := _errors("initialize", answer, modern=False)):
            return
        for error in wrong:
            _take_away(answer, error["loc"], lambda key: report(f"Its greeting has an invalid `{key}`: ignored."))


def _take_away(owner: dict[str, Any], location: Location, report: Report) -> None:
    """Removes what an error points to: one member where a good one beside it must stay, else the whole field."""
    key = _key(location[0], owner) if location else ""
    inner = owner.get(key)
    if key in _MEMBERS and isinstance(inner, dict) and len(location) > 1:
        member = _key(location[1], inner)
        owner[key] = {k: v for k, v in inner.items() if k != member}
        report(f"{key}.{member}")
    elif key in owner:
        owner.pop(key)
        report(key)


def as_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def clean(value: Any) -> Any:
    """`value` with a replacement character for every lone surrogate, which no model of the SDK accepts."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8") if _broken(value) else value
    if isinstance(value, list):
        return [clean(each) for each in value]
    if isinstance(value, dict):
        return {clean(key): clean(each) for key, each in value.items()}
    return value


def too_deep(value: Any) -> bool:
    """Whether some list or object lies deeper than `DEPTH` in others."""
    level = [value]
    for _ in range(DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")
