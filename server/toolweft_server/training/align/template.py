"""From turns to spans of text: frames around contents, and what closes a turn of the assistant.

`PlainTemplate` is for base models; `ChatTemplate` renders with the tokenizer's own. Each span is tokenised by itself,
in training and when decoding alike, so that a prompt's last token is the same in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from transformers import PreTrainedTokenizerBase

from toolweft_server.training.align.conversations import Turn
from toolweft_server.training.errors import TrainingError


class Spans(NamedTuple):
    """One turn as text. The model writes `content` and the first token of `tail`."""

    head: str
    content: str
    tail: str


class Template(Protocol):
    def turns(self, turns: Sequence[Turn]) -> list[Spans]: ...

    def opening(self, turns: Sequence[Turn]) -> str:
        """What comes after these turns for the assistant to write."""
        ...


@dataclass(frozen=True, slots=True)
class PlainTemplate:
    """`user:`, `assistant:` and the end-of-text token; nothing that a base model would have to know."""

    end: str
    begin: str = ""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> PlainTemplate:
        """Raises TrainingError when the tokenizer has no token for the end of a text."""
        if tokenizer.eos_token is None:
            raise TrainingError("the tokenizer has no end-of-text token, so no code could end; set its `eos_token`")
        return cls(str(tokenizer.eos_token), str(tokenizer.bos_token or ""))

    def turns(self, turns: Sequence[Turn]) -> list[Spans]:
        return [
            Spans(
                ("" if n else self.begin) + f"{turn.role}:\n",
                turn.text,
                f"{self.end if turn.role == 'assistant' else ''}\n\n",
            )
            for n, turn in enumerate(turns)
        ]

    def opening(self, turns: Sequence[Turn]) -> str:
        return ("" if turns else self.begin) + "assistant:\n"


@dataclass(frozen=True, slots=True, eq=False)
class ChatTemplate:
    """The tokenizer's chat template, taken apart by rendering one turn more each time.

    Raises:
        TrainingError: It rewrites earlier turns when later ones come, refuses a role, or does not close the
            assistant's turns. `PlainTemplate` then does.

    """

    tokenizer: PreTrainedTokenizerBase

    def turns(self, turns: Sequence[Turn]) -> list[Spans]:
        spans: list[Spans] = []
        done = ""
        for n, turn in enumerate(turns):
            whole = self._render(turns[: n + 1], opened=False)
            before = done + self.opening(turns[:n]) if turn.role == "assistant" else done
            content = turn.text.strip()
            at = whole.find(content, len(before))
            if not whole.startswith(before) or at < 0:
                raise TrainingError("the chat template rewrites turns; use the plain template with this model")
            tail = whole[at + len(content) :]
            if turn.role == "assistant" and not tail:
                raise TrainingError("the chat template does not close the assistant's turns; use the plain template")
            spans.append(Spans(whole[len(done) : at], content, tail))
            done = whole
        return spans

    def opening(self, turns: Sequence[Turn]) -> str:
        done = self._render(turns, opened=False) if turns else ""
        opened = self._render(turns, opened=True)
        if not opened.startswith(done):
            raise TrainingError("the chat template rewrites turns; use the plain template with this model")
        return opened[len(done) :]

    def _render(self, turns: Sequence[Turn], *, opened: bool) -> str:
        messages = [{"role": turn.role, "content": turn.text.strip()} for turn in turns]
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
        except Exception as error:
            raise TrainingError(f"the chat template refuses these turns: {error}; use the plain template") from error
        return str(text)


def template_of(tokenizer: PreTrainedTokenizerBase) -> Template:
    """The tokenizer's own where it has one, else the plain one."""
    return ChatTemplate(tokenizer) if tokenizer.chat_template else PlainTemplate.of(tokenizer)
