from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from toolweft_server.index.near import LONGEST, NameTable, fold, name_keys

LETTERS = "abc"
names = st.text(LETTERS, min_size=1, max_size=9).map(str.encode)


def one_edit(word: bytes) -> set[bytes]:
    """Everything one insertion, deletion, replacement or swap of neighbours away, the slow and certain way."""
    letters = [bytes([each]) for each in LETTERS.encode()]
    heads = [(word[:n], word[n:]) for n in range(len(word) + 1)]
    edits = {a + b[1:] for a, b in heads if b}
    edits |= {a + b[1:2] + b[:1] + b[2:] for a, b in heads if len(b) > 1}
    edits |= {a + letter + b[1:] for a, b in heads if b for letter in letters}
    edits |= {a + letter + b for a, b in heads for letter in letters}
    return edits - {word}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(table=st.lists(names, max_size=25), asked=names)
@example(table=[b"aaaaaab", b"aaaaaba", b"aaaaaaa", b"aaaaaa"], asked=b"aaaaaab")
def test_names_one_edit_away_are_those_that_trying_every_edit_finds(table, asked):
    found = NameTable.of((name, n) for n, name in enumerate(table))
    near = {n for n, name in enumerate(table) if name in one_edit(asked)} if len(asked) >= 6 else set()
    assert set(found.near(asked)) == near
    assert set(found.exact(asked)) == {n for n, name in enumerate(table) if name == asked}
    assert sorted(found.items()) == sorted((name, n) for n, name in enumerate(table))


@pytest.mark.parametrize(
    ("name", "folded"),
    [("Create-Issue", b"createissue"), ("create_issue", b"createissue"), ("Café.Menü", b"cafemenu"), ("__", b"")],
)
def test_names_are_folded_to_letters_and_digits(name, folded):
    assert fold(name) == folded


def test_a_tool_answers_to_its_name_and_its_id():
    assert name_keys("hub.create_issue_2", "create-issue") == [b"createissue", b"createissue2", b"hubcreateissue2"]
    assert name_keys("s.x", "n" * 5000) == [b"sx", b"x"]


def test_the_closest_names_are_chosen_among_the_wanted_tools():
    table = NameTable.of([(b"forecast", 0), (b"broadcast", 1), (b"send", 2), (b"forecasts", 3)])
    every = table.closest(b"forecasting", 2, np.array([True] * 4))
    assert {owner for _, owner in every} == {0, 3}
    assert [owner for _, owner in table.closest(b"forecasting", 1, np.array([False, True, True, False]))] == [1]
    assert table.closest(b"", 3, np.array([False] * 4)) == []
    assert table.closest(b"x" * 5 * LONGEST, 3, np.array([True] * 4)) == []
