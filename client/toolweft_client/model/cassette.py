"""Cassettes: what a model said, kept in a file and said again to the same prompts.

A line is one exchange, `{"stage", "messages", "reply"}`. A prompt that was never asked is an error, never a guess: the
program that asks has changed, and the recording has to be made again.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import ChatModel, Message, Reply, Usage
from toolweft_client.redact import Redactor


class Recording:
    """Any model, and a new file of what it was asked and said. Secrets are masked, in prompts and in replies."""

    def __init__(self, model: ChatModel, path: Path) -> None:
        """
        Raises:
            UsageError: The file exists, or cannot be written.

        """
        self._model, self._path, self._redact = model, path, Redactor.of_environment()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # as a trace: for its owner alone
        except OSError as error:
            raise UsageError(f"The cassette {path} cannot be made: {error.strerror}.") from error

    @property
    def name(self) -> str:
        return self._model.name

    async def complete(
        self, messages: Sequence[Message], *, max_tokens: int, stop: Sequence[str] | None = None, stage: str = ""
    ) -> Reply:
        reply = await self._model.complete(messages, max_tokens=max_tokens, stop=stop, stage=stage)
        said = {"text": self._redact.text(reply.text), "usage": list(reply.usage), "stop_reason": reply.stop_reason,
                "model": reply.model}  # fmt: skip
        line = {"stage": stage, "messages": json.loads(_key(messages, self._redact)), "reply": said}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise ModelError(f"The cassette {self._path} cannot be written: {error.strerror}.") from error
        return reply


class Cassette:
    """The replies of a recording, by prompt; to a prompt that came several times, one after the other."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UsageError: There is no such file, or something else is in it.

        """
        self.name = "cassette"
        self._path, self._redact = path, Redactor.of_environment()
        self._replies: defaultdict[str, deque[Reply]] = defaultdict(deque)
        number = 0
        try:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):  # noqa: B007
                held = json.loads(line)
                said, asked = held["reply"], [Message(each["role"], each["text"]) for each in held["messages"]]
                reply = Reply(str(said["text"]), Usage(*map(int, said["usage"])), said["stop_reason"], said["model"])
                self._replies[_key(asked, Redactor())].append(reply)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"cassette:{path}, line {number}: cannot be read: {error!r}") from error

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,  # noqa: ARG002 - the recorded reply is as long as it is
        stop: Sequence[str] | None = None,  # noqa: ARG002
        stage: str = "",
    ) -> Reply:
        held = self._replies.get(_key(messages, self._redact))
        if not held:
            raise ModelError(
                f"{self._path} holds no reply to this prompt of stage {stage!r}: {messages[-1].text[:200]!r}. "
                "What is asked has changed since it was recorded; record it again with --record."
            )
        return held.popleft() if len(held) > 1 else held[0]


def _key(messages: Sequence[Message], redact: Redactor) -> str:
    return json.dumps([{"role": each.role, "text": redact.text(each.text)} for each in messages])
