"""RQ-VAE: a small autoencoder whose latent is quantised level by level, with co-usage in its loss (ToolWeaver).

Autoencoder alone for a while, k-means once, then everything together: reconstruction, codebook, commitment, the
Laplacian of co-usage on the latent *and* on the sum over levels (both reach the encoder), a contrastive term against
its shrinking everything, and a balancing term from a Sinkhorn plan. The plan is a target of the loss only: which code a
tool has is the nearest one, with or without a batch. `rqvae_model` is the network.

N tools, B vectors a step, S edges a step, D dimensions, d latent, L levels, K codes a level.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolweft_catalog.tool import digest
from toolweft_server.index.woven import residual
from toolweft_server.index.woven.residual import Codebook, Codes, Floats
from toolweft_server.training.affinity import Edges, Pairs
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.graph import contrast, laplacian, not_negatives
from toolweft_server.training.kmeans import distinct
from toolweft_server.training.progress import Progress, Step, silent
from toolweft_server.training.quantiser import (
    Arrays,
    Data,
    Fit,
    Kind,
    Losses,
    State,
    check_state,
    not_negative,
    positive,
)
from toolweft_server.training.rqvae_model import Output, RqVae
from toolweft_server.training.sinkhorn import balance_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class RqVaeConfig:
    kind: ClassVar[Kind] = "rqvae"
    levels: int = 2
    codes: int = 1024
    """At most so many on a level; never more than there are different vectors."""
    latent: int = 64
    hidden: tuple[int, ...] = (1024, 512, 256, 128)
    steps: int = 5_000
    warmup: int = 500
    """Of these, how many train the autoencoder alone before k-means fills the codebook."""
    batch: int = 1024
    learning_rate: float = 1e-3
    clip: float = 1.0
    """Largest norm of the gradient."""
    commitment: float = 0.25
    graph: float = 1.0
    """Weight of the Laplacian of co-usage, on z and on the sum over levels."""
    contrast: float = 0.1
    """Weight of keeping tools apart that are not used together."""
    temperature: float = 0.1
    edges_per_step: int = 256
    balance: float = 0.05
    """Weight of the even use of codes; 0 leaves Sinkhorn out."""
    epsilon: float = 0.01
    """Of the plan, on costs stretched to [-1, 1]."""
    balance_rounds: int = 10
    revive_after: int = 50
    """Steps without a single choice after which a code is given a new place."""
    init_rounds: int = 100
    init_sample: int = 50_000
    """Vectors that k-means sees, at most."""

    def __post_init__(self) -> None:
        positive(levels=self.levels, codes=self.codes, latent=self.latent, steps=self.steps, batch=self.batch)
        positive(learning_rate=self.learning_rate, clip=self.clip, temperature=self.temperature, epsilon=self.epsilon)
        positive(edges_per_step=self.edges_per_step, balance_rounds=self.balance_rounds, init_sample=self.init_sample)
        positive(revive_after=self.revive_after, init_rounds=self.init_rounds)
        positive(**{f"hidden[{n}]": width for n, width in enumerate(self.hidden)})
        not_negative(commitment=self.commitment, graph=self.graph, contrast=self.contrast, balance=self.balance)
        if not 0 <= self.warmup < self.steps:
            raise TrainingError(f"warmup must be at least 0 and below steps = {self.steps}, not {self.warmup}")


class TrainedRqVae(NamedTuple):
    """The trained quantiser: the encoder's layers as arrays, and the codebook. The decoder is not needed any more."""

    weights: tuple[NDArray[np.float32], ...]  # (out, in) each
    biases: tuple[NDArray[np.float32], ...]  # (out,) each
    levels: tuple[NDArray[np.float32], ...]  # L of (K, d)

    @property
    def kind(self) -> Kind:
        return "rqvae"

    @property
    def codebook(self) -> Codebook:
        return self.levels

    def project(self, vectors: Floats) -> NDArray[np.float64]:
        if vectors.ndim != 2 or vectors.shape[1] != self.weights[0].shape[1]:
            raise ValueError(f"vectors of shape {vectors.shape} do not fit an encoder of {self.weights[0].shape[1]}")
        z = vectors.astype(np.float64)
        for n, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = np.maximum(z, 0.0) if n else z
            z = z @ weight.T.astype(np.float64) + bias
        return z

    def encode(self, vectors: Floats) -> Codes:
        return residual.encode(self.project(vectors), self.codebook)

    def decode(self, codes: Codes) -> NDArray[np.float64]:
        return residual.decode(codes, self.codebook)

    def arrays(self) -> Arrays:
        parts = {"weight": self.weights, "bias": self.biases, "level": self.levels}
        return {f"{name}.{n}": each for name, held in parts.items() for n, each in enumerate(held)}

    @classmethod
    def of(cls, arrays: Arrays) -> TrainedRqVae:
        """The inverse of `arrays`.

        Raises:
            KeyError: One is missing.

        """
        layers = max(1, sum(name.startswith("weight.") for name in arrays))
        levels = max(1, sum(name.startswith("level.") for name in arrays))
        return cls(
            tuple(arrays[f"weight.{n}"] for n in range(layers)),
            tuple(arrays[f"bias.{n}"] for n in range(layers)),
            tuple(arrays[f"level.{n}"] for n in range(levels)),
        )

    @classmethod
    def from_model(cls, model: RqVae) -> TrainedRqVae:
        layers = [each for each in model.encoder if isinstance(each, torch.nn.Linear)]
        return cls(
            tuple(each.weight.detach().clone().numpy() for each in layers),
            tuple(each.bias.detach().clone().numpy() for each in layers),
            tuple(each.detach().clone().numpy() for each in model.codebook),
        )


def fit(
    config: RqVaeConfig,
    data: Data,
    generator: torch.Generator,
    *,
    progress: Progress = silent,
    resume: State | None = None,
    until: int | None = None,
) -> Fit:
    """Trains for `config.steps` updates, or `until` so many in all.

    Raises:
        TrainingError: `resume` belongs to another run, or a loss is not finite.

    """
    made_from = digest([asdict(config), data.digest()])
    check_state(resume, made_from)
    vectors, edges = torch.from_numpy(np.array(data.vectors, np.float32)), data.edges
    size = min(config.codes, distinct(vectors))
    model = RqVae(vectors.shape[1], config.hidden, config.latent, config.levels, size, generator)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.0)
    step, history = 0, list[Losses]()
    if resume is not None:
        step, history = resume.step, list(resume.history)
        model.load_state_dict(resume.tensors["model"])
        optimiser.load_state_dict(copy.deepcopy(resume.tensors["optimiser"]))
        generator.set_state(resume.generator)
    end = config.steps if until is None else min(until, config.steps)
    while step < end:
        if step == config.warmup:
            chosen = torch.randperm(len(vectors), generator=generator)[: config.init_sample]
            model.initialise(vectors[chosen], generator, rounds=config.init_rounds)
        history.append(_update(config, model, optimiser, _drawn(config, vectors, edges, generator), generator, step))
        step += 1
        progress(Step("rqvae", step, config.steps, history[-1].total))
    tensors: dict[str, Any] = {"model": copy.deepcopy(model.state_dict()), "optimiser": optimiser.state_dict()}
    state = State(step, made_from, generator.get_state(), tensors, tuple(history))
    return Fit(TrainedRqVae.from_model(model), state, step == config.steps)


class Batch(NamedTuple):
    vectors: Tensor  # (B + 2S', D): the batch, then both ends of the sampled edges
    size: int
    """B."""
    blocked: Tensor  # (S', S'): pairs that are no negatives


class Terms(NamedTuple):
    """The terms of the loss, before their weights; scalars with gradients."""

    reconstruction: Tensor
    codebook: Tensor
    commitment: Tensor
    graph_latent: Tensor
    graph_codes: Tensor
    contrast: Tensor
    balance: Tensor


def _drawn(config: RqVaeConfig, vectors: Tensor, edges: Edges, generator: torch.Generator) -> Batch:
    count = min(config.batch, len(vectors))
    rows = torch.randperm(len(vectors), generator=generator)[:count]
    pairs: Pairs = edges.sample(config.edges_per_step, generator)
    blocked = not_negatives(edges, pairs, len(vectors))
    return Batch(vectors[torch.cat([rows, pairs.u, pairs.v])], count, blocked)


def terms(config: RqVaeConfig, batch: Batch, out: Output) -> Terms:
    """The loss of one pass, term by term. Popular tools, which have many edges, count in the graph terms alone."""
    size = batch.size
    z_u, z_v = out.latent[size:].tensor_split(2)
    sum_u, sum_v = out.sums[size:].tensor_split(2)
    balance = out.latent.new_zeros(())
    if config.balance and out.squares:
        for squares in out.squares:
            balance = balance + balance_loss(
                squares[:size],
                epsilon=config.epsilon,
                temperature=config.temperature,
                rounds=config.balance_rounds,
            )
    return Terms(
        (out.rebuilt - batch.vectors).square().sum(1)[:size].mean(),
        out.codebook_loss[:size].mean(),
        out.commitment[:size].mean(),
        laplacian(z_u, z_v),
        laplacian(sum_u, sum_v),
        contrast(sum_u, sum_v, batch.blocked, temperature=config.temperature),
        balance,
    )


def weighted(config: RqVaeConfig, parts: Terms) -> Tensor:
    """The sum that is minimised."""
    return (
        parts.reconstruction
        + parts.codebook
        + config.commitment * parts.commitment
        + config.graph * (parts.graph_latent + parts.graph_codes)
        + config.contrast * parts.contrast
        + config.balance * parts.balance
    )


def _update(
    config: RqVaeConfig,
    model: RqVae,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    generator: torch.Generator,
    step: int,
) -> Losses:
    out: Output = model(batch.vectors)
    parts = terms(config, batch, out)
    loss = weighted(config, parts)
    if not bool(torch.isfinite(loss)):
        named = ", ".join(f"{name} {value.item():.3g}" for name, value in parts._asdict().items())
        raise TrainingError(f"the loss is {loss.item()} at step {step} ({named}); lower learning_rate")
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    optimiser.step()
    if out.squares:
        model.count(out.codes)
        dead = model.revive([each[: batch.size] for each in out.residuals], config.revive_after, generator)
        _forget(optimiser, model.codebook, dead)
    return Losses(step, loss.item(), **{name: value.item() for name, value in parts._asdict().items()})


def _forget(optimiser: torch.optim.Optimizer, codebook: Tensor, moved: Tensor) -> None:
    """A code that was given a new place does not go on with the momentum of its old one."""
    state: dict[str, Tensor] = optimiser.state.get(codebook, {})
    for name in ("exp_avg", "exp_avg_sq"):
        if name in state:
            state[name][moved] = 0.0
