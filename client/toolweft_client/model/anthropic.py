"""Anthropic's messages API, and whatever speaks it at another base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Heard, Message, Reply, StopReason, Usage
from toolweft_client.model.openai import complaint, not_streamed, refuses_all

if TYPE_CHECKING:
    import anthropic

_STOPS: dict[str | None, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class AnthropicModel:
    def __init__(self, client: anthropic.AsyncAnthropic, model: str, *, heard: Heard | None = None) -> None:
        """`heard`: replies are streamed to it."""
        self.name = f"anthropic:{model}"
        self._client, self._model, self._heard = client, model, heard

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] | None = None,
        stage: str = "",  # noqa: ARG002 - for scripts and logs, never sent
    ) -> Reply:
        import anthropic

        request: dict[str, Any] = {
            "model": self._model, "max_tokens": max_tokens,
            "system": "\n\n".join(each.text for each in messages if each.role == "system") or anthropic.omit,
            "messages": [_param(each) for each in messages if each.role != "system"],
            "stop_sequences": list(stop) if stop else anthropic.omit,
        }  # fmt: skip
        try:
            got = await self._streamed(request, self._heard) if self._heard is not None else None
            got = got or await self._client.messages.create(**request)
        except anthropic.AnthropicError as error:
            raise ModelError(complaint(self.name, str(self._client.base_url), error, self._client.api_key)) from error
        if getattr(got, "content", None) is None:
            raise ModelError(f"{self.name}: the endpoint answered no message; is {self._client.base_url} right?")
        return Reply(
            text="".join(block.text for block in got.content if isinstance(block, anthropic.types.TextBlock)),
            usage=_usage(got.usage),
            stop_reason=_STOPS.get(got.stop_reason, "other"),
            model=got.model or self._model,
        )

    async def _streamed(self, request: dict[str, Any], heard: Heard) -> anthropic.types.Message | None:
        """The message, its text told piece by piece; `None` where the endpoint does not stream to its end."""
        try:
            async with self._client.messages.stream(**request) as stream:
                async for piece in stream.text_stream:
                    heard(piece)
                whole = await stream.get_final_message()
                return whole if whole.stop_reason else None
        except Exception as error:  # of any library below: the plain request that follows says it better
            if refuses_all(error):
                raise
            not_streamed(self.name, error)
            return None


def _usage(told: anthropic.types.Usage | None) -> Usage:
    if told is None:
        return Usage()
    cached = told.cache_read_input_tokens or 0  # the endpoint counts what went through its cache apart
    return Usage(told.input_tokens + cached + (told.cache_creation_input_tokens or 0), told.output_tokens, cached)


def _param(message: Message) -> anthropic.types.MessageParam:
    if message.role == "assistant":
        return {"role": "assistant", "content": message.text}
    return {"role": "user", "content": message.text}


@asynccontextmanager
async def open_anthropic(
    model: str, *, base_url: str | None, key: str | None, heard: Heard | None = None
) -> AsyncIterator[AnthropicModel]:
    """The model with a client of its own, closed at the end."""
    try:
        import anthropic
    except ImportError as error:
        raise UsageError("anthropic: models need a package: pip install 'toolweft[models]'") from error
    async with anthropic.AsyncAnthropic(api_key=key or "none", base_url=base_url) as client:
        yield AnthropicModel(client, model, heard=heard)
