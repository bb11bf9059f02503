"""What the store keeps of use: no texts, only what was called, and nothing that cannot be forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from toolweft_server.errors import StoreError
from toolweft_server.store.requests import Asked
from toolweft_server.store.store import Store
from toolweft_server.store.usage import Answered, Executed, Forgotten

NOW = 1_700_000_000.0
SIZE = 4


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "t.db") as opened:
        yield opened


def ask(store, query, *called, at=NOW, owner="local", shown=("m.send", "m.read"), kept="", encoder="e1"):
    """One request with its vector, and the calls (tool, ok) a second later; its number."""
    vector = store.uses.vector(query, encoder, np.full(SIZE, len(query) / 10, np.float32))
    [number] = store.requests.asked([Asked(owner, "c", kept, shown, at, vector)])
    if called:
        store.requests.called(owner, "c", called, at + 1)
        store.uses.called(owner, "c", {tool: f"digest of {tool}" for tool, _ in called}, at + 1)
    return number


def test_calls_come_back_with_their_requests_vector_and_what_the_tool_was(store):
    number = ask(store, "send it", ("m.send", True), ("m.read", False))
    calls, vectors = store.uses.followed("e1", SIZE)
    assert [(each.tool, each.digest, each.ok) for each in calls] == [
        ("m.send", "digest of m.send", True), ("m.read", "digest of m.read", False),
    ]  # fmt: skip
    assert {each.request for each in calls} == {number}
    assert calls[0].shown == ("m.send", "m.read")
    assert np.allclose(vectors[calls[0].row], 0.7, atol=1e-3)


def test_equal_texts_have_one_hash_and_one_vector_and_the_hash_is_the_stores_own(store, tmp_path):
    ask(store, "Send  it", ("m.send", True))
    ask(store, "send it", ("m.send", True), at=NOW + 60)
    calls, vectors = store.uses.followed("e1", SIZE)
    assert len({each.hash for each in calls}) == len(vectors) == 1
    with Store.open(tmp_path / "other.db") as other:
        assert other.uses.hash("send it") != store.uses.hash("send it")


def test_the_text_of_a_request_or_program_is_nowhere_in_the_store(store, tmp_path):
    ask(store, "our secret merger", ("m.send", True))
    store.uses.executed("local", "secret_program()", ["m.send", "m.read"], NOW)
    store.close()
    written = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.is_file())
    assert b"merger" not in written
    assert b"secret_program" not in written


def test_vectors_of_another_encoder_are_not_mixed_in(store):
    ask(store, "old", ("m.send", True), encoder="e0")
    ask(store, "new one", ("m.read", True), at=NOW + 60)
    assert [each.tool for each in store.uses.followed("e1", SIZE)[0]] == ["m.read"]
    assert store.uses.encoders() == {"e1": SIZE, "e0": SIZE}
    assert store.uses.followed("e1", SIZE + 1)[0] == []


@pytest.mark.parametrize("broken", [np.array([np.nan, 1], np.float32), np.zeros((2, 2), np.float32)])
def test_a_vector_that_is_none_is_refused(store, broken):
    with pytest.raises(StoreError, match="is no row of finite numbers"):
        store.uses.vector("q", "e1", broken)


def test_requests_without_a_vector_may_stand_beside_others(store):
    vectors = [store.uses.vector("q", "e1", np.full(SIZE, n, np.float32)) if n % 2 else None for n in range(5)]
    numbers = store.requests.asked([Asked("local", "c", "", ["m.send"], NOW + n, v) for n, v in enumerate(vectors)])
    assert numbers == sorted(set(numbers))
    for n in (1, 2, 3):
        store.requests.called("local", "c", [("m.send", True)], NOW + n)
        store.uses.called("local", "c", {"m.send": "d"}, NOW + n)
    assert [each.request for each in store.uses.followed("e1", SIZE)[0]] == [numbers[1], numbers[3]]
    assert store.requests.asked([]) == []


def test_the_number_of_a_request_that_was_deleted_is_free_at_once(store):
    ask(store, "send it", ("m.send", True))
    assert store.requests.purge(NOW + 10) == 1
    assert ask(store, "send it again") > 0


def test_only_executions_of_two_tools_or_more_are_sets(store):
    store.uses.executed("local", "a", ["m.send", "m.send"], NOW)
    store.uses.executed("local", "b", ["m.send", "m.read"], NOW)
    assert store.uses.together() == [Executed("local", store.uses.hash("b"), frozenset({"m.send", "m.read"}), NOW)]


def test_an_interleaved_answer_comes_back_with_what_worked_after_it(store):
    first = ask(store, "send it", ("m.send", True), ("m.read", False))
    second = ask(store, "read it", at=NOW + 60)
    for number in (first, second):
        store.uses.mixed(number, "woven against lexical", ["m.send", "m.read"], ["m.send"])
    shown, team = ("m.send", "m.read"), frozenset({"m.send"})
    assert store.uses.answered("woven against lexical") == [
        Answered(first, shown, team, frozenset({"m.send"})), Answered(second, shown, team, frozenset()),
    ]  # fmt: skip


def test_a_trials_first_verdict_stands(store):
    store.uses.mixed(ask(store, "q"), "t", ["m.send"], [])
    store.uses.ended("t", "worse", NOW)
    store.uses.ended("t", "better", NOW + 1)
    assert [(each.name, each.ended, each.verdict) for each in store.uses.trials()] == [("t", NOW, "worse")]


def test_forgetting_since_a_moment_takes_what_came_later_and_keeps_the_rest(store):
    ask(store, "early", ("m.send", True))
    late = ask(store, "later", ("m.read", True), at=NOW + 1000)
    store.uses.mixed(late, "t", ["m.read"], [])
    store.uses.executed("local", "a", ["m.send", "m.read"], NOW + 1000)
    assert store.uses.forget(NOW + 500) == Forgotten(requests=1, calls=1, executions=1, trials=1)
    assert [each.tool for each in store.uses.followed("e1", SIZE)[0]] == ["m.send"]
    assert store.uses.together() == store.uses.answered("t") == []


def test_forgetting_everything_leaves_nothing_to_learn_from(store):
    store.uses.mixed(ask(store, "early", ("m.send", True)), "t", ["m.read"], [])
    store.uses.forget()
    assert store.uses.followed("e1", SIZE)[0] == store.requests.pairs() == store.uses.trials() == []
    assert store.uses.encoders() == {}


def test_what_stands_beside_purged_requests_goes_with_them(store):
    ask(store, "early", ("m.send", True))
    ask(store, "later", ("m.read", True), at=NOW + 1000)
    store.requests.purge(NOW + 500)
    store.uses.purge(NOW + 500)
    assert [each.tool for each in store.uses.followed("e1", SIZE)[0]] == ["m.read"]
