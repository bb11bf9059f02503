"""What a program passed -> the arguments to send, or words that help."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog import signature
from toolweft_catalog.call import Failure
from toolweft_catalog.tool import Json, Tool

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {
        "limit": {"type": "integer", "minimum": 1},
        "from": {"type": "string"},
        "owner": {"type": "string"},
        "labels": {"type": "array", "items": {"type": "object", "properties": {"n": {"enum": ["a", "b"]}}}},
        "after": {"type": ["string", "null"]},
    },
    "required": ["owner", "from"],
}


def tool(schema: object = None) -> Tool:
    return Tool("mail.search", "search", "mail", "", SCHEMA if schema is None else schema)  # type: ignore[arg-type]


def words(bound: dict[str, Json] | Failure) -> str:
    assert isinstance(bound, Failure)
    assert (bound.kind, bound.sent) == ("arguments", False)
    return bound.message


def test_positions_follow_the_signature_and_keywords_take_both_names():
    assert signature.call_line(tool()).startswith("mail.search(from_: str, owner: str, *, limit: int = …")
    wanted = {"from": "x", "owner": "me", "limit": 3}
    assert signature.bind(tool(), ["x", "me", 3], {}) == wanted
    assert signature.bind(tool(), ["x"], {"owner": "me", "limit": 3}) == wanted
    assert signature.bind(tool(), [], {"from_": "x", "owner": "me", "limit": 3}) == wanted
    assert signature.bind(tool(), [], {"from": "x", "owner": "me", "limit": 3}) == wanted


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ([], {"from": "x", "ownr": "me"}, 'mail.search has no parameter "ownr"; the nearest is "owner".'),
        ([], {"form": "x", "owner": "me"}, 'mail.search has no parameter "form"; the nearest is "from_".'),
        ([], {}, 'mail.search needs "from_" (str), "owner" (str).'),
        (["x"], {"from": "x", "owner": "me"}, 'mail.search got "from" twice.'),
        ([], {"from": "x", "from_": "x", "owner": "me"}, 'mail.search got "from_" twice.'),
        ([1, 2, 3, 4, 5, 6], {}, "mail.search takes at most 5 arguments, got 6."),
        (["x", 5], {}, 'mail.search argument "owner" must be of type string, got 5.'),
        (["x", "me", 0], {}, 'mail.search argument "limit" must satisfy minimum 1, got 0.'),
        (["x", "me"], {"labels": [{}, {"n": "c"}]}, 'argument "labels[1].n" must be one of "a", "b", got "c".'),
        (["x", None], {}, 'mail.search argument "owner" must be of type string, got None.'),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong_and_how_to_call(args, kwargs, said):
    message = words(signature.bind(tool(), args, kwargs))
    assert said in message
    assert message.endswith(f"Call: {signature.call_line(tool())}")


def test_none_for_an_optional_parameter_means_not_given_unless_it_takes_null():
    assert signature.bind(tool(), ["x", "me"], {"limit": None, "labels": None, "after": None}) == {
        "from": "x", "owner": "me", "after": None,
    }  # fmt: skip


def test_unknown_keywords_pass_where_the_schema_allows_more():
    assert signature.bind(tool({**SCHEMA, "additionalProperties": True}), ["x", "me"], {"zone": 1}) == {
        "from": "x", "owner": "me", "zone": 1,
    }  # fmt: skip
    closed = tool({**SCHEMA, "additionalProperties": {"type": "string"}})
    assert 'argument "zone" must be of type string, got 1' in words(signature.bind(closed, ["x", "me"], {"zone": 1}))


def test_a_long_value_is_cut_in_the_message():
    message = words(signature.bind(tool(), ["x", "me"], {"limit": "9" * 100_000}))
    assert len(message) < 700
    assert "a" * 300 not in words(signature.bind(tool(), ["x", "me"], {"a" * 100_000: 1}))


def test_the_draft_that_a_schema_names_is_the_one_that_counts():
    older = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object",
             "properties": {"n": {"type": "integer", "minimum": 3, "exclusiveMinimum": True}}}  # fmt: skip
    assert "minimum 3" in words(signature.bind(tool(older), [3], {}))
    assert signature.bind(tool({**older, "$schema": "urn:nobody"}), [3], {}) == {"n": 3}


@pytest.mark.parametrize(
    "thing",
    [
        {"type": "strnig"},
        {"type": "integer", "minimum": "5"},
        {"$ref": "http://127.0.0.1:9/remote.json"},
        {"$ref": "#/nowhere"},
        {"$ref": "#/properties/thing"},
        {"pattern": "^(a+)+$"},
        {"pattern": "("},
        {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a+)+$"},
        {"propertyNames": {"pattern": "^(a+)+$"}, "patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
        7,
    ],
)
def test_what_cannot_be_checked_soundly_is_left_to_the_tool(thing):
    schema = {"type": "object", "properties": {"thing": thing}}
    value = {"a" * 40 + "!": 1} if isinstance(thing, dict) and "propertyNames" in thing else "a" * 40 + "!"
    assert signature.bind(tool(schema), [value], {}) == {"thing": value}


def test_a_schema_whose_check_would_grow_without_end_is_left_to_the_tool():
    doubling = {f"n{i}": {"anyOf": [{"$ref": f"#/$defs/n{i - 1}"}] * 2} for i in range(1, 40)}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n39"}},
              "$defs": {"n0": {"type": "string"}, **doubling}}  # fmt: skip
    assert signature.bind(tool(schema), [5], {}) == {"a": 5}


@given(
    originals=st.lists(st.text(alphabet="ab_-1", max_size=3), unique=True, max_size=8),
    by_original=st.booleans(),
)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_the_names_map_back_whichever_is_used(originals, by_original):
    schema = {"type": "object", "properties": {each: {"type": "integer"} for each in originals}}
    made = signature.parameters(schema)
    kwargs = {each.original if by_original else each.name: n for n, each in enumerate(made)}
    assert signature.bind(tool(schema), [], kwargs) == {each.original: n for n, each in enumerate(made)}


def test_a_key_that_a_tool_requires_is_left_out_of_what_a_program_must_give() -> None:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"to": {"type": "string"}, "Idempotency-Key": {"type": "string"}},
        "required": ["to", "Idempotency-Key"],
    }
    paying = Tool("bank.pay", "pay", "bank", parameters=schema)
    assert signature.bind(paying, [], {"to": "ada"}) == {"to": "ada"}
    assert signature.bind(paying, [], {"to": "ada", "Idempotency_Key": "k"}) == {"to": "ada", "Idempotency-Key": "k"}
    assert "made for you" in signature.stub(paying, detail="full")
    assert 'needs "to"' in words(signature.bind(paying, [], {}))
