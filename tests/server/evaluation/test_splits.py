"""Data cut into what was known and what is new, and systems that live through the change."""

from dataclasses import replace

import pytest

import tiny_woven
from request_folder import write
from toolweft_server.evaluation import changing, data, splits
from toolweft_server.evaluation.errors import EvaluationError
from toolweft_server.evaluation.suite import Suite
from toolweft_server.index.lexical import LexicalIndex


@pytest.fixture
def large(tmp_path):
    """Twelve servers of five tools in four categories; every tool is asked for once in `train` and once in `dev`."""
    tools, queries = [], []
    for server in range(12):
        for n in range(5):
            name = f"s{server}/t{n}"
            described = f"Handles thing{server}x{n} well. It serves area{server} with tool{n} and more."
            category = f"category {server % 4}"
            tools.append({"id": name, "name": f"tool_{n}", "server": f"server {server}", "description": described})
            tools[-1]["category"] = category
            for split in ("train", "dev"):
                query = f"handle thing{server}x{n}"
                queries.append({"id": f"{name} {split}", "query": query, "gold": [name], "split": split})
    return data.read(write(tmp_path / "large", tools=tools, queries=queries))


def served(scenario):
    return changing.Served(LexicalIndex.build(scenario.known))


@pytest.mark.parametrize("name", ["U1", "U2", "U3"])
def test_what_is_asked_for_is_new_and_what_may_be_learned_from_is_known(large, name):
    cut = splits.scenario(name, large)
    (stage,) = cut.stages
    known = {tool.id for tool in cut.known}
    assert stage.requests
    assert cut.train
    assert all(request.tools <= cut.held for request in stage.requests)
    assert all(request.tools <= known for request in cut.train)
    assert known | cut.held == {tool.id for tool in large.tools}
    assert not known & cut.held


def test_new_tools_of_known_servers_leave_no_server_without_a_known_tool(large):
    cut = splits.scenario("U1", large)
    assert {tool.server for tool in cut.known} == {tool.server for tool in large.tools}


def test_new_servers_and_categories_share_nothing_with_the_known(large):
    cut = splits.scenario("U2", large)
    assert {tool.server for tool in cut.known}.isdisjoint(tool.server for tool in cut.stages[0].added)
    cut = splits.scenario("U3", large)
    known = {large.category[tool.id] for tool in cut.known}
    assert known.isdisjoint(large.category[tool.id] for tool in cut.stages[0].added)


def test_known_tools_are_asked_for_in_new_requests(large):
    cut = splits.scenario("U0", large)
    assert len(cut.stages[0].requests) == 60
    assert all(request.split == "dev" for request in cut.stages[0].requests)


def test_servers_come_one_after_another_and_all_have_come_in_the_end(large):
    cut = splits.scenario("U4", large)
    assert [stage.name for stage in cut.stages] == ["D0", "D1", "D2", "D3", "D4", "D5"]
    present = {tool.id for tool in cut.known}
    for stage in cut.stages:
        present |= {tool.id for tool in stage.added}
        assert all(request.tools <= present for request in stage.requests)
    assert present == {tool.id for tool in large.tools}


def test_the_order_of_the_data_decides_nothing(large):
    turned = replace(large, tools=large.tools[::-1], requests=large.requests[::-1])
    for name in splits.NAMES:
        one, other = splits.scenario(name, large, seed=3), splits.scenario(name, turned, seed=3)
        assert one.held == other.held
        for a, b in zip(one.stages, other.stages, strict=True):
            assert {request.id for request in a.requests} == {request.id for request in b.requests}


def test_another_seed_holds_out_other_servers(large):
    assert len({splits.scenario("U2", large, seed=seed).held for seed in range(5)}) > 1


def test_twins_are_new_together_or_not_at_all(tmp_path):
    tools = [
        {"id": f"{server}/{n}", "name": f"t{n}", "server": server, "description": f"d{n}"}
        for server in ("a", "b")
        for n in range(6)
    ]
    queries = [{"id": str(n), "query": "x", "gold": [f"a/{n}"], "split": "dev"} for n in range(6)]
    read = data.read(write(tmp_path / "twins", tools=tools, queries=queries))
    for seed in range(5):
        held = splits.scenario("U1", read, seed=seed).held
        assert held
        assert {read.group[each] for each in held}.isdisjoint(
            read.group[tool.id] for tool in read.tools if tool.id not in held
        )


def test_a_split_of_nothing_is_refused(folder):
    read = data.read(folder)
    with pytest.raises(EvaluationError, match="small: no request of the split 'test' can be asked in U0"):
        splits.scenario("U0", read, split="test")
    plain = replace(read, category=dict.fromkeys(read.category, ""))
    with pytest.raises(EvaluationError, match="nothing to draw from"):
        splits.scenario("U3", plain)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Does this. And that.", "And that."),
        ("one two three four five six", "one two three four"),
        ("", ""),
        ("word", "word"),
    ],
)
def test_an_edited_description_says_less(before, after):
    assert splits.edited(before) == after


def test_an_index_finds_new_tools_at_once_and_gives_them_their_share(large):
    cut = splits.scenario("U4", large)
    lived = changing.live(large, cut, served(cut))
    assert lived[-1].tools == 60
    assert lived[-1].measured.scores["hit@1"].mean() == 1.0
    assert lived[0].bias.places == 0.0
    assert lived[-1].bias.catalogue == pytest.approx(len(cut.held) / 60)


def test_removed_tools_are_found_no_more(large):
    cut = splits.scenario("U6", large)
    before, after = changing.live(large, cut, served(cut))
    assert (before.bias.places > 0, after.bias) == (True, (0.0, 0.0))
    assert after.tools == 60 - len(cut.held)
    assert not cut.held & {tool for ranking in after.measured.rankings for tool in ranking}


def test_an_edited_tool_takes_the_place_of_the_old_one(large):
    cut = splits.scenario("U5", large)
    before, after = changing.live(large, cut, served(cut))
    assert before.tools == after.tools == 60
    assert after.measured.scores["MRR"].mean() < before.measured.scores["MRR"].mean()


def test_a_woven_index_is_asked_when_all_its_new_tools_have_vectors(large):
    cut = splits.scenario("U2", large)
    engine = tiny_woven.engine()
    changing.live(large, cut, changing.Served(Suite(cut.known, engine=engine).woven))
    assert engine.cache.get([tool.digest for tool in large.tools]).have.all()


@pytest.mark.parametrize("name", ["U1", "U2", "U4", "U5", "U6"])
def test_a_changed_index_scores_as_one_that_is_made_anew_at_each_stage(large, name):
    cut = splits.scenario(name, large)
    remade = changing.Remade(cut.known, lambda tools: Suite(tools).make("lexical"))
    for one, other in zip(changing.live(large, cut, served(cut)), changing.live(large, cut, remade), strict=True):
        assert one.measured.rankings == other.measured.rankings
