"""Frames: whatever bytes come, a typed message or a `ViolationError`; what is sent arrives unchanged."""

import base64
import gc
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog.call import Blob
from toolweft_server.sandbox import frames
from toolweft_server.sandbox.frames import ViolationError
from toolweft_server.sandbox.texts import clean, seconds, size

leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
blobs = st.builds(Blob, st.sampled_from(["image/png", "application/x+y"]), st.binary(max_size=20))
values = st.recursive(
    leaves | texts | blobs,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(texts, each, max_size=4),
    max_leaves=12,
)


def examples(function):
    # Noise this random finds what it finds early; the millions are `test_frames_fuzz`'s.
    count = min(20_000, int(os.environ.get("FUZZ_EXAMPLES", "200")))
    return pytest.mark.fuzz(settings(derandomize=True, deadline=None, max_examples=count)(function))


def done(value, b=()):
    frame = {"kind": "done", "id": "r", "status": "ok", "error": None, "repr": None, "limits": [], "value": value}
    return frames.encode({**frame, "b": b})[4:]


def parsed(body):
    return frames.parse(body, arguments=1000)


@examples
@given(values)
def test_value_with_blobs_arrives_as_it_was(value):
    assert parsed(done(*frames.split(value))).value == value


@examples
@given(st.binary(max_size=200))
def test_any_bytes_are_a_violation_or_a_message(body):
    with pytest.raises(ViolationError):
        parsed(body)


@pytest.mark.parametrize(
    "number", ["1e309", "-1E+0400", "1" * 310 + ".0", "1" + "0" * 250 + ".5e60", "NaN", "-Infinity"]
)
def test_a_number_that_no_float_holds_is_a_violation_however_it_is_spelled(number):
    body = done("here")
    assert parsed(body.replace(b'"here"', b"[0.5]")).value == [0.5]
    with pytest.raises(ViolationError, match="not JSON"):
        parsed(body.replace(b'"here"', f"[{number}]".encode()))


def test_a_frame_of_a_million_objects_is_read_without_the_garbage_collector():
    passes = []
    gc.callbacks.append(lambda phase, _info: passes.append(phase))
    try:
        assert len(parsed(done([[]] * 500_000)).value) == 500_000
    finally:
        gc.callbacks.pop()
    assert gc.isenabled()
    assert len(passes) < 10


KINDS = st.sampled_from(["hello", "call", "describe", "function", "save", "file", "done", "run", "result", ""])
KEYS = st.sampled_from(["c", "f", "a", "k", "id", "status", "error", "value", "b", "repr", "limits", "name", "version",
                        "data", "guarded", "x"])  # fmt: skip
ANY = st.recursive(
    leaves | texts | st.floats(), lambda each: st.lists(each) | st.dictionaries(texts, each), max_leaves=6
)


@examples
@given(KINDS, st.dictionaries(KEYS, ANY, max_size=8))
def test_any_object_is_a_violation_or_a_message_of_exact_types(kind, frame):
    body = json.dumps({**frame, "kind": kind}).encode()
    try:
        message = parsed(body)
    except ViolationError:
        return
    assert type(message).__name__.removesuffix("Request").removesuffix("Part").lower() == kind


@examples
@given(st.lists(st.binary(max_size=60), max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_frames_come_out_as_they_went_in_however_they_were_cut(bodies, cuts):
    stream = b"".join(frames.HEADER.pack(len(body)) + body for body in bodies)
    buffer, found = frames.Buffer(cap=60), []
    while stream:
        cut = cuts[len(found) % len(cuts)]
        buffer.feed(stream[:cut])
        stream = stream[cut:]
        while (body := buffer.next()) is not None:
            found.append(body)
    assert found == bodies
    assert len(buffer) == 0


@pytest.mark.parametrize(
    ("value", "b"),
    [
        ({"a": None}, [[["b"], "a/b", ""]]),
        ({"a": 1}, [[["a"], "a/b", ""]]),
        ([None], [[[-1], "a/b", ""]]),
        ([None], [[[True], "a/b", ""]]),
        ([None], [[["0"], "a/b", ""]]),
        ([None], [[[0], "no mime", ""]]),
        ([None], [[[0], "a/b", "%"]]),
        ([None], [[[0], "a/b"]]),
        ([None], [[[0], "a/b", ""], [[0], "a/b", ""]]),
        (None, {}),
        (None, [[[0] * 200, "a/b", ""]]),
    ],
)
def test_blob_that_does_not_fit_its_value_is_a_violation(value, b):
    with pytest.raises(ViolationError):
        parsed(done(value, b))


def test_blob_as_the_whole_value():
    assert parsed(done(None, [[[], "a/b", base64.b64encode(b"x").decode()]])).value == Blob("a/b", b"x")


def test_request_above_the_cap_for_arguments_is_a_violation():
    frame = {"kind": "call", "c": 1, "f": "a.b", "a": ["x" * 100_000], "k": {}}
    with pytest.raises(ViolationError, match="above the cap of 1000"):
        parsed(frames.encode(frame)[4:])


def test_escaped_lone_surrogate_does_not_get_through():
    assert parsed(b'{"kind":"save","c":1,"name":"a\\ud800b"}').name == "a?b"
    assert parsed(b'{"kind":"save","c":1,"name":"\\ud83d\\ude00"}').name == "\U0001f600"


def test_names_cannot_steer_a_terminal_or_forge_a_line():
    assert parsed(frames.encode({"kind": "save", "c": 1, "name": "a\x1b[2J\u202e"})[4:]).name == "a\\x1b[2J\\x202e"
    assert parsed(frames.encode({"kind": "save", "c": 1, "name": "a\nok"})[4:]).name == "a\\x0aok"
    assert clean("a\r\nb\tc\r\u2028") == "a\nb\tc\\x0d\\x2028"


def test_error_is_cut_and_made_fit_to_be_shown():
    error = {"type": "E\n\x1b[2J", "message": "two\nlines\x07", "line": -5, "frames": ["f" * 9000] * 90,
             "locals": {f"n\n{n}": "v" * 9000 for n in range(90)}, "hint": "h\x9b" * 9000}  # fmt: skip
    frame = {"kind": "done", "id": "r", "status": "error", "error": error, "repr": None, "limits": ["a\nb"]}
    told = parsed(frames.encode(frame)[4:])
    assert (told.error.type, told.error.message, told.error.line) == ("E\\x0a\\x1b[2J", "two\nlines\\x07", None)
    assert told.error.frames == ["f" * 2000] * 40
    assert list(told.error.locals)[:2] == ["n\\x0a0", "n\\x0a1"]
    assert [len(told.error.locals), *{*map(len, told.error.locals.values())}] == [40, 2000]
    assert (told.error.hint[:5], len(told.error.hint), told.limits) == ("h\\x9b", 2000, ("a\\x0ab",))
    with pytest.raises(ViolationError, match="unknown keys admin"):
        parsed(frames.encode({**frame, "error": {**error, "admin": True}})[4:])


@pytest.mark.parametrize(
    "name", ["a\x1b", "a\x9b31m", "a\u202etxt", "a\u2028b", "a\nb", "..", "a//b", "a\\b", "x" * 201]
)
def test_file_name_that_steers_or_leads_away_is_a_violation(name):
    with pytest.raises(ViolationError, match="no relative path"):
        parsed(frames.encode({"kind": "file", "name": name, "data": ""})[4:])


def test_sizes_and_times_read_as_they_are_documented():
    assert [size(n) for n in (12, 262144, 4 << 20)] == ["12 bytes", "256 KiB", "4 MiB"]
    assert [seconds(n) for n in (0.5, 30, 900, 100)] == ["0.5 s", "30 s", "15 min", "100 s"]


@pytest.mark.parametrize(("value", "most", "fits"), [("x" * 8, 10, True), ("x" * 9, 10, False), (None, 1, True)])
def test_a_value_longer_than_the_child_may_send_is_a_violation(value, most, fits):
    message = parsed(done(value))
    if fits:
        assert frames.within(message, most) is message
    else:
        with pytest.raises(frames.ViolationError, match="a value of more than 10 characters"):
            frames.within(message, most)
