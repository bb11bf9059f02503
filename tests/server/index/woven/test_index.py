"""The woven index: what it adds to words, how it grows, and what it does when a part of it cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

import tiny_woven
from toolweft_catalog.tool import Tool
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven import codes, document
from toolweft_server.index.woven import index as woven_index
from toolweft_server.index.woven.fusion import Weights
from toolweft_server.index.woven.index import WovenIndex


def tool(tool_id: str, description: str = "", *parameters: str) -> Tool:
    server, _, name = tool_id.partition(".")
    schema = {"type": "object", "properties": {each: {"type": "string"} for each in parameters}}
    return Tool(id=tool_id, name=name, server=server, description=description, parameters=schema)


TOOLS = [
    tool("github.create_issue", "Open a new issue in a repository.", "title", "body"),
    tool("github.list_issues", "List the issues of a repository.", "state"),
    tool("weather.forecast", "Temperature, rain and wind of the next days for a city.", "city"),
    tool("files.read_file", "Read a text file from disk.", "path"),
    tool("mail.send", "Send an e-mail to people.", "recipient", "subject"),
]


class Synonyms(tiny_woven.HashedWords):
    """Knows that a letter is an e-mail and that a ticket is an issue."""

    def encode(self, texts):
        return super().encode([each.replace("letter", "e-mail").replace("ticket", "issue") for each in texts])


def engine_of(encoder, folder=None):
    engine = tiny_woven.engine(folder)
    engine.encoder = encoder
    return engine


def finished(index: WovenIndex) -> WovenIndex:
    while index.unfinished():
        index = index.further()
    return index


def ids(index: WovenIndex, query: str, limit: int = 5) -> list[str]:
    return [hit.tool for hit in index.search(query, limit).hits]


def test_a_tool_is_found_by_what_is_meant_although_no_word_is_shared():
    index = finished(WovenIndex.build(TOOLS, engine_of(Synonyms())))
    assert LexicalIndex.build(TOOLS).search("letter", 5).total == 0
    best = index.search("letter", 5).hits[0]
    assert (best.tool, best.why) == ("mail.send", ("dense",))


def test_a_new_tool_is_found_by_its_words_at_once_and_by_its_meaning_when_its_vector_is_there():
    index = finished(WovenIndex.build(TOOLS, engine_of(Synonyms())))
    newer = index.updated([tool("jira.add", "File an issue on a board.", "summary")], [])
    assert newer.unfinished() == 1
    assert ids(newer, "issue board")[0] == "jira.add"
    assert "jira.add" not in ids(newer, "board ticket")[1:]
    done = newer.further()
    assert done.unfinished() == 0
    assert "dense" in next(hit.why for hit in done.search("ticket for the board", 5).hits if hit.tool == "jira.add")


def test_what_is_not_woven_yet_neither_wins_nor_loses_by_it():
    whole = [*TOOLS, tool("files.read_text", "Read a text file from disk.", "path")]
    index = finished(WovenIndex.build(TOOLS, tiny_woven.engine())).updated([whole[-1]], [])
    scores = {hit.tool: hit.score for hit in index.search("read a text file from disk", 5).hits}
    assert scores["files.read_text"] == pytest.approx(scores["files.read_file"], abs=0.1)


def test_a_restart_encodes_nothing_again(tmp_path):
    first = finished(WovenIndex.build(TOOLS, tiny_woven.engine(tmp_path)))
    first.save(tmp_path)
    again = tiny_woven.engine(tmp_path)
    index = WovenIndex.over(LexicalIndex.load(tmp_path), lambda wanted: pytest.fail(f"read again: {wanted}"), again)
    assert index.unfinished() == 0
    assert again.encoder.texts == []
    assert index.search("read a file", 5) == first.search("read a file", 5)


def test_equal_tools_are_encoded_once_and_an_edited_one_again():
    engine = tiny_woven.engine()
    index = finished(WovenIndex.build(TOOLS, engine))
    assert len(engine.encoder.texts) == len(TOOLS)
    index = finished(index.updated(TOOLS, []))
    assert len(engine.encoder.texts) == len(TOOLS)
    edited = tool("mail.send", "Bake a cake.", "flavour")
    index = finished(index.updated([edited], []))
    assert engine.encoder.texts[-1] == document.text_of(edited)
    assert ids(index, "cake flavour")[0] == "mail.send"
    assert "mail.send" not in ids(index, "to people with a subject")


def test_a_renamed_and_a_removed_tool_leave_nothing_behind():
    index = finished(WovenIndex.build(TOOLS, tiny_woven.engine()))
    index = finished(index.updated([tool("post.dispatch", "Send an e-mail to people.", "recipient")], ["mail.send"]))
    assert ids(index, "send an e-mail")[0] == "post.dispatch"
    assert all("mail.send" not in ids(index, each) for each in ("mail.send", "e-mail", "send mail people"))
    empty = index.updated([], index.ids)
    assert (len(empty), empty.search("e-mail", 5).hits) == (0, [])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_catalogue_of_few_tools_answers(count):
    index = finished(WovenIndex.build(TOOLS[:count], tiny_woven.engine()))
    assert len(index.search("open an issue", 5).hits) == min(count, 2)


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "\n",
        "🎂🎉",
        "\ud800",
        "日本語で検索する",
        "x" * 100_000,
        "SELECT * FROM t; -- drop",
        "a\x00b",
        "of the and",
    ],
)
def test_any_request_gets_an_answer(query):
    index = finished(WovenIndex.build(TOOLS, tiny_woven.engine()))
    found = index.search(query, 5)
    assert found.total >= len(found.hits)


def test_tools_without_text_with_too_much_and_all_alike_are_woven():
    strange = [
        Tool(id="a.silent", name="", server="", description="", parameters={}),
        tool("a.long", "word " * 20_000),
        *(tool(f"same{n}.twin", "Does the very same thing.") for n in range(40)),
    ]
    index = finished(WovenIndex.build([*TOOLS, *strange], tiny_woven.engine()))
    assert index.unfinished() == 0
    assert ids(index, "a.silent")[0] == "a.silent"
    assert ids(index, "the very same thing", 40) == sorted(each.id for each in strange[2:])


def test_an_encoder_that_breaks_leaves_the_words(caplog):
    engine = tiny_woven.engine()
    index = WovenIndex.build(TOOLS, engine)
    engine.encoder.broken = True
    index = index.further()
    assert index.unfinished() == 0, "nothing is tried for ever"
    assert "it is broken" in engine.failure
    assert "found by their words alone" in caplog.text
    assert index.search("open an issue", 5) == LexicalIndex.build(TOOLS).search("open an issue", 5)


def test_parts_can_be_switched_off():
    words = finished(WovenIndex.build(TOOLS, engine_of(Synonyms()), weights=Weights(dense=0.0)))
    assert ids(words, "letter") == []


def test_an_answer_does_not_depend_on_the_order_in_which_tools_came():
    forwards = finished(WovenIndex.build(TOOLS, tiny_woven.engine()))
    backwards = WovenIndex.build([], tiny_woven.engine())
    for each in reversed(TOOLS):
        backwards = finished(backwards.updated([each], []))
    for query in ("issue", "read file", "city rain", "list people"):
        assert forwards.search(query, 5) == backwards.search(query, 5)


LETTERS = [tool(f"post{n}.letter_{n}", f"A letter, number {n}.") for n in range(40)]
TIED = [tool(f"s{n}.export", "Export the report.", f"to_{n}") for n in range(300)]


@pytest.fixture
def pruning(monkeypatch):
    """Of a catalogue, hardly anything is compared that codes do not promise."""
    monkeypatch.setattr(codes, "FEW", 1)
    monkeypatch.setattr(woven_index, "PRUNED_FROM", 1)
    monkeypatch.setattr(woven_index, "BUDGET", 1)


def promised_by_codes(index, monkeypatch, *tools):
    """From now on, the codes promise these tools and nothing else."""
    rows = np.array([index.ids.index(each) for each in tools], np.int64)
    monkeypatch.setattr(
        codes.Woven, "drafts", lambda woven, asked, *_: codes.Candidates(rows, woven.vectors(rows) @ asked)
    )


@pytest.mark.usefixtures("pruning")
def test_a_pruned_search_of_one_server_compares_all_of_its_tools():
    index = finished(WovenIndex.build([*TOOLS, *LETTERS], engine_of(Synonyms())))
    assert "mail.send" not in ids(index, "letter", 100)
    assert [hit.tool for hit in index.search("letter", 5, server="mail").hits] == ["mail.send"]
    assert index.search("letter", 5, server="nobody").hits == []


def test_tools_of_a_server_are_found_alike_whether_read_one_by_one_or_all_at_once(monkeypatch):
    index = finished(WovenIndex.build([*TOOLS, *(tool(f"post.letter_{n}") for n in range(40))], engine_of(Synonyms())))
    answers = []
    for few in (0, len(TOOLS) + 41):
        monkeypatch.setattr(woven_index, "FEW", few)
        answers.append(index.search("letter 7", 50, server="post"))
    assert answers[0] == answers[1]
    assert answers[0].hits[0].tool == "post.letter_7"
    assert len(answers[0].hits) == 40


@pytest.mark.usefixtures("pruning")
def test_a_pruned_search_finds_by_words_what_the_codes_did_not_promise(monkeypatch):
    index = finished(WovenIndex.build([*TOOLS, *LETTERS], engine_of(Synonyms())))
    promised_by_codes(index, monkeypatch, "github.list_issues")
    assert ids(index, "temperature and rain for a city")[0] == "weather.forecast"


@pytest.mark.usefixtures("pruning")
def test_a_pruned_search_finds_what_the_codes_promised_although_it_shares_no_word(monkeypatch):
    index = finished(WovenIndex.build(TOOLS, engine_of(Synonyms())))
    promised_by_codes(index, monkeypatch, "mail.send")
    assert ids(index, "letter") == ["mail.send"]


@pytest.mark.usefixtures("pruning")
@pytest.mark.parametrize("query", ["export", "export the report", "report to_7", "letter", "letter number 3"])
def test_a_pruned_answer_does_not_depend_on_the_order_in_which_tools_came(query):
    """Of more equal tools than are compared, too."""
    tools = [*TIED, *LETTERS, *TOOLS]
    forwards = finished(WovenIndex.build(tools, engine_of(Synonyms())))
    backwards = finished(WovenIndex.build([], engine_of(Synonyms())).updated(tools[200:][::-1], []))
    backwards = finished(backwards.updated(tools[:200][::-1], []))
    assert backwards.ids != forwards.ids
    assert len(forwards.search(query, 50).hits) > 0
    assert forwards.search(query, 50) == backwards.search(query, 50)
