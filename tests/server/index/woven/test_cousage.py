"""Which tools are used together: what counts, what does not, and how strongly."""

from __future__ import annotations

import pytest

from toolweft_server.index.woven.cousage import LARGEST_SET, MOST_PARTNERS, Together, together

DAY = 86_400.0
NOW = 1_000 * DAY


def ran(*tools, program="p", owner="local", at=NOW):
    return Together(owner, program, frozenset(tools), at)


def test_tools_that_succeed_together_in_several_programs_are_partners():
    found = together([ran("a", "b", program="p1"), ran("a", "b", "c", program="p2")], NOW)
    assert [each.tool for each in found.partners("a")] == ["b"]
    assert found.partners("a")[0].weight == pytest.approx(2 / (2 + 2))
    assert found.partners("c") == ()
    assert found.partners("unknown") == ()


def test_one_program_run_again_and_again_is_one_program():
    assert together([ran("a", "b", at=NOW - n) for n in range(1_000)], NOW).partners("a") == ()
    days = [ran("a", "b", at=NOW - n * DAY) for n in range(30)]
    assert together(days, NOW).partners("a") == ()


def test_a_tool_that_is_used_with_everything_has_weak_ties():
    utility = [ran("log", f"t{n}", program=f"{n}{m}") for n in range(30) for m in range(2)]
    pair = [ran("a", "b", program=f"ab{n}") for n in range(2)]
    found = together(utility + pair, NOW)
    assert max(each.weight for each in found.partners("log")) < found.partners("a")[0].weight


def test_old_programs_count_less():
    fresh = together([ran("a", "b", program=str(n)) for n in range(3)], NOW)
    old = together([ran("a", "b", program=str(n), at=NOW - 365 * DAY) for n in range(3)], NOW)
    assert old.partners("a")[0].weight < 0.1 * fresh.partners("a")[0].weight


def test_a_tool_keeps_only_its_closest_partners_and_a_huge_execution_says_nothing():
    star = [ran("a", f"b{n:02}", program=f"{n}-{m}") for n in range(20) for m in range(2)]
    found = together(star, NOW).partners("a")
    assert [each.tool for each in found] == [f"b{n:02}" for n in range(MOST_PARTNERS)]
    huge = [ran(*(f"t{n}" for n in range(LARGEST_SET + 1)), program=str(m)) for m in range(5)]
    assert together(huge, NOW).partners("t0") == ()
