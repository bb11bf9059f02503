"""A training state on disk: written whole or not at all, read without running code that it may hold.

What a finished quantiser leaves behind is `artefact`'s; this is only for going on.
"""

from __future__ import annotations

import pickle
import uuid
from pathlib import Path

import torch

from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.quantiser import Losses, State

FORMAT = 1


def save(state: State, path: Path) -> None:
    """Replaces what is at `path` (its folder is created).

    Raises:
        OSError: It cannot be written.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    plain = state._asdict() | {"format": FORMAT, "history": [list(each) for each in state.history]}
    try:
        torch.save(plain, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path) -> State | None:
    """The state at `path`; None when there is no such file.

    Raises:
        ArtefactError: It is cut, damaged or of another format.

    """
    if not path.exists():
        return None
    try:
        plain = torch.load(path, weights_only=True, map_location="cpu")
        if plain.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        plain["history"] = tuple(Losses(*each) for each in plain["history"])
        return State(**plain)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        why = str(error).split("\n", 1)[0]
        raise ArtefactError(
            f"the training state {str(path)!r} cannot be read ({why}); delete it and begin anew"
        ) from error
