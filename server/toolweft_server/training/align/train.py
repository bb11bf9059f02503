"""Training a causal model on conversations: full or with adapters, on a GPU in bf16 or on one core.

AdamW (Loshchilov and Hutter 2019), a linear warm-up and then a cosine down to nothing. The loss of a step is the mean
over its learned tokens, however they are spread over micro-batches. Order and dropout follow from one seed; a run that
is resumed from a `State` ends with the same weights as one that never stopped.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from toolweft_server.training.align import lm, lora
from toolweft_server.training.align.checkpoint import State
from toolweft_server.training.align.collate import IGNORED, Batch, Encoder, Example, Side, pad
from toolweft_server.training.align.conversations import Conversation
from toolweft_server.training.errors import ArtefactError, TrainingError
from toolweft_server.training.progress import Progress, Step, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignConfig:
    """Defaults are the paper's where it says them (arXiv 2601.21947: 4e-5 in full, cosine, 3 % warm-up)."""

    method: Literal["full", "lora"] = "full"
    adapters: lora.LoraSettings = field(default_factory=lora.LoraSettings)
    epochs: int = 5
    batch: int = 8
    """Rows at once."""
    accumulate: int = 1
    """Batches to an optimiser step."""
    rate: float = 4e-5
    """The highest learning rate; adapters want some 2e-4."""
    warm_up: float = 0.03
    """Share of the steps."""
    decay: float = 0.0
    """AdamW's weight decay; of matrices only, embeddings apart."""
    clip: float = 1.0
    """The largest norm of a gradient."""
    side: Side = "right"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 on a GPU that has it. Weights stay in their own precision."""
    device: str = "auto"
    """`auto`: a GPU if there is one."""
    every: int = 0
    """Optimiser steps from one kept state to the next; 0 keeps the last only."""

    def __post_init__(self) -> None:
        whole = {"epochs": self.epochs, "batch": self.batch, "accumulate": self.accumulate}
        for name, value in whole.items():
            if value < 1:
                raise TrainingError(f"{name} must be at least 1, not {value}")
        for name in ("method", "side", "precision"):
            if getattr(self, name) not in (known := _KNOWN[name]):
                raise TrainingError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")
        if not (self.rate > 0 and math.isfinite(self.rate)):
            raise TrainingError(f"rate must be above 0, not {self.rate}")
        if not 0 <= self.warm_up < 1 or self.decay < 0 or self.clip <= 0 or self.every < 0:
            raise TrainingError(
                f"warm_up {self.warm_up}, decay {self.decay}, clip {self.clip}, every {self.every}: one is out of range"
            )


_KNOWN = {"method": ("full", "lora"), "side": ("left", "right"), "precision": ("auto", "fp32", "bf16")}


class Data(NamedTuple):
    """What is trained, on what. The model is trained in place."""

    model: PreTrainedModel
    encoder: Encoder
    conversations: Sequence[Conversation]


class Trained(NamedTuple):
    model: PreTrainedModel
    """In evaluation mode; adapters are merged."""
    losses: tuple[float, ...]
    """One an optimiser step."""
    state: State
    dropped: list[str]
    """Conversations that did not fit into the limit."""


def never() -> bool:
    """For who does not want to stop."""
    return False


def train(
    config: AlignConfig,
    data: Data,
    generator: torch.Generator,
    *,
    resume: State | None = None,
    keep: Callable[[State], None] | None = None,
    stop: Callable[[], bool] = never,
    progress: Progress = silent,
) -> Trained:
    """Trains the model. The seed is the generator's first one; global torch randomness is left as it was. When `stop`
    says so between two steps, the state is kept and the run ends as by Ctrl-C.

    Raises:
        KeyboardInterrupt: `stop` said so.
        TrainingError: Nothing to learn from, or a loss that is no number.
        ArtefactError: `resume` belongs to another configuration, other data or another model.

    """
    rows, dropped = data.encoder.all(data.conversations)
    if not rows:
        raise TrainingError(
            f"no conversation to learn from; {len(dropped)} do not fit into {data.encoder.limit} tokens"
        )
    seed = resume.seed if resume else generator.initial_seed()
    purpose = _purpose(config, rows)
    if resume is not None and resume.purpose != purpose:
        raise ArtefactError(f"the checkpoint is of run {resume.purpose}, this is run {purpose}: other data or settings")
    device = _device(config.device)
    spares = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=spares):
        torch.manual_seed(seed)
        model = _prepared(config, data).to(device).train()
        state = _run(config, model, _Rows(rows, data.encoder.pad, seed), purpose, resume, keep, stop, progress)
        done = lora.merged(model) if config.method == "lora" else data.model
    done.train(mode=False)
    return Trained(done, state.losses, state, dropped)


def rate_at(step: int, steps: int, config: AlignConfig) -> float:
    """The learning rate of a step, counted from 0."""
    warm = math.ceil(config.warm_up * steps)
    if step < warm:
        return config.rate * (step + 1) / warm
    return config.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1)))


class _Rows(NamedTuple):
    rows: list[Example]
    fill: int
    seed: int

    def steps(self, config: AlignConfig) -> int:
        return config.epochs * math.ceil(len(self.rows) / (config.batch * config.accumulate))

    def batches(self, config: AlignConfig, start: int) -> Iterator[list[Batch]]:
        """The micro-batches of each optimiser step from `start` on. Each epoch has an order of its own."""
        made = 0
        for epoch in range(config.epochs):
            order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(self.seed + epoch)).tolist()
            for chosen in _cut(order, config.batch * config.accumulate):
                if made >= start:
                    parts = _cut(chosen, config.batch)
                    yield [pad([self.rows[n] for n in part], self.fill, side=config.side) for part in parts]
                made += 1


def _cut(order: list[int], size: int) -> Iterator[list[int]]:
    return (order[at : at + size] for at in range(0, len(order), size))


def _run(
    config: AlignConfig,
    model: nn.Module,
    rows: _Rows,
    purpose: str,
    resume: State | None,
    keep: Callable[[State], None] | None,
    stop: Callable[[], bool],
    progress: Progress,
) -> State:
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    optimiser = _optimiser(config, trained)
    losses = list(resume.losses) if resume else []
    if resume is not None:
        _restore(resume, trained, optimiser)
    steps = rows.steps(config)
    for step, parts in enumerate(rows.batches(config, len(losses)), start=len(losses)):
        if stop():
            if keep is not None and losses:
                keep(_state(rows.seed, purpose, losses, trained, optimiser))
            raise KeyboardInterrupt
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, steps, config)
        losses.append(_learn(config, model, parts))
        nn.utils.clip_grad_norm_(trained.values(), config.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if keep is not None and config.every and (step + 1) % config.every == 0 and step + 1 < steps:
            keep(_state(rows.seed, purpose, losses, trained, optimiser))
        progress(Step("align", step + 1, steps, losses[-1]))
    state = _state(rows.seed, purpose, losses, trained, optimiser)
    if keep is not None:
        keep(state)
    return state


def _learn(config: AlignConfig, model: nn.Module, parts: Sequence[Batch]) -> float:
    """Adds up the gradients of one optimiser step; its loss is the mean over all learned tokens of all parts."""
    device = lm.device(model)
    tokens = sum(int((part.labels[:, 1:] != IGNORED).sum()) for part in parts)
    total = 0.0
    for part in parts:
        ids, mask, positions, labels = (each.to(device) for each in part)
        with torch.autocast(device.type, torch.bfloat16, enabled=_bf16(config, device)):
            logits = lm.read(model, ids, mask, positions).logits  # (B, T, V)
        loss = nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        (loss / tokens).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    if not math.isfinite(total):
        raise TrainingError(f"the loss became {total}: lower the rate, or check the model's weights for NaN")
    return total / tokens


def _prepared(config: AlignConfig, data: Data) -> nn.Module:
    if config.method == "lora":
        return lora.wrapped(data.model, data.encoder.tokens, config.adapters)
    return data.model.requires_grad_(True)


def _optimiser(config: AlignConfig, trained: dict[str, nn.Parameter]) -> torch.optim.AdamW:
    matrices = [each for name, each in trained.items() if each.ndim > 1 and "embed" not in name and "wte" not in name]
    held = {id(each) for each in matrices}
    others = [each for each in trained.values() if id(each) not in held]
    groups = [{"params": matrices, "weight_decay": config.decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.rate)


def _state(
    seed: int, purpose: str, losses: list[float], trained: dict[str, nn.Parameter], optimiser: torch.optim.AdamW
) -> State:
    tensors: dict[str, Tensor] = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    for name, each in trained.items():
        tensors[f"model.{name}"] = each.detach().cpu().clone()
        for part, value in optimiser.state[each].items():
            tensors[f"adamw.{part}.{name}"] = value.detach().cpu().clone()
    return State(len(losses), seed, purpose, tuple(losses), tensors)


@torch.no_grad()
def _restore(state: State, trained: dict[str, nn.Parameter], optimiser: torch.optim.AdamW) -> None:
    known = {name.removeprefix("model.") for name in state.tensors if name.startswith("model.")}
    if known != set(trained):
        raise ArtefactError(
            f"the checkpoint holds other weights than the model trains: {sorted(known ^ set(trained))[:3]}"
        )
    for name, each in trained.items():
        each.copy_(state.tensors[f"model.{name}"])
        for part in ("step", "exp_avg", "exp_avg_sq"):
            value = state.tensors[f"adamw.{part}.{name}"].clone()
            optimiser.state[each][part] = value if part == "step" else value.to(each.device)
    torch.set_rng_state(state.tensors["random.cpu"])
    if "random.cuda" in state.tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(state.tensors["random.cuda"])


def _purpose(config: AlignConfig, rows: Sequence[Example]) -> str:
    """16 hex digits over what must be the same in a resumed run."""
    digest = hashlib.sha256(repr(config).encode())
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()[:16]


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def _bf16(config: AlignConfig, device: torch.device) -> bool:
    if config.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return config.precision == "bf16"
