"""`ChatModel`: messages in, text out. Nothing else is asked of a model: no native tool calling, no JSON mode.

The other files here are the kinds; `open_model` in `toolweft_client.model.spec` knows them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

Role = Literal["system", "user", "assistant"]
StopReason = Literal["stop", "length", "refusal", "other"]
"""`length`: the reply was cut at `max_tokens`. `refusal`: the provider's filter or the model declined."""

Heard: TypeAlias = Callable[[str], None]
"""Gets each piece of a reply as it comes. The whole reply is what counts: after a broken stream it is asked for anew,
and the pieces were for nothing.
"""


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    text: str


class Usage(NamedTuple):
    """Tokens, as the endpoint counts them."""

    input: int = 0
    """With those that it read from a cache."""
    output: int = 0
    cached: int = 0
    """Those of the input that it read from a cache, where it tells."""


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    usage: Usage = Usage()  # noqa: RUF009 - a NamedTuple, immutable
    stop_reason: StopReason = "stop"
    model: str = ""
    """The name the endpoint gives; may be longer than the one asked for."""


class ChatModel(Protocol):
    @property
    def name(self) -> str:
        """`provider:model`, for traces."""
        ...

    async def complete(
        self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str] | None = None, stage: str = ""
    ) -> Reply:
        """One reply. `stage` names the agent's stage: for scripts and logs, never sent.

        Raises:
            ModelError: The endpoint could not be reached, refused, or answered garbage; its SDK has retried already.

        """
        ...
