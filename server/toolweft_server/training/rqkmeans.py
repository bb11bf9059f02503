"""RQ-k-means: a linear map that knows co-usage, then k-means on what each level left over.

`z = W e` is trained on sampled edges (neighbours attract, sampled non-neighbours repel) with an anchor `||z - e||²`
that keeps meaning in place; without co-usage W is the identity and nothing is trained. A tool that nobody has used yet
simply gets `W e`. Then level by level: k-means on the residuals. No network, minutes on one core.

N tools, D dimensions, L levels, K codes a level, S edges a step.
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
from toolweft_server.training.affinity import Edges
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.graph import contrast, not_negatives
from toolweft_server.training.kmeans import kmeans, nearest
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RqKMeansConfig:
    kind: ClassVar[Kind] = "rqkmeans"
    levels: int = 3
    codes: int = 256
    """At most so many on a level; never more than there are different vectors."""
    rounds: int = 50
    """Of Lloyd's algorithm, at most, on each level."""
    projection_steps: int = 300
    """Steps of training W; 0 leaves it the identity, and so does a catalogue without co-usage."""
    edges_per_step: int = 256
    learning_rate: float = 1e-3
    temperature: float = 0.1
    anchor: float = 10.0
    """Weight of `||z - e||²` beside the contrastive loss."""

    def __post_init__(self) -> None:
        positive(levels=self.levels, codes=self.codes, rounds=self.rounds, edges_per_step=self.edges_per_step)
        positive(learning_rate=self.learning_rate, temperature=self.temperature)
        not_negative(projection_steps=self.projection_steps, anchor=self.anchor)


class RqKMeans(NamedTuple):
    """The trained quantiser."""

    projection: NDArray[np.float32]  # (D, D)
    levels: tuple[NDArray[np.float32], ...]  # L of (K, D)

    @property
    def kind(self) -> Kind:
        return "rqkmeans"

    @property
    def codebook(self) -> Codebook:
        return self.levels

    def project(self, vectors: Floats) -> NDArray[np.float64]:
        if vectors.ndim != 2 or vectors.shape[1] != self.projection.shape[1]:
            raise ValueError(f"vectors of shape {vectors.shape} do not fit a map of shape {self.projection.shape}")
        z: NDArray[np.float64] = vectors.astype(np.float64) @ self.projection.T.astype(np.float64)
        return z

    def encode(self, vectors: Floats) -> Codes:
        return residual.encode(self.project(vectors), self.codebook)

    def decode(self, codes: Codes) -> NDArray[np.float64]:
        return residual.decode(codes, self.codebook)

    def arrays(self) -> Arrays:
        return {"projection": self.projection} | {f"level.{n}": each for n, each in enumerate(self.levels)}

    @classmethod
    def of(cls, arrays: Arrays) -> RqKMeans:
        """The inverse of `arrays`.

        Raises:
            KeyError: One is missing.

        """
        levels = sum(name.startswith("level.") for name in arrays)
        if not levels:
            raise KeyError("level.0")
        return cls(arrays["projection"], tuple(arrays[f"level.{n}"] for n in range(levels)))


def fit(
    config: RqKMeansConfig,
    data: Data,
    generator: torch.Generator,
    *,
    progress: Progress = silent,
    resume: State | None = None,
    until: int | None = None,
) -> Fit:
    """Trains W, then one level after the other. A step is one update of W or one level; `until` stops after so many.

    Raises:
        TrainingError: `resume` belongs to another run, or a loss is not finite.

    """
    made_from = digest([asdict(config), data.digest()])
    check_state(resume, made_from)
    vectors, edges = torch.from_numpy(np.array(data.vectors, np.float32)), data.edges
    warmup = config.projection_steps if len(edges.u) else 0
    total = warmup + config.levels
    w = torch.eye(vectors.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([w], lr=config.learning_rate)
    centres: list[Tensor] = []
    history: list[Losses] = []
    step = 0
    if resume is not None:
        step, history, centres = resume.step, list(resume.history), list(resume.tensors["centres"])
        with torch.no_grad():
            w.copy_(resume.tensors["w"])
        optimiser.load_state_dict(copy.deepcopy(resume.tensors["optimiser"]))
        generator.set_state(resume.generator)
    end = total if until is None else min(until, total)
    while step < end:
        if step < warmup:
            history.append(_train(config, vectors, edges, w, optimiser, generator, step))
        else:
            centres.append(_level(config, vectors @ w.detach().T, centres, generator))
        step += 1
        progress(Step("rqkmeans", step, total, history[-1].total if history else None))
    tensors: dict[str, Any] = {
        "w": w.detach().clone(), "optimiser": optimiser.state_dict(), "centres": tuple(centres)
    }  # fmt: skip
    quantiser = RqKMeans(w.detach().clone().numpy(), tuple(each.numpy() for each in centres))
    state = State(step, made_from, generator.get_state(), tensors, tuple(history))
    return Fit(quantiser, state, step == total)


def _train(
    config: RqKMeansConfig,
    vectors: Tensor,
    edges: Edges,
    w: Tensor,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    step: int,
) -> Losses:
    pairs = edges.sample(config.edges_per_step, generator)
    others = torch.randint(len(vectors), (config.edges_per_step,), generator=generator)
    rows = torch.cat([pairs.u, pairs.v, others])
    at = vectors[rows]
    z = at @ w.T  # (3S, D)
    u, v, _ = z.tensor_split(3)
    pull = contrast(u, v, not_negatives(edges, pairs, len(vectors)), temperature=config.temperature)
    anchor = (z - at).square().sum(1).mean()
    loss = pull + config.anchor * anchor
    if not bool(torch.isfinite(loss)):
        raise TrainingError(f"the loss of the co-usage map is {loss.item()} at step {step}; lower learning_rate")
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return Losses(step, loss.item(), reconstruction=anchor.item(), contrast=pull.item())


def _level(config: RqKMeansConfig, latent: Tensor, centres: list[Tensor], generator: torch.Generator) -> Tensor:
    left = latent
    for each in centres:
        left = left - each[nearest(left, each).codes]
    return kmeans(left, config.codes, generator, rounds=config.rounds).centres
