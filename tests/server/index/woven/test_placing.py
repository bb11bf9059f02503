"""Places in an answer: copies step back, near copies leave room, and what a tool requires is brought along."""

from dataclasses import replace

import numpy as np
import pytest

import tiny_woven
from toolweft_catalog.tool import Tool
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven import codes
from toolweft_server.index.woven import index as woven_index
from toolweft_server.index.woven.cousage import CoUsage, Partner
from toolweft_server.index.woven.explain import render
from toolweft_server.index.woven.fusion import Weights
from toolweft_server.index.woven.index import Use, WovenIndex


def tool(tool_id, description="", *required, output=None):
    server, _, name = tool_id.partition(".")
    schema = {"type": "object", "properties": {each: {"type": "string"} for each in required}}
    schema["required"] = list(required)
    return Tool(id=tool_id, name=name, server=server, description=description, parameters=schema, output=output)


def woven(tools, **weights):
    index = WovenIndex.build(tools, tiny_woven.engine(), weights=Weights(**weights))
    while index.unfinished():
        index = index.further()
    return index


def ids(index, query, limit=10, **scope):
    return [hit.tool for hit in index.search(query, limit, **scope).hits]


def moved(index, query, tool_id, limit=50):
    return next(each.place for each in index.explain(query, limit).tools if each.tool == tool_id)


ISSUES = [
    tool("github.create_issue", "Open a new issue in a repository of code.", "title"),
    tool("gitlab.new_ticket", "Open a new issue in the repository of a project.", "name"),
    tool("jira.add_task", "Open a new issue on the board.", "summary"),
    tool("linear.report", "Open a new issue about code with labels.", "label"),
]
ASKED = "open a new issue in the repository of code"


def copies(count, of=ISSUES[0]):
    return [replace(of, id=f"copy{n}.{of.name}", server=f"copy{n}") for n in range(count)]


def test_copies_of_a_tool_come_after_everything_else_that_matches_and_one_stays_beside_the_best():
    index = woven([*ISSUES, *copies(300)])
    first = ids(index, ASKED, 5)
    assert {each.partition(".")[2] for each in first[:2]} == {"create_issue"}
    assert set(first[2:]) == {each.id for each in ISSUES[1:]}
    assert len({each for each in ids(index, ASKED, 50) if each.endswith("create_issue")}) == 47
    assert "back: a copy of copy0.create_issue" in moved(index, ASKED, "copy5.create_issue")
    assert "   place    back: a copy of" in render(index.explain(ASKED, 20))


def test_every_copy_is_found_by_its_name_and_on_its_server():
    index = woven([*ISSUES, *copies(300)])
    assert ids(index, "copy177.create_issue")[0] == "copy177.create_issue"
    assert ids(index, ASKED, server="copy299") == ["copy299.create_issue"]


def test_of_copies_the_one_whose_server_is_named_comes_first():
    index = woven([*ISSUES, *copies(30)])
    assert ids(index, f"{ASKED} on copy17")[0] == "copy17.create_issue"


def test_equal_words_that_say_next_to_nothing_make_no_copies():
    search = [tool(f"{server}.search", "Search.", "query") for server in ("mail", "files", "music", "notes")]
    index = woven([*ISSUES, *search])
    assert all(each.place is None for each in index.explain("do a search of things", 10).tools)


def flood(count, server="rogue"):
    return [
        tool(f"{server}.create_issue{n}", "Open a new issue in a repository of code.", "title") for n in range(count)
    ]


@pytest.mark.parametrize("count", [10, 400])
def test_near_copies_of_one_server_leave_places_to_others_that_match_well(count):
    index = woven([*ISSUES, *flood(count)])
    first = ids(index, ASKED, 10)
    assert {each.id for each in ISSUES[:2]} <= set(first[:6])
    assert sum(each.startswith("rogue.") for each in first[:5]) <= 3
    last = [each for each in ids(index, ASKED, 50) if each.startswith("rogue.")][-1]
    assert "nearly a copy of rogue." in moved(index, ASKED, last)


def test_a_flood_of_one_server_crowds_nobody_out_where_not_all_tools_are_compared(monkeypatch):
    index = woven([*(tool(f"rogue.open_issue_{n}", f"{ASKED} {ASKED}", "title") for n in range(900)), *ISSUES])
    whole = ids(index, ASKED, 300)
    rogues = np.flatnonzero([each.startswith("rogue.") for each in index.ids])

    def promised(woven, asked, *_):
        return codes.Candidates(rogues, woven.vectors(rogues) @ asked)

    monkeypatch.setattr(woven_index, "PRUNED_FROM", 1)
    monkeypatch.setattr(codes.Woven, "drafts", promised)
    assert ids(index, ASKED, 300) == whole
    assert {each.id for each in ISSUES} <= set(whole)
    assert ISSUES[0].id in whole[:5]


def test_where_one_server_has_all_that_matches_nothing_changes():
    other = tool("weather.forecast", "Rain and wind of the next days.", "city")
    alone, beside = woven(flood(20)), woven([*flood(20), other])
    scores = [hit.score for hit in alone.search(ASKED, 20).hits]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.7
    assert ids(beside, ASKED, 20) == ids(alone, ASKED, 20)


def test_the_answer_with_copies_does_not_depend_on_the_order_in_which_tools_came():
    tools = [*ISSUES, *copies(290), *flood(20)]
    forwards, grown = woven(tools), woven([])
    for part in (tools[200:], tools[:200]):
        grown = grown.updated(part[::-1], [])
        while grown.unfinished():
            grown = grown.further()
    for query in (ASKED, "report an issue", "issue on copy250", "create_issue"):
        assert grown.search(query, 50) == forwards.search(query, 50)


@pytest.mark.parametrize("count", [5, 300])
def test_copies_step_back_alike_where_not_all_tools_are_compared(monkeypatch, count):
    others = [tool(f"weather{n}.forecast_{n}", f"Rain and wind, place {n}.") for n in range(900)]
    index = woven([*others[:450], *ISSUES, *copies(count), *others[450:]])
    whole = index.search(ASKED, 50)
    monkeypatch.setattr(woven_index, "PRUNED_FROM", 1)
    compared = index.woven.drafts(
        index.engine.request(ASKED), index.engine.heads.tables(index.engine.request(ASKED)), 500
    )
    assert woven_index.EXACT < len(compared.rows) < len(index)
    assert index.search(ASKED, 50) == whole


POST = tool("slack.post_message", "Send a message to the people of a channel.", "channel_id", "text")
LIST = tool("slack.list_channels", "Every conversation there is.")
CHAT = [
    POST,
    LIST,
    *(tool(f"chat{n}.send", f"Send a message to people {'elsewhere ' * n}.", "text") for n in range(20)),
]
TELL = "send a message to the people of the ops channel"


def test_what_gives_a_required_input_that_the_request_lacks_gets_the_last_place_of_ten():
    index, without = woven(CHAT), woven(CHAT, sets=0.0)
    assert LIST.id not in ids(without, TELL)
    assert ids(index, TELL) == [*ids(without, TELL, 9), LIST.id]
    hit = index.search(TELL, 10).hits[9]
    assert "sets" in hit.why
    assert moved(index, TELL, LIST.id) == "among the last: it gives what slack.post_message requires"


def test_in_a_short_answer_the_producer_comes_after_all_that_matches():
    assert ids(woven(CHAT[:3]), TELL) == [POST.id, "chat0.send", LIST.id]


def test_a_request_that_holds_an_identifier_gets_no_producer():
    assert LIST.id not in ids(woven(CHAT), f"{TELL} C024BE91L")


def test_what_a_named_tool_requires_is_brought_along():
    assert LIST.id in ids(woven(CHAT), "post_message to the people")


def test_a_tool_used_together_with_another_gives_its_input_from_another_server_but_not_past_a_filter():
    directory = tool("directory.list_channels", "Every conversation there is.")
    index = woven([POST, directory, *CHAT[2:]])
    assert directory.id not in ids(index, TELL)
    use = Use(index.use.usage, CoUsage({POST.id: (Partner(directory.id, 0.9),)}, 9))
    assert directory.id in ids(index.used(use), TELL)
    assert directory.id not in ids(index.used(use), TELL, server="slack")


def test_what_tools_require_and_give_is_known_after_a_restart_and_after_changes(tmp_path):
    first = WovenIndex.build(CHAT, tiny_woven.engine(tmp_path)).further()
    first.save(tmp_path)
    lexical = LexicalIndex.load(tmp_path)
    again = WovenIndex.over(lexical, lambda wanted: pytest.fail(f"read: {wanted}"), tiny_woven.engine(tmp_path))
    assert again.search(TELL, 10) == first.search(TELL, 10)
    without = again.updated([], [LIST.id])
    assert without.search(TELL, 10) == woven([each for each in CHAT if each is not LIST]).search(TELL, 10)
    assert without.updated([LIST], []).search(TELL, 10) == first.search(TELL, 10)


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda kept: kept[:-1], lambda _: b"\x93NUMPY", lambda _: b"{}", lambda _: b"PK\x03\x04"]
)
def test_a_damaged_file_of_what_is_known_of_tools_costs_reading_them(tmp_path, caplog, damage):
    first = WovenIndex.build(CHAT, tiny_woven.engine(tmp_path)).further()
    first.save(tmp_path)
    (kept,) = tmp_path.glob("traits-*.npy")
    kept.write_bytes(damage(kept.read_bytes()))
    known = {each.id: each for each in CHAT}
    again = WovenIndex.over(
        LexicalIndex.load(tmp_path), lambda wanted: [known[each] for each in wanted], tiny_woven.engine(tmp_path)
    )
    assert again.search(TELL, 10) == first.search(TELL, 10)
    assert "read again from them" in caplog.text


def test_use_that_brings_tools_together_is_told_as_the_reason():
    index = woven(CHAT)
    late = ids(index, TELL, 20)[8]
    use = Use(index.use.usage, CoUsage({POST.id: (Partner(late, 1.0),)}, 9))
    assert ids(index.used(use), TELL, 20).index(late) < 8
    assert moved(index.used(use), TELL, late) == f"up: used together with {POST.id}"
