"""What is known of a woven catalogue beside its codes: the numbers, the losses, and a map to look at.

One file, `measured.json`, in the folder of the artefact whose digests it names. `report` draws it; nothing that runs
needs it.

N tools, d dimensions of the latent space.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.residual import Floats
from toolweft_server.training.artefact import Digests, replace_file
from toolweft_server.training.diagnostics import Diagnostics, Level
from toolweft_server.training.errors import ArtefactError
from toolweft_server.training.quantiser import Losses

FORMAT = 1
FILE = "measured.json"


class Measured(NamedTuple):
    digests: Digests
    """Of the artefact that was measured."""
    diagnostics: Diagnostics
    history: tuple[Losses, ...]
    """The losses of each step of training; none where nothing was trained."""
    plane: NDArray[np.float64]
    """(N, 2) where each tool stands on the map, in the order of the artefact's tools."""


def plane(latent: Floats) -> NDArray[np.float64]:
    """(N, d) -> (N, 2): the two directions in which tools differ most (principal components), centred.

    A direction's sign is free; it is chosen so that the largest coordinate of the direction is positive.
    """
    centred = latent.astype(np.float64) - latent.mean(0, dtype=np.float64) if len(latent) else latent
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = directions[:, ::-1][:, :2]  # (d, 2), or (d, 1) where d is 1
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    found = np.zeros((len(latent), 2))
    found[:, : axes.shape[1]] = centred @ axes
    return found


def save(measured: Measured, folder: Path) -> None:
    """Writes it into `folder`, whole.

    Raises:
        OSError: The folder cannot be written.

    """
    plain = {
        "format": FORMAT,
        "digests": measured.digests._asdict(),
        "tools": measured.diagnostics.tools,
        "edges": measured.diagnostics.edges,
        "levels": levels_json(measured.diagnostics),
        "history": [list(each) for each in measured.history],
        "plane": [[float(f"{value:.5g}") for value in point] for point in measured.plane],
    }
    replace_file(folder / FILE, json.dumps(plain).encode("ascii"))


def load(folder: Path, digests: Digests) -> Measured:
    """What was measured of the artefact in `folder`, whose digests are given.

    Raises:
        ArtefactError: Missing, damaged, of another format, or measured of another artefact.

    """
    try:
        plain = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(
            f"nothing is measured in {str(folder)!r}: `toolweft train tokenize` writes {FILE} there"
        ) from None
    except (OSError, ValueError) as error:
        _unusable(folder, str(error))
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        _unusable(folder, f"it is of another format than {FORMAT}")
    try:
        said = Digests(**plain["digests"])
        levels = tuple(_level(each) for each in plain["levels"])
        found = Measured(
            said,
            Diagnostics(plain["tools"], plain["edges"], levels),
            tuple(Losses(*each) for each in plain["history"]),
            np.array(plain["plane"], np.float64).reshape(-1, 2),
        )
    except (KeyError, TypeError, ValueError) as error:
        _unusable(folder, f"its parts do not fit together: {error!r}")
    for name, theirs, ours in zip(Digests._fields, said, digests, strict=True):
        if theirs != ours:
            _unusable(folder, f"it was measured of {name} {theirs}, and the artefact has {name} {ours}")
    return found


def levels_json(diagnostics: Diagnostics) -> list[dict[str, Any]]:
    """Each level as JSON; a number that is none (NaN, without co-usage) is null."""
    return [
        {
            name: value.tolist() if isinstance(value, np.ndarray) else None if math.isnan(value) else value
            for name, value in level._asdict().items()
        }
        for level in diagnostics.levels
    ]


def _level(plain: Mapping[str, Any]) -> Level:
    held: dict[str, Any] = {name: math.nan if value is None else value for name, value in plain.items()}
    return Level(**held | {"usage": np.array(plain["usage"], np.int64)})


def _unusable(folder: Path, why: str) -> NoReturn:
    raise ArtefactError(f"{FILE} in {str(folder)!r} cannot be used: {why}; run `toolweft train tokenize` again")
