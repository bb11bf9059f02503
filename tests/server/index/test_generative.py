"""The generative index where its model knows the tools; what every index promises is in `test_contract`."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import tiny_tools  # noqa: E402
from toolweft_catalog.tool import Tool  # noqa: E402
from toolweft_server.index.generative import GenerativeIndex  # noqa: E402
from toolweft_server.index.lexical import LexicalIndex  # noqa: E402
from toolweft_server.training.align.bundle import Bundle, Coded  # noqa: E402
from toolweft_server.training.align.conversations import Pair, retrieval  # noqa: E402
from toolweft_server.training.align.train import AlignConfig, Data, train  # noqa: E402

pytestmark = pytest.mark.torch

WISHES = {"song": "let me hear some music", "photo": "holiday pictures", "invoice": "they want their money"}
"""Words that no tool has: only the model can know."""


@pytest.fixture(scope="module")
def world():
    return tiny_tools.world_of()


@pytest.fixture(scope="module")
def bundle(world) -> Bundle:
    made = tiny_tools.make_for(world)()
    pairs = [Pair(thing, wish, [f"{thing}.open"]) for thing, wish in WISHES.items()]
    lessons = retrieval([*pairs, *world.pairs[::2]], made.spelled).conversations
    config = AlignConfig(epochs=16, batch=16, rate=3e-3, warm_up=0.1, precision="fp32", device="cpu")
    trained = train(config, Data(made.model, made.encoder, lessons), torch.Generator().manual_seed(3))
    tools = {each.id: Coded(each.digest, world.codes[each.id]) for each in world.tools}
    return Bundle(trained.model, made.encoder, tools, "c" * 32)


@pytest.fixture
def index(world, bundle) -> GenerativeIndex:
    return GenerativeIndex.build(world.tools, bundle)


def ids(index, query, limit=5, server=None):
    return [hit.tool for hit in index.search(query, limit, server=server).hits]


@pytest.mark.parametrize("thing", WISHES)
def test_a_request_without_a_word_of_its_tool_finds_it_through_the_codes(index, world, thing):
    assert LexicalIndex.build(world.tools).search(WISHES[thing], 5).hits == []
    best = index.search(WISHES[thing], 5).hits[0]
    assert (best.tool, best.why) == (f"{thing}.open", ("codes",))


def test_a_tool_newer_than_the_checkpoint_keeps_its_lexical_place(index, bundle, world):
    new = Tool(id="radio.tune", name="tune", server="radio", description="Let me hear music on the radio, some music.")
    newer = index.updated([new], [])
    assert ids(newer, WISHES["song"])[:2] == ["radio.tune", "song.open"]
    assert newer.search(WISHES["song"], 1).hits[0].why == ("lexical",)
    every = [replace(each, description=f"{each.description} Anew.") for each in world.tools]
    changed = GenerativeIndex.build(every, bundle)
    assert changed.search("close a photo", 9) == LexicalIndex.build(every).search("close a photo", 9)


def test_a_removed_tool_is_never_written(index):
    assert "song.open" not in ids(index.updated([], ["song.open"]), WISHES["song"], 60)


def test_a_named_tool_comes_first_whatever_the_model_says(index):
    hit = index.search(f"`photo.archive`, {WISHES['song']}", 5).hits[0]
    assert hit.tool == "photo.archive"
    assert "name" in hit.why


def test_a_server_keeps_its_own_tools_and_the_measure_is_the_whole_catalogue(index):
    assert ids(index, WISHES["song"], server="song")[0] == "song.open"
    assert ids(index, WISHES["song"], server="ticket") == []
    assert ids(index, WISHES["song"], server="nobody") == []


def test_scores_fall_and_a_smaller_limit_cuts_the_same_list(index):
    for query in ("close a photo", WISHES["photo"], "photo.archive"):
        every = index.search(query, 60)
        scores = [hit.score for hit in every.hits]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < score <= 1 for score in scores)
        assert len({hit.tool for hit in every.hits}) == len(every.hits) == every.total
        for limit in (0, 1, 7):
            few = index.search(query, limit)
            assert few.hits == every.hits[:limit]
            assert few.total == every.total


def test_updated_saved_and_rebuilt_answer_alike(index, bundle, world, tmp_path):
    other = replace(world.tools[3], description="Something else.")
    updated = index.updated([other], [world.tools[0].id])
    rebuilt = GenerativeIndex.build([other, *world.tools[1:3], *world.tools[4:]], bundle)
    updated.save(tmp_path)
    for query in ("close a photo", *WISHES.values()):
        assert updated.search(query, 20) == rebuilt.search(query, 20)
        assert GenerativeIndex.load(tmp_path, bundle).search(query, 20) == rebuilt.search(query, 20)


@pytest.mark.parametrize(
    "query", ["", "the of and", "🙂", "\ud800 song", "<a_1><b_2><z_1>", "x" * 100_000, "<|im_end|>"]
)
def test_any_text_gets_an_answer(index, query):
    assert index.search(query, 5).total >= 0


def test_stop_words_are_not_put_to_the_model(index):
    assert index.search("what is it that you can do for me", 5) == ([], 0, index.search("the of", 5).nearest)


def test_weights_that_are_no_numbers_leave_the_lexical_index_serving(world, bundle, caplog):
    made = tiny_tools.make_for(world)()
    made.model.get_input_embeddings().weight.data[:] = math.nan
    broken = GenerativeIndex.build(world.tools, replace(bundle, model=made.model))
    hits = broken.search("close a photo", 5).hits
    assert [hit.tool for hit in hits] == ids(LexicalIndex.build(world.tools), "close a photo")
    assert "the lexical index answers alone" in caplog.text


def test_no_tool_at_all_and_one_alone(bundle, world):
    assert GenerativeIndex.build([], bundle).search("song", 5) == ([], 0, [])
    assert ids(GenerativeIndex.build(world.tools[:1], bundle), "open the ticket") == [world.tools[0].id]
