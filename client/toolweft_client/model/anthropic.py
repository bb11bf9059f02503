"""Anthropic's messages API, and whatever speaks it at another base URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, StopReason, Usage
from toolweft_client.model.openai import complaint

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
    def __init__(self, client: anthropic.AsyncAnthropic, model: str) -> None:
        self.name = f"anthropic:{model}"
        self._client, self._model = client, model

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] | None = None,
        stage: str = "",  # noqa: ARG002 - for scripts and logs, never sent
    ) -> Reply:
        import anthropic

        try:
            got = await self._client.messages.create(
                model=self._model,
                max_tokens=max_tokens,
                system="\n\n".join(each.text for each in messages if each.role == "system") or anthropic.omit,
                messages=[_param(each) for each in messages if each.role != "system"],
                stop_sequences=list(stop) if stop else anthropic.omit,
            )
        except anthropic.AnthropicError as error:
            raise ModelError(complaint(self.name, str(self._client.base_url), error, self._client.api_key)) from error
        if getattr(got, "content", None) is None:
            raise ModelError(f"{self.name}: the endpoint answered no message; is {self._client.base_url} right?")
        return Reply(
            text="".join(block.text for block in got.content if block.type == "text"),
            usage=Usage(got.usage.input_tokens, got.usage.output_tokens) if got.usage else Usage(),
            stop_reason=_STOPS.get(got.stop_reason, "other"),
            model=got.model or self._model,
        )


def _param(message: Message) -> anthropic.types.MessageParam:
    if message.role == "assistant":
        return {"role": "assistant", "content": message.text}
    return {"role": "user", "content": message.text}


@asynccontextmanager
async def open_anthropic(model: str, *, base_url: str | None, key: str | None) -> AsyncIterator[AnthropicModel]:
    """The model with a client of its own, closed at the end."""
    try:
        import anthropic
    except ImportError as error:
        raise UsageError("anthropic: models need a package: pip install 'toolweft[models]'") from error
    async with anthropic.AsyncAnthropic(api_key=key or "none", base_url=base_url) as client:
        yield AnthropicModel(client, model)
