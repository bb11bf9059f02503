"""Python function source -> JSON Schema of its parameters and its result. Reads the AST; nothing is run.

For saved functions and for programs of strangers alike: any text either gives a `FunctionSignature` or a
`ValueError`. Types are read by `reverse_annotation`; the other direction is `stub`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from toolweft_catalog.parsing import parse
from toolweft_catalog.reverse_annotation import Annotations, Found, Unreadable, literal
from toolweft_catalog.tool import Json, Schema

MAX_SOURCE = 1_000_000

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class FunctionSignature:
    """What a function takes and gives, as its source says."""

    name: str
    parameters: Schema
    """JSON Schema, ready to be a `Tool`'s: closed unless the function takes `**keywords`."""
    output: Schema | None = None
    """`None` without a return annotation."""
    description: str = ""
    """The docstring without its list of arguments."""
    docstring: str = ""
    is_async: bool = False
    positional_only: tuple[str, ...] = ()
    """Parameters that cannot be passed by name."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Source of the defaults that are no literals, by parameter."""


def parse_function(source: str, name: str) -> FunctionSignature:
    """The signature of the module-level function `name` in `source`; the last one of that name counts.

    Raises:
        ValueError: The source does not parse, or defines no such function.

    """
    if len(source) > MAX_SOURCE:
        raise ValueError(f"the source of {name!r} has {len(source)} characters; the limit is {MAX_SOURCE}")
    try:
        module = parse(source)
        return _read(module, _find(module, name))
    except (SyntaxError, RecursionError, MemoryError, UnicodeEncodeError) as error:
        raise ValueError(f"the source of {name!r} does not parse: {error}") from error


def _find(module: ast.Module, name: str) -> Function:
    found = [node for node in module.body if isinstance(node, Function)]
    for node in reversed(found):
        if node.name == name:
            return node
    known = ", ".join(node.name for node in found[:10]) or "none"
    raise ValueError(f"no function {name!r} at the top level of the source; it defines: {known}")


def _read(module: ast.Module, node: Function) -> FunctionSignature:
    types = Annotations(module)
    docs = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    described = descriptions(docs, {each.arg for each in arguments})
    defaults = dict(_defaults(node.args))
    properties: dict[str, Json] = {}
    for each in arguments:
        schema = types.schema(each.annotation)
        value = literal(defaults[each.arg]) if each.arg in defaults else Unreadable()
        said: Found = {"description": described[each.arg]} if each.arg in described else {}
        properties[each.arg] = {**schema, **said, **({} if isinstance(value, Unreadable) else {"default": value})}
    parameters: Found = {"type": "object", "properties": properties}
    required: list[Json] = [each.arg for each in arguments if each.arg not in defaults]
    if required:
        parameters["required"] = required
    more = node.args.kwarg
    parameters["additionalProperties"] = False if more is None else (types.schema(more.annotation) or True)
    before = dict(types.defs)
    types.defs.clear()
    output = None if node.returns is None else types.schema(node.returns)
    return FunctionSignature(
        name=node.name,
        parameters={**parameters, **({"$defs": before} if before else {})},
        output=output if output is None or not types.defs else {**output, "$defs": dict(types.defs)},
        description=_prose(docs),
        docstring=docs,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        positional_only=tuple(each.arg for each in node.args.posonlyargs),
        defaults={key: ast.unparse(value) for key, value in defaults.items() if _computed(value)},
    )


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    for each, value in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        yield each.arg, value
    for each, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if given is not None:
            yield each.arg, given


def _computed(node: ast.expr) -> bool:
    unstated = isinstance(node, ast.Constant) and node.value is ...
    return not unstated and isinstance(literal(node), Unreadable)


_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns?|Raises|Yields?|Examples?|Notes?):\s*")
_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^()]*\))?:(?:\s+(.*))?")
_REST = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+):\s*(.*)")


def descriptions(docs: str, known: Collection[str]) -> dict[str, str]:
    """What a docstring says about each parameter in `known`: Google's `Args:` or reST's `:param name:`."""
    found: dict[str, list[str]] = {}
    section = current = ""
    indent = -1
    for line in docs.splitlines():
        text, depth = line.strip(), len(line) - len(line.lstrip())
        if heading := _SECTION.fullmatch(text) if depth == 0 or not section else None:
            section, current, indent = heading[1], "", -1
        elif rest := _REST.fullmatch(text):
            section, current, indent = "", rest[1], depth
            found[current] = [rest[2]]
        elif section in {"Args", "Arguments", "Parameters"} and text:
            entry = _GOOGLE.fullmatch(text) if indent in {-1, depth} else None
            if entry and entry[1] in known:
                current, indent = entry[1], depth
                found[current] = [entry[2] or ""]
            elif current and depth > indent:
                found[current].append(text)
        elif current and not section and text and not text.startswith(":") and depth > indent:
            found[current].append(text)
        elif not section or not text:
            current = current if section else ""
    texts = {key: " ".join(" ".join(parts).split()) for key, parts in found.items() if key in known}
    return {key: text for key, text in texts.items() if text}


def _prose(docs: str) -> str:
    """Everything before the first section or field."""
    kept: list[str] = []
    for line in docs.splitlines():
        if _SECTION.fullmatch(line) or line.startswith((":param", ":return", ":raise", ":type", ":rtype")):
            break
        kept.append(line)
    return "\n".join(kept).strip()
