"""What all snapshots of a woven index share: the encoder, the heads, the vectors paid for, and the last requests'.

Whatever of it cannot be used is missing from then on, with the reason; the words keep serving.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolweft_server.errors import ExamplesError, HeadsError, ToolweftError
from toolweft_server.index.woven import document
from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.examples import Examples
from toolweft_server.index.woven.heads import Heads
from toolweft_server.index.woven.vectors import VectorCache

logger = logging.getLogger(__name__)

REQUESTS = 256
"""Vectors of requests kept: a model asks the same thing again when it turns a page or tries another server."""


class Engine:
    """Threads may share it."""

    def __init__(
        self, encoder: Encoder, heads: Heads, folder: Path | None = None, *, examples: Examples | None = None
    ) -> None:
        """`folder` is where vectors are kept; None keeps them in memory. Without `examples` no tool has any.

        Raises:
            HeadsError: The heads take vectors of another size than the encoder makes.
            ExamplesError: The examples, the same.

        """
        if heads.size != encoder.size:
            raise HeadsError(f"the heads take vectors of {heads.size} numbers, and the encoder makes {encoder.size}")
        self.encoder, self.heads, self.folder = encoder, heads, folder
        self.examples = examples or Examples.none(encoder.size)
        if (size := len(self.examples.centre)) != encoder.size:
            raise ExamplesError(f"the examples are of vectors of {size} numbers, and the encoder makes {encoder.size}")
        self.cache = VectorCache(folder, f"{encoder.digest}-{document.VERSION}", encoder.size)
        self.no_examples: str | None = None
        """Why those that ship cannot be used, if so."""
        self.failure: str | None = None
        """Why the encoder gave up, if it did."""
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    @classmethod
    def shipped(cls, folder: Path | None = None, *, encoder: Encoder | None = None) -> Engine:
        """With what comes with the package; an `encoder` that is given must be the one that it was made for.

        Raises:
            ToolweftError: The installation is not whole, or holds another encoder.

        """
        encoder = encoder or Encoder.shipped()
        heads = Heads.shipped(encoder=encoder.digest)
        try:
            return cls(encoder, heads, folder, examples=Examples.shipped(encoder=encoder.digest))
        except ExamplesError as error:
            logger.warning("tools are ranked without the requests that training has seen: %s", error)
            engine = cls(encoder, heads, folder)
            engine.no_examples = str(error)
            return engine

    def request(self, query: str) -> NDArray[np.float32] | None:
        """(d,): the vector of a request; None when it has none, or the encoder cannot be used."""
        with self._lock:
            if (known := self._asked.get(query)) is not None:
                self._asked.move_to_end(query)
                return known
        vectors = self.encode([query])
        if vectors is None or not vectors.any():
            return None
        with self._lock:
            self._asked[query] = vectors[0]
            while len(self._asked) > REQUESTS:
                self._asked.popitem(last=False)
        vector: NDArray[np.float32] = vectors[0]
        return vector

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """(n, d); None, and a warning the first time, when the encoder cannot be used."""
        if self.failure is not None:
            return None
        try:
            return self.encoder.encode(texts)
        except ToolweftError as error:
            self.failure = str(error)
            logger.warning("tools are found by their words alone: %s", error)
            return None
