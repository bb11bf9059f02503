"""A tool as Python text: names, types, one line, stub."""

from __future__ import annotations

import ast
import keyword

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog import signature
from toolweft_catalog.shape import observe
from toolweft_catalog.tool import Json, Tool

ISSUE: dict[str, Json] = {
    "type": "object",
    "properties": {
        "labels": {"type": "array", "items": {"type": "string"}},
        "body": {"type": "string", "default": ""},
        "title": {"type": "string", "description": "What it is about."},
    },
    "required": ["title"],
}


def tool(
    parameters: object = None, *, output: object = None, description: str = "", tool_id: str = "github.make"
) -> Tool:
    given = ISSUE if parameters is None else parameters
    return Tool(tool_id, "make", "github", description, given, output)  # type: ignore[arg-type]


def made_from(**properties: object) -> Tool:
    return tool({"type": "object", "properties": properties, "required": list(properties)})


def annotation_of(schema: object, **definitions: object) -> tuple[str, tuple[str, ...]]:
    root = {"type": "object", "properties": {"thing": schema}, "required": ["thing"], "$defs": definitions}
    made = signature.signature(tool(root))
    return made.parameters[0].annotation, made.definitions


def test_required_parameters_come_first_then_defaults_then_the_unstated_behind_a_star():
    assert signature.call_line(tool()) == 'github.make(title: str, body: str = "", *, labels: list[str] = …) -> Any'


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "int"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "string", "nullable": True}, "str | None"),
        ({"enum": ["open", "closed", None]}, 'Literal["open", "closed", None]'),
        ({"enum": [1.5, 2.5]}, "float"),
        ({"const": 3}, "Literal[3]"),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]}, 'Literal["a", "b"]'),
        ({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "null"}}]}, "int | list[None]"),
        ({"anyOf": [{"type": "integer"}, {}]}, "Any"),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "dict[str, Any]"),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "str"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "string"}]}, "tuple[float, str]"),
        ({"type": "array", "items": [{"type": "number"}, {"type": "string"}]}, "tuple[float, str]"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "dict[str, bool]"),
        ({"type": "object"}, "dict[str, Any]"),
        ({"$ref": "https://example.org/x.json"}, "Any"),
        ({"$ref": "#/nowhere"}, "Any"),
        (True, "Any"),
        ({"type": "strnig"}, "Any"),
        ({"type": {"a": 1}}, "Any"),
    ],
)
def test_a_schema_becomes_a_python_type(schema, text):
    assert annotation_of(schema) == (text, ())


def test_a_nested_object_becomes_a_typed_dict_with_its_keys_as_they_are():
    plain = {"type": "object", "properties": {"name": {"type": "string"}, "color": {}}, "required": ["name"]}
    assert annotation_of({"type": "array", "items": plain, "title": "ignored"}) == (
        "list[Thing]",
        ("class Thing(TypedDict):\n    name: str\n    color: NotRequired[Any]",),
    )
    header = {"type": "object", "properties": {"content-type": {"type": "string", "description": "MIME"}}}
    assert annotation_of(header) == (
        "Thing",
        ('Thing = TypedDict("Thing", {\n    "content-type": NotRequired[str],  # MIME\n})',),
    )


def test_references_keep_their_name_and_recursion_ends():
    node = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree_node"}}}}
    assert annotation_of({"$ref": "#/$defs/tree_node"}, tree_node=node) == (
        "TreeNode",
        ("class TreeNode(TypedDict):\n    kids: NotRequired[list[TreeNode]]",),
    )
    value = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/value"}}]}
    assert annotation_of({"$ref": "#/$defs/value"}, value=value) == ("Value", ("Value = str | list[Value]",))
    assert annotation_of({"$ref": "#/$defs/a"}, a={"$ref": "#/$defs/b"}, b={"$ref": "#/$defs/a"}) == ("Any", ())


def test_a_name_that_is_no_identifier_gets_one_and_an_identifier_always_keeps_its_own():
    names = ["a-b", "a_b", "class", "class_", "2fa", "_id", "日本", "", "-", "__debug__"]
    made = signature.parameters({"type": "object", "properties": {each: {} for each in names}})
    python = {each.original: each.name for each in made}
    assert python == {
        "a-b": "a_b_2", "a_b": "a_b", "class": "class_2", "class_": "class_", "2fa": "_2fa", "_id": "_id",
        "日本": "u65e5u672c", "": "arg_2", "-": "arg_3", "__debug__": "debug",
    }  # fmt: skip


def test_root_alternatives_are_laid_over_one_another():
    by_id = {"properties": {"id": {"type": "integer"}, "full": {}}, "required": ["id", "full"]}
    by_name = {"properties": {"name": {"type": "string"}, "full": {}}, "required": ["name", "full"]}
    made = signature.parameters({"type": "object", "oneOf": [by_id, by_name]})
    assert [(each.name, each.required) for each in made] == [("full", True), ("id", False), ("name", False)]


def test_further_keywords_are_shown_where_the_schema_asks_for_them():
    open_schema = {"type": "object", "properties": {"extra": {}}, "additionalProperties": {"type": "integer"}}
    assert signature.call_line(tool(open_schema)) == "github.make(*, extra: Any = …, **extra_arguments: int) -> Any"


def test_a_line_that_is_too_long_loses_optional_parameters_first_and_required_names_last():
    wide = {f"option_{i}": {"type": "string"} for i in range(30)}
    schema = {"type": "object", "properties": {"owner": {"type": "string"}, **wide}, "required": ["owner"]}
    assert [signature.call_line(tool(schema), limit=limit) for limit in (90, 40, 24, 8)] == [
        "github.make(owner: str, *, option_0: str = …, option_1: str = …, …) -> Any",
        "github.make(owner: str, …) -> Any",
        "github.make(owner, …)",
        "github.…",
    ]


def test_the_result_comes_from_the_output_schema_and_else_from_what_was_observed():
    seen = observe([{"id": 1, "title": "x"}, {"id": 2}])
    declared = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    assert signature.signature(tool(), shape=seen).returns == 'list[{"id": int, "title?": str}]'
    assert signature.signature(tool(output={"type": "object"}), shape=seen).returns.startswith("list[")
    assert signature.signature(tool(output=declared), shape=seen).returns == "Result"


def test_a_full_stub_says_everything_a_caller_needs():
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "What it is\nabout.", "maxLength": 80},
            "class": {"enum": ["bug", "idea"], "default": "bug"},
            "who": {"type": "object", "properties": {"login": {"type": "string", "format": "email"}}},
        },
        "required": ["title"],
    }
    text = signature.stub(tool(schema, description="Make an issue.\nIt is public."), detail="full", shape=observe("x"))
    assert (
        text
        == '''\
class Who(TypedDict):
    login: NotRequired[str]  # format email

def make(title: str, class_: Literal["bug", "idea"] = "bug", *, who: Who = ...) -> str:
    """github.make: Make an issue.
    It is public.

    Args:
        title: What it is about.; max length 80
        class_: sent as "class"

    Returns:
        As observed so far.
    """
    ...'''
    )


def test_a_signature_stub_is_the_def_line_and_one_line_of_words():
    text = signature.stub(tool(description="Make it. Now."), detail="signature", call_name="tools.github.make")
    assert text == (
        'def make(title: str, body: str = "", *, labels: list[str] = ...) -> Any:\n'
        '    """tools.github.make: Make it."""\n'
        "    ..."
    )


HOSTILE = [
    '"""',
    '\\"""',
    "\\",
    '"',
    "\x00",
    "\ud800",
    "\u202e",
    "\u2028",
    "\r\n",
    "\x0c",
    "\n",
    "'''",
    "#",
    "Args:",
    "…",
]
text_of_strangers = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=6)), max_size=8).map("".join)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text_of_strangers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text_of_strangers, inner, max_size=3)),
    max_leaves=8,
)
words = st.sampled_from([
    "type", "properties", "required", "enum", "const", "anyOf", "oneOf", "allOf", "items", "prefixItems", "$ref",
    "title", "additionalProperties", "patternProperties", "default", "description", "nullable", "format", "$defs",
    "not", "$schema",
])  # fmt: skip
values = st.sampled_from(
    ["object", "array", "string", "null", "#", "#/properties", "#/$defs/a", "#/properties/a/items"]
)
garbled = st.recursive(
    st.one_of(anything, values),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=4)),
    max_leaves=20,
)


@given(
    schema=garbled,
    keys=st.dictionaries(text_of_strangers, garbled, max_size=4),
    description=text_of_strangers,
    name=text_of_strangers,
)
@settings(max_examples=250, derandomize=True, deadline=None)
def test_whatever_a_tool_says_its_stub_parses_and_its_names_are_distinct(schema, keys, description, name):
    whole = {"type": "object", "properties": keys, "required": list(keys)[:1], "$defs": {"a": schema}}
    for parameters in (schema, whole):
        hostile = Tool("a.b", name, "a", description, parameters, schema, title=name)
        for detail in ("signature", "full"):
            text = signature.stub(hostile, detail=detail, call_name=f"x.{name}")
            (*_, function) = ast.parse(text).body
            text.encode("utf-8")
            assert isinstance(function, ast.FunctionDef)
            assert len(function.body) == 2
        line = signature.call_line(hostile, call_name=f"x.{name}", limit=100)
        line.encode("utf-8")
        assert len(line) <= 100
        assert "\n" not in line
        python = [each.name for each in signature.parameters(parameters)]
        assert len(set(python)) == len(python)
        assert all(each.isidentifier() and not keyword.iskeyword(each) for each in python)


@pytest.mark.parametrize("levels", [2, 500])
def test_deep_wide_and_cyclic_schemas_give_short_texts(levels):
    deep: Json = {"type": "string"}
    for _ in range(levels):
        deep = {"type": "object", "properties": {"a": deep}}
    doubling = {f"n{i}": {"anyOf": [{"$ref": f"#/$defs/n{i - 1}"}] * 2} for i in range(1, 40)}
    wide = {f"p{i}": {"type": "string", "description": "x" * 100} for i in range(5_000)}
    schema = {
        "type": "object",
        "properties": {"deep": deep, "many": {"$ref": "#/$defs/n39"}, "me": {"$ref": "#"}, **wide},
        "$defs": {**doubling, "n0": {"$ref": "#/$defs/n39"}},
    }
    text = signature.stub(tool(schema, output=schema), detail="full")
    ast.parse(text)
    assert len(text) < 60_000
    assert "further parameters" in text


def test_equal_tools_give_equal_texts():
    first, second = (signature.stub(tool(ISSUE), detail="full") for _ in range(2))
    assert first == second
