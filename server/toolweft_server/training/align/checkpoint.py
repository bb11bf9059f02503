"""Where training stands: everything that a resumed run needs to end as if it had never stopped.

A checkpoint is a folder of safetensors and JSON, whole or absent: it is written under another name and renamed. What
a trained model needs to be used is `bundle`'s.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from toolweft_server.training.errors import ArtefactError

FORMAT = 1


class State(NamedTuple):
    """A moment between two optimiser steps."""

    step: int
    """How many were made."""
    seed: int
    purpose: str
    """Digest of configuration and data: another one cannot go on from here."""
    losses: tuple[float, ...]
    """One a step."""
    tensors: dict[str, Tensor]
    """`model.*`: trained weights; `adamw.*`: the optimiser's; `random.*`: of each device."""


def save(state: State, folder: Path, *, keep: int = 2) -> Path:
    """Writes `folder/step-NNNNNN` and deletes all but the latest `keep`."""
    path = folder / f"step-{state.step:06d}"
    making = folder / f".{path.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    save_file({name: each.contiguous() for name, each in state.tensors.items()}, making / "state.safetensors")
    scalars = {"format": FORMAT, **state._asdict(), "tensors": sorted(state.tensors)}
    (making / "state.json").write_text(json.dumps(scalars, indent=1), encoding="utf-8")
    shutil.rmtree(path, ignore_errors=True)
    making.replace(path)
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def latest(folder: Path) -> State | None:
    """The checkpoint of the most steps; `None` when there is none.

    Raises:
        ArtefactError: It is damaged, or of another format.

    """
    found = _all(folder)
    return load(found[-1]) if found else None


def load(path: Path) -> State:
    try:
        scalars = json.loads((path / "state.json").read_text(encoding="utf-8"))
        tensors = load_file(path / "state.safetensors")
        if scalars["format"] != FORMAT or sorted(tensors) != scalars["tensors"]:
            raise ArtefactError(f"{path} is of format {scalars['format']}, this toolweft writes {FORMAT}; delete it")
        return State(scalars["step"], scalars["seed"], scalars["purpose"], tuple(scalars["losses"]), tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ArtefactError(f"the checkpoint {path} is damaged: {error!r}; delete the folder") from error


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []
