"""Picks the requests that are shipped as examples of the tools that they want (`index.woven.examples` reads them).

Only tools that were asked for often get examples: with one or two requests a tool, the nearest one says less than the
tool's own text (measured on `weft_queries`: leaving each request out of its own examples, N@5 80.6 fell to 76.3).

R requests, d numbers of a vector.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven import examples
from toolweft_server.index.woven.examples import Examples
from toolweft_server.training.errors import TrainingError
from toolweft_server.training.quantiser import positive


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplesConfig:
    least: int = 5
    """Requests that a tool must have."""

    def __post_init__(self) -> None:
        positive(least=self.least)


def fit(
    config: ExamplesConfig, vectors: NDArray[np.float32], wanted: Sequence[Sequence[int]], folder: Path, *, encoder: str
) -> Examples:
    """Writes the examples of all tools with enough requests, and reads them.

    `vectors` (R, d) are of requests, `wanted` (R of any number) what their right tools say (`copy` of their records; 0
    is none), `encoder` is the digest. All requests together say what whitening has to take away.

    Raises:
        TrainingError: Fewer requests than numbers of a vector, shapes that do not fit, or requests that are all alike.
        OSError: The folder cannot be written.

    """
    count, size = vectors.shape
    if len(wanted) != count or count <= size:
        raise TrainingError(f"{count} vectors of {size} numbers for {len(wanted)} requests: more requests are needed")
    if size % 8:
        raise TrainingError(f"vectors have a multiple of 8 numbers, not {size}")
    of: defaultdict[int, list[int]] = defaultdict(list)
    for row, tools in enumerate(wanted):
        for tool in sorted({*tools} - {0}):
            of[tool].append(row)
    tools = sorted(tool for tool, rows in of.items() if len(rows) >= config.least)
    centre = vectors.mean(0, dtype=np.float64)
    _, spread, axes = np.linalg.svd(vectors - centre, full_matrices=False)
    # Axes along which hardly anything varies are noise, and must not become as loud as the others.
    whitening = axes.T / np.maximum(spread, max(spread[0], 1e-9) * 1e-3) * np.sqrt(count)
    if float(np.abs(whitening).max()) > float(np.finfo(np.float16).max):
        raise TrainingError(
            f"the requests hardly differ (at most by {spread[0] / np.sqrt(count):.2g}): they say nothing"
        )
    half = {"centre": centre.astype(np.float16), "whitening": whitening.astype(np.float16)}
    mine = [vectors[of[tool]] for tool in tools]
    bits = [examples.packed_bits(examples.whitened(each, **half)) for each in mine]
    arrays = {
        **half,
        "tools": np.array(tools, np.uint64),
        "starts": np.cumsum([0, *map(len, mine)]),
        "bits": np.concatenate([np.zeros((0, 2, size // 8), np.uint8), *bits]),
    }
    examples.KIND.save(folder, arrays, encoder=encoder, config=asdict(config))
    return Examples.load(folder, encoder=encoder)
