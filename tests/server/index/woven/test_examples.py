"""Examples: requests known to want a tool reorder the tools that have some, and leave all others where they are."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny_woven
from toolweft_catalog.tool import Tool
from toolweft_server.errors import ExamplesError
from toolweft_server.index.woven import cousage, traits, usage
from toolweft_server.index.woven import examples as module
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.evidence import Evidence
from toolweft_server.index.woven.examples import Examples, packed_bits, unpacked
from toolweft_server.index.woven.fusion import Weights
from toolweft_server.index.woven.index import Use, WovenIndex

SIZE = tiny_woven.SIZE


def tool(tool_id, description):
    server, _, name = tool_id.partition(".")
    return Tool(id=tool_id, name=name, server=server, description=description)


TOOLS = [
    tool("maps.route", "Find the best way through the city between two places."),
    tool("trips.plan", "Plan a whole holiday in some city with flights and hotels."),
    tool("weather.city", "The weather of a city for the next few days."),
    tool("mail.send", "Send a letter with pictures to your friends and colleagues."),
]
ROUTE, PLAN, WEATHER, MAIL = (each.id for each in TOOLS)
ASKED = "which bus brings me from the city to the harbour"


def of(asked):
    """Examples of these tools; vectors are compared as they are."""
    encode = tiny_woven.HashedWords().encode
    marks = {int(traits.of([each])["copy"][0]): texts for each, texts in asked}
    return {
        "centre": np.zeros(SIZE),
        "whitening": np.eye(SIZE),
        "tools": np.array(sorted(marks), np.uint64),
        "starts": np.cumsum([0, *(len(marks[mark]) for mark in sorted(marks))]),
        "bits": np.concatenate([packed_bits(encode(marks[mark])) for mark in sorted(marks)]),
    }


def index_of(tools, asked, **weights):
    engine = Engine(tiny_woven.HashedWords(), tiny_woven.heads(), examples=Examples.of(of(asked)))
    index = WovenIndex.build(tools, engine, weights=Weights(**weights))
    while index.unfinished():
        index = index.further()
    return index


def scores(index, query=ASKED):
    return {hit.tool: hit.score for hit in index.search(query, 50).hits}


BUS = [(TOOLS[1], ["which bus goes to the harbour of the city"]), (TOOLS[2], ["will it rain"])]


def test_of_two_tools_with_examples_the_one_that_was_asked_so_comes_first():
    before, after = index_of(TOOLS, BUS, examples=0.0), index_of(TOOLS, BUS)
    assert scores(before)[WEATHER] > scores(before)[PLAN]
    assert scores(after)[PLAN] > scores(after)[WEATHER]
    hit = next(hit for hit in after.search(ASKED, 4).hits if hit.tool == PLAN)
    assert "examples" in hit.why
    assert "examples" not in next(hit for hit in after.search(ASKED, 4).hits if hit.tool == WEATHER).why


def test_tools_with_examples_share_out_their_scores_and_all_others_keep_theirs():
    before, after = scores(index_of(TOOLS, BUS, examples=0.0)), scores(index_of(TOOLS, BUS))
    assert sorted(before.values()) == sorted(after.values())
    assert {each: before[each] for each in before if each not in (PLAN, WEATHER)} == {
        each: after[each] for each in after if each not in (PLAN, WEATHER)
    }


def test_a_tool_with_an_example_never_comes_before_a_better_one_without():
    alone = index_of(TOOLS, BUS[:1])
    assert list(scores(alone)) == list(scores(index_of(TOOLS, BUS, examples=0.0)))


def test_examples_belong_to_what_a_tool_says_wherever_it_is_served_from():
    elsewhere = replace(TOOLS[1], id="other.plan", server="other")
    moved = scores(index_of([TOOLS[0], elsewhere, *TOOLS[2:]], BUS))
    assert moved["other.plan"] > moved[WEATHER]
    changed = replace(TOOLS[1], description=f"{TOOLS[1].description} Cheaper than before.")
    assert scores(index_of([TOOLS[0], changed, *TOOLS[2:]], BUS))[PLAN] < scores(index_of(TOOLS, BUS))[PLAN]


def test_equal_tools_with_examples_stand_by_their_ids_in_whatever_order_they_came():
    twins = [replace(TOOLS[1], id=f"{name}.plan", server=name) for name in ("b", "a", "c")]
    asked = [*BUS, (TOOLS[0], ["where is the way"])]
    first = list(scores(index_of([*TOOLS[:1], *twins, *TOOLS[2:]], asked)).items())
    assert first == list(scores(index_of([*TOOLS[:1], *twins, *TOOLS[2:]][::-1], asked)).items())


def test_a_request_that_no_example_is_near_to_is_answered_as_without_them():
    far = [(TOOLS[1], ["which bus goes to the old mill"]), BUS[1]]  # shares one word of four with the request
    assert scores(index_of(TOOLS, far)) == scores(index_of(TOOLS, far, examples=0.0))
    assert scores(index_of(TOOLS, BUS)) != scores(index_of(TOOLS, BUS, examples=0.0))


def test_nothing_is_found_because_of_an_example_and_nothing_is_lost():
    asked = [(TOOLS[3], [ASKED]), *BUS]
    with_them, without = scores(index_of(TOOLS, asked)), scores(index_of(TOOLS, asked, examples=0.0))
    assert MAIL not in without
    assert set(with_them) == set(without)
    alone = index_of(TOOLS[3:], asked)
    assert alone.search("123 456 789", 5).hits == []


def test_of_one_server_those_of_its_tools_that_have_examples_change_places():
    tools = [replace(each, id=f"city.{each.name}", server="city") for each in TOOLS]
    before, after = index_of(tools, BUS, examples=0.0), index_of(tools, BUS)

    def place(index, name):
        return [hit.tool for hit in index.search(ASKED, 9, server="city").hits].index(f"city.{name}")

    assert place(before, "city") < place(before, "plan")
    assert place(after, "plan") < place(after, "city")


def test_a_tool_that_waits_for_its_vector_has_its_examples_already():
    engine = Engine(tiny_woven.HashedWords(), tiny_woven.heads(), examples=Examples.of(of(BUS)))
    index = WovenIndex.build(TOOLS[:3], engine, weights=Weights()).further()
    late = index.updated([replace(TOOLS[1], id="late.plan", server="late")], [PLAN])
    assert late.unfinished() == 1
    assert scores(late)["late.plan"] > scores(late)[WEATHER]


@pytest.mark.parametrize("query", [ASKED, "plan the weather", "letters", "rain in the city", "trips.plan or bus"])
@pytest.mark.parametrize("used", [False, True])
def test_what_examples_give_is_among_the_shares_that_add_up(query, used):
    index = index_of(TOOLS, BUS)
    if used:
        worked = Evidence("r", 0, "anna", "weather", WEATHER, TOOLS[2].digest, "worked", 0.0)
        request, encode = index.engine.encode([ASKED]), index.engine.encode
        learned = usage.learn([worked], request, usage.centre_of(encode), 0.0)
        index = index.used(Use(learned, cousage.CoUsage({}, 0)))
    found, searched = index.explain(query, 4).tools, index.search(query, 4).hits
    assert [(each.tool, each.score) for each in found] == [(hit.tool, hit.score) for hit in searched]
    for each in found:
        assert sum(each.shares.values()) == pytest.approx(each.score, abs=1e-5)
        assert "sets" not in each.shares
    if query == ASKED and not used:
        assert next(each for each in found if each.tool == PLAN).shares["examples"] > 0
        assert next(each for each in found if each.tool == WEATHER).shares["examples"] < 0


def test_two_bits_a_number_keep_a_vector_nearly():
    vectors = np.random.default_rng(1).standard_normal((50, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    again = unpacked(packed_bits(vectors))
    assert np.allclose(np.linalg.norm(again, axis=1), 1, atol=1e-5)
    assert ((vectors * again).sum(1) > 0.92).all()  # 0.94 for a normal distribution: 1 - 0.1175 of the variance
    assert packed_bits(vectors).nbytes == 50 * 384 / 4


def written(folder, encoder="e" * 32, **changed):
    module.KIND.save(folder, of(BUS) | changed, encoder=encoder)
    return folder


def cut(folder):
    content = (written(folder) / "examples.npz").read_bytes()
    (folder / "examples.npz").write_bytes(content[:-50])


def starts(*values):
    return lambda folder: written(folder, starts=np.array(values))


SPOILT = {
    "nothing": (lambda _: None, r"there are no examples in .* \(examples.json is missing\)"),
    "cut": (cut, "cut, damaged or of another save"),
    "array missing": (
        lambda folder: module.KIND.save(folder, {"centre": np.zeros(4)}, encoder="e" * 32), "no array 'whitening'",
    ),
    "nan": (lambda folder: written(folder, centre=np.full(SIZE, np.nan)), "'centre' holds NaN"),
    "shape": (lambda folder: written(folder, centre=np.zeros(7)), r"'whitening' is of shape \(256, 256\), and \(7"),
    "bits": (lambda folder: written(folder, bits=np.zeros((2, 2, 5), np.uint8)), "'bits' is of shape"),
    "tools": (lambda folder: written(folder, tools=np.array([5, 5], np.uint64)), "'tools' does not ascend"),
    "tool of none": (lambda folder: written(folder, tools=np.array([0, 5], np.uint64)), "'tools' does not ascend from"),
    "signed": (lambda folder: written(folder, tools=np.array([-5, 5])), "'tools' holds int64, and uint64 is wanted"),
    "no array at all": (lambda folder: written(folder, tools=np.uint64(5)), "'starts' is of shape"),
    "one number": (lambda folder: written(folder, centre=np.float32(5)), "'whitening' is of shape"),
    "starts around": (starts(0, 2**63 - 1, 2), "'starts' does not lead from 0 to 2"),
    "starts short": (starts(0, 1, 1), "'starts' does not lead from 0 to 2"),
    "starts beyond": (starts(0, 1, 9), "'starts' does not lead from 0 to 2"),
    "starts back": (starts(0, 3, 2), "'starts' does not lead from 0 to 2"),
    "width": (
        lambda folder: written(folder, whitening=np.ones((SIZE, 7)), bits=np.zeros((2, 2, 0), np.uint8)),
        "a multiple of 8 numbers, not 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("spoilt", SPOILT)
def test_examples_that_cannot_be_used_are_refused_with_the_reason_and_the_remedy(tmp_path, spoilt):
    spoil, message = SPOILT[spoilt]
    spoil(tmp_path)
    with pytest.raises(ExamplesError, match=message) as refused:
        Examples.load(tmp_path)
    assert "reinstall toolweft" in str(refused.value)


def test_examples_of_another_encoder_are_refused_and_both_are_named(tmp_path):
    with pytest.raises(ExamplesError, match=f"encoder {'e' * 32}, and this is {'f' * 32}"):
        Examples.load(written(tmp_path), encoder="f" * 32)


def test_without_examples_that_can_be_used_everything_else_ranks_and_a_warning_says_why(monkeypatch, caplog):
    def missing(_cls, *, encoder=None):
        return Examples.load(Path("nowhere"), encoder=encoder)

    monkeypatch.setattr(Examples, "shipped", classmethod(missing))
    with caplog.at_level(logging.WARNING):
        engine = Engine.shipped()
    assert "there are no examples in 'nowhere'" in caplog.text
    index = WovenIndex.build(TOOLS, engine).further()
    assert any(note.startswith("Known requests do not count: there are no") for note in index.explain("bus", 1).notes)
    assert "dense" in index.search("which bus brings me to the harbour", 1).hits[0].why


def test_an_encoder_and_examples_of_other_sizes_are_refused():
    with pytest.raises(ExamplesError, match="the examples are of vectors of 8 numbers, and the encoder makes 256"):
        Engine(tiny_woven.HashedWords(), tiny_woven.heads(), examples=Examples.none(8))
