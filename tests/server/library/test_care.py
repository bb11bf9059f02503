"""A function leaves only when its record shows it beyond chance, and never early."""

from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_server.library.care import CAP, EARLIEST, PER_TOOLS, STREAK, Around, crowded, judge, surplus, wilson
from toolweft_server.library.function import Standing


@given(st.integers(0, 500), st.integers(0, 500))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_the_interval_holds_the_rate_and_narrows_with_evidence(good, bad):
    lower, upper = wilson(good, good + bad)
    rate = good / (good + bad) if good + bad else 0.5
    assert 0 <= lower <= rate + 1e-9
    assert rate - 1e-9 <= upper <= 1
    wider = wilson(good * 10, (good + bad) * 10)
    assert wider[1] - wider[0] <= upper - lower + 1e-9


def test_the_interval_is_wilsons():
    assert [round(each, 4) for each in wilson(8, 10)] == [0.4902, 0.9433]


uses = st.integers(0, 60)


@given(uses, uses, uses, uses)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_nothing_retires_before_its_fifth_use_nor_is_judged_when_it_is_not_active(good, bad, programs, others):
    around = Around(programs + good + bad, programs, good + bad + others, bad)
    standing = Standing("active", good + bad, bad, streak=min(bad, STREAK - 1))
    verdict = judge(standing, around)
    if good + bad < EARLIEST or bad == 0:
        assert verdict is None
    assert judge(Standing("stale", good + bad, bad, streak=STREAK), around) is None


def test_the_cap_takes_no_more_than_are_too_many_and_none_that_was_used():
    active = {f"f{n}": float(n) for n in range(CAP + 3)}
    assert crowded(active, None) == []
    assert crowded(active, 2.0) == ["f0", "f1"]
    assert crowded(active, 50.0) == ["f0", "f1", "f2"]
    assert crowded({"f0": 0.0}, 50.0) == []


def test_of_too_many_for_the_same_tools_the_lowest_bound_retires_and_nobody_before_the_fifth_use():
    judged = {
        "good": Standing("active", 20, 1), "fair": Standing("active", 10, 1), "often": Standing("active", 100, 40),
        "bad": Standing("active", 6, 3),
    }  # fmt: skip
    new = {"new": Standing("active", EARLIEST - 1, EARLIEST - 1), "newer": Standing("active")}
    assert len(judged) == PER_TOOLS + 1
    assert surplus(judged | new) == ["bad"]
    assert surplus(judged | {"best": Standing("active", 1000, 0)}) == ["bad", "often"]
    assert surplus({name: each for name, each in judged.items() if name != "good"} | new) == []
    assert surplus(dict.fromkeys("abcdef", Standing("active", EARLIEST - 1))) == []
