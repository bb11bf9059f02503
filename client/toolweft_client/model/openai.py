"""Any endpoint that speaks OpenAI's chat completions: OpenAI itself, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Heard, Message, Reply, StopReason, Usage

if TYPE_CHECKING:
    import openai
    from openai.types import CompletionUsage

logger = logging.getLogger(__name__)

_STOPS: dict[str | None, StopReason] = {"stop": "stop", "length": "length", "content_filter": "refusal"}


class OpenAIModel:
    def __init__(
        self, client: openai.AsyncOpenAI, model: str, *, own_endpoint: bool = False, heard: Heard | None = None
    ) -> None:
        """`heard`: replies are streamed to it. `own_endpoint`: not OpenAI's. Its newer models know
        `max_completion_tokens` only, everybody else's servers know `max_tokens`.
        """
        self.name = f"openai:{model}"
        self._client, self._model, self._heard = client, model, heard
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
        request: dict[str, Any] = {
            "model": self._model, "messages": [{"role": each.role, "content": each.text} for each in messages],
            "extra_body": asked,
        }  # fmt: skip
        try:
            if self._heard is not None and (reply := await self._streamed(request, self._heard)) is not None:
                return reply
            got = await self._client.chat.completions.create(**request)
        except openai.OpenAIError as error:
            raise ModelError(complaint(self.name, str(self._client.base_url), error, self._client.api_key)) from error
        if not getattr(got, "choices", None):
            raise ModelError(f"{self.name}: the endpoint answered without a choice; is {self._client.base_url} right?")
        choice = got.choices[0]
        return Reply(
            text=choice.message.content or choice.message.refusal or "",
            usage=_usage(got.usage),
            stop_reason="refusal" if choice.message.refusal else _STOPS.get(choice.finish_reason, "other"),
            model=got.model or self._model,
        )

    async def _streamed(self, request: dict[str, Any], heard: Heard) -> Reply | None:
        """The reply, told piece by piece; `None` where the endpoint does not stream to its end."""
        text, refused, finish, usage, model = "", "", None, None, self._model
        try:
            async with await self._client.chat.completions.create(
                **request, stream=True, stream_options={"include_usage": True}
            ) as chunks:
                async for chunk in chunks:
                    usage, model = chunk.usage or usage, chunk.model or model
                    for choice in chunk.choices[:1]:
                        piece = choice.delta.content or ""
                        text, refused = text + piece, refused + (choice.delta.refusal or "")
                        finish = choice.finish_reason or finish
                        heard(piece)
        except Exception as error:  # of any library below: the plain request that follows says it better
            if refuses_all(error):
                raise
            not_streamed(self.name, error)
            return None
        if finish is None:
            return None
        reason: StopReason = "refusal" if refused else _STOPS.get(finish, "other")
        return Reply(text or refused, _usage(usage), reason, model)


def refuses_all(error: Exception) -> bool:
    """Whether an endpoint that answers so refuses the plain request as well; its SDK has retried already."""
    status = getattr(error, "status_code", None)
    return status in (401, 403, 404, 429) or (isinstance(status, int) and status >= 500)


def not_streamed(name: str, error: Exception) -> None:
    logger.info("%s: the reply could not be streamed (%s) and is asked for as a whole", name, type(error).__name__)


def _usage(told: CompletionUsage | None) -> Usage:
    if told is None:
        return Usage()
    details = told.prompt_tokens_details
    return Usage(told.prompt_tokens, told.completion_tokens, (details.cached_tokens or 0) if details else 0)


@asynccontextmanager
async def open_openai(
    model: str, *, base_url: str | None, key: str | None, heard: Heard | None = None
) -> AsyncIterator[OpenAIModel]:
    """The model with a client of its own, closed at the end. An endpoint of one's own needs no key."""
    try:
        import openai
    except ImportError as error:
        raise UsageError("openai: models need a package: pip install 'toolweft[models]'") from error
    async with openai.AsyncOpenAI(api_key=key or "none", base_url=base_url) as client:
        yield OpenAIModel(client, model, own_endpoint=base_url is not None, heard=heard)


def complaint(name: str, url: str, error: Exception, key: str | None) -> str:
    """What the SDK says, on one line, with no key in it."""
    status = getattr(error, "status_code", None)
    told = " ".join(str(error).split())[:400]
    told = told.replace(key, "[secret]") if key else told
    hint = {401: " Check the key.", 403: " Check the key's rights.", 404: " Check the model's name."}.get(
        status or 0, ""
    )
    return f"{name} at {url}: {type(error).__name__}: {told}{hint}"
