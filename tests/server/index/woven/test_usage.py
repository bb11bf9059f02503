"""What past use teaches: which way vectors move and requests are remembered, and what nobody can make it do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from toolweft_server.index.woven.evidence import DAY, DIALS, Evidence
from toolweft_server.index.woven.usage import POOL, bonus, learn, nothing, pool

NOW = 1_000 * DAY
WIDTH = 8
CENTRE = np.zeros(WIDTH, np.float32)


def unit(*numbers):
    vector = np.zeros(WIDTH, np.float32)
    vector[: len(numbers)] = numbers
    return vector / np.linalg.norm(vector)


REQUESTS = np.stack([unit(1), unit(0, 1), unit(0, 0, 1), unit(1, 0.2), unit(0, 1, 0.3)])
TOOLS = [("mail.send", "d1"), ("mail.read", "d2"), ("files.copy", "d3"), ("rogue.send", "d4")]
VECTORS = np.stack([unit(1, 1, 1, 1), unit(1, 1, 1, -1), unit(0, 1, 1, 1), unit(1, 1, 1, 1, 0.1)])


def used(row, tool, outcome="worked", *, owner="local", at=NOW, digest=None):
    return Evidence(
        f"r{row}", row, owner, tool.partition(".")[0], tool, digest or dict(TOOLS)[tool], outcome, at
    )  # fmt: skip


def learned(*evidence, dials=DIALS, now=NOW):
    return learn(evidence, REQUESTS, CENTRE, now, dials)


def moved(usage):
    return {
        tool: float(1 - new @ old)
        for (tool, _), new, old in zip(TOOLS, usage.apply(TOOLS, VECTORS), VECTORS, strict=True)
    }


def test_a_call_that_worked_moves_its_tool_towards_the_request_and_no_other_tool():
    usage = learned(used(0, "mail.send"))
    after = usage.apply(TOOLS, VECTORS)
    assert after[0] @ REQUESTS[0] > VECTORS[0] @ REQUESTS[0]
    assert np.array_equal(after[1:], VECTORS[1:])
    assert np.allclose(np.linalg.norm(after, axis=1), 1)


def test_the_vectors_given_are_never_changed():
    before = VECTORS.copy()
    learned(used(0, "mail.send")).apply(TOOLS, VECTORS)
    assert np.array_equal(before, VECTORS)


def test_nothing_learned_moves_nothing_and_scores_nothing():
    usage = nothing(WIDTH)
    assert usage.apply(TOOLS, VECTORS) is VECTORS
    assert not usage.scores(REQUESTS[0], TOOLS).any()


def test_a_remembered_request_speaks_for_its_tool_and_most_for_requests_like_it():
    usage = learned(used(0, "mail.send"))
    near, far = usage.scores(REQUESTS[3], TOOLS), usage.scores(REQUESTS[2], TOOLS)
    assert near[0] > far[0] > 0
    assert not near[1:].any()


def test_a_tool_whose_text_changed_starts_anew():
    usage = learned(used(0, "mail.send", digest="older"))
    assert usage.apply(TOOLS, VECTORS) is VECTORS
    assert not usage.scores(REQUESTS[0], TOOLS).any()


def test_being_passed_over_or_failing_never_speaks_for_a_tool():
    usage = learned(used(0, "mail.send", "failed"), used(1, "mail.send", "passed"))
    assert usage.scores(REQUESTS[0], TOOLS)[0] == 0
    assert moved(usage)["mail.send"] == 0


def test_a_failure_takes_back_what_a_success_gave():
    fine, mixed = learned(used(0, "mail.send")), learned(used(0, "mail.send"), used(0, "mail.send", "failed"))
    assert mixed.scores(REQUESTS[0], TOOLS)[0] < fine.scores(REQUESTS[0], TOOLS)[0]


def test_where_it_was_passed_over_a_used_tool_is_pushed_away_a_little():
    plain = learned(used(0, "mail.send"))
    pushed = learned(used(0, "mail.send"), used(1, "mail.send", "passed"))
    difference = plain.apply(TOOLS, VECTORS)[0] @ REQUESTS[1] - pushed.apply(TOOLS, VECTORS)[0] @ REQUESTS[1]
    assert 0 < difference < 0.1


def test_repeating_one_request_in_a_day_adds_little_and_ever_less():
    gains = [learned(*[used(0, "mail.send")] * n).scores(REQUESTS[0], TOOLS)[0] for n in (1, 10, 100, 1000)]
    steps = np.diff(gains)
    assert gains[0] < gains[1]
    assert (np.diff(steps) < 0).all()
    different = learned(*[used(n, "mail.send") for n in range(5)])
    assert different.used[TOOLS[0]].weight > learned(*[used(0, "mail.send")] * 5).used[TOOLS[0]].weight


def test_no_amount_of_use_moves_a_vector_beyond_the_furthest_shift():
    flood = [used(n % 5, "rogue.send", owner=f"o{n}", at=NOW - n % 90 * DAY) for n in range(5_000)]
    usage = learned(*flood)
    assert usage.used[TOOLS[3]].shift < DIALS.furthest
    assert usage.scores(REQUESTS[0], TOOLS).max() < 1


def test_one_owner_lends_a_tool_only_so_much_weight():
    flood = [used(n % 5, "mail.send", at=NOW - n % 40 * DAY) for n in range(5_000)]
    assert learned(*flood).used[TOOLS[0]].weight == pytest.approx(DIALS.owner_most)


def test_all_tools_of_one_server_share_what_a_server_may_have():
    many = [
        Evidence(f"r{n % 5}", n % 5, f"o{n % 9}", "mail", f"mail.t{n % 300}", "d", "worked", NOW) for n in range(9_000)
    ]
    assert sum(each.weight for each in learned(*many).used.values()) == pytest.approx(DIALS.server_most)


def test_one_servers_evidence_never_moves_another_servers_vectors():
    own = [used(0, "mail.send"), used(1, "mail.read"), used(3, "mail.send", "failed")]
    rogue = [
        used(n % 5, "rogue.send", outcome, owner=owner)
        for n in range(50)
        for outcome in ("worked", "worked", "failed", "passed")
        for owner in ("local", "eve")
    ]
    alone, beside = learned(*own).apply(TOOLS, VECTORS), learned(*rogue, *own).apply(TOOLS, VECTORS)
    assert np.array_equal(alone[:3], beside[:3])
    assert not np.array_equal(alone[3], beside[3])


def test_what_two_tools_of_a_server_share_lifts_neither_above_an_unused_sibling():
    alike = np.stack([unit(1, 0.3), unit(1, 0, 0.3), unit(1, 0, 0, 0.3)])
    siblings = [("mail.a", "d"), ("mail.b", "d"), ("mail.c", "d")]
    evidence = [Evidence(f"r{n}", n, "local", "mail", siblings[n][0], "d", "worked", NOW) for n in range(2)]
    local = dataclasses.replace(DIALS, local=0.001)
    usage = learn(evidence, alike, CENTRE, NOW, local)
    vectors = np.stack([unit(1, 0, 0, 0, 1)] * 3)
    lift = usage.apply(siblings, vectors) @ alike[2] - vectors @ alike[2]
    assert abs(lift[0]) < 0.02
    assert abs(lift[1]) < 0.02
    assert lift[2] == 0


def test_old_use_fades():
    fresh, old = learned(used(0, "mail.send")), learned(used(0, "mail.send", at=NOW - 400 * DAY))
    assert old.scores(REQUESTS[0], TOOLS)[0] < 0.1 * fresh.scores(REQUESTS[0], TOOLS)[0]


def test_the_order_of_the_evidence_does_not_matter():
    evidence = [used(n % 5, tool, at=NOW - n * DAY) for n in range(20) for tool, _ in TOOLS]
    one, other = learned(*evidence), learned(*evidence[::-1])
    assert np.array_equal(one.apply(TOOLS, VECTORS), other.apply(TOOLS, VECTORS))
    assert np.array_equal(one.scores(REQUESTS[1], TOOLS), other.scores(REQUESTS[1], TOOLS))


def test_only_the_latest_requests_are_remembered():
    few = dataclasses.replace(DIALS, most_requests=2)
    usage = learned(*[used(n, "mail.send", at=NOW - n * DAY) for n in range(5)], dials=few)
    assert np.array_equal(usage.requests, REQUESTS[[1, 0]])


def test_use_reorders_the_first_tools_by_text_and_brings_up_no_other():
    text = np.linspace(0, 1, 5 * POOL).astype(np.float32)
    assert pool(text).tolist() == list(range(5 * POOL - 1, 4 * POOL - 1, -1))
    assert pool(text[:3]).tolist() == [2, 1, 0]
    assert pool(text[:0]).tolist() == []


def test_only_the_pool_gets_a_bonus():
    text = np.linspace(1, 0, 2 * POOL).astype(np.float32)
    added = bonus(text, np.ones(2 * POOL, np.float32))
    assert added[:POOL].all()
    assert not added[POOL:].any()


def test_the_lift_is_what_the_shift_changes_in_the_cosine():
    usage = learned(used(0, "mail.send"))
    lift = usage.lift(REQUESTS[0], TOOLS, VECTORS)
    assert np.allclose(lift, usage.apply(TOOLS, VECTORS) @ REQUESTS[0] - VECTORS @ REQUESTS[0], atol=1e-6)
    assert lift[0] > 0
    assert not lift[1:].any()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_refused(broken):
    requests = REQUESTS.copy()
    requests[1, 2] = broken
    with pytest.raises(ValueError, match="NaN or infinity"):
        learn([used(0, "mail.send")], requests, CENTRE, NOW)


def test_evidence_about_a_request_without_a_vector_is_refused():
    with pytest.raises(ValueError, match="request 7; there are 5"):
        learned(used(0, "mail.send")._replace(request="r7", row=7))
