"""The drift benchmark: its changes, its programs in each period, and what it reads of the library."""

import pytest
from benchmarks.agent.drift import CHANGES, WRONG, Drift, measure, now, summary, text, wrong
from benchmarks.agent.library import tasks
from benchmarks.agent.task import Task, operations, play

WANTED = tasks(200, seed=1)


@pytest.mark.parametrize("period", range(len(CHANGES) + 1))
def test_every_family_has_a_program_that_is_right_in_each_period(period):
    first, drifted = Drift(), Drift()
    drifted.world.period = period
    for asked in {each.family.name: each for each in WANTED}.values():
        before = play(Task("x", asked.text, asked.program(saved=True)), first.worlds())
        there = play(Task("x", asked.text, now(asked, period).program(saved=True)), drifted.worlds())
        assert there.value == before.value


def test_each_change_befalls_one_tool_that_programs_use_then():
    drift = Drift()
    for period, change in enumerate(CHANGES):
        before = {tool: each.parameters for tool, each in operations(drift.worlds()).items()}
        drift.world.period = period + 1
        after = {tool: each.parameters for tool, each in operations(drift.worlds()).items()}
        assert len(after) == len(before)
        assert sum(before.get(tool) != each for tool, each in after.items()) == bool(change.seen)
        assert f"films.{change.tool}(" in " ".join(line for asked in WANTED for line in now(asked, period).family.lines)
        broken = [each for each in WANTED if not right(now(each, period), drift)]
        assert bool(broken) == bool(change.words)


def right(asked, drift):
    try:
        return play(Task("x", asked.text, asked.program(saved=True)), drift.worlds()).value is not None
    except (KeyError, TypeError, AttributeError):
        return False


@pytest.mark.parametrize("swallows", [True, False])
def test_a_program_that_is_wrong_on_purpose_answers_its_own_task(swallows):
    worlds = Drift().worlds()
    for asked in {each.family.name: each for each in WANTED}.values():
        right = play(Task("x", asked.text, asked.program(saved=True)), worlds)
        program = wrong(asked, swallows=swallows)
        assert WRONG in program
        assert play(Task("x", asked.text, program), worlds).value == right.value


async def test_functions_are_stale_at_once_and_repaired_when_their_task_comes_again(tmp_path):
    cast = [each for each in WANTED if each.family.name == "lead_actor_of_film"]
    found = await measure(cast[:10], tmp_path, seed=3)
    figures = summary(found)
    assert [each["success"] for each in figures["periods"]] == [2] * 5
    assert [each["reused"] for each in figures["periods"]] == [0.5, 1, 0.5, 0.5, 1]
    assert figures["wrong_on_purpose"] == {"offered": 1, "activated": 0}
    more, another, silent, renamed = found.steps
    assert more[1:] == (True, 1, 1, 1, 0, 0, 0)
    assert another[1:] == (True, 1, 1, 0, 1, 0, 0)
    assert (silent.announced, sum(silent[2:]), sum(renamed[2:])) == (False, 0, 0)
    assert "1 written, 0 ever active" in text(figures)
