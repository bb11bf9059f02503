"""Structured tokenization, all stages in a row: vectors and co-usage -> codes -> an artefact, and its numbers.

Each stage is usable alone (`encode`, `affinity`, `quantise`, `assign`, `artefact`, `diagnostics`); this is their usual
order, from vectors on, under one seed. With a file for its state, a run that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from toolweft_server.index.woven.residual import Floats
from toolweft_server.training import assign, measured, quantise, resume
from toolweft_server.training.affinity import AffinityConfig, Usage, affinity
from toolweft_server.training.artefact import Artefact
from toolweft_server.training.diagnostics import Diagnostics, diagnose
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.measured import Measured
from toolweft_server.training.progress import Progress, silent
from toolweft_server.training.quantise import QuantiserConfig
from toolweft_server.training.quantiser import Data, Fit, Losses, State
from toolweft_server.training.rqkmeans import RqKMeansConfig

KEPT = 20
"""The state is written so often in a run: one that is killed loses at most a part of this size."""


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
    measured: Measured

    @property
    def diagnostics(self) -> Diagnostics:
        return self.measured.diagnostics

    @property
    def history(self) -> tuple[Losses, ...]:
        return self.measured.history

    def save(self, folder: Path) -> None:
        """Writes the artefact and what is known of it into `folder` (created).

        Raises:
            ArtefactError: An array that is not finite: nothing is written.
            OSError: The folder cannot be written.

        """
        self.artefact.save(folder)
        measured.save(self.measured, folder)


def tokenise(
    config: TokeniseConfig, sources: Sources, *, state: Path | None = None, progress: Progress = silent
) -> Tokenised:
    """Codes for every tool of `sources`. The run goes on from the file `state` if there is one, and keeps it current.

    Raises:
        TrainingError: Data that nothing can be learned from, or that does not fit together, or a state of another run.
        ArtefactError: The file `state` is damaged.

    """
    if len(sources.tools) != len(sources.vectors):
        raise TrainingError(f"{len(sources.vectors)} vectors do not fit {len(sources.tools)} tools")
    graph = affinity(config.affinity, sources.usages, [tool_id for tool_id, _ in sources.tools])
    generator = torch.Generator().manual_seed(config.seed)
    fitted = _fitted(config.quantiser, Data(sources.vectors, graph), generator, state, progress)
    quantiser = fitted.quantiser
    latent = quantiser.project(sources.vectors)
    owners = assign.unique if config.assignment == "unique" else assign.shared
    assigned = owners(latent, quantiser.codebook)
    artefact = Artefact(
        quantiser, assigned, tuple(sources.tools), sources.encoder, {"tokenise": config.seed}, asdict(config)
    )
    found = Measured(
        artefact.digests,
        diagnose(latent, assigned.codes, quantiser.codebook, graph),
        fitted.history,
        measured.plane(latent),
    )
    return Tokenised(artefact, found)


def _fitted(
    config: QuantiserConfig, data: Data, generator: torch.Generator, state: Path | None, progress: Progress
) -> Fit:
    if state is None:
        return quantise.fit(config, data, generator, progress=progress)
    steps = config.projection_steps + config.levels if isinstance(config, RqKMeansConfig) else config.steps
    part = max(1, steps // KEPT)
    begun: State | None = resume.load(state)
    while True:
        until = (begun.step if begun else 0) + part
        fitted = quantise.fit(config, data, generator, progress=progress, resume=begun, until=until)
        begun = fitted.state
        resume.save(begun, state)
        if fitted.finished:
            return fitted
