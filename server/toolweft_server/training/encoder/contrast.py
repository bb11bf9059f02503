"""Fine-tunes an encoder so that a request and the tools that serve it come to lie together.

In-batch contrast in both directions (van den Oord et al. 2018; Karpukhin et al. 2020), with every right tool of a
request as a positive of its own and none of them among its negatives. Word embeddings stay as they are: the data has
a small part of the words, and the others must keep their places.
"""

from __future__ import annotations

import math
import pickle
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from toolweft_server.index.woven.document import text_of
from toolweft_server.training.encode import Encoder, mean_pooled
from toolweft_server.training.encoder.batches import Batch, BatchConfig, epoch, plan
from toolweft_server.training.encoder.memory import Memory
from toolweft_server.training.encoder.pairs import Corpus
from toolweft_server.training.errors import ArtefactError, TrainingError
from toolweft_server.training.progress import Progress, Step, silent
from toolweft_server.training.quantiser import positive

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastConfig:
    seed: int = 2026
    rate: float = 6e-5
    """Of AdamW at its highest."""
    warm_up: float = 0.06
    """Share of the steps; afterwards the rate falls to zero in a straight line."""
    temperature: float = 0.05
    decay: float = 0.01
    clip: float = 1.0
    request_tokens: int = 64
    document_tokens: int = 80
    frozen: int = 2
    """Layers from the bottom that stay as they are, with the embeddings: a third of the work, and little is lost."""
    together: int = 16
    """Texts that go through the encoder at a time, of about the same length: little is padded."""
    memory: int = 0
    """Steps after which the vectors of all documents are computed anew; they are negatives of every request between
    (`memory`). 0: only the documents of a batch are. A training that is taken up again computes them at once."""
    keep_every: int = 50
    """Steps after which the state is kept, when somebody said where."""

    def __post_init__(self) -> None:
        positive(rate=self.rate, temperature=self.temperature, together=self.together, keep_every=self.keep_every)


class Trained(NamedTuple):
    encoder: Encoder
    steps: int
    losses: tuple[float, ...]
    """One a step."""


def train(
    config: ContrastConfig,
    batching: BatchConfig,
    encoder: Encoder,
    corpora: Sequence[Corpus],
    *,
    state: Path | None = None,
    progress: Progress = silent,
) -> Trained:
    """Trains `encoder` in place. With `state`, goes on from the file where it exists, and keeps it current.

    Raises:
        TrainingError: Nothing to train on, or the loss is not finite.
        ArtefactError: `state` is damaged, or of a training with other settings.

    """
    if not any(corpus.requests for corpus in corpora):
        raise TrainingError("there is no request to train an encoder on")
    random = np.random.default_rng(config.seed)
    steps = plan(batching, corpora, random)
    model = encoder.model
    _freeze(model, config.frozen)
    learning = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=config.rate, weight_decay=config.decay)
    stamp = {"config": asdict(config), "batching": asdict(batching), "steps": len(steps)}
    done, losses = _resumed(state, model, optimiser, stamp)
    model.train()
    batches = _batches(batching, corpora, steps, config.seed)
    memories: dict[int, Memory] = {}
    for step, batch in enumerate(batches):
        if step < done:
            continue
        memory = None
        if config.memory:
            if step == done or step % config.memory == 0:
                memories = {number: _remembered(config, encoder, corpora[number]) for number in sorted(set(steps))}
            memory = memories[steps[step]]
        for group in optimiser.param_groups:
            group["lr"] = config.rate * _slope(step, len(steps), config.warm_up)
        loss = contrast(config, encoder, batch, memory)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"the loss is {float(loss.detach())} at step {step}: lower the rate ({config.rate:g})")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, config.clip)
        optimiser.step()
        losses.append(float(loss.detach()))
        progress(Step(f"encoder ({corpora[steps[step]].name})", step + 1, len(steps), losses[-1]))
        if state is not None and (step + 1) % config.keep_every == 0:
            _keep(state, model, optimiser, stamp, step + 1, losses)
    model.eval()
    return Trained(encoder, len(steps), tuple(losses))


def contrast(config: ContrastConfig, encoder: Encoder, batch: Batch, memory: Memory | None = None) -> Tensor:
    """The loss of one batch: a scalar. With `memory`, its documents are wrong too, and it learns the new vectors."""
    requests = _encoded(config, encoder, batch.requests, config.request_tokens)
    documents = _encoded(config, encoder, batch.documents, config.document_tokens)
    right = torch.from_numpy(batch.right)
    cosines = requests @ documents.T  # (Q, D)
    scores = cosines / config.temperature
    wanted = right.any(0)  # hard negatives are wanted by nobody
    beside = torch.empty(len(requests), 0)
    if memory is not None:
        nearest = cosines.detach().masked_fill(~right, -math.inf).amax(1)
        beside = memory.negatives(requests, batch, nearest) / config.temperature
        memory.learn(batch.groups, documents.detach())
    return 0.5 * (_one_way(scores, right, beside) + _one_way(scores.T[wanted], right.T[wanted]))


def _one_way(scores: Tensor, right: Tensor, beside: Tensor | None = None) -> Tensor:
    """Mean over all right pairs of -log(e^s / (e^s + sum over wrong ones)); all scores `beside` are of wrong ones."""
    wrong = scores.masked_fill(right, -math.inf)
    if beside is not None:
        wrong = torch.cat([wrong, beside], 1)
    wrong = wrong.logsumexp(1, keepdim=True)  # (rows, 1)
    each = nn.functional.softplus(wrong - scores)  # -log sigmoid of the margin
    shares = right / right.sum(1, keepdim=True)  # a request of five tools weighs as one of one tool
    return (each.masked_fill(~right, 0.0) * shares).sum(1).mean()


def _remembered(config: ContrastConfig, encoder: Encoder, corpus: Corpus) -> Memory:
    """The documents of `corpus`, whole, of the servers that somebody asks for: the others are to stay unseen."""
    asked = {corpus.tools[row].server for request in corpus.requests for row in request.gold}
    rows = {corpus.group[row]: row for row, tool in enumerate(corpus.tools) if tool.server in asked}
    with torch.no_grad():
        texts = [text_of(corpus.tools[row]) for row in rows.values()]
        return Memory(list(rows), _encoded(config, encoder, texts, config.document_tokens), complete=corpus.complete)


def _encoded(config: ContrastConfig, encoder: Encoder, texts: Sequence[str], tokens: int) -> Tensor:
    """(n, D), unit length."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    parts = []
    for start in range(0, len(order), config.together):
        chunk = [texts[row].encode("utf-8", "replace").decode() for row in order[start : start + config.together]]
        fed = encoder.tokenizer(chunk, padding=True, truncation=True, max_length=tokens, return_tensors="pt")
        states: Tensor = encoder.model(**fed).last_hidden_state
        parts.append(mean_pooled(states, fed["attention_mask"]))
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts)[back]


def _batches(config: BatchConfig, corpora: Sequence[Corpus], steps: Sequence[int], seed: int) -> Iterator[Batch]:
    """One batch a step. Each corpus has a generator of its own, so that it does not matter how they are mixed."""
    running: dict[int, Iterator[Batch]] = {}
    randoms = {number: np.random.default_rng((seed, number)) for number in set(steps)}
    for number in steps:
        batch = next(running.get(number, iter(())), None)
        if batch is None:
            running[number] = epoch(config, corpora[number], randoms[number])
            batch = next(running[number])
        yield batch


def _slope(step: int, steps: int, warm_up: float) -> float:
    warm = max(1, round(steps * warm_up))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def _freeze(model: nn.Module, layers: int) -> None:
    still = ("embeddings.", "pooler.", *(f"encoder.layer.{number}." for number in range(layers)))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(still)


def _keep(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    stamp: dict[str, Any],
    done: int,
    losses: list[float],
) -> None:
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    held = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "done": done, "losses": losses}
    try:
        torch.save({**held, "stamp": stamp, "format": FORMAT}, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _resumed(
    path: Path | None, model: nn.Module, optimiser: torch.optim.Optimizer, stamp: dict[str, Any]
) -> tuple[int, list[float]]:
    if path is None or not path.exists():
        return 0, []
    try:
        held = torch.load(path, weights_only=True, map_location="cpu")
        if held["format"] != FORMAT or held["stamp"] != stamp:
            raise ValueError("it is of another format or of a training with other settings")
        model.load_state_dict(held["model"])
        optimiser.load_state_dict(held["optimiser"])
        return int(held["done"]), list(held["losses"])
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        why = str(error).split("\n", 1)[0]
        raise ArtefactError(
            f"the training state {str(path)!r} cannot be used ({why}); delete it and begin anew"
        ) from error
