"""Tools -> vectors, with any encoder of `transformers`, each view of a tool kept apart.

A tool is read four times: its name, its server, its description, its parameters. How the views are weighed is decided
afterwards (`combined`), and a view that a tool does not have takes no part in it. A text's vector is the mean over its
own tokens, never over padding, of unit length, and does not depend on the texts beside it (beyond rounding). With a
folder, what is encoded is kept there part by part, and a run that was stopped goes on where it was.

N tools or texts, T tokens, D dimensions.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from toolweft_catalog.tool import Tool
from toolweft_server.index import text
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.progress import Progress, Step, no_bars, silent
from toolweft_server.training.quantiser import not_negative, positive

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W_A-Za-z\d]+")

_PROBES = ("List all open issues.", "create_issue", "URL", "日本語 naïve 12.5")
"""Texts by which two tokenizers are told apart."""

_PART = 32
"""Batches that are written to a file together: seconds of work, a few megabytes."""


class Tokenizer(Protocol):
    """What is used of a tokenizer of `transformers`."""

    def __call__(
        self, texts: list[str], *, padding: bool, truncation: bool, max_length: int, return_tensors: str
    ) -> Mapping[str, Tensor]: ...


class Encoder(NamedTuple):
    model: nn.Module
    tokenizer: Tokenizer


class Views(NamedTuple):
    """The texts of one tool; an empty one is a view that it does not have."""

    name: str
    server: str
    description: str
    parameters: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeConfig:
    tokens: int = 128
    """Of one view, at most; what is longer is cut at its end."""
    batch: int = 64
    device: str = "cpu"

    def __post_init__(self) -> None:
        positive(tokens=self.tokens, batch=self.batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewWeights:
    name: float = 1.0
    server: float = 0.3
    description: float = 1.0
    parameters: float = 0.5

    def __post_init__(self) -> None:
        not_negative(**asdict(self))
        positive(**{"the sum of the weights of views": sum(asdict(self).values())})


class Encoded(NamedTuple):
    """N tools, four views."""

    vectors: NDArray[np.float32]  # (N, 4, D): unit length, or zero where the view is missing
    present: NDArray[np.bool_]  # (N, 4)


def load(folder: Path) -> Encoder:
    """An encoder from a folder as `save_pretrained` leaves it. Nothing is fetched and no code of the folder runs.

    Raises:
        TrainingError: There is none, or it is damaged.

    """
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with no_bars():
            return Encoder(AutoModel.from_pretrained(folder, local_files_only=True), tokenizer)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TrainingError(f"no encoder of `transformers` can be read from {str(folder)!r}: {error}") from error


def views(tool: Tool) -> Views:
    """What the encoder reads of a tool. Identifiers are written as words: `createIssue` -> `create issue`."""
    fields = text.fields(tool)
    parameters = f"{_spoken(fields.parameters)}. {fields.details}" if fields.parameters else ""
    cut = slice(text.LONGEST_TEXT)
    return Views(
        name=_spoken(fields.name),
        server=f"{_spoken(fields.server)}. {fields.about}"[cut] if fields.about else _spoken(fields.server),
        description=" ".join(fields.description[cut].split()),
        parameters=parameters[cut],
    )


def encode_tools(
    config: EncodeConfig,
    model: nn.Module,
    tokenizer: Tokenizer,
    tools: Sequence[Tool],
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Encoded:
    """Every view of every tool. Equal texts are encoded once. For `folder` see `encode_texts`.

    Raises:
        TrainingError: The encoder gave vectors that are not finite.

    """
    seen = [views(tool) for tool in tools]
    texts = sorted({each for tool in seen for each in tool if each})
    vectors = encode_texts(config, model, tokenizer, texts, folder=folder, progress=progress)
    rows = {each: row for row, each in enumerate(texts)}
    zero = np.zeros((1, vectors.shape[1]), np.float32)
    at = np.array([[rows.get(each, len(texts)) for each in tool] for tool in seen], np.int64).reshape(-1, 4)
    return Encoded(np.concatenate([vectors, zero])[at], at < len(texts))


@torch.no_grad()
def encode_texts(
    config: EncodeConfig,
    model: nn.Module,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    folder: Path | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """(N, D), unit length; the zero vector for a text without tokens. Long texts run together, so little is padded.

    `folder` (created) keeps every part that is done; parts of the same texts and encoder are not encoded again.

    Raises:
        TrainingError: The encoder gave vectors that are not finite.

    """
    training = model.training
    model.eval().to(config.device)
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
    mark = "" if folder is None else _mark(config, model, tokenizer, texts)
    size, parts = config.batch * _PART, list[Tensor]()
    for start in range(0, len(order), size):
        some = [texts[row] for row in order[start : start + size]]
        place = None if folder is None else folder / f"encoded-{mark}-{start:08}.npy"
        held = None if place is None else _held(place, (len(some), _width(model)))
        if held is None:
            held = _encoded(config, model, tokenizer, some)
            if place is not None:
                _keep(place, held)
        parts.append(held)
        progress(Step("encode", start + len(some), len(order)))
    model.train(training)
    if not parts:
        return np.zeros((0, _width(model)), np.float32)
    found = torch.cat(parts)
    if not bool(torch.isfinite(found).all()):
        row = int(torch.nonzero(~torch.isfinite(found).all(1))[0])
        raise TrainingError(f"the encoder gave NaN or infinity for the text {texts[order[row]][:80]!r}")
    vectors = torch.empty_like(found)
    vectors[torch.tensor(order)] = found
    return vectors.numpy()


def mean_pooled(states: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, D): the mean over the tokens that are there, of unit length; zero where none is."""
    there = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
    sums = (states * there).sum(1)
    return normalize(sums / there.sum(1).clamp_min(1.0), dim=1)


def combined(encoded: Encoded, weights: ViewWeights) -> NDArray[np.float32]:
    """(N, D), unit length: the weighted mean over the views that a tool has; zero for a tool without any text."""
    shares = np.array(list(asdict(weights).values()), np.float32) * encoded.present  # (N, 4)
    mixed = (encoded.vectors * shares[:, :, None]).sum(1)
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.where(length > 0, length, 1.0), np.float32)


def digest(config: EncodeConfig, model: nn.Module, tokenizer: Tokenizer) -> str:
    """32 hex digits over what decides a vector: every weight, how texts are tokenized and where they are cut."""
    hashed = hashlib.sha256(str(config.tokens).encode())
    for name, tensor in sorted(model.state_dict().items()):
        held = tensor.detach().cpu().contiguous()
        hashed.update(f"{name} {held.dtype} {tuple(held.shape)} ".encode())
        hashed.update(held.reshape(-1).view(torch.uint8).numpy().tobytes())
    for probe in _PROBES:
        ids = _tokens(config, tokenizer, [probe])["input_ids"]
        hashed.update(f" {ids.tolist()}".encode())
    return hashed.hexdigest()[:32]


def _encoded(config: EncodeConfig, model: nn.Module, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    batches = (list(texts[start : start + config.batch]) for start in range(0, len(texts), config.batch))
    return torch.cat([_pooled(config, model, tokenizer, batch).cpu() for batch in batches])


def _mark(config: EncodeConfig, model: nn.Module, tokenizer: Tokenizer, texts: Sequence[str]) -> str:
    """16 hex digits over the encoder and all texts: parts of another run are never taken for ours."""
    hashed = hashlib.sha256(f"{digest(config, model, tokenizer)} {config.batch}".encode())
    for each in texts:
        hashed.update(each.encode("utf-8", "surrogatepass") + b"\0")
    return hashed.hexdigest()[:16]


def _held(place: Path, shape: tuple[int, int]) -> Tensor | None:
    """A part that is done already; None when there is none, or it is damaged: then it is made again."""
    try:
        held = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(held) if held.shape == shape and held.dtype == np.float32 else None


def _keep(place: Path, part: Tensor) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_suffix(f".{uuid.uuid4().hex[:8]}")
    with beside.open("wb") as file:
        np.save(file, part.numpy(), allow_pickle=False)
    beside.replace(place)


def _pooled(config: EncodeConfig, model: nn.Module, tokenizer: Tokenizer, batch: list[str]) -> Tensor:
    fed = {name: tensor.to(config.device) for name, tensor in _tokens(config, tokenizer, batch).items()}
    states: Tensor = model(**fed).last_hidden_state
    return mean_pooled(states.float(), fed["attention_mask"])


def _tokens(config: EncodeConfig, tokenizer: Tokenizer, batch: list[str]) -> Mapping[str, Tensor]:
    clean = [each.encode("utf-8", "replace").decode() for each in batch]  # tokenizers refuse a lone surrogate
    return tokenizer(clean, padding=True, truncation=True, max_length=config.tokens, return_tensors="pt")


def _width(model: nn.Module) -> int:
    config: Any = model.config  # every model of `transformers` has one
    return int(config.hidden_size)


def _spoken(identifiers: str) -> str:
    return " ".join(_WORDS.findall(identifiers[: text.LONGEST_TEXT])).lower()
