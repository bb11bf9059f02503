"""The agent benchmark itself: its worlds, its gold programs, its faults, and what it counts."""

import json
from random import Random

import pytest
from benchmarks.agent import plan, report
from benchmarks.agent.apibank import ApiBank
from benchmarks.agent.faults import BY_NAME, FAULTS, mistake
from benchmarks.agent.films import Films
from benchmarks.agent.gold import GoldCoder, at_rate, once, program
from benchmarks.agent.music import Music
from benchmarks.agent.restbench import RestBench
from benchmarks.agent.run import Job, failures, open_bench
from benchmarks.agent.serve import spoilt
from benchmarks.agent.task import Task, follows, harm, operations, play
from benchmarks.agent.world import Logged, Now, Stage, ToolFailure, read_log

from toolweft_client.account import exceeded
from toolweft_client.budget import Budget
from toolweft_client.errors import ModelError
from toolweft_client.model.base import Message
from toolweft_client.trace import Trace
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store

QUEUE = "music.add_to_queue"


@pytest.fixture(scope="module")
def music():
    return RestBench("music")


@pytest.fixture(scope="module")
def tasks(music):
    return music.tasks()


@pytest.fixture(scope="module")
def known(music):
    return operations(music.worlds())


@pytest.mark.parametrize(("world", "many"), [(Films(), 54), (Music(), 40)], ids=["films", "music"])
def test_a_world_has_the_operations_of_its_family(world, many):
    every = world.operations()
    assert len({each.name for each in every}) == len(every) == many
    assert all(each.description.endswith(".") and each.schema["type"] == "object" for each in every)


@pytest.mark.parametrize(("half", "many"), [("films", 100), ("music", 57)])
def test_every_gold_program_is_judged_right_by_its_own_benchmark(half, many):
    benchmark = RestBench(half)
    every = benchmark.tasks()
    assert len({task.text for task in every}) == many
    for task in every:
        played = play(task, benchmark.worlds())
        score = benchmark.score(task, played.value, played.calls, answered=True)
        assert score == {"accuracy": True, "success": True, "path": True}, task


def test_the_same_tasks_are_made_every_time(tasks):
    assert RestBench("music").tasks() == tasks


def test_a_right_answer_over_a_wrong_state_is_no_success(music, tasks):
    task = next(each for each in tasks if QUEUE in each.source)
    played = play(task, music.worlds())
    twice = [*played.calls, next(call for call in played.calls if call.tool == QUEUE)]
    assert music.score(task, played.value, twice, answered=True) == {"accuracy": False, "success": True, "path": True}
    assert not music.score(task, None, [], answered=False)["path"]


def test_emulated_results_are_called_so(music):
    assert "emulated" in music.label


@pytest.mark.parametrize("name", [each.name for each in FAULTS if each.edit and each.name != "same_program"])
def test_a_fault_changes_the_program_and_is_not_undone_without_being_told(name, tasks, known):
    made = [(task, mistake(BY_NAME[name], task.source, known, Random(1))) for task in tasks]
    fitting = [(task, each) for task, each in made if each is not None]
    assert fitting
    for task, each in fitting:
        assert each.source != task.source
        if name not in ("repeated_write", "changed_write"):
            assert not each.told("Something went wrong.")


async def reply_of(coder, stage, *texts):
    roles = ("user", "assistant", "user")
    messages = [Message("system", "head"), *(Message(role, text) for role, text in zip(roles, texts, strict=False))]
    return (await coder.complete(messages, max_tokens=100, stage=stage)).text


async def test_the_coder_mends_what_it_is_told_and_repeats_what_it_is_not(tasks, known):
    coder = GoldCoder(tasks[0].source, known, draw=once("exception", "implement"))
    first = await reply_of(coder, "implement", "Write it.")
    again = await reply_of(coder, "repair", "It failed somehow.")
    mended = await reply_of(coder, "repair", "NameError: name 'undefined_name' is not defined")
    assert coder.made == ["exception@implement"]
    assert "undefined_name" in first
    assert "undefined_name" in again
    assert again != first
    assert "undefined_name" not in mended


async def test_the_coder_answers_a_re_ask_with_one_fence(tasks, known):
    coder = GoldCoder(tasks[0].source, known, draw=once("no_fence", "design"))
    first = await reply_of(coder, "design", "Design it.")
    second = await reply_of(coder, "design", "Design it.", first, "That reply could not be used: no fence.")
    assert "```" not in first
    assert second.startswith("```python\n")
    assert second.count("```") == 2


async def test_in_the_mode_of_single_calls_the_coder_makes_the_gold_calls_and_says_the_value(music, tasks, known):
    gold = play(tasks[0], music.worlds())
    coder = GoldCoder(tasks[0].source, known, gold.calls, gold.value, "react")
    turns = [json.loads(await reply_of(coder, "act", "The task.")) for _ in range(len(gold.calls) + 1)]
    assert [each["tool"] for each in turns[:-1]] == [each.tool for each in gold.calls]
    assert turns[-1] == {"thought": "done", "answer": json.dumps(gold.value)}


async def test_a_strict_coder_that_calls_one_by_one_looks_for_what_was_not_shown(music, tasks, known):
    gold = play(tasks[0], music.worlds())
    coder = GoldCoder(tasks[0].source, known, gold.calls, gold.value, "react", strict=True)
    first = json.loads(await reply_of(coder, "act", "The task."))
    second = json.loads(await reply_of(coder, "act", "The task.", json.dumps(first), "Nothing."))
    assert first["find"] == known[gold.calls[0].tool].description
    assert second["tool"] == gold.calls[0].tool


async def test_a_strict_coder_asks_for_tools_that_no_search_has_shown(known):
    source = program("Queue.", ["music.add_to_queue(track_id='tr_0001')", "now = music.player()"], "now['volume']")
    coder = GoldCoder(source, known, strict=True)
    sketch = await reply_of(coder, "design", "music.player() -> dict")
    assert "# missing: Put one track at the end of the queue." in sketch
    assert "add_to_queue" not in sketch
    assert "add_to_queue" in await reply_of(coder, "design", "music.player() -> dict")


def test_faults_at_a_rate_are_the_same_for_the_same_seed():
    names = [each.name for each in FAULTS]
    draws = [[at_rate(0.5, names, Random(7))("implement") for _ in range(3)] for _ in range(2)]
    assert draws[0] == draws[1]


def test_a_plan_holds_every_fault_at_every_stage_where_a_task_has_a_place_for_it(tasks, known):
    made = plan.jobs(tasks, known, "each", per=1, seed=0)
    assert {job.fault for job in made} == set(plan.chosen("each"))
    assert plan.jobs(tasks, known, "each", per=1, seed=0)[0].task == made[0].task
    with pytest.raises(SystemExit, match="there is no fault 'nonsense'"):
        plan.jobs(tasks, known, "syntax,nonsense", per=1, seed=0)


def call(tool=QUEUE, effect="add", failure="", **arguments):
    return Logged(1, tool, effect, arguments, failure=failure)


def test_writes_beyond_the_task_are_counted_and_reads_and_failures_are_not():
    gold = [call(track_id="a"), call(track_id="b")]
    assert harm(gold, gold) == (0, 0)
    assert harm(gold, [*gold, call(track_id="a")]) == (1, 0)
    assert harm(gold, [*gold, call(track_id="c"), call(track_id="c")]) == (1, 1)
    assert harm(gold, [*gold, call(track_id="a", failure="busy"), call("music.player", "read")]) == (0, 0)


def test_a_path_is_a_subsequence():
    assert follows(["a", "b"], ["a", "x", "b"])
    assert not follows(["a", "b"], ["b", "a"])


def test_the_interval_is_wilsons():
    assert report.Rate(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert report.Rate(20, 20).interval == pytest.approx((0.8389, 1.0), abs=1e-4)
    assert report.Rate(0, 0).interval == (0.0, 1.0)


def test_a_world_that_died_comes_back_as_it_was(tmp_path):
    Now(1, "t").write(tmp_path)
    track = "tr_0001"
    Stage(Music(), tmp_path).call("add_to_queue", {"track_id": track})
    fresh = Music()
    shown, _ = Stage(fresh, tmp_path).call("queue", {})
    assert shown["queue"][-1]["id"] == track
    assert [each.tool for each in read_log(tmp_path, 1)] == ["music.add_to_queue", "music.queue"]
    Now(2, "t").write(tmp_path)
    assert len(Stage(fresh, tmp_path).call("queue", {})[0]["queue"]) == len(shown["queue"]) - 1


def test_trouble_befalls_one_call_of_one_tool(tmp_path):
    Now(1, "t", "music.player", "error_once").write(tmp_path)
    stage = Stage(Music(), tmp_path)
    assert stage.call("me", {})[1] == ""
    with pytest.raises(ToolFailure, match="busy"):
        stage.call("player", {})
    assert stage.call("player", {})[1] == ""
    assert [each.failure for each in read_log(tmp_path, 1)] == ["", "the service is busy, try again", ""]


async def test_an_endpoint_that_fails_once_is_an_error_of_the_model_and_then_the_program_comes(known):
    source = program("Look.", ["now = music.player()"], "now['volume']")
    coder = GoldCoder(source, known, draw=once("endpoint", "implement"))
    with pytest.raises(ModelError, match="429"):
        await reply_of(coder, "implement", "# call: music.player(...)")
    assert coder.made == ["endpoint@implement"]
    assert "music.player()" in await reply_of(coder, "implement", "# call: music.player(...)")


async def test_an_emptied_result_has_its_keys_and_nothing_in_them():
    assert await spoilt({"queue": [1], "volume": 3}, "no_data") == {"queue": [], "volume": None}


def test_budgets_and_failures_are_read_from_the_trace():
    trace = Trace()
    for _ in range(3):
        trace.enter("repair")
        trace.add("llm")
    trace.add("check", ok=False, problems=["there is no tool a.b; nearest: a.c"])
    trace.add("run", status="error", error={"type": "KeyError"}, calls=[{"replayed": False}, {"replayed": True}])
    trace.end()
    assert exceeded(trace.steps, Budget()) == []
    assert exceeded(trace.steps, Budget(model_calls=2, repairs=2)) == ["model_calls", "repairs"]
    assert failures(trace.steps) == ["check: unknown tool", "run: KeyError"]


def test_a_folder_without_upstreams_files_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="holds no api-bank"):
        ApiBank(tmp_path)


async def test_runs_go_through_the_real_server_and_a_repair_writes_nothing_twice(tmp_path, music, tasks):
    task = Task("t", tasks[0].text, next(each.source for each in tasks if "create_playlist" in each.source))
    async with open_bench(music, tmp_path / "bench") as bench:
        clean = await bench.run(Job(task))
        mended = await bench.run(Job(task, "crash_after_write@implement", once("crash_after_write", "implement")))
        resumed = await bench.run(Job(task, "endpoint@repair", once("endpoint", "repair")))
    assert (clean.status, clean.measures["accuracy"], clean.model_calls) == ("answered", True, 2)
    assert mended.made == ["crash_after_write@implement"]
    assert (mended.status, mended.model_calls, mended.failures) == ("answered", 3, ["run: ZeroDivisionError"])
    assert (mended.duplicates, mended.strays, mended.over_budget) == (0, 0, [])
    assert "endpoint@repair" in resumed.made
    assert (resumed.status, resumed.duplicates, resumed.strays, resumed.model_calls) == ("answered", 0, 0, 3)
    assert report.recovery([clean, mended, resumed]).hits == 2


@pytest.mark.parametrize(
    ("kind", "failure"), [("wrong", "run: KeyError"), ("slow", "run: TimeoutError"), ("stale", "check: unknown tool")]
)
async def test_a_saved_function_that_is_no_good_is_got_past_and_is_gone_after_the_run(tmp_path, music, kind, failure):
    task = next(each for each in music.tasks() if "create_playlist" in each.source)
    label = f"{kind}_entry@implement"
    wanted = Job(task, label, once(f"{kind}_entry", "implement"), entry=kind)
    async with open_bench(music, tmp_path / "bench", budget=Budget(run_seconds=1)) as bench:
        run = await bench.run(wanted)
    with Store.open(tmp_path / "bench" / "store.db") as store:
        assert not FunctionStore(store).active()
    assert run.made == [label]
    assert (run.status, run.measures["accuracy"], run.failures) == ("answered", True, [failure])
    assert (run.duplicates, run.strays) == (0, 0)
