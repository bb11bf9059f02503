"""Makes a quantiser of either kind, and makes one again from what was saved of it."""

from __future__ import annotations

from typing import TypeAlias

import torch

from toolweft_server.training import rqkmeans, rqvae
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.progress import Progress, silent
from toolweft_server.training.quantiser import Arrays, Data, Fit, Quantiser, State
from toolweft_server.training.rqkmeans import RqKMeans, RqKMeansConfig
from toolweft_server.training.rqvae import RqVaeConfig, TrainedRqVae

QuantiserConfig: TypeAlias = RqKMeansConfig | RqVaeConfig
"""Which kind, and how it is trained."""


def fit(
    config: QuantiserConfig,
    data: Data,
    generator: torch.Generator,
    *,
    progress: Progress = silent,
    resume: State | None = None,
    until: int | None = None,
) -> Fit:
    """Trains the kind that `config` asks for; `until` stops after so many steps in all, and `resume` goes on.

    Raises:
        TrainingError: `resume` belongs to another run, or a loss is not finite.

    """
    if isinstance(config, RqKMeansConfig):
        return rqkmeans.fit(config, data, generator, progress=progress, resume=resume, until=until)
    return rqvae.fit(config, data, generator, progress=progress, resume=resume, until=until)


def restore(kind: str, arrays: Arrays) -> Quantiser:
    """The quantiser that `Quantiser.arrays` was called on.

    Raises:
        ArtefactError: A kind that does not exist, or an array that is missing.

    """
    try:
        if kind == "rqkmeans":
            return RqKMeans.of(arrays)
        if kind == "rqvae":
            return TrainedRqVae.of(arrays)
    except KeyError as missing:
        raise ArtefactError(f"a quantiser of kind {kind!r} needs the array {missing.args[0]!r}") from None
    raise ArtefactError(f"there is no quantiser of kind {kind!r}; the kinds are 'rqkmeans' and 'rqvae'")
