"""Two lexical yardsticks: plain BM25, and the BM25F that published figures of our data sets were measured with.

They are what others would write in an hour and stay as they are, so that figures of different years compare; the
index that the product ranks with is `toolweft_server.index.lexical`. Both keep, for every term, the tools that use it
and what it adds to their scores.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolweft_catalog.tool import Tool
from toolweft_server.index import text

Array: TypeAlias = NDArray[Any]

K1 = 1.2
PLAIN_B, RECIPE_B = 0.75, 0.6
NAME, SERVER, DESCRIPTION, PARAMETERS = 3.0, 1.5, 1.0, 0.5
"""What one use of a term counts in each field of the recipe."""

_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+")
_ASKING = """
a an the of to in on for and or is are be i me my you your it this that with from by at as can could do does have has
how what which please want need
"""
_STOP = frozenset(_ASKING.split())


class _Impacts:
    """Terms -> (tools that use them, what each adds)."""

    def __init__(self, weights: Sequence[Mapping[str, float]], b: float) -> None:
        """`weights` says for each tool how often each term is used, fields weighed; their sum is the tool's length."""
        lengths = np.array([sum(each.values()) for each in weights], np.float64)
        norms = K1 * (1.0 - b + b * lengths / max(float(lengths.mean()), 1e-9))
        postings: dict[str, list[tuple[int, float]]] = {}
        for doc, terms in enumerate(weights):
            for term, weight in terms.items():
                postings.setdefault(term, []).append((doc, weight))
        self._size = len(weights)
        self._of: dict[str, tuple[Array, Array]] = {}
        for term, pairs in postings.items():
            docs, used = np.array([doc for doc, _ in pairs]), np.array([weight for _, weight in pairs], np.float64)
            rare = math.log1p((len(weights) - len(pairs) + 0.5) / (len(pairs) + 0.5))
            self._of[term] = docs, (rare * (K1 + 1.0) * used / (used + norms[docs])).astype(np.float32)

    def scores(self, requests: Sequence[Iterable[str]]) -> Array:
        """(requests, tools) float32."""
        out = np.zeros((len(requests), self._size), np.float32)
        for row, terms in zip(out, requests, strict=True):
            for term in terms:
                if term in self._of:
                    docs, impacts = self._of[term]
                    row[docs] += impacts
        return out


class PlainBM25:
    """BM25 (k1 1.2, b 0.75) over all texts of a tool as one, lower-case words, nothing else."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.ids = [tool.id for tool in tools]
        self._impacts = _Impacts([Counter(_words(" ".join(text.fields(tool)))) for tool in tools], PLAIN_B)

    def scores(self, queries: Sequence[str]) -> Array:
        return self._impacts.scores([_words(query) for query in queries])


class RecipeBM25F:
    """BM25F (k1 1.2, b 0.6): name 3, server 1.5, description 1, names of parameters 0.5.

    Identifiers are cut at case, plurals and -ing lose their ending, a few words that only ask are left out, a term
    that a request repeats counts once.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.ids = [tool.id for tool in tools]
        self._impacts = _Impacts([_weighed(tool) for tool in tools], RECIPE_B)

    def scores(self, queries: Sequence[str]) -> Array:
        return self._impacts.scores([dict.fromkeys(_stems(query)) for query in queries])


def _weighed(tool: Tool) -> Mapping[str, float]:
    properties = tool.parameters.get("properties")
    names = " ".join(properties) if isinstance(properties, Mapping) else ""
    weights: dict[str, float] = defaultdict(float)
    fields = ((NAME, tool.name), (SERVER, tool.server), (DESCRIPTION, tool.description), (PARAMETERS, names))
    for weight, field in fields:
        for stem in _stems(field):
            weights[stem] += weight
    return weights


def _stems(words: str) -> list[str]:
    return [_stem(word) for word in _words(_CASE.sub(" ", words)) if word not in _STOP]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:-3] if len(word) > 5 and word.endswith("ing") else word


def _words(words: str) -> list[str]:
    return _WORD.findall(words.lower())
