"""stdio: every line a host sends gets an answer, whatever it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_server.stdio import MAX_LINE, split_lines, understand

ODD_LINES = {
    "not json": (b"{nope", None, -32700),
    "not utf-8": (b"\xff\xfe", None, -32700),
    "infinity": (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":Infinity}}', None, -32700),
    "a batch": (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', None, -32600),
    "a number": (b"7", None, -32600),
    "no jsonrpc": (b'{"id":1,"method":"ping"}', 1, -32600),
    "no method": (b'{"jsonrpc":"2.0","id":"x"}', "x", -32600),
    "method is a number": (b'{"jsonrpc":"2.0","id":1,"method":5}', 1, -32600),
    "params are a string": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}', 1, -32600),
    "id is null": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600),
    "id is a fraction": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, -32600),
    "id is true": (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None, -32600),
    "too deep": (b"[" * 100_000, None, -32700),
    "too long": (None, None, -32600),
}


@pytest.mark.parametrize(("line", "request_id", "code"), ODD_LINES.values(), ids=ODD_LINES.keys())
def test_an_odd_line_is_answered_with_its_error(line, request_id, code):
    message, refusal = understand(line)
    answer = json.loads(refusal)
    assert message is None
    assert (answer["id"], answer["error"]["code"]) == (request_id, code)


def test_half_an_emoji_in_an_argument_is_mended():
    line = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"q":"\\ud83d ok"}}}'
    message, refusal = understand(line)
    assert refusal is None
    assert message.message.params["arguments"] == {"q": "\ufffd ok"}


def test_an_empty_line_is_nothing():
    assert understand(b"  ") == (None, None)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(line):
    message, refusal = understand(line)
    assert message is None or refusal is None


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), min_size=1), st.integers(1, 7))
def test_lines_are_the_same_however_the_chunks_fall(lines, size):
    whole = b"".join(line + b"\n" for line in lines)
    chunks = iter([whole[i : i + size] for i in range(0, len(whole), size)])
    assert list(split_lines(lambda: next(chunks, b""))) == lines


def test_a_line_that_is_too_long_is_thrown_away_and_the_next_one_read():
    chunks = iter([b"x" * (MAX_LINE // 2)] * 3 + [b"\nnext\n"])
    assert list(split_lines(lambda: next(chunks, b""))) == [None, b"next"]
