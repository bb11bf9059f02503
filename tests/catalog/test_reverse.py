"""Python source -> JSON Schema, and there and back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog import signature
from toolweft_catalog.shape import observe
from toolweft_catalog.tool import Json, Tool

SOURCE = '''
from __future__ import annotations
import dataclasses
from enum import StrEnum
from typing import Annotated, Literal, NotRequired, Optional, TypedDict

class Label(TypedDict):
    name: str
    color: NotRequired[str]

Extra = TypedDict("Extra", {"content-type": str, "size": NotRequired[int]})

@dataclasses.dataclass(frozen=True)
class Issue:
    number: int
    labels: list[Label]
    parent: "Issue | None" = None

class State(StrEnum):
    OPEN = "open"
    SHUT = "shut"

Money = int | float

async def triage(
    repo: str, /, issues: list[Issue], state: State = State.OPEN, *,
    limit: Optional[int] = None, kind: Literal["bug", 1] = "bug", budget: Money = -1.5,
    pair: tuple[int, str] = (1, "x"), tags: set[str] | None = None, extra: Extra, free=5,
    note: Annotated[str, "A note."] = "",
    **more: bool,
) -> dict[str, Issue]:
    """Sort issues.

    It calls nobody.

    Args:
        issues (list): What to sort,
            all of it.
        limit: How many: at most.
        nobody: Is not a parameter.

    Returns:
        limit: not a description.
    """
'''


def test_the_source_of_a_function_says_its_schema():
    made = signature.parse_function(SOURCE, "triage")
    issue = {
        "type": "object",
        "properties": {
            "number": {"type": "integer"},
            "labels": {"type": "array", "items": {"$ref": "#/$defs/Label"}},
            "parent": {"anyOf": [{"$ref": "#/$defs/Issue"}, {"type": "null"}]},
        },
        "required": ["number", "labels"],
    }
    label = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "color": {"type": "string"}},
        "required": ["name"],
    }
    assert made.parameters == {
        "type": "object",
        "properties": {
            "repo": {"type": "string"},
            "issues": {
                "type": "array",
                "items": {"$ref": "#/$defs/Issue"},
                "description": "What to sort, all of it.",
            },
            "state": {"$ref": "#/$defs/State"},
            "limit": {
                "anyOf": [{"type": "integer"}, {"type": "null"}],
                "default": None,
                "description": "How many: at most.",
            },
            "kind": {"enum": ["bug", 1], "default": "bug"},
            "budget": {"$ref": "#/$defs/Money", "default": -1.5},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
                "default": [1, "x"],
            },
            "tags": {
                "anyOf": [{"type": "array", "uniqueItems": True, "items": {"type": "string"}}, {"type": "null"}],
                "default": None,
            },
            "extra": {"$ref": "#/$defs/Extra"},
            "free": {"default": 5},
            "note": {"type": "string", "description": "A note.", "default": ""},
        },
        "required": ["repo", "issues", "extra"],
        "additionalProperties": {"type": "boolean"},
        "$defs": {
            "Label": label,
            "Issue": issue,
            "State": {"enum": ["open", "shut"]},
            "Money": {"anyOf": [{"type": "integer"}, {"type": "number"}]},
            "Extra": {
                "type": "object",
                "properties": {"content-type": {"type": "string"}, "size": {"type": "integer"}},
                "required": ["content-type"],
            },
        },
    }
    assert made.output == {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Issue"},
        "$defs": {"Label": label, "Issue": issue},
    }
    assert made.is_async
    assert made.positional_only == ("repo",)
    assert made.defaults == {"state": "State.OPEN"}
    assert made.description == "Sort issues.\n\nIt calls nobody."


def test_rest_fields_describe_parameters_too():
    source = '''def f(a, b):
    """Do it.

    :param a: The first,
        in two lines.
    :param int b: The second.
    :returns: Nothing.
    """'''
    made = signature.parse_function(source, "f")
    assert made.parameters["properties"] == {
        "a": {"description": "The first, in two lines."},
        "b": {"description": "The second."},
    }
    assert made.description == "Do it."
    assert made.output is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:", "does not parse"),
        ("x = 1\0", "does not parse"),
        ("\ud800", "does not parse"),
        ("x = " + "(" * 5_000 + ")" * 5_000, "does not parse"),
        ("x = " + "-" * 50_000 + "1", "does not parse"),
        ("def g(): ...\nclass A:\n    def f(self): ...", "no function 'f'.*defines: g"),
        ("", "defines: none"),
        ("#" * 2_000_000, "2000000 characters"),
    ],
)
def test_a_source_that_cannot_be_read_is_a_value_error(source, said):
    with pytest.raises(ValueError, match=said):
        signature.parse_function(source, "f")


@pytest.mark.parametrize(
    "annotation",
    ["nobody.knows[1]", "__import__('os').system('false')", "'not python at all ('", "A", "B", "lambda: 1",
     "list[" * 60 + "int" + "]" * 60, " | ".join(["Q"] * 300), "dict[str]", "Literal[open]", "tuple[()]"],
)  # fmt: skip
def test_an_annotation_that_is_not_understood_allows_anything_and_runs_nothing(annotation):
    source = f"A = B\nB = A\nclass C(C): x: int\ndef f(a: {annotation}, c: C) -> {annotation}: ..."
    made = signature.parse_function(source, "f")
    assert made.parameters["required"] == ["a", "c"]


def test_a_source_made_to_be_costly_is_read_in_part():
    layers = [f"class A{n}(A{n - 1}, B{n - 1}): a: int\nclass B{n}(A{n - 1}, B{n - 1}): b: int" for n in range(1, 40)]
    doubling = [f"T{n} = tuple[T{n - 1}, T{n - 1}]" for n in range(1, 40)]
    first = "class A0(TypedDict): x: int\nclass B0(TypedDict): y: int\nT0 = int"
    source = "\n".join([first, *layers, *doubling, "def f(a: A39, t: T39): ..."])
    assert signature.parse_function(source, "f").parameters["required"] == ["a", "t"]


def test_the_notation_of_observed_shapes_reads_back():
    seen = observe([{"id": 1, "title": "x", "2024-11-02": 2.5}, {"id": 2}])
    text = signature.stub(Tool("a.b", "b", "a"), detail="full", shape=seen)
    assert signature.parse_function(text, "b").output == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "title": {"type": "string"}},
            "required": ["id"],
            "additionalProperties": {"type": "number"},
        },
    }


keys = st.sampled_from(["id", "title", "class", "content-type", "kind", "from", "_x", "__y", "ünï"])
scalars = st.sampled_from([{"type": each} for each in ("string", "integer", "number", "boolean")])
options = st.lists(st.one_of(st.text(max_size=4), st.integers(), st.none()), min_size=1, max_size=3, unique=True)
defaults = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


def objects(inner: st.SearchStrategy[dict[str, Json]]) -> st.SearchStrategy[dict[str, Json]]:
    def build(properties: dict[str, Json], flags: list[bool]) -> dict[str, Json]:
        required: list[Json] = [key for key, flag in zip(properties, flags, strict=False) if flag]
        return {"type": "object", "properties": properties, "required": required}

    return st.builds(
        build, st.dictionaries(keys, inner, min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4)
    )


schemas = st.recursive(
    st.one_of(scalars, options.map(lambda each: {"enum": each})),
    lambda inner: st.one_of(
        inner.map(lambda each: {"type": "array", "items": each}),
        inner.map(lambda each: {"type": "object", "additionalProperties": each}),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: {"anyOf": [*each, {"type": "null"}]}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"type": "array", "prefixItems": each}),
        objects(inner),
    ),
    max_leaves=6,
)


def canonical(schema: Json, definitions: Json) -> object:
    """What a schema means for types, so that two spellings compare equal."""
    assert isinstance(schema, dict)
    assert isinstance(definitions, dict)
    match schema:
        case {"$ref": str(ref)}:
            return canonical(definitions[ref.rsplit("/", 1)[-1]], definitions)
        case {"anyOf": [*parts]}:
            found: set[object] = set()
            for part in parts:
                one = canonical(part, definitions)
                found |= one if isinstance(one, frozenset) else {one}
            return frozenset(found)
        case {"enum": [*values]}:
            return frozenset(("null",) if each is None else ("value", type(each).__name__, each) for each in values)
        case {"prefixItems": [*parts]}:
            return ("tuple", *(single(canonical(part, definitions)) for part in parts))
        case {"items": part}:
            return ("list", single(canonical(part, definitions)))
        case {"properties": {**properties}}:
            needed = frozenset(map(str, schema.get("required", [])))
            fields = {key: single(canonical(each, definitions)) for key, each in properties.items()}
            return ("object", frozenset(fields.items()), needed)
        case {"additionalProperties": dict(part)}:
            return ("dict", single(canonical(part, definitions)))
        case {"type": str(kind)}:
            return (kind,)
    raise AssertionError(schema)


def single(found: object) -> object:
    """A union as a hashable value, with a union of one thing being that thing."""
    return next(iter(found)) if isinstance(found, frozenset) and len(found) == 1 else found


@given(
    properties=st.dictionaries(keys, schemas, max_size=5),
    needed=st.sets(keys),
    stated=st.dictionaries(keys, defaults, max_size=3),
    output=schemas,
)
@settings(max_examples=250, derandomize=True, deadline=None)
def test_there_and_back_keeps_names_requiredness_defaults_and_types(properties, needed, stated, output):
    optional = properties.keys() - needed
    given_properties = {
        key: {**each, "default": stated[key]} if key in optional and key in stated else each
        for key, each in properties.items()
    }
    schema = {"type": "object", "properties": given_properties, "required": sorted(needed & properties.keys())}
    made = signature.parameters(schema)
    text = signature.stub(Tool("a.call", "call", "a", "Call it.", schema, output), detail="full")
    back = signature.parse_function(text, "call")
    found = back.parameters["properties"]
    assert isinstance(found, dict)
    assert list(found) == [each.name for each in made]
    assert set(back.parameters.get("required", [])) == {each.name for each in made if each.required}  # type: ignore[arg-type]
    for each in made:
        there, here = given_properties[each.original], found[each.name]
        assert repr(here.get("default", "unstated")) == repr(there.get("default", "unstated"))
        wanted = single(canonical(there, {}))
        assert single(canonical(here, back.parameters.get("$defs", {}))) == wanted
    assert back.output is not None
    assert single(canonical(dict(back.output), back.output.get("$defs", {}))) == single(canonical(output, {}))
    assert back.description == "a.call: Call it."
