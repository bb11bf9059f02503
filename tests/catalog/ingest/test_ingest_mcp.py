"""A `tools/list` result of any revision, sound or not, becomes tools."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from toolweft_catalog.ingest import mcp
from toolweft_catalog.tool import Annotations, Tool

OBJECT = {"type": "object", "properties": {}}


def one(**entry):
    """The only tool of a list with one entry, and what was said of it."""
    found = mcp.tools([{"name": "t", "inputSchema": OBJECT, **entry}], server="s")
    return found.tools[0], found.problems


def test_a_tool_of_the_newest_revision_is_read_whole():
    raw = {
        "name": "create-issue",
        "title": "Create an issue",
        "description": "Opens one.",
        "inputSchema": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
        "outputSchema": {"type": "object", "properties": {"number": {"type": "integer"}}},
        "annotations": {"readOnlyHint": False, "destructiveHint": False, "idempotentHint": True, "openWorldHint": True},
        "icons": [{"src": "https://example.com/i.png"}],
        "execution": {"taskSupport": "optional"},
        "_meta": {"x": 1},
    }
    found = mcp.tools([raw], server="git hub", server_description="Issues.")
    assert found == (
        [
            Tool(
                id="git_hub.create_issue",
                name="create-issue",
                server="git hub",
                description="Opens one.",
                parameters=raw["inputSchema"],
                output=raw["outputSchema"],
                annotations=Annotations(read_only=False, destructive=False, idempotent=True, open_world=True),
                origin="mcp",
                title="Create an issue",
                server_description="Issues.",
            )
        ],
        [],
    )


def test_a_tool_of_the_oldest_revision_needs_no_more_than_a_name_and_a_schema():
    tool, problems = one()
    assert (tool.description, tool.output, tool.title, tool.annotations, problems) == (
        "",
        None,
        None,
        Annotations(),
        [],
    )


@pytest.mark.parametrize("wrap", [lambda tools: tools, lambda t: {"tools": t}, lambda t: {"result": {"tools": t}}])
def test_the_list_may_be_bare_in_its_result_or_in_the_whole_answer(wrap):
    assert [tool.id for tool in mcp.tools(wrap([{"name": "t", "inputSchema": OBJECT}]), server="s").tools] == ["s.t"]


@pytest.mark.parametrize("document", [None, "tools", {}, {"tools": None}, {"tools": {}}, 3])
def test_what_is_no_list_of_tools_is_refused(document):
    with pytest.raises(ValueError, match="holds a list under 'tools'"):
        mcp.tools(document, server="s")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (None, "entry 1 of the list is NoneType, not a tool; it is left out"),
        ("t", "entry 1 of the list is str, not a tool; it is left out"),
        ({}, "entry 1 of the list has no usable name (None); it is left out"),
        ({"name": 3}, "entry 1 of the list has no usable name (3); it is left out"),
        ({"name": "  "}, "entry 1 of the list has no usable name ('  '); it is left out"),
    ],
)
def test_an_entry_without_a_name_costs_itself_alone(entry, problem):
    good = {"name": "a", "inputSchema": OBJECT}
    found = mcp.tools([good, entry, {**good, "name": "b"}], server="s")
    assert [tool.name for tool in found.tools] == ["a", "b"]
    assert found.problems == [problem]


@pytest.mark.parametrize(
    ("schema", "mended", "note"),
    [
        (None, OBJECT, "is missing"),
        ([], OBJECT, "is list, not an object"),
        (True, OBJECT, "is bool, not an object"),
        ({}, OBJECT, None),
        ({"type": ["object", "null"]}, OBJECT, None),
        ({"type": "string"}, OBJECT, "has the type 'string' where an object must be"),
        ({"properties": []}, OBJECT, "properties is list, not an object"),
        ({"required": "x"}, OBJECT, "required cannot be 'x'"),
        (
            {"properties": {"a": {"type": "str"}, "b": {"type": "any"}, "c": None}},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}, "c": {}}},
            "properties.a.type 'str' is read as string; properties.b.type 'any' is read as anything; "
            "properties.c is NoneType, not a schema",
        ),
        (
            {"properties": {"a": {"type": "string", "required": True, "enum": None}}},
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            None,
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/no"}, "b": {"$ref": "https://a.example/b"}}},
            {"type": "object", "properties": {"a": {}, "b": {}}},
            "properties.a.$ref '#/$defs/no' leads nowhere; properties.b.$ref 'https://a.example/b' leads nowhere",
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
            {"type": "object", "properties": {"a": {}}, "$defs": {"a": {}}},
            "properties.a.$ref '#/$defs/a' leads nowhere; $defs.a.$ref '#/$defs/a' leads nowhere",
        ),
        (
            {"properties": {"a": {"type": "string", "pattern": "(?<x"}}},
            {"type": "object", "properties": {"a": {"type": "string"}}},
            "properties.a.pattern cannot be '(?<x'",
        ),
        (
            {"properties": {"a": {"items": [{"type": "string"}, {}]}}},
            {"type": "object", "properties": {"a": {"prefixItems": [{"type": "string"}, {}]}}},
            None,
        ),
    ],
)
def test_a_schema_is_mended_and_said(schema, mended, note):
    tool, problems = one(inputSchema=schema)
    assert dict(tool.parameters) == mended
    assert problems == ([f"'t': its inputSchema was mended: {note}"] if note else [])


def test_a_sound_recursive_schema_is_kept():
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    }
    assert one(inputSchema=schema) == (one(inputSchema=schema)[0], [])
    assert dict(one(inputSchema=schema)[0].parameters) == schema


def test_a_schema_nested_without_end_is_cut():
    schema = {"type": "string"}
    for _ in range(300):
        schema = {"type": "object", "properties": {"x": schema}}
    tool, problems = one(inputSchema=schema)
    Draft202012Validator.check_schema(dict(tool.parameters))
    assert "is nested too deeply" in problems[0]


@pytest.mark.parametrize(
    ("entry", "annotations"),
    [
        ({"annotations": {"readOnlyHint": "yes", "destructiveHint": True}}, Annotations(destructive=True)),
        ({"annotations": []}, Annotations()),
        ({"annotations": None}, Annotations()),
    ],
)
def test_hints_that_are_no_booleans_say_nothing(entry, annotations):
    assert one(**entry)[0].annotations == annotations


def test_a_title_may_stand_among_the_annotations():
    assert one(annotations={"title": "T"})[0].title == "T"
    assert one(annotations={"title": "T"}, title="U")[0].title == "U"


def test_an_endless_description_is_cut_and_said():
    tool, problems = one(description="x" * 100_000)
    assert len(tool.description) == 20_000
    assert problems == ["'t': its description of 100000 characters was cut"]


def test_an_output_schema_that_is_none_is_left_out_and_said():
    tool, problems = one(outputSchema="object")
    assert (tool.output, problems) == (None, ["'t': its outputSchema is str and was left out"])


def test_a_second_tool_of_a_name_is_left_out_and_an_equal_one_silently():
    entry = {"name": "t", "inputSchema": OBJECT}
    found = mcp.tools([entry, entry, {**entry, "description": "another"}], server="s")
    assert [tool.description for tool in found.tools] == [""]
    assert found.problems == ["'t': a second tool of this name is left out; names must differ"]


def test_names_that_are_no_identifiers_are_kept_and_their_ids_differ():
    raw = [{"name": name, "inputSchema": OBJECT} for name in ("a-b", "a.b", "ü", "class", "\ud83d", "a" * 5000)]
    found = mcp.tools(raw, server="s")
    assert [tool.name for tool in found.tools] == [entry["name"] for entry in raw]
    assert [tool.id for tool in found.tools[:5]] == ["s.a_b", "s.a_b_2", "s.ufc", "s.class_", "s.ud83d"]
    assert found.problems == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=4)
    | st.sampled_from(["object", "string", "#/$defs/a", "["]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(max_size=3)
        | st.sampled_from(
            ["type", "properties", "items", "required", "enum", "$ref", "$defs", "a", "anyOf", "pattern", "minimum",
             "name", "description", "inputSchema", "outputSchema", "annotations", "title", "default", "format"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(JSON | st.fixed_dictionaries({"name": JSON, "inputSchema": JSON, "outputSchema": JSON}), max_size=3))
def test_whatever_a_server_lists_its_tools_have_sound_schemas_and_a_digest(document):
    found = mcp.tools(document, server="s")
    assert len(found.tools) <= len(document)
    for tool in found.tools:
        assert tool.parameters["type"] == "object"
        Draft202012Validator.check_schema(dict(tool.parameters))
        if tool.output is not None:
            Draft202012Validator.check_schema(dict(tool.output))
        assert len(tool.digest) == 32
