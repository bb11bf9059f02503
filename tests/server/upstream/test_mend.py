"""What an upstream answers is repaired or dropped, piece by piece, and always acceptable to the SDK afterwards."""

import json

import mcp_types as types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import methods

from toolweft_server.upstream import mend
from toolweft_server.upstream.evidence import Evidence
from toolweft_server.upstream.lines import Lines, TooLong, understand

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
KEYS = ["name", "title", "description", "inputSchema", "outputSchema", "annotations", "icons", "execution", "_meta"]
TOOLS = st.dictionaries(st.sampled_from(KEYS), JSON | st.just({"type": "object"}), max_size=9)
BLOCKS = st.dictionaries(
    st.sampled_from(["type", "text", "data", "mimeType", "resource", "uri", "name", "annotations"]),
    JSON | st.sampled_from(["text", "image", "audio", "resource", "resource_link", "video"]),
    max_size=6,
)
SAID = {"jsonrpc": "2.0", "id": 1, "result": {}}


def accepted(method: str, raw: dict, *, modern: bool) -> dict:
    mended = mend.result(method, raw, modern=modern, report=lambda _: None)
    methods.parse_server_result(method, mend.MODERN if modern else mend.HANDSHAKE, mended)
    return mended


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["tools", "nextCursor", "_meta"]), JSON | st.lists(TOOLS | JSON)), st.booleans())
def test_any_list_of_tools_becomes_acceptable_and_keeps_its_sound_tools(raw, modern):
    sound = {"name": "sound", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": True}}
    if isinstance(raw.get("tools"), list):
        raw["tools"].append(sound)
        assert accepted("tools/list", raw, modern=modern)["tools"][-1] == sound
    accepted("tools/list", raw, modern=modern)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["content", "structuredContent", "isError", "_meta"]), JSON | st.lists(BLOCKS | JSON)
    ),
    st.booleans(),
)
def test_any_answer_to_a_call_becomes_acceptable(raw, modern):
    accepted("tools/call", raw, modern=modern)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["protocolVersion", "capabilities", "serverInfo", "instructions", "_meta"]), JSON)
)
def test_any_greeting_becomes_acceptable(raw):
    accepted("initialize", raw, modern=False)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error"]), JSON) | JSON)
def test_any_json_value_is_a_message_or_nothing(raw):
    message = mend.message(raw, lambda _: None)
    assert message is None or types.jsonrpc_message_adapter.validate_python(message.model_dump(exclude_unset=True))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40)), st.integers(1, 9))
def test_lines_do_not_depend_on_how_they_arrive(parts, size):
    data = b"\n".join(part.replace(b"\n", b"") for part in parts) + b"\n"
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    lines = Lines(1000)
    assert [line for chunk in chunks for line in lines.feed(chunk)] == data.split(b"\n")[:-1]


@pytest.mark.parametrize("line", ['{"jsonrpc":"2.0","id":7,"result":{"x":"%s"}}', '{"result":{"x":"%s"},"id":7}'])
def test_of_a_line_that_is_too_long_the_request_is_still_known(line):
    lines = Lines(1000)
    (found,) = [each for part in (line % ("y" * 5000), "\n") for each in lines.feed(part.encode())]
    assert isinstance(found, TooLong)
    assert found.request == 7


def test_an_id_inside_the_content_of_a_long_line_is_not_mistaken_for_its_own():
    assert TooLong(b'{"result":{"id":7,"x":"' + b"y" * 99, 10**8).request is None


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        (SAID, [types.JSONRPCResponse]),
        ([SAID, {"jsonrpc": "2.0", "method": "x"}], [types.JSONRPCResponse, types.JSONRPCNotification]),
        ({"id": 1, "result": {}, "error": None}, [types.JSONRPCResponse]),
        ({"id": 1, "error": "no"}, [types.JSONRPCError]),
        ({"id": 1, "error": {"code": "E_FAIL"}}, [types.JSONRPCError]),
        ({"id": 1, "result": None}, [types.JSONRPCResponse]),
        ({"method": "x", "params": [1]}, [types.JSONRPCNotification]),
        ({"id": None, "method": "x"}, []),
        ({"id": True, "result": {}}, []),
        ("text", []),
    ],
)
def test_sloppy_frames_are_understood_where_they_can_mean_one_thing(line, kinds):
    evidence = Evidence()
    assert [type(each) for each in understand(json.dumps(line).encode(), evidence)] == kinds
    assert evidence.stray == (0 if kinds else 1)


@pytest.mark.parametrize("line", [b"[" * 100_000, b"\xff\xfe{}", b"NaN", b"\x1b]0;title\x07"])
def test_garbage_is_counted_and_shown_without_control_characters(line):
    evidence = Evidence()
    assert list(understand(line, evidence)) == []
    assert evidence.stray == 1
    assert "\x1b" not in evidence.samples[0]
