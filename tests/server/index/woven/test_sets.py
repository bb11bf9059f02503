"""Requests that need several tools: cut into parts, and answered together."""

import numpy as np
import pytest

from toolweft_server.index.woven.sets import MOST_CLAUSES, Pool, Weights, clauses, complete


@pytest.mark.parametrize(
    ("request_", "parts"),
    [
        ("list open issues", ["list open issues"]),
        ("See if my pod is still going and if so stop it.", ["See if my pod is still going", "stop it"]),
        (
            "Create a site called promo, give it a token, then get a build going.",
            ["Create a site called promo", "give it a token", "get a build going"],
        ),
        ("What is due? Send it to #ops on Slack!", ["What is due", "Send it to #ops on Slack"]),
        ("Band and brand", []),
        ("scan https://x.org/a,b and version 2.5", ["scan https://x.org/a,b", "version 2.5"]),
        ("", []),
        ("🎉", []),
        ("and then, and then", []),
        ("天気を調べて", []),
        ("same thing, same thing", ["same thing"]),
    ],
)
def test_a_request_is_cut_where_another_tool_may_be_needed(request_, parts):
    assert clauses(request_) == parts


def test_a_request_of_any_length_has_few_parts():
    assert len(clauses("do one thing, " * 50_000 + ", ".join(f"do thing {n}" for n in range(100)))) <= MOST_CLAUSES


def unit(*rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


ISSUES, CHAT, MAIL = np.eye(3, dtype=np.float32)


def pool(*tools):
    """(score, vector, server) each."""
    scores, vectors, servers = zip(*tools, strict=True)
    return Pool(np.array(scores, np.float32), unit(*vectors), np.array(servers))


# The request asks for issues and for chat; as a whole it is all about issues, of which there are many tools.
SEVERAL = pool(*((0.9 - 0.02 * n, ISSUES + 0.01 * n * MAIL, 0) for n in range(12)), (0.5, CHAT, 1), (0.5, MAIL, 2))
BOTH = unit(ISSUES, CHAT)


def test_the_tool_for_the_second_part_comes_among_the_first_places():
    assert 12 not in np.argsort(-SEVERAL.scores)[:10]
    assert 12 in complete(SEVERAL, BOTH)[:10]


def test_the_first_tools_keep_their_places():
    assert complete(SEVERAL, BOTH)[:2].tolist() == [0, 1]
    assert complete(SEVERAL, BOTH, weights=Weights(head=8))[:8].tolist() == list(range(8))


@pytest.mark.parametrize("parts", [unit(ISSUES), np.zeros((0, 3), np.float32)])
def test_a_request_in_one_part_keeps_its_order(parts):
    assert complete(SEVERAL, parts).tolist() == np.argsort(-SEVERAL.scores, kind="stable").tolist()


def test_every_tool_is_in_the_order_once_and_behind_the_given_places_nothing_moves():
    order = complete(SEVERAL, BOTH).tolist()
    assert sorted(order) == list(range(14))
    assert order[10:] == sorted(order[10:])


def test_what_speaks_for_a_server_speaks_for_its_other_tools():
    tools = pool((0.9, ISSUES, 0), (0.85, CHAT, 0), (0.56, MAIL, 5), (0.55, MAIL, 0))
    assert complete(tools, BOTH).tolist() == [0, 1, 3, 2]
    assert complete(tools, BOTH, weights=Weights(server=0.0, trust=0.0)).tolist() == [0, 1, 2, 3]


def test_tools_used_together_with_a_chosen_one_move_up_even_for_one_part():
    def together(place):
        return {0: [(11, 0.9)], 11: [(13, 0.9)]}.get(place, [])

    order = complete(SEVERAL, unit(ISSUES), partners=together, weights=Weights(partner=1.0)).tolist()
    assert order[:4] == [0, 1, 11, 13]


def test_equal_tools_keep_the_order_of_the_pool_and_the_answer_is_the_same_again():
    alike = pool(*((0.5, ISSUES, 0) for _ in range(20)))
    assert complete(alike, BOTH).tolist() == list(range(20))
    assert complete(SEVERAL, BOTH).tolist() == complete(SEVERAL, BOTH[::-1]).tolist()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_pools(count):
    tools = Pool(SEVERAL.scores[:count], SEVERAL.vectors[:count], SEVERAL.servers[:count])
    assert complete(tools, BOTH).tolist() == list(range(count))
