"""A smaller encoder for requests alone, whose vectors lie where those of the whole encoder do.

A tool is read once, in the background; a request is read while somebody waits. So tools keep the whole encoder, and
requests get one with its words and its lowest layers, and fewer above. It learns the whole one's vectors and how near
they are to tools (after Wang & Lyu 2023, arXiv:2306.11550), from texts alone: nobody has to know what serves a request.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, softmax

from toolweft_server.training.encode import Encoder
from toolweft_server.training.encoder.contrast import Trained, encoded, freeze, keep, resumed, slope
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.progress import Progress, Step, silent
from toolweft_server.training.quantiser import positive


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilConfig:
    seed: int = 2029
    shared: int = 2
    """Layers from the bottom that are the whole encoder's, with the embeddings: they stay as they are."""
    own: tuple[int, ...] = (5,)
    """Layers of the whole encoder that those above begin as, from the bottom."""
    epochs: float = 4.0
    batch: int = 64
    rate: float = 5e-4
    """Of AdamW at its highest."""
    warm_up: float = 0.03
    temperature: float = 0.05
    """Of the nearness to tools."""
    nearness: float = 0.2
    """What telling tools apart weighs beside lying in the right place."""
    request_tokens: int = 96
    together: int = 16
    """Texts that go through the encoder at a time, of about the same length."""
    decay: float = 0.01
    clip: float = 1.0
    keep_every: int = 200
    """Steps after which the state is kept, when somebody said where."""

    def __post_init__(self) -> None:
        positive(shared=self.shared, own=len(self.own), epochs=self.epochs, batch=self.batch, rate=self.rate)
        positive(temperature=self.temperature, together=self.together, keep_every=self.keep_every)


def small(config: DistilConfig, whole: Encoder) -> Encoder:
    """The encoder that `distil` begins with; the whole one is left alone.

    Raises:
        TrainingError: The whole one has no such layers.

    """
    model: Any = copy.deepcopy(whole.model)
    layers, numbers = model.encoder.layer, (*range(config.shared), *config.own)
    if max(numbers) >= len(layers):
        raise TrainingError(f"there is no layer {max(numbers)}: the encoder has {len(layers)}")
    model.encoder.layer = nn.ModuleList([copy.deepcopy(layers[number]) for number in numbers])
    model.config.num_hidden_layers = len(numbers)
    return Encoder(model, whole.tokenizer)


def distil(
    config: DistilConfig,
    whole: Encoder,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    tools: NDArray[np.float32],
    *,
    state: Path | None = None,
    progress: Progress = silent,
) -> Trained:
    """An encoder for requests. `vectors` (N, D) are the whole one's of `texts`, `tools` (M, D) those of any tools.

    With `state`, goes on from the file where it exists, and keeps it current.

    Raises:
        TrainingError: No texts, the encoder has no such layers, or the loss is not finite.
        ArtefactError: `state` is damaged, or of a training with other settings.

    """
    if not texts:
        raise TrainingError("there is no text to learn from")
    learner = small(config, whole)
    model = learner.model
    freeze(model, config.shared)
    learning = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=config.rate, weight_decay=config.decay)
    batches = _batches(config, len(texts))
    done, losses = resumed(state, model, optimiser, {"config": asdict(config), "steps": len(batches)})
    targets, documents = torch.from_numpy(vectors), torch.from_numpy(tools)
    for step in range(done, len(batches)):
        for group in optimiser.param_groups:
            group["lr"] = config.rate * slope(step, len(batches), config.warm_up)
        rows = batches[step]
        made = encoded(learner, [texts[row] for row in rows.tolist()], config.request_tokens, config.together)
        loss = apart(config, made, targets[torch.from_numpy(rows)], documents)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"the loss is {float(loss.detach())} at step {step}: lower the rate ({config.rate:g})")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, config.clip)
        optimiser.step()
        losses.append(float(loss.detach()))
        progress(Step("requests", step + 1, len(batches), losses[-1]))
        if state is not None and (step + 1) % config.keep_every == 0:
            keep(state, model, optimiser, {"config": asdict(config), "steps": len(batches)}, step + 1, losses)
    model.eval()
    return Trained(learner, len(batches), tuple(losses))


def apart(config: DistilConfig, made: Tensor, wanted: Tensor, documents: Tensor) -> Tensor:
    """How far vectors (B, D) are from those wanted: a scalar."""
    place = 1 - (made * wanted).sum(1).mean()
    near = log_softmax(made @ documents.T / config.temperature, 1)
    right = softmax(wanted @ documents.T / config.temperature, 1)
    return place + config.nearness * kl_div(near, right, reduction="batchmean")


def _batches(config: DistilConfig, count: int) -> list[NDArray[np.int64]]:
    """Rows of texts, each step's: every text once an epoch."""
    random = np.random.default_rng(config.seed)
    wanted = max(1, round(config.epochs * count / config.batch))
    rows = np.concatenate([random.permutation(count) for _ in range(int(np.ceil(config.epochs)))])
    size = min(config.batch, count)
    return [rows[at * size : (at + 1) * size] for at in range(min(wanted, len(rows) // size))]
