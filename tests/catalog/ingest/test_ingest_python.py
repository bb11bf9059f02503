"""Python functions become tools: the signature gives the schema, the docstring the words."""

import enum
import types
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from toolweft_catalog.ingest import docstring, python
from toolweft_catalog.ingest.python import tool
from toolweft_catalog.tool import Annotations


class Colour(enum.Enum):
    red = "red"


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


@dataclass
class Point:
    x: float


class Opaque:
    pass


def module_of(**members):
    """A module that has these members and says that it defined them."""
    made = types.ModuleType("made", "What it is for.\n\nMore.")
    for name, each in members.items():
        if isinstance(each, types.FunctionType):
            each.__module__ = "made"
        setattr(made, name, each)
    return made


def plain(city: str, days: int = 3, *, when: date | None = None, colour: Colour = Colour.red) -> list[str]:
    """Forecast the weather.

    Uses no network.

    Args:
        city: Where,
            exactly.
        days (int): How many: at most ten.
        when: Which day.
        colour: Of the sky.

    Raises:
        ValueError: Never.

    """
    return []


def test_a_function_is_read_whole():
    found = python.tools([plain], server="mine", server_description="About.")
    assert found.problems == []
    (made,) = found.tools
    assert (made.id, made.origin, made.server_description) == ("mine.plain", "python", "About.")
    assert made.description == "Forecast the weather.\n\nUses no network."
    assert made.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where, exactly."},
            "days": {"type": "integer", "description": "How many: at most ten.", "default": 3},
            "when": {
                "anyOf": [{"type": "string", "format": "date"}, {"type": "null"}],
                "description": "Which day.",
                "default": None,
            },
            "colour": {"$ref": "#/$defs/Colour", "description": "Of the sky.", "default": "red"},
        },
        "required": ["city"],
        "$defs": {"Colour": {"enum": ["red"], "title": "Colour", "type": "string"}},
    }
    assert made.output == {"type": "array", "items": {"type": "string"}}


def returns(annotation):
    def function(): ...

    function.__annotations__ = {"return": annotation}
    return python.tools([function], server="s").tools[0].output


@pytest.mark.parametrize(
    ("annotation", "output"),
    [
        (int, {"type": "integer"}),
        (Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}),
        (None, None),
        (Any, None),
        (bytes, None),
        (Opaque, None),
    ],
)
def test_the_return_annotation_gives_the_output_where_json_can_carry_it(annotation, output):
    assert returns(annotation) == output


def test_models_and_dataclasses_are_described_even_when_they_contain_themselves():
    def graph(node: Node, at: Point, deep: Annotated[int, Field(ge=1, description="How deep.")] = 1) -> Node:
        return node

    made = python.tools([graph], server="s").tools[0]
    assert made.parameters["properties"]["node"] == {"$ref": "#/$defs/Node"}
    assert made.parameters["properties"]["deep"] == {
        "type": "integer",
        "minimum": 1,
        "description": "How deep.",
        "default": 1,
    }
    assert made.parameters["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert made.output["$ref"] == "#/$defs/Node"


def test_what_is_not_annotated_may_be_anything():
    def free(a, b=None): ...

    assert python.tools([free], server="s").tools[0].parameters == {
        "type": "object",
        "properties": {"a": {}, "b": {"default": None}},
        "required": ["a"],
    }


@pytest.mark.parametrize("name", ["schema", "copy", "_private", "model_config", "json", "class_", "self"])
def test_an_argument_may_have_any_name(name):
    namespace = {}
    exec(f"def f({name}: int = 1): return {name}", namespace)
    (found,) = python.functions([namespace["f"]], [])
    bound = found.bind({name: "7"})
    assert found.function(*bound.positional, **bound.named) == 7


def many(*values: int): ...


def open_ended(**values: int): ...


def opaque(value: Opaque): ...


def unresolved(value: "NotDefinedAnywhere"): ...  # noqa: F821


def generator():
    yield 1


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (many, "'many' is left out: it takes '*values: int', and a tool's arguments must be named"),
        (open_ended, "'open_ended' is left out: it takes '**values: int', and a tool's arguments must be named"),
        (opaque, "'opaque' is left out: PydanticSchemaGenerationError: Unable to generate pydantic-core schema for"),
        (unresolved, "'unresolved' is left out: name 'NotDefinedAnywhere' is not defined"),
        (generator, "'generator' is left out: it is a generator; return a list instead"),
    ],
)
def test_a_function_that_cannot_be_a_tool_costs_itself_alone(function, problem):
    found = python.tools([plain, function], server="s")
    assert [made.name for made in found.tools] == ["plain"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(problem)


# ---- which functions of a module are tools -----------------------------------------------------------------------


def fresh(name):
    def function(): ...

    function.__name__ = name
    return function


def test_the_public_functions_that_a_module_defines_are_its_tools():
    made = module_of(a=fresh("a"), _b=fresh("_b"), value=3, Kind=Point)
    made.borrowed = plain
    found = python.tools(made, server="s")
    assert ([each.name for each in found.tools], found.problems) == (["a"], [])
    assert found.tools[0].server_description == "What it is for."


def test_all_says_which_functions_are_tools():
    made = module_of(a=fresh("a"), b=fresh("b"), Kind=Point, __all__=["b", "borrowed", "Kind", "gone"])
    made.borrowed = plain
    found = python.tools(made, server="s")
    assert [each.name for each in found.tools] == ["b", "borrowed"]
    assert found.problems == ["'gone' is in __all__ and not in the module"]


def test_where_functions_are_marked_only_those_are_tools_under_the_names_given():
    marked = tool(read_only=True, destructive=False, idempotent=True, open_world=False, name="nice name")(fresh("a"))
    found = python.tools(module_of(a=marked, b=fresh("b"), c=tool(fresh("c")), __all__=["b"]), server="s")
    assert [(each.name, each.id, each.annotations) for each in found.tools] == [
        ("nice name", "s.nice_name", Annotations(read_only=True, destructive=False, idempotent=True, open_world=False)),
        ("c", "s.c", Annotations()),
    ]


def test_two_functions_of_one_name_are_one_tool_and_a_problem():
    found = python.tools([fresh("a"), fresh("a")], server="s")
    assert ([each.name for each in found.tools], len(found.problems)) == (["a"], 1)


@pytest.mark.parametrize("document", [3, "module", {"a": plain}, [3]])
def test_what_is_no_module_and_no_list_of_functions_is_refused(document):
    with pytest.raises(ValueError, match=r"tools come from a module|is not a function"):
        python.tools(document, server="s")


# ---- arguments ---------------------------------------------------------------------------------------------------


def test_arguments_become_the_annotated_types_and_defaults_stay_the_functions_own():
    (found,) = python.functions([plain], [])
    assert found.bind({"city": "Rome", "days": "4", "when": "2026-11-21"}) == (
        [],
        {"city": "Rome", "days": 4, "when": date(2026, 11, 21)},
    )


@pytest.mark.parametrize("arguments", [{}, {"city": 1}, {"city": "Rome", "far": 1}])
def test_arguments_that_do_not_fit_are_refused(arguments):
    (found,) = python.functions([plain], [])
    with pytest.raises(ValidationError):
        found.bind(arguments)


@pytest.mark.parametrize(
    ("raw", "description", "parameters"),
    [
        (None, "", {}),
        ("One line.", "One line.", {}),
        (
            "Do.\n\n:param a: First\n    line.\n:param int b: Second.\n:returns: Nothing.",
            "Do.",
            {"a": "First line.", "b": "Second."},
        ),
        (
            "Do.\n\nArgs:\n    *a: All.\n    b: Two\n        lines: here.\n\nReturns:\n    A thing.",
            "Do.\n\nReturns:\n    A thing.",
            {"a": "All.", "b": "Two lines: here."},
        ),
        ("Do.\n\nArgs:\n    nothing that looks like one\n\nAfter.", "Do.\n\nAfter.", {}),
        ("Args: as a word in a sentence.", "Args: as a word in a sentence.", {}),
    ],
)
def test_a_docstring_is_split_into_words_and_arguments(raw, description, parameters):
    assert docstring.parse(raw) == (description, parameters)
