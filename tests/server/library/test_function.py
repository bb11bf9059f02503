"""A function's state is the fold of its events, and of nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_server.library.function import MOVES, STATES, Event, Life, Standing, bad_name, fold, normalised

events = st.lists(
    st.builds(
        Event,
        kind=st.sampled_from(["admitted", "again", "used", "failed", "state", "removed"]),
        version=st.integers(1, 4),
        at=st.just(0.0),
        detail=st.fixed_dictionaries({}, optional={"state": st.sampled_from([*sorted(STATES), "nonsense"])}),
    ),
    max_size=30,
)


@given(events, st.integers(0, 30))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_folding_in_two_parts_with_a_stop_on_disk_gives_the_same_as_in_one(log, cut):
    kept = json.loads(json.dumps(fold(log[:cut]).to_json()))
    assert fold(log[cut:], Life.from_json(kept)) == fold(log)


@given(events)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_counters_never_run_backwards_and_states_are_known(log):
    life = fold(log)
    assert life.newest == max((e.version for e in log if e.kind == "admitted"), default=0)
    for standing in life.versions.values():
        assert standing.state in STATES
        assert 0 <= standing.failures <= standing.uses


@given(events)
@settings(derandomize=True, max_examples=200, deadline=None)
def test_a_state_follows_only_from_one_that_leads_there(log):
    life = fold([])
    for event in log:
        before, life = life, fold([event], life)
        for version, standing in life.versions.items():
            was = before.versions.get(version)
            if was is not None and event.kind != "admitted":
                assert standing.state == was.state or standing.state in MOVES[was.state]


def test_a_life_as_it_usually_goes():
    log = [
        Event("admitted", 1, 0.0, {"state": "candidate"}), Event("used", 1, 0.0),
        Event("state", 1, 0.0, {"state": "active"}),
        Event("failed", 1, 0.0), Event("again", 1, 0.0), Event("admitted", 2, 0.0, {"state": "active"}),
    ]  # fmt: skip
    assert fold(log) == Life({1: Standing("active", 2, 1, 1, 1), 2: Standing("active")}, 2)
    assert fold([*log, Event("removed", 2, 0.0), Event("used", 1, 0.0)]) == Life({}, 2)


@pytest.mark.parametrize("name", ["class", "list", "tools", "a b", "", "größe", "x" * 57, "_x", "main", "None"])
def test_names_that_mean_something_else_are_refused(name):
    assert bad_name(name)


def test_a_plain_name_is_fine():
    assert bad_name("weekly_report_2") is None


def test_layout_comments_and_the_own_name_make_no_difference_but_code_does():
    one = normalised("def f(a):\n    return f(a+1)  # why\n", "f")
    assert one == normalised("def g( a ):\n\n    return g(a + 1)", "g")
    assert one != normalised("def f(a):\n    return f(a+2)\n", "f")
