"""Rows of a long table, kept as they are finished: a run that is stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = Mapping[str, NDArray[Any]]
"""Name of a metric -> a number for each request (or person), in [0, 1]."""


class Kept:
    """JSON lines, each with what its row was made from. Without a file everything is made each time."""

    def __init__(self, file: Path | None, made_from: Sequence[object]) -> None:
        """`made_from` is what all rows have in common: the encoder, the set, sizes. Rows of other origin are left."""
        self._file, self._made_from = file, [str(each) for each in made_from]
        self._rows: dict[str, Scores] = {}
        if file is not None and file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                if row["made_from"] == self._made_from:
                    self._rows[row["row"]] = {name: np.array(each) for name, each in row["scores"].items()}

    def scores(self, row: str, make: Callable[[], Scores], metrics: Sequence[str]) -> Scores:
        """Those of the row, from the file if they are there; of `metrics` as many as it has."""
        if row not in self._rows:
            made = make()
            self._rows[row] = {name: made[name] for name in metrics if name in made}
            self._write(row)
        return self._rows[row]

    def _write(self, row: str) -> None:
        if self._file is None:
            return
        scores = {name: np.round(each, 5).tolist() for name, each in self._rows[row].items()}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"made_from": self._made_from, "row": row, "scores": scores}) + "\n")
