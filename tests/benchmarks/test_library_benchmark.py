"""The library benchmark: its families, and what a saved function saves."""

from benchmarks.agent.library import FAMILIES, shown, summary, tasks
from benchmarks.agent.library import measure as measured
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.task import Task, play

WORLDS = RestBench("films").worlds()


def test_every_family_has_a_program_with_an_answer_and_no_request_comes_twice():
    wanted = tasks(200, seed=1)
    assert {each.family for each in wanted} == set(FAMILIES)
    assert len({each.text for each in wanted}) == 200
    for each in wanted:
        assert play(Task("x", each.text, each.program(saved=True)), WORLDS).value not in (None, [], "")


async def test_a_family_met_again_takes_one_model_call_and_gives_the_same_answer(tmp_path):
    (family,) = [each for each in FAMILIES if each.name == "director_of_film"]
    same = [each for each in tasks(200, seed=1) if each.family == family and each.text.startswith("Who")][:2]
    runs = await measured(same, tmp_path)
    assert [each.right for label in runs for each in runs[label]] == [True] * 6
    assert [[*each.examples] for each in runs["solved"]] == [[], [same[0].text]]
    assert not any(each.examples for each in runs["cold"])
    assert shown(same, runs["solved"]) == {"any": 0.5, "of_its_family": 1.0}
    assert not any(each.reused for each in runs["cold"])
    assert [each.reused for each in runs["warm"]] == [False, True]
    assert (runs["warm"][1].model_calls, runs["cold"][1].model_calls > 1) == (1, True)
    assert summary(runs["warm"])["model_calls"] < summary(runs["cold"])["model_calls"]
