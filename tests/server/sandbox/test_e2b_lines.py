"""The lines between here and a cloud sandbox: in order, exactly once, and nothing that our relay never says."""

import base64
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_server.sandbox.e2b.cost import Meter
from toolweft_server.sandbox.e2b.lines import LINE, Data, Exit, Lines
from toolweft_server.sandbox.e2b.settings import E2BEntry
from toolweft_server.sandbox.frames import ViolationError


def examples(function):
    # Noise this random finds what it finds early; the millions are `test_frames_fuzz`'s.
    count = min(20_000, int(os.environ.get("FUZZ_EXAMPLES", "200")))
    return pytest.mark.fuzz(settings(derandomize=True, deadline=None, max_examples=count)(function))


def line(**fields):
    return json.dumps(fields) + "\n"


def data(n, text=b"x", kind="out"):
    return line(n=n, t=kind, d=base64.b64encode(text).decode())


def resumed(got=0):
    """Lines on a stream that the relay has answered on."""
    lines = Lines()
    lines.begin()
    lines.take(line(t="resumed", e=1, n=got))
    return lines


@examples
@given(st.lists(st.integers(1, 40), max_size=20))
def test_lines_that_are_split_anywhere_come_whole(cuts):
    lines, text = resumed(), data(1, b"one", "frames") + data(2, b"two") + line(n=3, t="exit", s=-6)
    came = []
    for cut in [*cuts, len(text)]:
        came += lines.take(text[:cut])
        text = text[cut:]
    assert came == [Data(1, "frames", b"one"), Data(2, "out", b"two"), Exit(3, -6)]


def test_what_a_shell_says_before_the_relay_answers_is_passed_over():
    lines = Lines()
    lines.begin()
    assert lines.take("Welcome!\n{}\n" + data(9) + line(t="resumed", e=7, n=0)) == []
    assert not lines.resumed
    assert lines.take(line(t="resumed", e=1, n=0) + data(1)) == [Data(1, "out", b"x")]


def test_a_new_stream_asks_for_what_did_not_come_and_sends_what_did_not_arrive():
    lines = resumed()
    for text in (b"a", b"b", b"c"):
        lines.wrap("in", text)
    assert len(list(lines.unsent())) == 3
    lines.take(data(1) + line(t="ack", g=1, n=0))
    assert json.loads(lines.begin()) == {"t": "resume", "e": 2, "n": 1}
    assert list(lines.unsent()) == []
    lines.take(line(t="resumed", e=2, n=1))
    assert [json.loads(each)["n"] for each in lines.unsent()] == [2, 3]
    assert lines.waiting
    lines.take(line(t="ack", g=3, n=3))
    assert not lines.waiting
    assert not lines.unheard


WRONG = {
    "not_json": "hello\n",
    "no_object": "[1]\n",
    "deep": "[" * 50_000 + "\n",
    "endless": "x" * (LINE + 1),
    "unknown_kind": line(n=1, t="run"),
    "no_kind": line(n=1),
    "kind_that_is_a_list": line(n=1, t=["out"]),
    "gap": data(2),
    "again": data(1) + data(1),
    "number_that_is_a_text": line(n="1", t="out", d=""),
    "number_that_is_true": line(n=True, t="out", d=""),
    "huge_number": '{"t":"out","d":"","n":' + "9" * 5000 + "}\n",
    "no_base64": line(n=1, t="out", d="*"),
    "data_that_is_a_number": line(n=1, t="out", d=5),
    "data_beyond_ascii": line(n=1, t="out", d="ä"),
    "status_that_is_none": line(n=1, t="exit"),
    "status_out_of_range": line(n=1, t="exit", s=10**9),
    "acknowledged_before_it_was_sent": line(t="ack", g=1, n=1),
    "done_before_it_was_got": line(t="ack", g=0, n=1),
    "processor_time_that_is_a_text": line(t="cpu", s="1"),
    "processor_time_that_is_no_number": '{"t":"cpu","s":NaN}\n',
    "processor_time_without_end": '{"t":"cpu","s":1e999}\n',
    "processor_time_before_the_start": line(t="cpu", s=-1),
    "negative": line(t="ack", g=-1, n=-1),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_our_relay_never_says_is_a_violation(name):
    with pytest.raises(ViolationError):
        resumed().take(WRONG[name])


def test_a_relay_that_resumes_after_what_was_never_sent_is_a_violation():
    with pytest.raises(ViolationError, match="resumes after line 5"):
        resumed(got=5)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
OBJECTS = st.dictionaries(st.sampled_from("tndgse"), VALUES | st.sampled_from(["out", "exit", "ack", "cpu", "resumed"]))


@examples
@given(st.lists(st.text(max_size=30) | OBJECTS.map(json.dumps), max_size=5))
def test_any_text_is_a_violation_or_in_order(texts):
    lines, got = resumed(), 0
    try:
        for text in texts:
            for each in lines.take(text + "\n"):
                assert each.n == got + 1
                got = each.n
    except ViolationError:
        pass


def test_the_costs_of_a_session_add_up_and_a_pause_costs_nothing(monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    meter = Meter(0.0001)
    now += 10
    assert meter.line() == "cost: 10.0 s of an E2B sandbox × $0.0001/s = $0.001000"
    meter.stop()
    now += 1000
    meter.start()
    now += 5
    assert meter.line() == "cost: 5.0 s of an E2B sandbox × $0.0001/s = $0.000500"
    assert meter.seconds == 15


def test_a_sandbox_is_paused_before_it_times_out_whatever_is_configured():
    assert E2BEntry().patience == 60
    assert E2BEntry(timeout=10).patience == 5
    assert E2BEntry(timeout=10, pause_after=9).patience == 5
