"""An OpenAPI 3.0 or 3.1 document into tools: one operation, one tool.

Reads structure through `openapi-pydantic`, one operation at a time, so that a broken one costs itself alone;
`references` makes the schemas self-contained, `bodies` turns a request body into arguments, `security` describes
what to sign with. `Tool.binding` says how to make the request: its keys are `Binding`'s, its reader the server's
HTTP upstream. Webhooks, callbacks, links and deprecated operations are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from toolweft_catalog.ingest import bodies, document, security
from toolweft_catalog.ingest import schema as schemas
from toolweft_catalog.ingest.base import Ingested, numbered, text
from toolweft_catalog.ingest.references import BrokenReferenceError, Bundle, References
from toolweft_catalog.tool import Annotations, Json, Tool

if TYPE_CHECKING:
    from openapi_pydantic.v3.v3_1 import Operation, Parameter

METHODS: Mapping[str, Annotations] = {
    "get": Annotations(read_only=True, idempotent=True),
    "head": Annotations(read_only=True, idempotent=True),
    "put": Annotations(read_only=False, idempotent=True),
    "patch": Annotations(read_only=False),
    "delete": Annotations(read_only=False, destructive=True, idempotent=True),
    "post": Annotations(),
}
"""The methods that become tools, with what HTTP promises of each. A POST may be a search as well as an order."""

IGNORED_HEADERS = frozenset(
    {"accept", "authorization", "connection", "content-length", "content-type", "cookie", "host", "te", "trailer",
     "transfer-encoding", "upgrade", "proxy-authorization"}
)  # fmt: skip
"""Header parameters that are ours or the transport's to set; the specification ignores the first few, too."""

REQUEST_DEFINITIONS, RESPONSE_DEFINITIONS = 100, 40
"""Referenced schemas that travel with a tool's arguments and with its result, nearest first."""


class Place(TypedDict):
    """Where an argument goes."""

    argument: str
    name: str
    location: str
    """`path`, `query`, `header` or `cookie`."""
    style: str
    explode: bool
    json: bool
    """Sent as JSON text."""


class Binding(TypedDict):
    """What is needed to make the request of a tool."""

    method: str
    path: str
    base_url: str
    """Empty when the document names none; a path when it is relative to where the document came from."""
    parameters: list[Place]
    body: bodies.Body | None
    security: list[list[security.Scheme]]
    """Alternatives, each a list of schemes that apply together. An empty one means that none is needed."""


def tools(document_: object, *, server: str, server_description: str = "") -> Ingested:
    """Takes JSON or YAML text, or the parsed object.

    Raises:
        ValueError: It is no OpenAPI document of version 3, or cannot be read.

    """
    spec = document.load(document_)
    version = version_of(spec)
    reader = _Reader(spec, server, server_description or about(spec), dialect_3_0=version.startswith("3.0"))
    drafts = list(reader.tools())
    if not version.startswith(("3.0", "3.1")):
        reader.problems.insert(0, f"the document is of version {version!r:.20} and read as 3.1")
    if reader.deprecated:
        reader.problems.append(f"deprecated operations are left out: {reader.deprecated}")
    return numbered(drafts, reader.problems)


def version_of(spec: Mapping[str, Json]) -> str:
    """
    Raises:
        ValueError: It is not a version that is understood; says what to do.

    """
    if "swagger" in spec:
        raise ValueError(
            f"this is a Swagger {spec['swagger']!r:.20} document; OpenAPI 3.0 and 3.1 are read: "
            "convert it (swagger2openapi does), or ask the service for its OpenAPI 3 document"
        )
    version = spec.get("openapi")
    if not isinstance(version, str | int | float) or not str(version).startswith("3."):
        raise ValueError(f"this is no OpenAPI 3 document: its 'openapi' is {version!r:.80}")
    return str(version)


def about(spec: Mapping[str, Json]) -> str:
    """What the document says of the service: its title, and the first paragraph of its description."""
    info = spec.get("info")
    if not isinstance(info, dict):
        return ""
    paragraph = text(info.get("description")).strip().split("\n\n", 1)[0]
    return ". ".join(each for each in (text(info.get("title")).strip(), paragraph) if each)[:1000]


def scheme_names(spec: Mapping[str, Json]) -> set[str]:
    """The security schemes that the document defines, which are the keys that `auth` may have."""
    components = spec.get("components")
    listed = components.get("securitySchemes") if isinstance(components, dict) else None
    return set(listed) if isinstance(listed, dict) else set()


class _Found(NamedTuple):
    """An operation with its references followed, beside the schemas that were kept out of validation."""

    operation: Operation
    parameters: list[tuple[Parameter, Json]]
    body: dict[str, Json] | None
    responses: dict[str, Json]


class _Reader:
    def __init__(self, spec: Mapping[str, Json], server: str, about_server: str, *, dialect_3_0: bool) -> None:
        self.spec, self.server, self.about = spec, server, about_server
        self.references = References(spec, dialect_3_0=dialect_3_0)
        self.problems: list[str] = []
        self.deprecated = 0
        self.schemes = security.schemes(spec, self.references, self.problems)
        self._names: set[str] = set()

    def tools(self) -> Iterator[Tool]:
        paths = self.spec.get("paths")
        if not isinstance(paths, dict) or not paths:
            self.problems.append("the document has no 'paths', so there is nothing to call")
            return
        for path, raw in paths.items():
            try:
                item = self.references.follow(raw)
            except BrokenReferenceError as error:
                self.problems.append(f"{path!r:.200} is left out: {error}")
                continue
            for method in METHODS:
                if method in item:
                    yield from self._operation(method, path, item)

    def _operation(self, method: str, path: str, item: Mapping[str, Json]) -> Iterator[Tool]:
        where = f"{method.upper()} {path}"
        raw = item[method]
        if isinstance(raw, dict) and raw.get("deprecated") is True:
            self.deprecated += 1
            return
        try:
            if not isinstance(raw, dict):
                raise ValueError(f"it is {type(raw).__name__}, not an object")
            yield self._tool(method, path, item, self._found(raw, item))
        except ValueError as error:
            self.problems.append(f"{where!r:.200} is left out: {_first(error)}")

    def _found(self, raw: Mapping[str, Json], item: Mapping[str, Json]) -> _Found:
        from openapi_pydantic.v3.v3_1 import Operation, Parameter

        own = [self.references.follow(each) for each in _list(raw.get("parameters"), "parameters")]
        shared = [self.references.follow(each) for each in _list(item.get("parameters"), "parameters")]
        # What an operation says of a parameter replaces what its path says.
        merged = {(str(each.get("name")), str(each.get("in"))): each for each in (*shared, *own)}.values()
        kept = {key: raw[key] for key in ("summary", "description", "operationId", "security", "servers") if key in raw}
        body = self.references.follow(raw["requestBody"]) if raw.get("requestBody") is not None else None
        responses = raw.get("responses") or {}
        return _Found(
            operation=Operation.model_validate(kept),
            parameters=[(Parameter.model_validate(_bare(each)), _schema_of(each)) for each in merged],
            body=body,
            responses=responses if isinstance(responses, dict) else {},
        )

    def _tool(self, method: str, path: str, item: Mapping[str, Json], found: _Found) -> Tool:
        operation = found.operation
        bundle = Bundle(self.references, "request", limit=REQUEST_DEFINITIONS)
        arguments = bodies.Arguments(bundle)
        places = [place for each in found.parameters if (place := self._place(*each, path, arguments)) is not None]
        places += _undeclared(path, places, arguments)
        body = bodies.body(found.body, arguments, self.references) if found.body is not None else None
        parameters, notes = schemas.object_schema(arguments.schema())
        name = self._name(operation.operationId, method, path)
        if notes := [*bundle.notes, *notes]:
            self.problems.append(f"{name!r:.200}: its parameters were mended: {'; '.join(notes[:3])}")
        binding = Binding(
            method=method.upper(),
            path=path,
            base_url=self._base_url(item, operation),
            parameters=places,
            body=body,
            security=self._security(operation),
        )
        summary, description = (text(each).strip() for each in (operation.summary, operation.description))
        return Tool(
            id="",
            name=name,
            server=self.server,
            description="\n\n".join(dict.fromkeys(each for each in (summary, description) if each)),
            parameters=parameters,
            output=self._output(found.responses),
            annotations=METHODS[method],
            origin="openapi",
            title=summary or None,
            server_description=self.about,
            binding=dict(binding),  # type: ignore[arg-type]
        )

    def _place(self, parameter: Parameter, schema: Json, path: str, arguments: bodies.Arguments) -> Place | None:
        location = parameter.param_in.value
        if location == "header" and parameter.name.lower() in IGNORED_HEADERS:
            return None
        if location == "path" and f"{{{parameter.name}}}" not in path:
            return None
        argument = arguments.add(
            parameter.name,
            schema,
            suffix=location,
            description=parameter.description or "",
            required=parameter.required or location == "path",
        )
        style = parameter.style or ("form" if location in ("query", "cookie") else "simple")
        return Place(
            argument=argument,
            name=parameter.name,
            location=location,
            style=style,
            explode=parameter.explode if parameter.explode is not None else style == "form",
            json=bool(parameter.content),
        )

    def _name(self, wanted: str | None, method: str, path: str) -> str:
        name = (wanted or "").strip() or _made_name(method, path)
        if name in self._names:
            made = _made_name(method, path)
            self.problems.append(f"{name!r:.200}: a second operation has this operationId; it is called {made!r:.200}")
            name = made
        self._names.add(name)
        return name

    def _base_url(self, item: Mapping[str, Json], operation: Operation) -> str:
        from openapi_pydantic.v3.v3_1 import Server

        own = operation.servers
        raw = item.get("servers") or self.spec.get("servers")
        if not own and (not isinstance(raw, list) or not raw):
            return ""
        try:
            server = own[0] if own else Server.model_validate(raw[0] if isinstance(raw, list) else raw)
        except ValueError as error:
            problem = f"its 'servers' cannot be read and are left out: {_first(error)}"
            if problem not in self.problems:
                self.problems.append(problem)
            return ""
        url = server.url
        for name, variable in (server.variables or {}).items():
            url = url.replace(f"{{{name}}}", variable.default)
        return url.rstrip("/")

    def _security(self, operation: Operation) -> list[list[security.Scheme]]:
        wanted: object = operation.security if operation.security is not None else self.spec.get("security")
        return security.alternatives(wanted, self.schemes)

    def _output(self, responses: Mapping[str, Json]) -> dict[str, Json] | None:
        """The schema of the first success that is JSON. What is wrong with it costs the schema, not the tool."""
        bundle = Bundle(self.references, "response", limit=RESPONSE_DEFINITIONS)
        for code in sorted(each for each in responses if each.upper().startswith("2")):
            try:
                content = self.references.follow(responses[code]).get("content")
            except BrokenReferenceError:
                return None
            kind = bodies.json_kind(content)
            if kind is None or not isinstance(content, dict):
                return None
            media = content[kind]
            raw = media.get("schema") if isinstance(media, dict) else None
            found = bundle.schema(raw) if raw is not None else None
            if not isinstance(found, dict) or not found:
                return None
            definitions = bundle.definitions()
            return dict(schemas.mended({**found, "$defs": definitions} if definitions else found).schema)
        return None


def _undeclared(path: str, places: list[Place], arguments: bodies.Arguments) -> list[Place]:
    """Variables of a path that no parameter describes: without them there is no URL."""
    declared = {each["name"] for each in places if each["location"] == "path"}
    return [
        Place(
            argument=arguments.add(name, {"type": "string"}, suffix="path", description="", required=True),
            name=name, location="path", style="simple", explode=False, json=False,
        )
        for name in dict.fromkeys(re.findall(r"\{([^{}]+)\}", path))
        if name not in declared
    ]  # fmt: skip


def _list(value: Json, what: str) -> list[Json]:
    if value is None or isinstance(value, list):
        return value or []
    raise ValueError(f"its {what} are {type(value).__name__}, not a list")


def _bare(raw: Mapping[str, Json]) -> dict[str, Json]:
    """A parameter without its schema and examples, which sloppy documents get wrong and nobody needs typed."""
    bare = {key: value for key, value in raw.items() if key not in ("schema", "example", "examples", "content")}
    content = raw.get("content")
    return {**bare, "content": {kind: {} for kind in content}} if isinstance(content, dict) else bare


def _schema_of(raw: Mapping[str, Json]) -> Json:
    content = raw.get("content")
    if isinstance(content, dict):
        media = next(iter(content.values()), None)
        return media.get("schema", {}) if isinstance(media, dict) else {}
    return raw.get("schema", {})


def _made_name(method: str, path: str) -> str:
    """`GET /pets/{petId}/toys` -> `get_pets_by_petId_toys`."""
    steps = [f"by_{step[1:-1]}" if step[:1] == "{" else step for step in path.strip("/").split("/") if step]
    return "_".join([method, *steps])


def _first(error: ValueError) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(each) for each in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]
