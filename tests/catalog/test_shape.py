"""What results looked like: keys and types, never values."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog import shape
from toolweft_catalog.call import Blob
from toolweft_catalog.shape import NOTHING, annotation, from_json, merge, observe, to_json


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "bool"),
        ([1, 2.5, None], "list[float | None]"),
        ([], "list"),
        ({}, "dict"),
        ([{"id": 1, "title": "a"}, {"id": 2, "title": None, "body": "x"}],
         'list[{"id": int, "title": str | None, "body?": str}]'),
        ({"image": Blob("image/png", b"..")}, '{"image": Blob}'),
        ({"2024-11-02": 1, "2024-11-03": 2}, "dict[str, int]"),
        ({"total": 2, "9f86d081884c7d65": {"a": 1}}, '{"total": int, **dict[str, {"a": int}]}'),
        ({"src/main.py": "x", "someone@example.org": "y", "k" * 41: "z"}, "dict[str, str]"),
        ([[1], ["a"]], "list[list[str | int]]"),
    ],
)  # fmt: skip
def test_a_result_is_written_as_a_python_type(value, text):
    assert annotation(observe(value)) == text
    ast.parse(f"x: {text}")


def test_maps_with_many_varying_keys_collapse():
    users = [{f"user {chr(97 + i % 26)}{chr(97 + i // 26)}": i} for i in range(40)]
    assert annotation(observe(users)) == "list[dict[str, int]]"
    assert annotation(observe({f"{chr(97 + i % 26)}{chr(97 + i // 26)}": i for i in range(200)})) == "dict[str, int]"


def test_no_value_and_no_telling_key_is_kept():
    secret = {"token": "hunter2", "sk-4f5a8b1c2d3e": 1, "nested": [{"ghp0123456789abcdef": "hunter2"}]}
    stored = json.dumps(to_json(observe(secret)))
    assert "hunter2" not in stored
    assert "4f5a" not in stored
    assert "ghp" not in stored


def test_a_long_type_gives_up_its_lower_levels_first():
    value = {"id": 1, "owner": {"login": "x", "plan": {"name": "y", "seats": 3}}, "items": [{"a": {"b": 1}}]}
    assert [annotation(observe(value), limit) for limit in (200, 80, 45, 30, 5)] == [
        '{"id": int, "owner": {"login": str, "plan": {"name": str, "seats": int}}, "items": list[{"a": {"b": int}}]}',
        '{"id": int, "owner": {"login": str, "plan": dict}, "items": list[dict]}',
        '{"id": int, "owner": dict, "items": list}',
        "dict",
        "dict",
    ]


keys = st.sampled_from(["id", "name", "a", "b", "2024-01-01", "0f3a9c", "x" * 50, "we?rd", 'q"'])
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.just(Blob("a/b", b""))
)
results = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=15,
)
wide = st.sets(st.integers(0, 150), max_size=130).map(lambda ids: {f"k{chr(97 + n % 26)}{n // 26}": n for n in ids})
some = st.one_of(results, results, wide)


@given(a=some, b=some, c=some)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_merging_is_commutative_associative_and_idempotent(a, b, c):
    x, y, z = observe(a), observe(b), observe(c)
    assert merge(x, y) == merge(y, x)
    assert merge(merge(x, y), z) == merge(x, merge(y, z))
    assert merge(x, x) == x
    assert merge(merge(x, y), y) == merge(x, y)
    assert merge(x, NOTHING) == x


@given(a=some, b=some, limit=st.integers(5, 300))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_every_shape_parses_as_python_and_survives_storage(a, b, limit):
    both = merge(observe(a), observe(b))
    ast.parse(f"x: {annotation(both, limit)}")
    assert from_json(json.loads(json.dumps(to_json(both)))) == both
    assert observe([a, b]).items == both


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["scalars", "items", "fields", "optional", "rest", "unknown", "x"]), inner),
    ),
    max_leaves=10,
)


@given(data=anything)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_garbage_from_the_store_is_a_value_error_or_a_shape(data):
    try:
        found = from_json(data)
    except ValueError:
        return
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize(
    "data",
    [None, [], {"scalars": "str"}, {"scalars": ["bytes"]}, {"optional": ["a"]}, {"fields": {"a" * 90: {}}},
     {"unknown": 1}, {"folded": True}, {"rest": {}}, {"fields": [1]}],
)  # fmt: skip
def test_what_to_json_never_writes_is_refused(data):
    with pytest.raises(ValueError, match="not a stored shape"):
        from_json(data)


def test_deep_wide_and_endless_results_stay_small():
    deep: object = 1
    for _ in range(500):
        deep = [{"a": deep}]
    wide_list = [{f"f{chr(97 + i % 26)}{i // 26}": [i] for i in range(90)} for _ in range(5_000)]
    seen = NOTHING
    for value in (deep, wide_list, [deep] * 3_000):
        seen = merge(seen, observe(value))  # type: ignore[arg-type]
    assert seen.size <= shape.MAX_NODES
    assert len(annotation(seen)) <= 200


def test_a_shape_grown_beyond_its_budget_keeps_its_upper_levels():
    letters = [chr(97 + n) for n in range(20)]
    seen = NOTHING
    for a in letters:
        for b in letters:
            seen = merge(seen, observe({"root": {a: {b: dict.fromkeys(letters, 1)}}}))
    assert seen.size <= shape.MAX_NODES
    assert annotation(seen, 40) == '{"root": dict}'
    assert merge(seen, seen) == seen
