"""`WovenIndex.explain`: every part of the evidence, in numbers that add up to what `search` ranks by."""

from __future__ import annotations

import time

import pytest

import tiny_woven
from toolweft_catalog.tool import Tool
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven import cousage, usage
from toolweft_server.index.woven.evidence import Evidence
from toolweft_server.index.woven.explain import Explains, render, to_json
from toolweft_server.index.woven.fusion import Weights
from toolweft_server.index.woven.index import Use, WovenIndex


def tool(tool_id: str, description: str) -> Tool:
    server, _, name = tool_id.partition(".")
    return Tool(id=tool_id, name=name, server=server, description=description)


TOOLS = [
    tool("github.create_issue", "Open a new issue in a repository."),
    tool("github.list_issues", "List the issues of a repository."),
    tool("github.close_issue", "Close an issue of a repository."),
    tool("weather.forecast", "Temperature, rain and wind of the next days for a city."),
    tool("mail.send", "Send an e-mail to people."),
]
QUERIES = ["issues of the repository", "create_issue", "list_issue", "rain and wind, then send an e-mail", "repository"]


@pytest.fixture(scope="module")
def index():
    """Over five tools, after `github.list_issues` served a request of Anna's."""
    engine = tiny_woven.engine()
    index = WovenIndex.build(TOOLS, engine, weights=Weights(use=0.2, sets=1.0)).further()
    request = engine.encode(["issues of our repository"])
    listing = TOOLS[1]
    worked = Evidence("r", 0, "anna", "github", listing.id, listing.digest, "worked", time.time())
    learned = usage.learn([worked], request, usage.centre_of(engine.encode), time.time())
    return index.used(Use(learned, cousage.CoUsage({}, 0)))


def test_each_part_is_shown_for_a_tool_that_all_of_them_know(index):
    found = index.explain("issues of our repository", 3)
    assert isinstance(index, Explains)
    first = next(each for each in found.tools if each.tool == "github.list_issues")
    assert [each.term for each in first.terms] == ["issues", "repository", "of"]
    assert 0.5 < first.dense <= 1
    assert len(first.code) == 2
    assert first.code[0].token.startswith("<a_")
    assert first.code_score <= 0
    assert first.used == pytest.approx(1, abs=0.01)
    assert 0 < first.use < 1
    assert {part for part, share in first.shares.items() if share > 0} == {"lexical", "dense", "use"}
    said = render(found)
    assert all(f"   {part} " in said for part in ("lexical", "dense", "code", "use"))
    assert "codes" in said.rpartition("not counted")[2]
    assert to_json(found)["tools"][0]["code"][0]["tools"] >= 1


@pytest.mark.parametrize("query", QUERIES)
def test_ranks_and_scores_are_those_of_the_search_and_the_shares_add_up_to_them(index, query):
    explained, searched = index.explain(query, 5).tools, index.search(query, 5).hits
    assert [(each.tool, each.score) for each in explained] == [(hit.tool, hit.score) for hit in searched]
    for each in explained:
        assert sum(each.shares.values()) == pytest.approx(each.score, abs=1e-5)
        assert "sets" not in each.shares or "then" in query


def test_terms_add_up_to_what_words_give(index):
    query = "the issues of the repository"
    scores = dict(zip(index.lexical.places, index.lexical.evidence(query).scores, strict=True))
    for tool_id, terms in index.lexical.terms(query, [each.id for each in TOOLS]).items():
        assert sum(terms.values()) == pytest.approx(scores[tool_id], rel=1e-5)


def test_a_named_tool_says_so_exactly_or_nearly(index):
    assert [index.explain(query, 1).tools[0].name for query in ("create_issue", "create_isue")] == ["exact", "near"]


def test_a_tool_without_a_vector_has_no_cosine_and_no_code_and_a_note_names_it(index):
    newer = index.updated([tool("jira.add_issue", "Add an issue to a board.")], [])
    found = newer.explain("add an issue to the board", 5)
    new = next(each for each in found.tools if each.tool == "jira.add_issue")
    assert (new.dense, new.code, new.code_score) == (None, (), None)
    assert "1 of 6 tools have no vector yet, and their words alone count; of these here: jira.add_issue." in found.notes


def test_a_broken_encoder_leaves_the_words_and_says_why():
    engine = tiny_woven.engine()
    index = WovenIndex.build(TOOLS, engine).further()
    engine.encoder.broken = True
    found = index.explain("repository", 5)
    assert [each.tool for each in found.tools] == [
        hit.tool for hit in LexicalIndex.build(TOOLS).search("repository", 5).hits
    ]
    assert found.notes[0].startswith("Words alone rank, meaning does not count: the encoder in 'here' cannot be used")


@pytest.mark.parametrize("query", ["", "the of and", "🙂", "zzz qqq"])
def test_requests_that_say_nothing_are_explained_as_well(index, query):
    assert [each.tool for each in index.explain(query, 5).tools] == [hit.tool for hit in index.search(query, 5).hits]
    assert WovenIndex.build((), tiny_woven.engine()).explain(query, 5).tools == ()
