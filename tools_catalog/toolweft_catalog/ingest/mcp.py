"""A `tools/list` result of any protocol revision, as raw JSON, into tools.

Reads the JSON itself and not the SDK's models, which reject a whole list for one bad tool. A tool without a usable
name is dropped; everything else is mended and said. How to call the tools is `upstream`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping

from toolweft_catalog.ingest import schema
from toolweft_catalog.ingest.base import DESCRIPTION_LIMIT, Ingested, numbered, text
from toolweft_catalog.tool import Annotations, Json, Tool

_HINTS = {
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}


def tools(document: object, *, server: str, server_description: str = "") -> Ingested:
    """Takes the list of tools, the result that holds it, or the whole JSON-RPC answer.

    Raises:
        ValueError: It is none of these.

    """
    problems: list[str] = []
    drafts = [
        draft
        for place, raw in enumerate(_listed(document))
        if (draft := _tool(raw, place, server, server_description, problems)) is not None
    ]
    return numbered(drafts, problems)


def _listed(document: object) -> list[object]:
    found = document
    for key in ("result", "tools"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    if not isinstance(found, list):
        raise ValueError(f"a tools/list result holds a list under 'tools'; this is {type(found).__name__}")
    return found


def _tool(raw: object, place: int, server: str, about: str, problems: list[str]) -> Tool | None:
    if not isinstance(raw, dict):
        problems.append(f"entry {place} of the list is {type(raw).__name__}, not a tool; it is left out")
        return None
    name = raw.get("name")
    if not isinstance(name, str) or not name.strip():
        problems.append(f"entry {place} of the list has no usable name ({name!r:.80}); it is left out")
        return None
    parameters, notes = schema.object_schema(raw.get("inputSchema"))
    if notes:
        problems.append(f"{name!r:.200}: its inputSchema was mended: {'; '.join(notes[:3])}")
    description = raw.get("description")
    if isinstance(description, str) and len(description) > DESCRIPTION_LIMIT:
        problems.append(f"{name!r:.200}: its description of {len(description)} characters was cut")
    hints = raw.get("annotations")
    hints = hints if isinstance(hints, dict) else {}
    output = _output(raw.get("outputSchema"), name, problems)
    wrapped = is_wrapper(output)
    return Tool(
        id="",
        name=name,
        server=server,
        description=text(description),
        parameters=parameters,
        output=_inner(output) if output is not None and wrapped else output,
        annotations=_annotations(hints),
        origin="mcp",
        title=text(raw.get("title")) or text(hints.get("title")) or None,
        server_description=text(about),
        binding={"wrapped": True} if wrapped else {},
    )


def is_wrapper(output: Mapping[str, Json] | None) -> bool:
    """An object whose single property is `result`: what Python's SDKs make of a return type that is no object.

    Programs get what is inside, so that is also what the tool's output says; `binding["wrapped"]` remembers it.
    """
    if output is None:
        return False
    if output.get("x-fastmcp-wrap-result") is True:
        return True
    properties = output.get("properties")
    return isinstance(properties, dict) and set(properties) == {"result"} and output.get("type") == "object"


def _inner(output: Mapping[str, Json]) -> Mapping[str, Json]:
    properties = output.get("properties")
    inner = properties.get("result") if isinstance(properties, dict) else None
    shared = {key: output[key] for key in ("$defs", "definitions") if key in output}
    return {**shared, **inner} if isinstance(inner, dict) else shared


def _output(raw: object, name: str, problems: list[str]) -> dict[str, Json] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        problems.append(f"{name!r:.200}: its outputSchema is {type(raw).__name__} and was left out")
        return None
    output, notes = schema.mended(raw)
    if notes:
        problems.append(f"{name!r:.200}: its outputSchema was mended: {'; '.join(notes[:3])}")
    return dict(output)


def _annotations(hints: Mapping[str, object]) -> Annotations:
    """A hint that is no boolean says nothing."""
    given = {ours: value for ours, theirs in _HINTS.items() if isinstance(value := hints.get(theirs), bool)}
    return Annotations(**given)
