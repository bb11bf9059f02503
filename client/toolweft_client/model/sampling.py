"""`SamplingModel`: the model of the host that called us, asked through MCP (`sampling/createMessage`).

The host chooses the model and may ask its person first. How the request gets there is `toolweft_client.host`'s matter.
The protocol tells no token counts: usage is estimated. Sampling is deprecated since 2026-07-28, and few hosts offer it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import mcp_types as types
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, StopReason, Usage

Sample = Callable[[types.CreateMessageRequest], Awaitable[types.InputResponse]]
"""Brings a request to the host and its answer back. Raises `MCPError` when the host says no."""

_STOPS: dict[str | None, StopReason] = {None: "stop", "endTurn": "stop", "stopSequence": "stop", "maxTokens": "length"}


class SamplingModel:
    name = "sampling:host"

    def __init__(self, sample: Sample, capabilities: types.ClientCapabilities | None) -> None:
        """`capabilities` are the host's.

        Raises:
            UsageError: Sampling is not among them.

        """
        if capabilities is None or capabilities.sampling is None:
            raise UsageError(
                "This host lends no model: it does not declare the capability `sampling`. Use `toolweft serve` here, "
                "whose tools the host's model calls by itself, or `toolweft ask --model …` with a model of your own."
            )
        self._sample = sample

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] | None = None,
        stage: str = "",  # noqa: ARG002 - for scripts and logs, never sent
    ) -> Reply:
        system = "\n\n".join(each.text for each in messages if each.role == "system")
        params = types.CreateMessageRequestParams(
            messages=[_message(each) for each in messages if each.role != "system"],
            system_prompt=system or None,
            max_tokens=max_tokens,
            stop_sequences=list(stop) if stop else None,
        )
        try:
            got = await self._sample(types.CreateMessageRequest(params=params))
        except (MCPError, ValidationError) as error:
            told = " ".join(str(error).split())[:400]
            raise ModelError(f"{self.name}: the host did not ask its model: {told or 'no further word'}") from error
        if not isinstance(got, types.CreateMessageResult | types.CreateMessageResultWithTools):
            raise ModelError(f"{self.name}: the host answered with {type(got).__name__}, not with its model's words.")
        text = _text(got)
        usage = Usage(sum(len(each.text) for each in messages) // 4, len(text) // 4)
        return Reply(text, usage, _STOPS.get(got.stop_reason, "other"), got.model)


def _message(message: Message) -> types.SamplingMessage:
    role: types.Role = "assistant" if message.role == "assistant" else "user"
    return types.SamplingMessage(role=role, content=types.TextContent(type="text", text=message.text))


def _text(got: types.CreateMessageResult | types.CreateMessageResultWithTools) -> str:
    blocks = got.content if isinstance(got.content, list) else [got.content]
    return "".join(block.text for block in blocks if isinstance(block, types.TextContent))
