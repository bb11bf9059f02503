"""An engine for woven indexes that needs no trained weights: words hashed to directions, and codewords among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolweft_server.errors import EncoderError
from toolweft_server.index import text
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.heads import Heads, Network

SIZE = 256


class HashedWords:
    """Texts that share words lie together. `broken` makes it fail as an encoder with damaged files does."""

    size = SIZE
    digest = "e" * 32

    def __init__(self) -> None:
        self.texts: list[str] = []
        """Everything that was encoded, in order."""
        self.broken = False

    def encode(self, texts: Sequence[str]):
        if self.broken:
            raise EncoderError("the encoder in 'here' cannot be used: it is broken; reinstall toolweft")
        self.texts += texts
        vectors = np.zeros((len(texts), SIZE), np.float32)
        for row, each in enumerate(texts):
            for term in text.terms(each):
                if term not in text.STOP_WORDS and len(term) > 2:
                    vectors[row] += np.random.default_rng(text.key(term)).standard_normal(SIZE)
            length = np.linalg.norm(vectors[row])
            vectors[row] /= length if length else 1.0
        return vectors


def heads(levels: int = 2, codes: int = 8) -> Heads:
    random = np.random.default_rng(0)
    arrays = {f"level.{n}": random.standard_normal((codes, SIZE)) / SIZE**0.5 / (n + 1) for n in range(levels)}
    for n in range(levels + 1):
        still = Network(np.zeros((2 * SIZE, 4)), np.zeros(4), np.zeros((4, SIZE)))
        arrays |= {f"network.{n}.{name}": each for name, each in still._asdict().items()}
    arrays |= {"projection": np.eye(SIZE), "temperatures": np.full(levels + 1, 5.0)}
    return Heads.of(arrays, encoder=HashedWords.digest, digest="d" * 64)


def engine(folder=None) -> Engine:
    return Engine(HashedWords(), heads(), folder)
