"""Structured tokenization, all stages in a row: vectors and co-usage -> codes -> an artefact, and its numbers.

Each stage is usable alone (`encode`, `affinity`, `quantise`, `assign`, `artefact`, `diagnostics`); this is their usual
order, from vectors on, under one seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import torch

from toolweft_server.index.woven.residual import Floats
from toolweft_server.training import assign, quantise
from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.artefact import Artefact
from toolweft_server.training.diagnostics import Diagnostics, diagnose
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.progress import Progress, silent
from toolweft_server.training.quantise import QuantiserConfig
from toolweft_server.training.quantiser import Data, Losses
from toolweft_server.training.rqkmeans import RqKMeansConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TokeniseConfig:
    quantiser: QuantiserConfig = field(default_factory=RqKMeansConfig)
    affinity: AffinityConfig = field(default_factory=AffinityConfig)
    assignment: Literal["shared", "unique"] = "shared"
    """`unique` where a language model must name one tool."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.assignment not in ("shared", "unique"):
            raise TrainingError(f"assignment is 'shared' or 'unique', not {self.assignment!r}")


class Sources(NamedTuple):
    """What codes are made of."""

    tools: Sequence[tuple[str, str]]
    """Id and digest of each tool."""
    vectors: Floats  # (N, D), in the order of `tools`
    encoder: str
    """Digest of the encoder that made the vectors."""
    usages: Iterable[Usage] = ()


class Tokenised(NamedTuple):
    artefact: Artefact
    diagnostics: Diagnostics
    history: tuple[Losses, ...]


def tokenise(config: TokeniseConfig, sources: Sources, *, progress: Progress = silent) -> Tokenised:
    """Codes for every tool of `sources`.

    Raises:
        TrainingError: Data that nothing can be learned from, or that does not fit together.

    """
    if len(sources.tools) != len(sources.vectors):
        raise TrainingError(f"{len(sources.vectors)} vectors do not fit {len(sources.tools)} tools")
    graph = affinity(config.affinity, sources.usages, [tool_id for tool_id, _ in sources.tools])
    generator = torch.Generator().manual_seed(config.seed)
    fitted = quantise.fit(config.quantiser, Data(sources.vectors, graph), generator, progress=progress)
    quantiser = fitted.quantiser
    latent = quantiser.project(sources.vectors)
    owners = assign.unique if config.assignment == "unique" else assign.shared
    assigned = owners(latent, quantiser.codebook)
    artefact = Artefact(
        quantiser, assigned, tuple(sources.tools), sources.encoder, {"tokenise": config.seed}, asdict(config)
    )
    return Tokenised(artefact, diagnose(latent, assigned.codes, quantiser.codebook, graph), fitted.history)
