"""OpenAPI documents become tools: what is read from a sound one, and what a broken one costs."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from toolweft_catalog.ingest import openapi
from toolweft_catalog.tool import Annotations

PETS = (Path(__file__).parent / "documents" / "pets.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pets():
    return {tool.name: tool for tool in openapi.tools(PETS, server="pets").tools}


def described(paths, **more):
    return {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": paths, **more}


def one(operation, *, path="/x", method="get", **more):
    """The only tool of a document with one operation, and what was said of it."""
    found = openapi.tools(described({path: {method: operation}}, **more), server="s")
    return found.tools[0], found.problems


# ---- a sound document of 3.0 -------------------------------------------------------------------------------------


def test_every_operation_but_the_deprecated_becomes_a_tool():
    found = openapi.tools(PETS, server="pets")
    assert [tool.id for tool in found.tools] == [
        "pets.listPets",
        "pets.createPet",
        "pets.get_pets_by_petId",
        "pets.replacePet",
        "pets.removePet",
        "pets.addPhoto",
    ]
    assert found.problems == ["deprecated operations are left out: 1"]
    assert found.tools[0].server_description == "Pet clinic. Pets, their owners and their visits."


def test_an_operation_is_read_whole(pets):
    tool = pets["listPets"]
    assert (tool.title, tool.description, tool.origin) == ("List pets.", "List pets.\n\nNewest first.", "openapi")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "X-Trace": {"type": ["string", "null"]},
            "limit": {"type": "integer", "default": 20, "maximum": 100, "description": "How many at most."},
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Only pets with all of these tags.",
            },
            "born after": {"type": "string", "format": "date", "examples": ["2020-02-29"]},
        },
    }
    places = {each["name"]: (each["location"], each["style"], each["explode"]) for each in tool.binding["parameters"]}
    assert places == {
        "X-Trace": ("header", "simple", False),
        "limit": ("query", "form", True),
        "tags": ("query", "form", False),
        "born after": ("query", "form", True),
    }
    assert (tool.binding["method"], tool.binding["path"]) == ("GET", "/pets")
    assert tool.binding["base_url"] == "https://eu.pets.example/v1"


def test_the_first_success_gives_the_result_with_the_schemas_it_refers_to(pets):
    assert pets["createPet"].output["$ref"] == "#/$defs/Pet"
    pet = pets["listPets"].output["$defs"]["Pet"]
    assert pet["properties"]["mother"] == {"$ref": "#/$defs/Pet"}
    assert pet["properties"]["nickname"] == {"type": ["string", "null"]}
    assert pet["properties"]["weight"] == {"type": "number", "exclusiveMinimum": 0}
    assert "secret" not in pet["properties"]
    assert pets["removePet"].output is None


def test_an_object_body_combined_of_parts_becomes_arguments(pets):
    tool = pets["createPet"]
    assert list(tool.parameters["properties"]) == ["X-Trace", "kind", "mother", "name"]
    assert sorted(tool.parameters["required"]) == ["kind", "name"]
    assert tool.parameters["properties"]["kind"] == {"type": ["string", "null"], "enum": ["cat", "dog", None]}
    assert tool.parameters["properties"]["mother"] == {"$ref": "#/$defs/Pet"}
    assert tool.binding["body"]["fields"] == {"kind": "kind", "mother": "mother", "name": "name"}


def test_a_body_whose_names_clash_is_one_argument(pets):
    tool = pets["replacePet"]
    assert list(tool.parameters["properties"]) == ["petId", "body"]
    assert (tool.binding["body"]["argument"], tool.binding["body"]["fields"]) == ("body", {})


def test_two_parameters_of_one_name_get_two_arguments(pets):
    tool = pets["get_pets_by_petId"]
    assert tool.parameters["properties"] == {
        "petId": {"type": "integer", "exclusiveMinimum": 0},
        "petId_query": {"type": "string"},
    }
    assert [(each["argument"], each["name"]) for each in tool.binding["parameters"]] == [
        ("petId", "petId"),
        ("petId_query", "petId"),
    ]


def test_a_path_variable_that_nobody_declared_is_an_argument_all_the_same(pets):
    assert pets["addPhoto"].parameters["properties"]["petId"] == {"type": "string"}
    assert pets["addPhoto"].binding["body"]["files"] == ["photo"]


def test_security_says_where_credentials_go(pets):
    assert pets["listPets"].binding["security"] == [
        [{"scheme": "api_key", "kind": "header", "name": "X-Key"}],
        [{"scheme": "token", "kind": "bearer", "name": "Authorization"}],
    ]
    assert pets["replacePet"].binding["security"] == []


@pytest.mark.parametrize(
    ("name", "annotations"),
    [
        ("listPets", Annotations(read_only=True, idempotent=True)),
        ("createPet", Annotations()),
        ("replacePet", Annotations(read_only=False, idempotent=True)),
        ("removePet", Annotations(read_only=False, destructive=True, idempotent=True)),
    ],
)
def test_the_method_says_what_a_call_may_do(pets, name, annotations):
    assert pets[name].annotations == annotations


def test_every_schema_is_sound_and_stands_alone(pets):
    for tool in pets.values():
        Draft202012Validator.check_schema(dict(tool.parameters))
        list(Draft202012Validator(dict(tool.parameters)).iter_errors({"mother": {"mother": {"id": "x"}}}))


def test_json_and_yaml_and_the_parsed_document_give_the_same_tools():
    from toolweft_catalog.ingest import document

    parsed = document.load(PETS)
    digests = [[t.digest for t in openapi.tools(each, server="p").tools] for each in (PETS, json.dumps(parsed), parsed)]
    assert digests[0] == digests[1] == digests[2]


# ---- a sound document of 3.1 -------------------------------------------------------------------------------------


def test_a_document_of_3_1_keeps_its_schemas_as_they_are():
    schema = {"type": ["string", "null"], "examples": ["a"], "exclusiveMinimum": 3, "const": None}
    tool, problems = one({"operationId": "o", "parameters": [{"name": "a", "in": "query", "schema": schema}]})
    assert (tool.parameters["properties"]["a"], problems) == (schema, [])


def test_a_recursive_body_that_is_no_plain_object_is_one_argument():
    components = {"schemas": {"Tree": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Forest"}]},
                              "Forest": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}}  # fmt: skip
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}, "required": True}
    tool, problems = one({"requestBody": body}, method="post", components=components)
    assert problems == []
    assert tool.parameters["properties"]["body"] == {"$ref": "#/$defs/Tree"}
    assert tool.parameters["$defs"]["Forest"] == {"type": "array", "items": {"$ref": "#/$defs/Tree"}}
    assert tool.parameters["required"] == ["body"]


@pytest.mark.parametrize(
    ("content", "kind", "arguments"),
    [
        ({"application/vnd.api+json": {"schema": {"properties": {"a": {}}}}}, "json", ["a"]),
        ({"text/plain": {}, "application/json": {"schema": {"properties": {"a": {}}}}}, "json", ["a"]),
        ({"application/json": {"schema": {"type": "array"}}}, "json", ["body"]),
        ({"application/json": {"schema": {"type": "object", "additionalProperties": True}}}, "json", ["body"]),
        ({"application/json": {}}, "json", ["body"]),
        ({"application/x-www-form-urlencoded": {"schema": {"properties": {"a": {}}}}}, "form", ["a"]),
        ({"multipart/form-data": {"schema": {"properties": {"a": {"format": "binary"}}}}}, "multipart", ["a"]),
        ({"text/csv": {"schema": {"type": "string"}}}, "raw", ["body"]),
    ],
)
def test_a_body_of_each_kind_becomes_arguments(content, kind, arguments):
    tool, _ = one({"requestBody": {"content": content}}, method="post")
    assert (tool.binding["body"]["kind"], list(tool.parameters["properties"])) == (kind, arguments)


@pytest.mark.parametrize(
    ("scheme", "kind", "name"),
    [
        ({"type": "apiKey", "in": "header", "name": "X-K"}, "header", "X-K"),
        ({"type": "apiKey", "in": "query", "name": "k"}, "query", "k"),
        ({"type": "apiKey", "in": "cookie", "name": "k"}, "cookie", "k"),
        ({"type": "http", "scheme": "Bearer"}, "bearer", "Authorization"),
        ({"type": "http", "scheme": "basic"}, "basic", "Authorization"),
        ({"type": "oauth2", "flows": {}}, "bearer", "Authorization"),
        ({"type": "openIdConnect", "openIdConnectUrl": "https://a.example"}, "bearer", "Authorization"),
    ],
)
def test_a_security_scheme_of_each_kind_is_recorded(scheme, kind, name):
    tool, problems = one({"security": [{"s": []}]}, components={"securitySchemes": {"s": scheme}})
    assert tool.binding["security"] == [[{"scheme": "s", "kind": kind, "name": name}]]
    assert problems == []


def test_headers_that_are_the_transports_are_no_arguments():
    parameters = [{"name": name, "in": "header", "schema": {}} for name in ("Host", "authorization", "Content-Length")]
    assert one({"parameters": parameters})[0].parameters["properties"] == {}


def test_schemas_that_describe_everything_travel_up_to_a_limit():
    schemas = {f"S{n}": {"properties": {"next": {"$ref": f"#/components/schemas/S{n + 1}"}}} for n in range(500)}
    schemas["S500"] = {}
    parameter = {"name": "a", "in": "query", "schema": {"$ref": "#/components/schemas/S0"}}
    tool, problems = one({"parameters": [parameter]}, components={"schemas": schemas})
    assert len(tool.parameters["$defs"]) == openapi.REQUEST_DEFINITIONS
    assert problems == []


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(8)
)
"""A thousand characters that stand for a billion values."""

# ---- what broken documents cost ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the document is empty"),
        ("[]", "is list, not an object"),
        ("3", "is int, not an object"),
        ("{", "neither JSON nor YAML"),
        ("a: b: c", "neither JSON nor YAML"),
        ("!!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
        ("a: &a [*a]", "contains itself through an alias"),
        (ALIASES, "more than 3000000"),
        ("[" * 100_000, "nested more than 150 levels"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a":' * 400 + "1" + "}" * 400, "nested more than 150 levels"),
        ('{"swagger": "2.0", "paths": {}}', "Swagger '2.0' document; OpenAPI 3.0 and 3.1 are read: convert it"),
        ('{"openapi": "4.0.0"}', "its 'openapi' is '4.0.0'"),
        ('{"openapi": null}', "its 'openapi' is None"),
        ("paths: {}", "its 'openapi' is None"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_refused_with_its_reason(text, words):
    with pytest.raises(ValueError, match=words):
        openapi.tools(text, server="s")


@pytest.mark.parametrize(
    ("path", "item", "words"),
    [
        ("/b", {"get": 3}, "'GET /b' is left out: it is int, not an object"),
        ("/b", {"get": {"parameters": {}}}, "'GET /b' is left out: its parameters are dict, not a list"),
        ("/b", {"get": {"parameters": "no"}}, "'GET /b' is left out: its parameters are str, not a list"),
        ("/b", {"get": {"parameters": [3]}}, "'GET /b' is left out: an object must be where 3 is"),
        ("/b", {"get": {"parameters": [{"name": "a", "in": "moon"}]}}, "'GET /b' is left out: in: Input should be"),
        ("/b", {"get": {"parameters": [{"in": "query"}]}}, "'GET /b' is left out: name: Field required"),
        ("/b", {"get": {"parameters": [{"$ref": "#/components/parameters/no"}]}},
         "'GET /b' is left out: the reference '#/components/parameters/no' leads nowhere"),
        ("/b", {"get": {"parameters": [{"$ref": "other.yaml#/a"}]}},
         "'GET /b' is left out: the reference 'other.yaml#/a' leads out of the document"),
        ("/b", {"$ref": "#/paths/~1b"}, "'/b' is left out: a chain of references is a circle"),
        ("/b", None, "'/b' is left out: an object must be where None is"),
        ("/b", {"get": {"operationId": ["x"]}}, "'GET /b' is left out: operationId: Input should be a valid string"),
        ("/b", {"post": {"requestBody": {"$ref": "#/nowhere"}}}, "'POST /b' is left out: the reference '#/nowhere'"),
    ],
)  # fmt: skip
def test_a_broken_operation_costs_itself_alone(path, item, words):
    good = {"operationId": "good"}
    found = openapi.tools(
        described({"/a": {"get": good}, path: item, "/c": {"put": {**good, "operationId": "also"}}}), server="s"
    )
    assert {"good", "also"} <= {tool.name for tool in found.tools}
    assert len(found.problems) == 1
    assert found.problems[0].startswith(words)


def test_a_broken_reference_in_a_schema_costs_the_schema_and_is_said():
    parameter = {"name": "a", "in": "query", "schema": {"$ref": "#/components/schemas/No"}}
    tool, problems = one({"operationId": "o", "parameters": [parameter]})
    assert tool.parameters["$defs"] == {"No": {}}
    assert problems == ["'o': its parameters were mended: the reference '#/components/schemas/No' leads nowhere"]


def test_a_schema_that_combines_itself_ends():
    components = {"schemas": {"A": {"allOf": [{"$ref": "#/components/schemas/A"}]}}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}
    tool, _ = one({"requestBody": body}, method="post", components=components)
    assert list(tool.parameters["properties"]) == ["body"]


def test_a_second_operation_of_an_id_gets_the_name_of_its_path():
    found = openapi.tools(
        described({"/a": {"get": {"operationId": "o"}}, "/b": {"get": {"operationId": "o"}}}), server="s"
    )
    assert [tool.name for tool in found.tools] == ["o", "get_b"]
    assert found.problems == ["'o': a second operation has this operationId; it is called 'get_b'"]


@pytest.mark.parametrize("servers", [[3], ["x"], [{}], "no", [{"url": "https://a.example", "variables": {"v": {}}}]])
def test_servers_that_cannot_be_read_leave_the_address_open(servers):
    tool, _ = one({"operationId": "o"}, servers=servers)
    assert tool.binding["base_url"] == ""


def test_a_document_without_paths_says_so():
    assert openapi.tools({"openapi": "3.1.0"}, server="s") == (
        [],
        ["the document has no 'paths', so there is nothing to call"],
    )


def test_a_newer_document_is_read_and_said():
    found = openapi.tools({**described({"/a": {"get": {}}}), "openapi": "3.2.0"}, server="s")
    assert ([tool.name for tool in found.tools], found.problems) == (
        ["get_a"],
        ["the document is of version '3.2.0' and read as 3.1"],
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3)
    | st.sampled_from(["query", "path", "#/components/schemas/A", "#/paths/~1a", "object", "string"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["$ref", "name", "in", "schema", "type", "properties", "allOf", "items", "content", "application/json",
             "200", "required", "nullable", "enum", "minimum", "exclusiveMinimum", "security", "servers", "url",
             "description", "operationId", "parameters", "requestBody", "responses", "multipart/form-data"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip
PARAMETER = st.fixed_dictionaries(
    {"name": st.just("a"), "in": st.sampled_from(["query", "path"])},
    optional={"schema": JSON, "content": JSON, "style": JSON},
)
OPERATION = st.fixed_dictionaries(
    {},
    optional={
        "parameters": st.lists(PARAMETER, max_size=2),
        "requestBody": JSON | st.fixed_dictionaries({"content": st.fixed_dictionaries({"application/json": JSON})}),
        "responses": st.fixed_dictionaries({"200": JSON}),
        "security": JSON,
        "servers": JSON,
    },
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.sampled_from(["3.0.3", "3.1.0"]), OPERATION, JSON, JSON)
def test_whatever_a_document_holds_its_tools_have_sound_schemas(version, operation, schema, other):
    document = described(
        {"/a/{a}": {"post": operation}, "/b": other},
        openapi=version,
        components={"schemas": {"A": schema}, "securitySchemes": other},
        security=other,
    )
    for tool in openapi.tools(document, server="s").tools:
        assert tool.parameters["type"] == "object"
        Draft202012Validator.check_schema(dict(tool.parameters))
        assert len(tool.digest) == 32
