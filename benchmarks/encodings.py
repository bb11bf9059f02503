"""Vectors of texts kept between runs of a benchmark, for one encoder: encoding is what takes the time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolweft_server.index.woven.encoder import Encoder
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.heads import Heads


class Kept:
    """An encoder that remembers, on disk after `save`. Without a folder it remembers nothing.

    Stands where an `Encoder` is asked for, but in `open`.
    """

    def __init__(self, encoder: Encoder, folder: Path | None) -> None:
        self._encoder = encoder
        self._file = folder / f"{encoder.digest}.npz" if folder else None
        self._rows = self._kept()
        self._fresh = False

    @property
    def digest(self) -> str:
        return self._encoder.digest

    @property
    def size(self) -> int:
        return self._encoder.size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._file is None or not texts:
            return self._encoder.encode(texts)
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        if missing:
            self._rows |= zip(missing, self._encoder.encode(list(missing.values())), strict=True)
            self._fresh = True
        return np.array([self._rows[key] for key in keys], np.float32)

    def save(self) -> None:
        if self._file is None or not self._fresh:
            return
        self._rows = self._kept() | self._rows  # another run, or the same encoder in another part, may have saved
        self._file.parent.mkdir(parents=True, exist_ok=True)
        keys = np.frombuffer(b"".join(self._rows), np.uint8).reshape(-1, 16)
        partial = self._file.with_suffix(".part.npz")
        np.savez(partial, keys=keys, rows=np.array(list(self._rows.values()), np.float32))
        partial.replace(self._file)
        self._fresh = False

    def _kept(self) -> dict[bytes, NDArray[np.float32]]:
        if self._file is None or not self._file.is_file():
            return {}
        with np.load(self._file) as kept:
            return dict(zip(map(bytes, kept["keys"]), kept["rows"], strict=True))


def engine(encoder: Kept, heads: Path | None = None) -> Engine:
    """With the heads of that folder, or with all that ships for this encoder.

    Raises:
        HeadsError: They are not there, or were made for another encoder.

    """
    if heads:
        return Engine(encoder, Heads.load(heads, encoder=encoder.digest))  # type: ignore[arg-type]
    return Engine.shipped(encoder=encoder)  # type: ignore[arg-type]
