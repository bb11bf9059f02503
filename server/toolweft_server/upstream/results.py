"""What an MCP server answers to a call, as a Python value or a failure. Pure.

In this order: structured content, unwrapped where an SDK wrapped it; one text that is a JSON object or array, parsed;
several texts that all are, as a list; otherwise text. Binary content is a `Blob`, a link stays a dict. A text such as
`42` stays text: only structured content says that it is a number.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import mcp_types as types

from toolweft_catalog.call import Blob, Result, Value, failed
from toolweft_catalog.ingest.mcp import is_wrapper
from toolweft_catalog.tool import Tool
from toolweft_server.upstream import mend

PREFIX = "Error executing tool "
"""The SDK's server puts it, the tool's name and a colon before the text of an error."""


def result(answer: types.CallToolResult, tool: Tool) -> Result:
    if answer.is_error:
        return failed("tool", error_text(answer, tool))
    if answer.structured_content is not None:
        return Result(unwrapped(answer.structured_content, answer, tool))
    return Result(_value(answer.content))


def error_text(answer: types.CallToolResult, tool: Tool) -> str:
    texts = [block.text for block in answer.content if isinstance(block, types.TextContent)]
    text = "\n".join(texts).strip()
    if not text and answer.structured_content is not None:
        text = json.dumps(answer.structured_content, ensure_ascii=False, default=str)
    text = text.removeprefix(f"{PREFIX}{tool.name}: ")
    return text or "the tool reports an error and says nothing about it"


def unwrapped(structured: Any, answer: types.CallToolResult, tool: Tool) -> Value:
    """`x` of `{"result": x}` where an SDK wrapped it: the tool's output schema is a wrapper, or the answer says so."""
    if not isinstance(structured, dict) or set(structured) != {"result"}:
        return _plain(structured)
    marked = (answer.meta or {}).get("fastmcp")
    says_so = isinstance(marked, dict) and marked.get("wrap_result") is True
    return _plain(
        structured["result"]
        if says_so or tool.binding.get("wrapped") is True or is_wrapper(tool.output)
        else structured
    )


def _value(content: Sequence[types.ContentBlock]) -> Value:
    values = [_block(block) for block in content]
    if not values:
        return None
    if len(values) == 1:
        return parsed(values[0])
    if not all(isinstance(value, str) for value in values):
        return [parsed(value) for value in values]
    items = [parsed(value) for value in values]
    if not any(isinstance(item, str) for item in items):
        return items
    return "\n".join(value for value in values if isinstance(value, str))


def _block(block: types.ContentBlock) -> Value:
    if isinstance(block, types.TextContent):
        return block.text
    if isinstance(block, types.ImageContent | types.AudioContent):
        return _blob(block.mime_type, block.data)
    if isinstance(block, types.EmbeddedResource):
        inner = block.resource
        if isinstance(inner, types.TextResourceContents):
            return inner.text
        return _blob(inner.mime_type or "application/octet-stream", inner.blob)
    return _plain(block.model_dump(mode="json", by_alias=True, exclude_unset=True))


def _blob(mime: str, data: str) -> Value:
    try:
        return Blob(mime, base64.b64decode(data, validate=False))
    except (binascii.Error, ValueError):
        return data


def parsed(value: Value) -> Value:
    """A text that is a JSON object or array as that; everything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            found = json.loads(value, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return value
        if isinstance(found, dict | list) and not mend.too_deep(found):
            return _plain(found)
    return value


def _plain(value: Any) -> Value:
    """A JSON value as it came. A name for the place where the SDK's `Any` becomes ours."""
    checked: Value = value
    return checked
