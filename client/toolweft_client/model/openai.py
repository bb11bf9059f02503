"""Any endpoint that speaks OpenAI's chat completions: OpenAI itself, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, StopReason, Usage

if TYPE_CHECKING:
    import openai

_STOPS: dict[str | None, StopReason] = {"stop": "stop", "length": "length", "content_filter": "refusal"}


class OpenAIModel:
    def __init__(self, client: openai.AsyncOpenAI, model: str, *, own_endpoint: bool = False) -> None:
        """`own_endpoint`: not OpenAI's. Its newer models know `max_completion_tokens` only, everybody else's servers
        know `max_tokens`.
        """
        self.name = f"openai:{model}"
        self._client, self._model = client, model
        self._limit = "max_tokens" if own_endpoint else "max_completion_tokens"

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] | None = None,
        stage: str = "",  # noqa: ARG002 - for scripts and logs, never sent
    ) -> Reply:
        import openai

        asked: dict[str, object] = {self._limit: max_tokens} | ({"stop": list(stop)} if stop else {})
        try:
            got = await self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": each.role, "content": each.text} for each in messages],  # type: ignore[misc]
                extra_body=asked,
            )
        except openai.OpenAIError as error:
            raise ModelError(complaint(self.name, str(self._client.base_url), error, self._client.api_key)) from error
        if not getattr(got, "choices", None):
            raise ModelError(f"{self.name}: the endpoint answered without a choice; is {self._client.base_url} right?")
        choice = got.choices[0]
        return Reply(
            text=choice.message.content or choice.message.refusal or "",
            usage=Usage(got.usage.prompt_tokens, got.usage.completion_tokens) if got.usage else Usage(),
            stop_reason="refusal" if choice.message.refusal else _STOPS.get(choice.finish_reason, "other"),
            model=got.model or self._model,
        )


@asynccontextmanager
async def open_openai(model: str, *, base_url: str | None, key: str | None) -> AsyncIterator[OpenAIModel]:
    """The model with a client of its own, closed at the end. An endpoint of one's own needs no key."""
    try:
        import openai
    except ImportError as error:
        raise UsageError("openai: models need a package: pip install 'toolweft[models]'") from error
    async with openai.AsyncOpenAI(api_key=key or "none", base_url=base_url) as client:
        yield OpenAIModel(client, model, own_endpoint=base_url is not None)


def complaint(name: str, url: str, error: Exception, key: str | None) -> str:
    """What the SDK says, on one line, with no key in it."""
    status = getattr(error, "status_code", None)
    told = " ".join(str(error).split())[:400]
    told = told.replace(key, "[secret]") if key else told
    hint = {401: " Check the key.", 403: " Check the key's rights.", 404: " Check the model's name."}.get(
        status or 0, ""
    )
    return f"{name} at {url}: {type(error).__name__}: {told}{hint}"
