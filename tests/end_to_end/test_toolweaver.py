"""A model that was taught to act solves tasks on a real server: thought, code, documentation, arguments, answer."""

import json
from dataclasses import replace
from importlib import metadata

import anyio
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import numpy as np  # noqa: E402

import tiny_lm  # noqa: E402
from toolweft_catalog import cli  # noqa: E402
from toolweft_client.agent import Agent  # noqa: E402
from toolweft_client.budget import Budget  # noqa: E402
from toolweft_client.model.base import Message  # noqa: E402
from toolweft_client.model.scripted import ScriptedModel  # noqa: E402
from toolweft_client.model.toolweaver import Toolweaver  # noqa: E402
from toolweft_client.modes import toolweaver  # noqa: E402
from toolweft_client.session import Session  # noqa: E402
from toolweft_client.trace import read  # noqa: E402
from toolweft_server import config as configuration  # noqa: E402
from toolweft_server import serving  # noqa: E402
from toolweft_server.runtime import Lazy  # noqa: E402
from toolweft_server.store.store import Store  # noqa: E402
from toolweft_server.training.align import acting, conversations, stages  # noqa: E402
from toolweft_server.training.align.conversations import Call, Trajectory  # noqa: E402
from toolweft_server.training.align.train import AlignConfig  # noqa: E402
from toolweft_server.training.rqkmeans import RqKMeansConfig  # noqa: E402
from toolweft_server.training.tokenise import Sources, TokeniseConfig, tokenise  # noqa: E402

pytestmark = pytest.mark.torch

BENCH = '''
"""Tools for trying a model out."""

from toolweft_catalog.ingest.python import tool


@tool(read_only=True)
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool(read_only=True)
def price(thing: str) -> int:
    """Price."""
    return {"egg": 3}[thing]


@tool(read_only=True)
def greet(name: str) -> str:
    """Greet."""
    return f"Hello {name}"
'''
RUNS = [
    Trajectory("sum", "two and five", (Call("bench.add", {"a": 2, "b": 5}, "7", thought="I add."),), answer="Seven."),
    Trajectory("hi", "say hello to Ada", (Call("bench.greet", {"name": "Ada"}, "Hello Ada"),), answer="Hello Ada"),
    Trajectory("shop", "cost of egg and ham",
               (Call("bench.price", {"thing": "ham"}, "Error: KeyError: 'ham'", thought="Ham."),
                Call("bench.price", {"thing": "egg"}, "3")), answer="An egg is 3."),
]  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A server's configuration, and the model that was taught three runs on it."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "bench.py").write_text(BENCH, encoding="utf-8")
    document = {"python": {"bench": {"module": "bench.py"}}, "store": "store.db"}
    (folder / "toolweft.json").write_text(json.dumps(document), encoding="utf-8")

    async def once():
        async with Session.connect(served(folder)) as session:
            await session.find_tools("price")

    anyio.run(once)
    with Store.open(folder / "store.db") as store:
        catalog = store.manifests.catalog()
        tools = catalog.tools([each.id for each in catalog])
    plain = TokeniseConfig(quantiser=RqKMeansConfig(levels=2, codes=2), assignment="unique")
    pairs = [(each.id, each.digest) for each in tools]
    woven = tokenise(plain, Sources(pairs, np.eye(3, 4, dtype=np.float32), "e" * 32)).artefact
    taught = conversations.trajectories(RUNS, {each.id: each for each in tools}, dict.fromkeys(catalog_ids(tools), ""))
    texts = [turn.text for each in taught.conversations for turn in each.turns]
    tokenizer = tiny_lm.tokenizer_of(texts * 3, words=420)
    learn = AlignConfig(epochs=90, batch=3, rate=4e-3, warm_up=0.1, precision="fp32", device="cpu")
    settings = stages.StagesConfig(memorise=None, retrieve=None, act=learn, act_limit=512, rows="random")
    made = stages.align(
        settings, stages.Lessons(woven, tools, ran=RUNS), tiny_lm.model_of(len(tokenizer)), tokenizer, stages.seeded(2)
    )
    assert not made.dropped["act"]
    made.bundle.save(folder / "lm")
    return folder


def catalog_ids(tools):
    return [each.id for each in tools]


def served(folder):
    loaded = configuration.load(folder / "toolweft.json")
    return serving.build(Lazy(loaded), servers=list(loaded.servers))


@pytest.fixture
def model(bench):
    return Toolweaver(acting.load(str(bench / "lm")), name="lm")


async def solved(folder, model, task, **budget):
    async with Session.connect(served(folder)) as session:
        agent = Agent(model, session, budget=Budget(model_calls=30, **budget), loop=toolweaver.solve)
        return await agent.run(task)


async def test_a_task_that_it_was_taught_is_solved_on_the_server(bench, model):
    answer = await solved(bench, model, "two and five")
    assert (answer.status, answer.text) == ("answered", "Seven.")
    assert [(call.tool, call.status) for call in answer.calls] == [("bench.add", "ok")]
    assert answer.program == "bench.add(**{'a': 2, 'b': 5})\n"
    assert answer.spent.model_calls == 4  # thought, code, arguments, answer


async def test_it_names_a_tool_without_a_thought_and_goes_on_after_a_failure(bench, model):
    assert (await solved(bench, model, "say hello to Ada")).text == "Hello Ada"
    answer = await solved(bench, model, "cost of egg and ham")
    assert answer.text == "An egg is 3."
    assert [call.status for call in answer.calls] == ["tool", "ok"]


def test_the_command_solves_it_too_and_every_turn_is_in_the_trace(bench, model, tmp_path, monkeypatch):
    own = metadata.EntryPoint("toolweaver", "toolweft_server.training.align.acting:load", "toolweft.models")
    points = metadata.entry_points
    monkeypatch.setattr(
        metadata, "entry_points",
        lambda **wanted: [own] if wanted == {"group": "toolweft.models"} else points(**wanted),
    )  # fmt: skip
    trace = tmp_path / "run.jsonl"
    words = ["ask", "two and five", "--mode", "toolweaver", "--model", f"toolweaver:{bench / 'lm'}", "--quiet"]
    words += ["--config", str(bench / "toolweft.json"), "--trace", str(trace), "--json"]
    assert cli.main(words) == 0
    steps = read(trace)
    said = [step.data["reply"] for step in steps if step.event == "llm"]
    assert (said[0], said[-1]) == ("I add.", "Answer: Seven.")
    assert model.meant(said[1]) == ("bench.add",)
    assert json.loads(said[2]) == {"a": 2, "b": 5}


async def test_a_tool_that_is_gone_is_never_named_again(bench, model):
    async with Session.connect(served(bench)) as session:
        agent = Agent(model, session, budget=Budget(model_calls=6), loop=toolweaver.solve)
        model.gone.add("bench.add")
        answer = await agent.run("two and five")
    assert "bench.add" not in [call.tool for call in answer.calls]


async def test_whatever_it_is_told_a_code_is_one_of_its_tools_and_text_spells_none(model):
    codes = {model.words.tools[tool] for tool in model.words.tools}
    for told in ("xyzzy <a_1><b_0>", "", "🙂" * 50, "\ud800", "word " * 5_000):
        asked = [Message("user", model.words.task(told)), Message("assistant", "x")]
        asked.append(Message("user", model.words.action()))
        assert (await model.complete(asked, max_tokens=8)).text in codes
        free = (await model.complete(asked[:1], max_tokens=8)).text
        assert free in codes or "<a_" not in free
        after = [*asked, Message("assistant", next(iter(codes))), Message("user", model.words.arguments(told))]
        assert "<a_" not in (await model.complete(after, max_tokens=8)).text


class Fixed:
    """An actor whose turns are written down."""

    answer = "Answer:"

    def __init__(self, *texts):
        self.tools = {"bench.add": "<a_0><b_0>", "bench.gone": "<a_1><b_1>"}
        self.texts, self.told = list(texts), []

    def task(self, request):
        return request

    def action(self):
        return "code?"

    def arguments(self, documentation):
        return documentation

    def feedback(self, text):
        self.told.append(text)
        return text

    def write(self, turns, *, most, without=()):
        return acting.Written(self.texts.pop(0), True, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("{a: 1}", "Error: the arguments are no JSON: "),
        ("[1]", "Error: the arguments are no JSON object"),
        ('{"a": NaN, "b": 1}', "Error: the arguments are no JSON: NaN is no JSON"),
        ('{"a": 1}', "Error: bench.add: missing argument"),
        ('{"a": "x", "b": 1}', "Error: "),
        ('{"a": 1, "c": 2, "b": 1}', "Error: "),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model_and_nothing_is_called(bench, arguments, told):
    actor = Fixed("<a_0><b_0>", arguments, "Answer: no")
    answer = await solved(bench, Toolweaver(actor, name="fixed"), "x")
    assert answer.status == "answered"
    assert actor.told[0].startswith(told.partition("bench.add: ")[0])
    assert not [call for call in answer.calls if call.status == "ok"]


async def test_a_code_of_a_tool_that_the_server_lacks_is_passed_over_and_said(bench):
    actor = Fixed("<a_1><b_1>", "<a_0><b_0>", '{"a": 1, "b": 1}', "Answer: 2")
    answer = await solved(bench, Toolweaver(actor, name="fixed"), "x")
    assert answer.text == "2"
    assert answer.notes == ("the model knows bench.gone, and it is not here any more",)


async def test_a_model_that_was_not_taught_and_a_budget_used_up_are_said(bench):
    with pytest.raises(toolweaver.UsageError, match="taught to act, not scripted"):
        await solved(bench, ScriptedModel(["x"]), "x")
    endless = Fixed(*["I think.", "<a_0><b_0>", '{"a": 1, "b": 1}'] * 10)
    answer = await solved(bench, Toolweaver(endless, name="fixed"), "x", tool_calls=2)
    assert (answer.status, answer.reason) == ("failed", "budget")


async def test_weights_that_are_no_numbers_are_the_models_failure(bench):
    actor = acting.load(str(bench / "lm"))
    actor._bundle.model.get_input_embeddings().weight.data[:] = float("nan")
    answer = await solved(bench, Toolweaver(actor, name="lm"), "two and five")
    assert (answer.status, answer.reason) == ("failed", "model")
    assert "no numbers" in answer.text


def test_a_prompt_that_is_longer_than_the_model_reads_is_cut_and_not_refused(bench):
    actor = acting.load(str(bench / "lm"))
    short = replace(actor._encoder, limit=128)
    actor._encoder = short
    assert actor.write([acting.Said("user", actor.task("word " * 900))], most=10_000).read <= 64
