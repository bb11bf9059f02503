"""Ids are Python identifiers, unique, and stable once given."""

import keyword

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolweft_catalog import names

quick = settings(derandomize=True, deadline=None, max_examples=80)

TEXTS = st.text(max_size=8) | st.sampled_from(["create-issue", "create_issue", "create issue", "tools", "class", "a.b"])
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=12)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("create-issue", "create_issue"),
        ("2fa", "_2fa"),
        ("class", "class_"),
        ("日本", "u65e5u672c"),
        ("", "_"),
        ("---", "_"),
        ("a..b//c", "a_b_c"),
        ("\ud83d", "ud83d"),
        ("__init__", "init"),
    ],
)
def test_an_identifier_is_close_to_what_it_is_made_of(raw, expected):
    assert names.identifier(raw) == expected


@quick
@given(TEXTS)
def test_every_text_makes_an_identifier(raw):
    made = names.identifier(raw)
    assert made.isidentifier()
    assert made.isascii()
    assert not keyword.iskeyword(made)


@quick
@given(PAIRS)
def test_every_pair_gets_one_unique_id_of_two_identifiers(wanted):
    given_ids = names.assign(wanted, {})
    assert set(given_ids) == set(wanted)
    assert len(set(given_ids.values())) == len(given_ids)
    for each in given_ids.values():
        server, tool = each.split(".")
        assert server.isidentifier()
        assert tool.isidentifier()
        assert server not in names.RESERVED


@quick
@given(PAIRS)
def test_tools_of_one_server_share_its_prefix_and_no_other_server_has_it(wanted):
    prefixes = {}
    for (server, _), each in names.assign(wanted, {}).items():
        prefixes.setdefault(server, set()).add(each.split(".")[0])
    assert all(len(found) == 1 for found in prefixes.values())
    assert len(set.union(set(), *prefixes.values())) == len(prefixes)


@quick
@given(PAIRS, PAIRS)
def test_an_id_once_given_is_kept_whoever_comes_later(first, later):
    taken = names.assign(first, {})
    again = names.assign([*later, *first], taken)
    assert {pair: again[pair] for pair in taken} == taken
    assert len(set(again.values())) == len(again)


@quick
@given(PAIRS, PAIRS)
def test_the_id_of_a_vanished_tool_stays_reserved(first, later):
    taken = names.assign(first, {})
    fresh = {pair: each for pair, each in names.assign(later, taken).items() if pair not in taken}
    assert not set(fresh.values()) & set(taken.values())


def test_on_a_collision_the_newcomer_is_renamed():
    taken = names.assign([("git hub", "create-issue")], {})
    given_ids = names.assign(
        [("git hub", "create_issue"), ("git-hub", "create-issue"), ("git hub", "create-issue")], taken
    )
    assert given_ids == {
        ("git hub", "create_issue"): "git_hub.create_issue_2",
        ("git-hub", "create-issue"): "git_hub_2.create_issue",
        ("git hub", "create-issue"): "git_hub.create_issue",
    }


def test_names_that_programs_need_are_given_to_no_server():
    given_ids = names.assign([("tools", "a"), ("functions", "a"), ("parallel", "a")], {})
    assert list(given_ids.values()) == ["tools_2.a", "functions_2.a", "parallel_2.a"]
