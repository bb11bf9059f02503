"""Policy: the most specific pattern wins, a preset decides the rest, and a refusal says what to write."""

import pytest

from toolweft_catalog.call import Call
from toolweft_catalog.tool import Annotations, Tool
from toolweft_server.policy import Policy
from toolweft_server.terms import Terms

READ = Annotations(read_only=True)
DESTROY = Annotations(read_only=False, destructive=True)
SILENT = Annotations()


def tool(tool_id="github.delete_repo", annotations=SILENT):
    server, name = tool_id.split(".")
    return Tool(id=tool_id, name=name, server=server, annotations=annotations)


@pytest.mark.parametrize(
    ("preset", "annotations", "decision"),
    [
        ("host", READ, "allow"),
        ("host", SILENT, "allow"),
        ("host", DESTROY, "ask"),
        ("careful", READ, "allow"),
        ("careful", SILENT, "ask"),
        ("careful", DESTROY, "ask"),
        ("trust", SILENT, "allow"),
        ("trust", DESTROY, "allow"),
    ],
)
def test_a_preset_decides_where_no_pattern_does(preset, annotations, decision):
    assert Policy.parse({"default": preset}).judge(tool(annotations=annotations)).decision == decision


@pytest.mark.parametrize(
    ("patterns", "decision"),
    [
        ({"*": "block", "github.*": "ask", "github.delete_*": "allow"}, "allow"),
        ({"github.delete_repo": "block", "github.delete_*": "allow"}, "block"),
        ({"github": "block"}, "block"),
        ({"*.delete_*": "block", "github.*": "allow"}, "block"),
        ({"gitlab.*": "block"}, "allow"),
    ],
)
def test_the_most_specific_pattern_wins(patterns, decision):
    assert Policy.parse(patterns).judge(tool()).decision == decision


@pytest.mark.parametrize(
    ("preset", "careful", "seen"),
    [
        ("host", False, True),
        ("host", True, False),
        ("careful", False, True),
        ("careful", True, True),
        ("trust", False, False),
        ("trust", True, False),
        (None, False, True),
    ],
)
def test_a_write_is_seen_in_a_program_that_a_host_shows_or_by_whom_it_asks(preset, careful, seen):
    policy = Policy.parse({"default": preset} if preset else None)
    assert policy.seen([tool(annotations=SILENT)], careful=careful) is seen


def test_a_write_that_a_pattern_asks_about_is_seen_whatever_client_calls_it():
    assert Policy.parse({"default": "host", "github.*": "ask"}).seen([tool()], careful=True)
    assert not Policy.parse({"default": "careful", "github.*": "allow"}).seen([tool()], careful=True)


def test_annotations_never_lift_a_persons_block():
    assert Policy.parse({"github.*": "block"}).judge(tool(annotations=READ)).decision == "block"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"github.*": "block"}, "github.delete_repo is blocked: the policy says 'github.*'"),
        ({"github.*": "ask"}, '"policy": {"github.delete_repo": "allow"}'),
    ],
)
async def test_a_refusal_says_why_and_what_to_write(policy, words):
    refused = await Policy.parse(policy).gate()(Call(tool()))
    assert (refused.kind, refused.sent) == ("refused", False)
    assert words in refused.message


async def test_only_what_must_ask_is_asked_about():
    asked = []

    async def approve(call, reason, /, *, doubt=False):
        asked.append((call.tool.id, reason))

    policy = Policy.parse({"github.delete_*": "ask", "github.drop": "block"})
    permit = policy.gate(approve)
    assert [await permit(Call(tool(f"github.{name}"))) for name in ("list", "delete_repo")] == [None, None]
    assert "is blocked" in (await permit(Call(tool("github.drop")))).message
    assert asked == [("github.delete_repo", "the policy says 'github.delete_*': 'ask'")]


async def test_writes_that_a_person_allowed_are_not_counted_and_all_calls_are():
    async def approve(call, reason, /, *, doubt=False):
        return None

    asking, trusting = Policy.parse({"default": "careful"}), Policy.parse({"default": "trust"})
    permit = asking.gate(approve, Terms(calls=4, writes=1))
    assert [await permit(Call(tool("github.write"))) for _ in range(4)] == [None] * 4
    assert "limit on calls in this program" in (await permit(Call(tool("github.write")))).message
    permit = trusting.gate(approve, Terms(calls=4, writes=1))
    assert await permit(Call(tool("github.write"))) is None
    assert "limit on calls that may write" in (await permit(Call(tool("github.write")))).message
    assert await permit(Call(tool("github.write")), doubt="it was made already") is None


async def test_a_doubt_is_put_to_a_person_whatever_the_policy_allows_and_refused_where_nobody_is():
    asked = []

    async def approve(call, reason, /, *, doubt=False):
        asked.append((call.tool.id, reason, doubt))

    policy = Policy.parse({"default": "trust", "github.drop": "block"})
    assert await policy.gate(approve)(Call(tool("github.list")), doubt="it was made already") is None
    assert asked == [("github.list", "it was made already", True)]
    refused = await policy.gate()(Call(tool("github.list")), doubt="it was made already")
    assert "needs a person's approval (it was made already) and nobody can be asked here. Find out" in refused.message
    assert "is blocked" in (await policy.gate(approve)(Call(tool("github.drop")), doubt="x")).message
