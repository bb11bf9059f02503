"""Everything that can be measured: a `System` ranks tools for requests, whatever it is inside.

A `Part` gives each tool a number; `Scored` makes a system of one, `Convex` and `RRF` of several. `from_index` makes
one of any `ToolIndex`. Encoders are handed in (`Encodes`): nothing here knows where vectors come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_catalog.tool import Tool
from toolweft_server.index.base import ToolIndex
from toolweft_server.index.lexical import LexicalIndex

Array: TypeAlias = NDArray[Any]

Progress: TypeAlias = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""

DRAWN = 2
"""Tools asked for, for each group that is looked at: twins are counted once."""

_BLOCK = 16_000_000
"""Scores held at a time, of one part: 64 MB."""

_TEXTS = 256
"""Texts between two signs of life of an encoder."""


def silent(_what: str, _done: int, _total: int) -> None:
    """For who does not want to know."""


class System(Protocol):
    @property
    def name(self) -> str: ...

    def rank(self, queries: Sequence[str], depth: int) -> list[list[str]]:
        """For each request the ids of up to `depth` tools, best first."""
        ...


class Part(Protocol):
    @property
    def ids(self) -> Sequence[str]:
        """The tools, in the order of the columns."""
        ...

    def scores(self, queries: Sequence[str]) -> Array:
        """(requests, tools) float32; higher is better."""
        ...


class Encodes(Protocol):
    """What is asked of an encoder; `toolweft_server.index.woven.encoder.Encoder` is one."""

    def encode(self, texts: Sequence[str]) -> Array:
        """(texts, size) float32 rows of unit length."""
        ...


class Lexical:
    """The part that `LexicalIndex` gives, without its rule for names."""

    def __init__(self, index: LexicalIndex, ids: Sequence[str]) -> None:
        """`ids` are those of the index, in the order that the columns shall have."""
        place = {tool: at for at, tool in enumerate(index.ids())}
        self.ids = ids
        self._index = index
        self._at = np.array([place[tool] for tool in ids], np.int64)

    def scores(self, queries: Sequence[str]) -> Array:
        rows = [self._index.scores(query)[self._at] for query in queries]
        return np.array(rows, np.float32).reshape(len(rows), len(self.ids))


class Dense:
    """Cosine between the vectors of a request and of each tool's text. A request is encoded once."""

    def __init__(
        self,
        encoder: Encodes,
        tools: Sequence[Tool],
        text_of: Callable[[Tool], str],
        *,
        progress: Progress = silent,
    ) -> None:
        self.ids = [tool.id for tool in tools]
        self._encoder = encoder
        self._known: dict[str, Array] = {}
        self.vectors = self._encoded([text_of(tool) for tool in tools], progress)
        """(tools, size) float32, in the order of `ids`."""

    def scores(self, queries: Sequence[str]) -> Array:
        scores: Array = self.requests(queries) @ self.vectors.T
        return scores

    def requests(self, queries: Sequence[str]) -> Array:
        """(requests, size) float32."""
        fresh = [query for query in dict.fromkeys(queries) if query not in self._known]
        self._known |= dict(zip(fresh, self._encoded(fresh, silent), strict=True))
        rows = [self._known[query] for query in queries]
        return np.array(rows, np.float32).reshape(len(rows), self.vectors.shape[1])

    def _encoded(self, texts: Sequence[str], progress: Progress) -> Array:
        rows = []
        for start in range(0, len(texts), _TEXTS):
            rows.append(self._encoder.encode(texts[start : start + _TEXTS]))
            progress("tools encoded", min(start + _TEXTS, len(texts)), len(texts))
        return np.concatenate(rows) if rows else self._encoder.encode([])


def recipe_text(tool: Tool) -> str:
    """`server: name. description Parameters: first 12 names`, 600 characters: what zero-shot figures encode."""
    properties = tool.parameters.get("properties")
    names = ", ".join(list(properties)[:12]) if isinstance(properties, dict) else ""
    text = f"{tool.server}: {tool.name}. {tool.description}"
    return (f"{text} Parameters: {names}" if names else text)[:600]


Normalise: TypeAlias = Callable[[Array], Array]
"""(requests, tools) -> the same shape, comparable between parts."""


def by_best(scores: Array) -> Array:
    """Divided by the best of each request: for scores whose 0 means that nothing matches."""
    best = scores.max(axis=1, keepdims=True, initial=0.0)
    scaled: Array = np.divide(scores, best, out=np.zeros_like(scores), where=best > 0)
    return scaled


def min_max(scores: Array) -> Array:
    """From 0 for the worst of each request to 1 for its best."""
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    scaled: Array = np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)
    return scaled


class Weighed(NamedTuple):
    """One part of a mix."""

    weight: float
    part: Part
    normalise: Normalise


class Convex:
    """The weighed sum of parts. They must be over the same tools in the same order: `ValueError` if not."""

    def __init__(self, parts: Sequence[Weighed]) -> None:
        self.ids = _shared_ids([each.part for each in parts])
        self._parts = parts

    def scores(self, queries: Sequence[str]) -> Array:
        summed: Array = sum(
            (np.float32(each.weight) * each.normalise(each.part.scores(queries)) for each in self._parts),
            start=np.zeros((len(queries), len(self.ids)), np.float32),
        )
        return summed


class RRF:
    """Reciprocal rank fusion (Cormack, Clarke, Büttcher 2009): 1 / (k + rank) of every part, added up, k = 60.

    The parts must be over the same tools in the same order: `ValueError` if not.
    """

    K = 60

    def __init__(self, parts: Sequence[Part]) -> None:
        self.ids = _shared_ids(parts)
        self._parts = parts

    def scores(self, queries: Sequence[str]) -> Array:
        summed = np.zeros((len(queries), len(self.ids)), np.float32)
        for part in self._parts:
            scores = part.scores(queries)
            ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
            summed += np.where(scores > 0, np.float32(1) / (self.K + ranks).astype(np.float32), 0)
        return summed


class Scored:
    """The system that ranks by one part. Tools of score 0 or less are not found; equals keep the catalogue's order."""

    def __init__(self, name: str, part: Part) -> None:
        self.name = name
        self._part = part

    def rank(self, queries: Sequence[str], depth: int) -> list[list[str]]:
        ids = self._part.ids
        ranked: list[list[str]] = []
        rows = max(1, _BLOCK // max(len(ids), 1))
        for start in range(0, len(queries), rows):
            block = self._part.scores(queries[start : start + rows])
            ranked += [[ids[at] for at in best(scores, depth) if scores[at] > 0] for scores in block]
        return ranked


class Indexed:
    """The system that an index is."""

    def __init__(self, name: str, index: ToolIndex) -> None:
        self.name = name
        self._index = index

    def rank(self, queries: Sequence[str], depth: int) -> list[list[str]]:
        return [[hit.tool for hit in self._index.search(query, depth).hits] for query in queries]


def from_index(index: ToolIndex, *, name: str | None = None) -> System:
    return Indexed(name or index.name, index)


def best(scores: Array, depth: int) -> Array:
    """The places of the `depth` highest of (n,) scores, highest first; equals in their order."""
    if depth >= len(scores):
        return np.argsort(-scores, kind="stable")
    least = np.partition(scores, -depth)[-depth]
    at = np.flatnonzero(scores >= least)
    return at[np.argsort(-scores[at], kind="stable")][:depth]


def _shared_ids(parts: Sequence[Part]) -> Sequence[str]:
    ids = parts[0].ids
    if any(list(each.ids) != list(ids) for each in parts):
        raise ValueError("the parts of a mix must be over the same tools in the same order")
    return ids
