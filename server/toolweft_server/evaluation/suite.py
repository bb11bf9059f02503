"""The systems that every measurement stands beside, by name, over one catalogue; they share what is slow to make.

- `bm25`: plain BM25.
- `bm25f`: BM25F as the figures of our data sets were measured.
- `lexical`: the index that the product ranks words with.
- `zeroshot`: vectors of an encoder that was not trained for tools.
- `mix`: 0.3 · bm25f + 0.7 · zeroshot, normalised; what a new encoder has to beat.
- `encoder`: vectors of the encoder in question.
- `rrf`: reciprocal ranks of lexical and encoder.
- `hybrid`: lexical and encoder, convex.
- `woven`: the index that the product serves, without anything learned from use.
- `generate`: the tools that its codes name. `codes`: the first hundred of `hybrid`, in the order of their codes.
- `generative`: a language model that writes codes, beside the lexical index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from toolweft_catalog.tool import Tool
from toolweft_server.evaluation import systems, woven
from toolweft_server.evaluation.bm25 import PlainBM25, RecipeBM25F
from toolweft_server.evaluation.errors import EvaluationError
from toolweft_server.evaluation.systems import Convex, Encodes, Progress, Scored, System, Weighed
from toolweft_server.index.base import ToolIndex
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.woven import document
from toolweft_server.index.woven.engine import Engine
from toolweft_server.index.woven.index import WovenIndex

MIX_LEXICAL = 0.3
"""Share of BM25F in the zero-shot mix that figures are compared with."""

HYBRID_LEXICAL = 0.3
"""Share of the lexical index in `hybrid`, when nobody says another."""


class Suite:
    """Systems over one catalogue. Each part is made when the first system needs it."""

    def __init__(
        self,
        tools: Sequence[Tool],
        encoder: Encodes | None = None,
        *,
        engine: Engine | None = None,
        zero_shot: Encodes | None = None,
        generative: Callable[[Sequence[Tool]], ToolIndex] | None = None,
        hybrid: float = HYBRID_LEXICAL,
        progress: Progress = systems.silent,
    ) -> None:
        """An `engine` brings its own encoder; `encoder` is for one without heads. `generative` makes that index."""
        self.tools = tools
        self._encoder = engine.encoder if engine else encoder
        self._engine = engine
        self._zero_shot = zero_shot
        self._generative = generative
        self._hybrid = hybrid
        self._progress = progress

    def names(self) -> list[str]:
        """What can be made with the encoders that there are."""
        missing = {
            *(_ENCODED if self._encoder is None else ()),
            *(_WOVEN if self._engine is None else ()),
            *(_WRITTEN if self._generative is None else ()),
            *(_ZERO_SHOT if self._zero_shot is None else ()),
        }
        return [name for name in NAMES if name not in missing]

    def make(self, name: str) -> System:
        """The system of that name.

        Raises:
            EvaluationError: There is none, or it needs what is not there.

        """
        if name not in _MAKERS:
            raise EvaluationError(f"there is no system {name!r}; there are {', '.join(NAMES)}")
        return _MAKERS[name](self)

    @cached_property
    def bm25f(self) -> RecipeBM25F:
        return RecipeBM25F(self.tools)

    @cached_property
    def index(self) -> LexicalIndex:
        self._progress("tools indexed", 0, len(self.tools))
        return LexicalIndex.build(self.tools)

    @cached_property
    def lexical(self) -> systems.Lexical:
        return systems.Lexical(self.index, [tool.id for tool in self.tools])

    @cached_property
    def dense(self) -> systems.Dense:
        if self._encoder is None:
            raise EvaluationError(f"the systems {', '.join(_ENCODED)} need an encoder, and there is none")
        return systems.Dense(self._encoder, self.tools, document.text_of, progress=self._progress)

    @cached_property
    def zero_shot(self) -> systems.Dense:
        if self._zero_shot is None:
            raise EvaluationError(f"the systems {', '.join(_ZERO_SHOT)} need an untrained encoder, and none was given")
        return systems.Dense(self._zero_shot, self.tools, systems.recipe_text, progress=self._progress)

    @cached_property
    def woven(self) -> WovenIndex:
        """With the vectors of `dense`: a tool is encoded once."""
        if self._engine is None:
            raise EvaluationError(f"the systems {', '.join(_WOVEN)} need an encoder with heads, and there are none")
        cache, digests = self._engine.cache, [tool.digest for tool in self.tools]
        if len(missing := np.flatnonzero(~cache.get(digests).have)):
            vectors = self.dense.vectors
            missing = missing[vectors[missing].any(axis=1)]
            cache.put([digests[at] for at in missing], vectors[missing])
        return woven.built(self.tools, self._engine, progress=self._progress)

    @property
    def generative(self) -> ToolIndex:
        if self._generative is None:
            raise EvaluationError(f"the system {_WRITTEN[0]} needs a trained model, and none was given")
        return self._generative(self.tools)

    @property
    def mix(self) -> Convex:
        return _convex(MIX_LEXICAL, self.bm25f, self.zero_shot)

    @property
    def hybrid(self) -> Convex:
        return _convex(self._hybrid, self.lexical, self.dense)


def _convex(share: float, lexical: systems.Part, dense: systems.Part) -> Convex:
    return Convex([Weighed(share, lexical, systems.by_best), Weighed(1.0 - share, dense, systems.min_max)])


_MAKERS: Mapping[str, Callable[[Suite], System]] = {
    "bm25": lambda suite: Scored("bm25", PlainBM25(suite.tools)),
    "bm25f": lambda suite: Scored("bm25f", suite.bm25f),
    "lexical": lambda suite: systems.from_index(suite.index),
    "zeroshot": lambda suite: Scored("zeroshot", suite.zero_shot),
    "mix": lambda suite: Scored("mix", suite.mix),
    "encoder": lambda suite: Scored("encoder", suite.dense),
    "rrf": lambda suite: Scored("rrf", systems.RRF([suite.lexical, suite.dense])),
    "hybrid": lambda suite: Scored("hybrid", suite.hybrid),
    "woven": lambda suite: systems.from_index(suite.woven),
    "generate": lambda suite: woven.Generated(suite.woven),
    "codes": lambda suite: woven.Verified(suite.woven, suite.hybrid),
    "generative": lambda suite: systems.from_index(suite.generative),
}
_ZERO_SHOT, _ENCODED = ("zeroshot", "mix"), ("encoder", "rrf", "hybrid")
_WOVEN, _WRITTEN = ("woven", "generate", "codes"), ("generative",)

NAMES: Sequence[str] = tuple(_MAKERS)
"""Every system."""
