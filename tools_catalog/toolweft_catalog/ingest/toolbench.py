"""ToolBench catalogues into tools: RapidAPI tool files, and the format of one tool a line.

A RapidAPI file has `tool_name` and an `api_list`; its tools belong to the server `tool_name`. A line has `name`,
`server`, `description` and `parameters` (a JSON Schema). Both exist in tens of thousands, so this is written to be
quick: nothing is parsed twice, and only what is wrong is looked at closely.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from toolweft_catalog.ingest import schema
from toolweft_catalog.ingest.base import Ingested, numbered, text
from toolweft_catalog.tool import EMPTY_SCHEMA, Annotations, Json, Tool

_TYPES = {
    "NUMBER": "number", "INTEGER": "integer", "INT": "integer", "BOOLEAN": "boolean", "BOOL": "boolean",
    "ARRAY": "array", "LIST": "array", "OBJECT": "object", "MAP": "object", "STRING": "string", "ENUM": "string",
}  # fmt: skip


def tools(document: object, *, server: str, server_description: str = "") -> Ingested:
    """Takes text (JSON, or one JSON object a line) or what it parses to.

    Raises:
        ValueError: It is no JSON, or holds nothing that looks like a tool.

    """
    problems: list[str] = []
    reader = _Reader(server, server_description, problems)
    drafts = [draft for raw in _entries(document, problems) for draft in reader.entry(raw)]
    if not drafts and not problems:
        raise ValueError("there is no tool in it: an entry has either 'api_list' or 'name' and 'parameters'")
    if reader.renamed:
        problems.append(f"{reader.renamed} tools share server and name with another one; they are named by their id")
    return numbered(drafts, problems)


def _entries(document: object, problems: list[str]) -> Iterator[object]:
    if isinstance(document, str):
        document = _parsed(document, problems)
    if isinstance(document, dict) and isinstance(document.get("tools"), list):
        document = document["tools"]
    if not isinstance(document, dict | list):
        raise ValueError(f"a ToolBench catalogue is an object, a list or lines, not {type(document).__name__}")
    yield from document if isinstance(document, list) else [document]


def _parsed(document: str, problems: list[str]) -> object:
    try:
        return json.loads(document)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
    rows = []
    # Only a line feed ends a line: JSON texts may hold every other character that `splitlines` breaks at.
    for number, line in enumerate(document.split("\n"), start=1):
        try:
            if line.strip():
                rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            problems.append(f"line {number} is not JSON and is left out: {error}")
    return rows


class _Reader:
    def __init__(self, server: str, about: str, problems: list[str]) -> None:
        self.server, self.about, self.problems = server, about, problems
        self.renamed = 0
        self._seen: set[tuple[str, str]] = set()

    def entry(self, raw: object) -> Iterator[Tool]:
        if isinstance(raw, dict) and isinstance(raw.get("api_list"), list):
            yield from self._file(raw)
        elif isinstance(raw, dict) and isinstance(raw.get("name"), str) and raw["name"].strip():
            yield self._row(raw)
        else:
            self.problems.append(f"an entry is no tool and is left out: {raw!r:.100}")

    def _row(self, raw: Mapping[str, Json]) -> Tool:
        name, output = str(raw["name"]), raw.get("output")
        draft = Tool(
            id="",
            name=name,
            server=_name(raw.get("server")) or self.server,
            description=text(raw.get("description")),
            parameters=self._schema(name, raw.get("parameters")),
            output=dict(schema.mended(output).schema) if isinstance(output, dict) and output else None,
            origin="toolbench",
            server_description=text(raw.get("server_description")) or self.about,
        )
        return self._apart(draft, _name(raw.get("id")))

    def _schema(self, name: str, raw: Json) -> Mapping[str, Json]:
        found, notes = schema.object_schema(raw if raw is not None else EMPTY_SCHEMA)
        if notes:
            self.problems.append(f"{name!r:.200}: its parameters were mended: {'; '.join(notes[:3])}")
        return found

    def _apart(self, draft: Tool, row_id: str) -> Tool:
        """Some rows share server and name and are different tools all the same: their row ids tell them apart."""
        pair = (draft.server, draft.name)
        if pair in self._seen and row_id:
            self.renamed += 1
            return replace(draft, name=row_id)
        self._seen.add(pair)
        return draft

    def _file(self, raw: Mapping[str, Json]) -> Iterator[Tool]:
        server = _name(raw.get("tool_name")) or _name(raw.get("standardized_name")) or self.server
        about = text(raw.get("tool_description")) or self.about
        listed = raw["api_list"]
        for api in listed if isinstance(listed, list) else []:
            name = _name(api.get("name")) if isinstance(api, dict) else ""
            if not isinstance(api, dict) or not name:
                self.problems.append(f"{server!r:.200}: an API without a name is left out: {api!r:.100}")
                continue
            method = (_name(api.get("method")) or "GET").upper()
            draft = Tool(
                id="",
                name=name,
                server=server,
                description=text(api.get("description")),
                parameters=self._schema(name, _parameters(api)),
                output=_output(api.get("schema")),
                annotations=Annotations(read_only=True) if method in ("GET", "HEAD") else Annotations(),
                origin="toolbench",
                server_description=about,
                binding={"method": method, "url": _name(api.get("url"))},
            )
            yield self._apart(draft, f"{server}/{name}/{method}/{_name(api.get('url'))}")


def _parameters(api: Mapping[str, Json]) -> dict[str, Json]:
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for key in ("required_parameters", "optional_parameters"):
        listed = api.get(key)
        for each in listed if isinstance(listed, list) else []:
            if isinstance(each, dict) and (name := _name(each.get("name"))):
                properties[name] = _parameter(each)
                if key == "required_parameters":
                    required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def _parameter(raw: Mapping[str, Json]) -> dict[str, Json]:
    kind = _TYPES.get(_name(raw.get("type")).upper(), "string")
    found: dict[str, Json] = {"type": kind}
    if description := text(raw.get("description")):
        found["description"] = description
    # RapidAPI writes an empty text for "no default", and every other default as text.
    if raw.get("default") not in (None, ""):
        found["default"] = raw["default"]
    return found


def _output(raw: object) -> dict[str, Json] | None:
    return dict(schema.mended(raw).schema) if isinstance(raw, dict) and raw else None


def _name(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
