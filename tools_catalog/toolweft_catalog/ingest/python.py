"""Python functions into tools: the signature gives the schema, the docstring the words.

`functions` finds them and explains each; `tools` writes them down. Calling them is the server's Python upstream,
which uses the same `Found`, so that a schema and what is accepted cannot differ. Pydantic is imported on first use.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from toolweft_catalog.ingest import docstring, schema
from toolweft_catalog.ingest.base import Ingested, numbered, text
from toolweft_catalog.tool import Annotations, Json, Schema, Tool

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_MARK = "__toolweft__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Options:
    """What `@tool` says of a function."""

    name: str | None = None
    annotations: Annotations = field(default_factory=Annotations)


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
    name: str | None = None,
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
    name: str | None = None,
) -> F | Callable[[F], F]:
    """Marks a function as a tool and leaves it as it is. In a module with marked functions, only those are tools."""
    options = Options(name, Annotations(read_only, destructive, idempotent, open_world))

    def mark(marked: F) -> F:
        setattr(marked, _MARK, options)
        return marked

    return mark if function is None else mark(function)


class Bound(NamedTuple):
    """Arguments ready for a call."""

    positional: list[Any]
    named: dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A function that is a tool."""

    name: str
    function: Callable[..., Any]
    options: Options
    signature: inspect.Signature
    hints: Mapping[str, Any]

    @cached_property
    def accepts(self) -> TypeAdapter[dict[str, Any]]:
        """Validates arguments into the annotated types. What has a default may be missing."""
        from pydantic import ConfigDict, TypeAdapter
        from typing_extensions import TypedDict

        fields: dict[str, Any] = {}
        for name, parameter in self.signature.parameters.items():
            kind = self.hints.get(name, Any)
            fields[name] = (
                typing.Required[kind] if parameter.default is inspect.Parameter.empty else typing.NotRequired[kind]
            )
        # A typed dict and not a model: its keys may be any name, `schema` and `_private` included.
        make: Any = TypedDict
        shape = make("Arguments", fields)
        shape.__pydantic_config__ = ConfigDict(extra="forbid")
        return TypeAdapter(shape)

    def bind(self, arguments: Mapping[str, object]) -> Bound:
        """
        Raises:
            pydantic.ValidationError: An argument is missing, unknown or not of its type.

        """
        values = self.accepts.validate_python(dict(arguments))
        positional: list[Any] = []
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                positional.append(values.pop(name, parameter.default))
        return Bound(positional, values)


def functions(document: object, problems: list[str]) -> list[Found]:
    """The functions of a module, or of a list, that are tools. The others among them are explained in `problems`."""
    candidates = _of_module(document, problems) if isinstance(document, ModuleType) else _of_list(document)
    found: dict[str, Found] = {}
    for name, function in candidates:
        options = getattr(function, _MARK, Options())
        called = options.name or name
        try:
            each = _found(called, function, options)
        except (TypeError, ValueError, NameError, AttributeError, RecursionError) as error:
            problems.append(f"{called!r:.200} is left out: {error}")
            continue
        if called in found:
            problems.append(f"{called!r:.200}: a second tool of this name is left out; names must differ")
        found.setdefault(called, each)
    return list(found.values())


def tools(document: object, *, server: str, server_description: str = "") -> Ingested:
    """Takes a module or a list of functions.

    Raises:
        ValueError: It is neither.

    """
    problems: list[str] = []
    about = server_description or (docstring.parse(document.__doc__).description if _is_module(document) else "")
    drafts = []
    for found in functions(document, problems):
        try:
            drafts.append(_tool(found, server, text(about.split("\n\n", 1)[0])))
        except Exception as error:  # noqa: BLE001 - annotations run whatever code their types bring along
            problems.append(f"{found.name!r:.200} is left out: {_first_sentence(error)}")
    return numbered(drafts, problems)


def _is_module(document: object) -> bool:
    return isinstance(document, ModuleType)


def _of_module(module: ModuleType, problems: list[str]) -> list[tuple[str, Callable[..., Any]]]:
    own: dict[str, Callable[..., Any]] = {
        name: each for name, each in vars(module).items() if isinstance(each, FunctionType)
    }
    marked = [(name, each) for name, each in own.items() if hasattr(each, _MARK) and _is_from(each, module)]
    if marked:
        return marked
    listed = getattr(module, "__all__", None)
    if listed is None:
        return [(name, each) for name, each in own.items() if name[0] != "_" and _is_from(each, module)]
    problems.extend(
        f"{name!r:.200} is in __all__ and not in the module" for name in listed if not hasattr(module, name)
    )
    return [(name, own[name]) for name in listed if name in own]


def _is_from(function: Callable[..., Any], module: ModuleType) -> bool:
    return function.__module__ == module.__name__


def _of_list(document: object) -> list[tuple[str, Callable[..., Any]]]:
    if not isinstance(document, Iterable) or isinstance(document, str | bytes | Mapping):
        raise ValueError(f"tools come from a module or a list of functions, not from {type(document).__name__}")
    listed = list(document)
    for each in listed:
        if not callable(each):
            raise ValueError(f"{each!r:.100} is not a function")
    return [(getattr(each, "__name__", type(each).__name__), each) for each in listed]


def _found(name: str, function: Callable[..., Any], options: Options) -> Found:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("it is a generator; return a list instead")
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise TypeError(f"it takes {str(parameter)!r}, and a tool's arguments must be named")
    return Found(name, function, options, signature, typing.get_type_hints(function, include_extras=True))


def _tool(found: Found, server: str, about: str) -> Tool:
    words = docstring.parse(inspect.getdoc(found.function))
    return Tool(
        id="",
        name=found.name,
        server=server,
        description=text(words.description),
        parameters=_parameters(found, words.parameters),
        output=_output(found),
        annotations=found.options.annotations,
        origin="python",
        server_description=about,
    )


def _parameters(found: Found, words: Mapping[str, str]) -> Schema:
    raw: dict[str, Any] = _json_schema(found.accepts, "validation")
    properties = raw.setdefault("properties", {})
    for name, parameter in found.signature.parameters.items():
        entry = properties[name]
        entry.pop("title", None)
        if name in words and "description" not in entry:
            entry["description"] = words[name]
        if parameter.default is not inspect.Parameter.empty and "default" not in entry:
            _add_default(entry, parameter.default)
    return schema.object_schema({key: raw[key] for key in raw if key not in ("title", "additionalProperties")}).schema


def _add_default(entry: dict[str, Any], default: object) -> None:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        entry["default"] = to_jsonable_python(default)
    except PydanticSerializationError:
        return  # what JSON cannot carry is the function's own affair


def _output(found: Found) -> dict[str, Json] | None:
    """The schema of what it returns; none where the annotation says nothing that JSON could carry."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    kind = found.hints.get("return", Any)
    if kind in (Any, object, type(None), bytes, bytearray):
        return None
    try:
        raw = _json_schema(TypeAdapter(kind), "serialization")
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, ValueError):
        return None
    return dict(schema.mended(raw).schema) or None


def _json_schema(adapter: TypeAdapter[Any], mode: typing.Literal["validation", "serialization"]) -> dict[str, Any]:
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

    class Quiet(GenerateJsonSchema):
        """A default that JSON cannot carry is left out without a warning on somebody's terminal."""

        ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    return adapter.json_schema(mode=mode, schema_generator=Quiet)


def _first_sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split('. ', 1)[0].split())[:200]}"
