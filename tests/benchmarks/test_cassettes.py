"""What a language model really said in a live run, played back through the real server: the same prompts, the same end.

A prompt that changes makes a miss, which fails. Then the replies are to be asked for anew, of a model that sees the
new prompts: the `llm` events of a trace of `played`, with a model at an endpoint in place of the cassette.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.agent.live import tells
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.run import open_bench
from benchmarks.agent.task import play
from benchmarks.agent.world import Now

from toolweft_client.agent import Agent
from toolweft_client.budget import Budget
from toolweft_client.model.cassette import Cassette
from toolweft_client.trace import Trace, read

CASSETTES = Path(__file__).with_name("cassettes")
WORDS = {"index": {"kind": "lexical"}}
"""The encoder's last digits are the processor's; words are found alike everywhere."""
TASKS = ["restbench-films-002", "restbench-music-001"]


async def played(name: str, folder: Path):
    """The answer, the trace without times, and the gold value."""
    benchmark = RestBench(name.split("-")[1])
    task = next(each for each in benchmark.tasks() if each.id == name)
    async with open_bench(
        benchmark, folder / "bench", budget=replace(Budget(), run_seconds=60.0), distractors=WORDS
    ) as bench:
        Now(1, task.id).write(bench.folder)
        trace = Trace.to(folder / "run.jsonl", run="0" * 12)
        model = Cassette(CASSETTES / f"{name}.jsonl")
        answer = await Agent(model, bench.session, budget=bench.budget).run(task.text, trace=trace)
    steps = [each.json() for each in read(folder / "run.jsonl")]
    return answer, without_times(steps), play(task, benchmark.worlds()).value


def without_times(steps):
    text = json.dumps(steps)
    found = json.loads(
        text, object_hook=lambda each: {k: v for k, v in each.items() if k not in ("at", "ms", "seconds")}
    )
    return json.dumps(found)


@pytest.mark.parametrize("name", TASKS)
async def test_a_recorded_model_is_asked_the_same_and_comes_to_the_same_answer(name, tmp_path):
    first, second = [await played(name, tmp_path / each) for each in ("one", "two")]
    for answer, _, gold in (first, second):
        assert (answer.status, answer.reason) == ("answered", None), answer.text
        assert tells(answer.value, gold)
    assert first[1] == second[1]
