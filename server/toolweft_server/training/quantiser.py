"""What every quantiser is: vectors in, codes out, the same codes for ever after.

`rqkmeans` and `rqvae` are the two kinds; `quantise` makes and loads either. A quantiser has been trained: it holds
arrays and no optimiser. Encoding is done by `index.woven.residual` in float64, so the code of a vector does not depend
on the vectors beside it. Who may own a code is decided by `assign`.

N tools, D dimensions of the encoder, d of the latent space, L levels, K codes a level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from toolweft_server.index.woven.residual import Codebook, Codes, Floats
from toolweft_server.training.affinity import Affinity, Edges
from toolweft_server.training.errors import TrainingError

Kind = Literal["rqkmeans", "rqvae"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""Named arrays, as they are written to a file."""


class Quantiser(Protocol):
    @property
    def kind(self) -> Kind: ...

    @property
    def codebook(self) -> Codebook: ...

    def project(self, vectors: Floats) -> NDArray[np.float64]:
        """(N, D) -> (N, d): where codes are chosen."""
        ...

    def encode(self, vectors: Floats) -> Codes:
        """(N, D) -> (N, L): the nearest code of every level.

        Raises:
            ValueError: Vectors of another width, or not finite.

        """
        ...

    def decode(self, codes: Codes) -> NDArray[np.float64]:
        """(N, L') -> (N, d): the sum of the codewords, L' <= L."""
        ...

    def arrays(self) -> Arrays:
        """All that `quantise.restore` needs to make the same quantiser again."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What a quantiser learns from.

    Raises:
        TrainingError: No vectors, vectors that are not finite, or a graph over another number of tools.

    """

    vectors: Floats  # (N, D)
    affinity: Affinity | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or not self.vectors.size:
            raise TrainingError(f"a quantiser learns from a matrix of vectors, not from shape {self.vectors.shape}")
        if not np.isfinite(self.vectors).all():
            raise TrainingError("a vector holds NaN or infinity: look at the encoder that made it")
        if self.affinity is not None and len(self.affinity) != len(self.vectors):
            raise TrainingError(f"co-usage of {len(self.affinity)} tools does not fit {len(self.vectors)} vectors")

    @property
    def edges(self) -> Edges:
        if self.affinity is None:
            none = torch.empty(0, dtype=torch.int64)
            return Edges(none, none, none.double())
        return self.affinity.edges()

    def digest(self) -> str:
        hashed = hashlib.sha256(np.ascontiguousarray(self.vectors, np.float32).tobytes())
        for each in self.edges:
            hashed.update(each.numpy().tobytes())
        return hashed.hexdigest()[:32]


class State(NamedTuple):
    """Where a training run stands: handed back to `fit`, it goes on as if it had never stopped."""

    step: int
    made_from: str
    """Digest of configuration and data: a run goes on with what it began with."""
    generator: Tensor
    tensors: dict[str, Any]
    history: tuple[Losses, ...]


class Losses(NamedTuple):
    """The terms of one step, before their weights; `total` is their weighted sum."""

    step: int
    total: float
    reconstruction: float = 0.0
    codebook: float = 0.0
    commitment: float = 0.0
    graph_latent: float = 0.0
    graph_codes: float = 0.0
    contrast: float = 0.0
    balance: float = 0.0


class Fit(NamedTuple):
    quantiser: Quantiser
    state: State
    finished: bool

    @property
    def history(self) -> tuple[Losses, ...]:
        return self.state.history


def check_state(state: State | None, made_from: str) -> None:
    """Raises:
    TrainingError: The state belongs to another configuration or to other data.

    """
    if state is not None and state.made_from != made_from:
        raise TrainingError(
            f"this run was begun with {state.made_from} (configuration and data) and cannot go on with {made_from}"
        )


def positive(**values: float) -> None:
    """Raises:
    TrainingError: A value that is not above 0, named.

    """
    for name, value in values.items():
        if not value > 0:
            raise TrainingError(f"{name} must be above 0, not {value}")


def not_negative(**values: float) -> None:
    """Raises:
    TrainingError: A value below 0, named.

    """
    for name, value in values.items():
        if not value >= 0:
            raise TrainingError(f"{name} must be at least 0, not {value}")
