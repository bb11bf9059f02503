"""`SamplingModel`: what goes to the host, what comes back, and what is said when it lends no model."""

from __future__ import annotations

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from toolweft_client.errors import ModelError, StoppedError, UsageError
from toolweft_client.host import Rounds
from toolweft_client.model.base import Message, Reply, Usage
from toolweft_client.model.sampling import SamplingModel

LENDS = types.ClientCapabilities(sampling=types.SamplingCapability())
MESSAGES = [Message("system", "be brief"), Message("user", "hi"), Message("assistant", "?"), Message("user", "again")]


class Host:
    """Answers with what it was given, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[types.CreateMessageRequestParams] = []

    async def __call__(self, request):
        self.asked.append(request.params)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def said(text: str, stop: str | None = "endTurn") -> types.CreateMessageResult:
    content = types.TextContent(type="text", text=text)
    return types.CreateMessageResult(role="assistant", content=content, model="m-1", stop_reason=stop)


async def test_the_host_gets_the_conversation_with_the_system_prompt_apart():
    host = Host(said("hello"))
    model = SamplingModel(host, LENDS)
    reply = await model.complete(MESSAGES, max_tokens=50, stop=["\n\n"], stage="design")
    assert reply == Reply("hello", Usage(4, 1), "stop", "m-1")
    (asked,) = host.asked
    assert asked.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "messages": [
            {"role": "user", "content": {"type": "text", "text": "hi"}},
            {"role": "assistant", "content": {"type": "text", "text": "?"}},
            {"role": "user", "content": {"type": "text", "text": "again"}},
        ],
        "systemPrompt": "be brief",
        "maxTokens": 50,
        "stopSequences": ["\n\n"],
    }


@pytest.mark.parametrize(
    ("told", "stop"),
    [("endTurn", "stop"), ("stopSequence", "stop"), (None, "stop"), ("maxTokens", "length"), ("toolUse", "other")],
)
async def test_why_it_stopped_is_in_our_words(told, stop):
    reply = await SamplingModel(Host(said("x", told)), LENDS).complete(MESSAGES, max_tokens=5)
    assert reply.stop_reason == stop


async def test_several_blocks_are_one_text_and_pictures_are_none():
    image = types.ImageContent(type="image", data="", mime_type="image/png")
    blocks = [types.TextContent(type="text", text="a"), image, types.TextContent(type="text", text="b")]
    answer = types.CreateMessageResultWithTools(role="assistant", content=blocks, model="m")
    assert (await SamplingModel(Host(answer), LENDS).complete(MESSAGES, max_tokens=5)).text == "ab"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (MCPError(-1, "User rejected sampling request"), "did not ask its model: User rejected sampling request"),
        (types.ElicitResult(action="accept"), "answered with ElicitResult, not with its model's words"),
    ],
)
async def test_a_host_that_says_no_or_something_else_is_an_error_of_the_model(answer, told):
    with pytest.raises(ModelError, match=told):
        await SamplingModel(Host(answer), LENDS).complete(MESSAGES, max_tokens=5)


@pytest.mark.parametrize(
    "capabilities", [None, types.ClientCapabilities(elicitation=types.ElicitationCapability())], ids=["none", "others"]
)
def test_a_host_that_lends_no_model_is_told_what_to_do(capabilities):
    with pytest.raises(UsageError, match=r"does not declare the capability `sampling`.*toolweft ask --model"):
        SamplingModel(Host(said("")), capabilities)


async def test_a_question_after_the_last_round_ends_the_run_by_its_budget():
    rounds = Rounds(lambda: None, most=0)
    with pytest.raises(StoppedError, match="The 0 rounds of questions") as stopped:
        await SamplingModel(rounds.ask, LENDS).complete(MESSAGES, max_tokens=5)
    assert stopped.value.reason == "budget"
