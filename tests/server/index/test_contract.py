"""What every index promises. A new index adds one entry to `KINDS` and gets all of this."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_woven
from toolweft_catalog.catalog import card
from toolweft_catalog.tool import Tool
from toolweft_server.errors import IndexFolderError
from toolweft_server.index.base import ToolIndex
from toolweft_server.index.generative import GenerativeIndex
from toolweft_server.index.lexical import LexicalIndex, fingerprint
from toolweft_server.index.ranking import MOST_SEGMENTS
from toolweft_server.index.woven.index import WovenIndex


@dataclass(frozen=True)
class Kind:
    build: Callable[[Iterable[Tool]], ToolIndex]
    load: Callable[[Path], ToolIndex]


@cache
def newcomer():
    """A model that knows none of the tools here: what is newer than its checkpoint is found lexically."""
    import tiny_tools
    from toolweft_server.training.align.bundle import Bundle, Coded

    world = tiny_tools.world_of()
    made = tiny_tools.make_for(world)()
    known = {each.id: Coded(each.digest, world.codes[each.id]) for each in world.tools}
    return Bundle(made.model, made.encoder, known, "c" * 32)


def woven(tools: Iterable[Tool]) -> WovenIndex:
    return finished(WovenIndex.build(tools, tiny_woven.engine()))


def finished(index):
    while index.unfinished():
        index = index.further()
    return index


def unwoven(folder: Path) -> WovenIndex:
    lexical, known = LexicalIndex.load(folder), {each.id: each for each in TOOLS}
    return WovenIndex.over(lexical, lambda ids: [known[each] for each in ids if each in known], tiny_woven.engine())


KINDS = {
    "lexical": Kind(LexicalIndex.build, LexicalIndex.load),
    "woven": Kind(woven, lambda folder: finished(unwoven(folder))),
    "words while nothing is woven": Kind(lambda tools: WovenIndex.build(tools, tiny_woven.engine()), unwoven),
    "generative": Kind(
        lambda tools: GenerativeIndex.build(tools, newcomer()), lambda folder: GenerativeIndex.load(folder, newcomer())
    ),
}
if find_spec("torch") is None:
    del KINDS["generative"]


def tool(tool_id: str, description: str = "", *parameters: str, name: str | None = None) -> Tool:
    server, _, own = tool_id.partition(".")
    properties = {each: {"type": "string", "description": f"the {each}"} for each in parameters}
    schema = {"type": "object", "properties": properties}
    return Tool(id=tool_id, name=name or own, server=server, description=description, parameters=schema)


TOOLS = [
    tool("github.create_issue", "Open a new issue in a repository.", "title", "body", "labels"),
    tool("github.list_issues", "List the issues of a repository, newest first.", "state"),
    tool("github.search", "Search code, issues and people.", "query"),
    tool("jira.create_issue", "Create a ticket in a project.", "summary", "project"),
    tool("jira.transitions", "Move a ticket to another column of the board.", "ticket"),
    tool("weather.forecast", "Weather of the next days for a city: temperature, rain and wind.", "city", "days"),
    tool("weather.getAirQuality", "Particles and ozone in the air of a place.", "place"),
    tool("files.read_file", "Read a text file from disk.", "path"),
    tool("files.write_file", "Write text to a file on disk.", "path", "content"),
    tool("mail.send", "Send an e-mail to one or more people.", "recipient", "subject", "text"),
    tool("crypto.sha256", "Hash of a text.", "text"),
    tool("maps.route", "Directions between two places by car, bicycle or on foot.", "start", "destination"),
    tool("notes.u65e5u8a18", "日記に新しい記事を書く", "本文", name="日記"),
]


@pytest.fixture(params=KINDS)
def kind(request) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def index(kind) -> ToolIndex:
    return kind.build(TOOLS)


def ids(index: ToolIndex, query: str, limit: int = 5, server: str | None = None) -> list[str]:
    return [hit.tool for hit in index.search(query, limit, server=server).hits]


def answers(index: ToolIndex) -> list[object]:
    queries = ["issue", "weather in a city", "create_issue", "creat_issue", "text file", "日記", "nothing like it", ""]
    return [index.search(query, 20) for query in queries] + [index.search("text", 20, server="files")]


@pytest.mark.parametrize(
    ("request_text", "best"),
    [
        ("open a new issue in the repository", "github.create_issue"),
        ("will it rain in Lisbon, what temperature", "weather.forecast"),
        ("ozone in the air", "weather.getAirQuality"),
        ("directions by bicycle", "maps.route"),
        ("記事を書く", "notes.u65e5u8a18"),
    ],
)
def test_a_request_finds_the_tool_that_speaks_of_it(index, request_text, best):
    assert ids(index, request_text)[0] == best


@pytest.mark.parametrize(
    "spelling",
    [
        "files.read_file",
        "read_file",
        "READ_FILE",
        "readFile",
        "read-file",
        "read file",
        "tools.files.read_file",
        "please write weather to a city with read_file and tell me the temperature of the repository",
        "call files.read_file(path='x') after you sent the mail",
        "read_fle",
        "raed_file",
        "read_filee",
        "then use `read_fil` on the repository",
    ],
)
def test_an_identifier_that_names_a_tool_wins_however_it_is_spelled(index, spelling):
    best = index.search(spelling, 5).hits[0]
    assert best.tool == "files.read_file"
    assert "name" in best.why


def test_an_id_names_one_tool_and_a_bare_name_all_that_have_it(index):
    assert ids(index, "jira.create_issue")[0] == "jira.create_issue"
    assert {each.tool for each in index.search("create_issue", 9).hits if "name" in each.why} == {
        "github.create_issue",
        "jira.create_issue",
    }


@pytest.mark.parametrize("wanted", ["api.get_user", "api.getUser", "a.b_c", "a_b.c"])
def test_of_names_that_differ_in_case_and_separators_alone_the_id_as_it_is_written_comes_first(kind, wanted):
    # The others say more of what is asked: by their words they would come first.
    alike = [
        tool(each, "" if each == wanted else "api get user getUser a b c, a tool, call, mail, sent, id")
        for each in ("api.get_user", "api.getUser", "a.b_c", "a_b.c")
    ]
    index = kind.build([*TOOLS, *alike])
    for request in ("{}", "tools.{}", "call `{}` after the mail was sent", "{}(id=3), then mail"):
        first, second = index.search(request.format(wanted), 5).hits[:2]
        assert first.tool == wanted
        assert first.score > second.score
        assert "name" in second.why


def test_an_ordinary_word_of_a_sentence_does_not_name_a_tool(index):
    assert ids(index, "search the weather forecasts for rain in a city")[0] == "weather.forecast"
    assert index.search("search", 1).hits[0].tool == "github.search"
    assert "name" in index.search("search", 1).hits[0].why


def test_scores_fall_from_at_most_one_and_stay_above_zero(index):
    for query in ("issue", "create_issue in a repository", "text file on disk", "jira.create_isue"):
        scores = [hit.score for hit in index.search(query, 20).hits]
        assert scores == sorted(scores, reverse=True)
        assert all(0 < score <= 1 for score in scores)


def test_total_counts_every_match_and_the_limit_cuts_the_list(index):
    every, few = index.search("text of an issue", 50), index.search("text of an issue", 1)
    assert every.total == few.total == len(every.hits)
    assert few.hits == every.hits[:1]
    assert index.search("issue", 0).hits == []


def test_tools_of_equal_score_come_in_the_order_of_their_ids(kind):
    twins = [tool(f"s{n}.same", "The same text.") for n in (3, 1, 2)]
    assert ids(kind.build(twins), "same text") == ["s1.same", "s2.same", "s3.same"]


def test_a_server_keeps_its_own_tools_only(index):
    assert ids(index, "create issue", server="jira") == ["jira.create_issue"]
    assert ids(index, "github.create_issue", server="files") == []
    assert ids(index, "issue", server="nobody") == []


def test_when_nothing_matches_the_nearest_names_are_given(index):
    found = index.search("forcasting", 5)
    assert (found.hits, found.total) == ([], 0)
    assert found.nearest[0] == "weather.forecast"
    assert index.search("forcasting", 5, server="files").nearest == []


@pytest.mark.parametrize(
    "query",
    ["", "   \n\t", "the of and to", "🙂🙂", "\ud800", "a\x00b", "x" * 100_000, "word " * 20_000, "_" * 5000,
     "." * 5000, "`" * 99, "a_b " * 9999, "' OR 1=1 --", "שלום עולם", "привет мир", "日", "e\u0301",
     "ﬁle", "%s {x} \\", "-1e999"],
)  # fmt: skip
def test_any_text_gets_an_answer(index, query):
    found = index.search(query, 5)
    assert found.total >= len(found.hits)
    assert all(each in {entry.id for entry in TOOLS} for each in found.nearest)


def test_stop_words_alone_match_nothing(index):
    assert index.search("what is it that you can do for me", 5).total == 0


def test_an_empty_index_answers_and_can_grow(kind, tmp_path):
    empty = kind.build([])
    assert len(empty) == 0
    assert empty.search("read_file", 5) == ([], 0, [])
    empty.save(tmp_path)
    assert answers(finished(kind.load(tmp_path).updated(TOOLS, []))) == answers(finished(kind.build(TOOLS)))


def test_hostile_tools_are_indexed_without_harm(kind):
    deep: dict = {"type": "object"}
    deep["properties"] = {"again": {"type": "object", "properties": {"x": {"enum": [1, None, "red", {}]}}}, "bad": 7}
    hostile = [
        Tool(id="a.b", name="\ud800" * 3, server="", description="\udfff lone \x00 text " * 9000, parameters=deep),
        Tool(id="a.c", name="n" * 100_000, server="s", parameters={"properties": [1, 2]}),  # type: ignore[arg-type]
        Tool(id="a.d", name="", server="", description="", parameters={}),
    ]
    assert ids(kind.build([*hostile, *TOOLS]), "lone text colored red")[0] == "a.b"
    assert ids(kind.build(hostile), "a.d") == ["a.d"]


def test_an_update_leaves_the_older_snapshot_as_it_was(index):
    before = answers(index)
    newer = index.updated([tool("files.read_file", "Bake a cake.")], ["github.search"])
    assert answers(index) == before
    assert len(newer) == len(TOOLS) - 1
    assert ids(newer, "bake a cake") == ["files.read_file"]
    assert ids(newer, "search") != ["github.search"]


WORDS = ["read", "write", "file", "issue", "city", "rain", "createIssue", "files", "mail", "42"]
some_tool = st.builds(
    lambda server, own, words, parameters: tool(f"{server}.{own}", " ".join(words), *parameters),
    st.sampled_from(["a", "b", "files"]),
    st.sampled_from(["read_file", "readfile", "send", "create_issue", "x1", "search"]),
    st.lists(st.sampled_from(WORDS), max_size=6),
    st.lists(st.sampled_from(WORDS), max_size=2),
)
change = st.tuples(st.lists(some_tool, max_size=4), st.lists(some_tool.map(lambda each: each.id), max_size=3))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(start=st.lists(some_tool, max_size=8), changes=st.lists(change, max_size=12), kind=st.sampled_from(list(KINDS)))
def test_updates_in_any_order_rank_and_score_as_a_rebuild(start, changes, kind):
    live = {each.id: each for each in start}
    index = KINDS[kind].build(start)
    for added, removed in changes:
        index = index.updated(added, removed)
        live = {key: each for key, each in live.items() if key not in removed} | {each.id: each for each in added}
    index, rebuilt = finished(index), finished(KINDS[kind].build(live.values()))
    assert len(index) == len(live)
    for query in ("read a file", "createIssue", "a.read_file", "read_fil", "rain rain city", "x1", "isue", "zzz"):
        assert index.search(query, 50) == rebuilt.search(query, 50)
        assert index.search(query, 2, server="a") == rebuilt.search(query, 2, server="a")


def test_a_long_line_of_small_updates_stays_a_short_line_of_segments():
    base = [tool(f"big.tool{n}", f"Does thing number {n} to a file.") for n in range(60)]
    index = LexicalIndex.build(base)
    for each in TOOLS:
        index = index.updated([each], [])
    assert len(index._parts) <= MOST_SEGMENTS
    assert answers(index) == answers(LexicalIndex.build([*base, *TOOLS]))


def test_a_loaded_index_answers_as_the_saved_one(kind, index, tmp_path):
    index.updated([], ["github.search"]).save(tmp_path)
    index.save(tmp_path)
    assert answers(kind.load(tmp_path)) == answers(index)
    updated = kind.load(tmp_path).updated([tool("x.new", "A new tool.")], ["mail.send"])
    updated.save(tmp_path)
    assert answers(kind.load(tmp_path)) == answers(updated)


def test_many_threads_get_the_same_answers(index):
    expected = answers(index)
    with ThreadPoolExecutor(8) as threads:
        assert all(each == expected for each in threads.map(lambda _: answers(index), range(40)))


def test_a_folder_without_an_index_is_said_so(kind, tmp_path):
    with pytest.raises(IndexFolderError, match="no index in"):
        kind.load(tmp_path / "nowhere")


def test_a_damaged_folder_is_refused_with_the_way_out(kind, index, tmp_path):
    index.save(tmp_path / "good")
    files = sorted(each.relative_to(tmp_path / "good") for each in (tmp_path / "good").rglob("*") if each.is_file())
    for n, damaged in enumerate(files):
        copy = tmp_path / f"copy{n}"
        index.save(copy)
        here = next(each for each in copy.rglob(damaged.name) if each.is_file())
        here.write_bytes(here.read_bytes()[:-1])
        with pytest.raises(IndexFolderError, match="delete the folder"):
            kind.load(copy)


def test_a_save_that_dies_leaves_the_older_snapshot(kind, index, tmp_path, monkeypatch):
    index.save(tmp_path)
    newer = index.updated([tool("x.new", "A new tool.")], [])
    real, written = Path.replace, []

    def dies(self, target):
        written.append(self)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(IndexFolderError, match="No space left"):
        newer.save(tmp_path)
    monkeypatch.setattr(Path, "replace", real)
    assert written
    assert answers(kind.load(tmp_path)) == answers(index)
    newer.save(tmp_path)
    assert answers(kind.load(tmp_path)) == answers(newer)


def test_the_fingerprint_tells_which_tools_in_which_state_are_covered():
    index = LexicalIndex.build(TOOLS)
    assert index.fingerprint == fingerprint(map(card, reversed(TOOLS)))
    changed = tool("mail.send", "Send a letter.")
    updated = index.updated([changed], ["github.search"])
    kept = [each for each in TOOLS if each.id not in ("mail.send", "github.search")]
    assert updated.fingerprint == fingerprint(map(card, [*kept, changed])) != index.fingerprint
    assert updated.ids() == sorted(each.id for each in [*kept, changed])
