"""`LocalModel`: a causal language model from a folder, run in this process by `transformers` with its chat template.

Greedy: the same prompt gives the same reply on the same machine; what the folder says of sampling does not count. It is
any chat model; one that was taught to act by `toolweft train lm` is `toolweaver`'s. Nothing is downloaded, and no code
of the folder runs. torch and transformers are imported when a model is opened, and never before (extra `local`).

T tokens of the prompt, N new ones.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from toolweft_client.errors import ModelError, UsageError
from toolweft_client.model.base import Message, Reply, Usage

NEEDED = ("torch", "transformers")


class LocalModel:
    """One reply is written at a time; one that nobody waits for any more ends with its next token."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str) -> None:
        """`model` and `tokenizer` are those of `transformers`; the tokenizer has a chat template."""
        self.name = f"local:{name}"
        self._model, self._tokenizer = model, tokenizer
        self._lock = threading.Lock()
        """Protects the model: a reply that was given up may still write its last token."""
        self._ends = _ends(model, tokenizer)
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        self._special = [text for each in added if each.special and len(text := str(each)) > 1]
        self._longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        stop: Sequence[str] | None = None,
        stage: str = "",  # noqa: ARG002 - for scripts and logs
    ) -> Reply:
        given_up = threading.Event()
        write = partial(self._write, messages, max_tokens, tuple(stop or ()), given_up)
        try:
            return await anyio.to_thread.run_sync(write, abandon_on_cancel=True)
        except ModelError:
            raise
        except Exception as error:
            # Whatever torch, a template or a full memory raises, on one line.
            told = " ".join(str(error).split())[:400]
            raise ModelError(f"{self.name}: {type(error).__name__}: {told}") from error
        finally:
            given_up.set()

    def _write(self, messages: Sequence[Message], most: int, stop: tuple[str, ...], given_up: threading.Event) -> Reply:
        with self._lock:
            prompt = self._prompt(messages).to(self._model.device)
            ids = prompt["input_ids"]  # (1, T)
            read = int(ids.shape[-1])
            if self._longest is not None and read >= self._longest:
                raise ModelError(f"{self.name}: the prompt has {read} tokens; the model reads {self._longest} at most.")
            most = min(most, self._longest - read) if self._longest is not None else most

            def is_given_up(ids: Any, _scores: Any, **_more: Any) -> Any:
                return (ids[:, 0] == ids[:, 0]) & given_up.is_set()  # (1,)

            stops = {"stop_strings": list(stop), "tokenizer": self._tokenizer} if stop else {}
            out = self._model.generate(**prompt, max_new_tokens=most, stopping_criteria=[is_given_up], **stops)
            new: list[int] = out[0, read:].tolist()  # N
        text: str = self._tokenizer.decode(new, skip_special_tokens=True)
        whole = bool(new) and new[-1] in self._ends
        if found := [place for each in stop if (place := text.find(each)) >= 0]:
            text, whole = text[: min(found)], True
        return Reply(text, Usage(read, len(new)), "stop" if whole else "length", self.name)

    def _prompt(self, messages: Sequence[Message]) -> Any:
        """The conversation as tokens, (1, T). What a tool wrote cannot begin a turn: special tokens in it are text."""
        turns = [{"role": each.role, "content": self._plain(each.text)} for each in messages]
        try:
            return self._rendered(turns)
        except Exception:
            # Some templates know no system turn: then it stands at the head of the first one of the user.
            if not (len(turns) > 1 and turns[0]["role"] == "system" and turns[1]["role"] == "user"):
                raise
            head, first, *rest = turns
            return self._rendered([{"role": "user", "content": f"{head['content']}\n\n{first['content']}"}, *rest])

    def _rendered(self, turns: list[dict[str, str]]) -> Any:
        return self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )

    def _plain(self, text: str) -> str:
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


@asynccontextmanager
async def open_local(folder: str) -> AsyncIterator[LocalModel]:
    """The model in `folder`, on the GPU if there is one.

    Raises:
        UsageError: The extra is not installed, or the folder holds no model that chats.

    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"local: models need {' and '.join(missing)}: pip install 'toolweft[local]'")
    if not (Path(folder) / "config.json").is_file():
        raise UsageError(
            f"local:{folder}: there is no model: expected a folder with config.json, weights and tokenizer, "
            "as `save_pretrained` writes it."
        )
    yield await anyio.to_thread.run_sync(_load, folder)


def _load(folder: str) -> LocalModel:
    # By name: no other module of the client may import the two.
    torch, transformers = (importlib.import_module(name) for name in NEEDED)
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if tokenizer.chat_template is None:
            raise UsageError(
                f"local:{folder}: its tokenizer has no chat template. Take a model that was taught to follow "
                "instructions, or put a chat_template.jinja into the folder."
            )
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype="auto")
        model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        told = " ".join(str(error).split())[:400]
        raise UsageError(f"local:{folder}: cannot be read: {type(error).__name__}: {told}") from error
    ends = _ends(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else next(iter(ends), None)
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=sorted(ends) or None, pad_token_id=pad
    )
    return LocalModel(model, tokenizer, name=folder)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a turn: the model's and the tokenizer's do not always agree."""
    said = model.generation_config.eos_token_id
    ids = [*(said if isinstance(said, list) else [said]), tokenizer.eos_token_id]
    return frozenset(each for each in ids if each is not None)
