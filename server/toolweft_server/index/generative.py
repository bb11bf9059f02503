"""`GenerativeIndex`: a causal language model writes the codes of tools, and the lexical index stands beside it.

The model knows the tools that it was trained with, as they were then. Of a request it writes some codes itself, under
the trie of the tools that are still there, and gives the lexical index's candidates the likelihood of theirs; those
tools are ranked by likelihood. A tool that is newer than the checkpoint, or has changed since, keeps the place that
the lexical index gives it, and a tool that is named comes first, always.

Needs the extra `train`. The model is the caller's, loaded with `training.align.bundle`; what is saved here is the
lexical part. How codes are decoded is `training.align.decode`'s.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from toolweft_catalog.names import identifier
from toolweft_catalog.tool import Tool
from toolweft_catalog.wire import IndexName, Why
from toolweft_server.index import text
from toolweft_server.index.base import Hit, Matches
from toolweft_server.index.lexical import LexicalIndex
from toolweft_server.index.request import read

if TYPE_CHECKING:
    from toolweft_server.training.align import decode
    from toolweft_server.training.align.bundle import Bundle

logger = logging.getLogger(__name__)

BEAMS = 20
DRAFTS = 20
"""The lexical index's first so many candidates are verified."""

COUNTED = 200
"""So many candidates of the lexical index are looked at, to tell which tools only the model speaks of."""

LEAST = 0.01
"""A tool that the lexical index does not have is an answer from this probability on, among all tools of the trie."""


class GenerativeIndex:
    """An immutable snapshot. Make one with `build` or `load`."""

    name: IndexName = "generative"

    def __init__(self, lexical: LexicalIndex, bundle: Bundle, lock: threading.Lock | None = None) -> None:
        self._lexical, self._bundle = lexical, bundle
        # Protects the tokenizer, which changes its own settings from call to call; snapshots of one model share it.
        self._lock = lock or threading.Lock()

    @classmethod
    def build(cls, tools: Iterable[Tool], bundle: Bundle) -> GenerativeIndex:
        return cls(LexicalIndex.build(tools), bundle)

    @classmethod
    def load(cls, folder: Path, bundle: Bundle) -> GenerativeIndex:
        """The snapshot saved in `folder`.

        Raises:
            IndexFolderError: There is none, it is damaged, or another version wrote it. It can be deleted and built.

        """
        return cls(LexicalIndex.load(folder), bundle)

    def save(self, folder: Path) -> None:
        self._lexical.save(folder)

    def __len__(self) -> int:
        return len(self._lexical)

    def unfinished(self) -> int:
        return 0

    def further(self) -> GenerativeIndex:
        return self

    @property
    def known(self) -> int:
        """How many of its tools are as the model was taught them."""
        return len(self._paths)

    def updated(self, added: Iterable[Tool], removed: Iterable[str]) -> GenerativeIndex:
        return GenerativeIndex(self._lexical.updated(added, removed), self._bundle, self._lock)

    def search(self, query: str, limit: int, *, server: str | None = None) -> Matches:
        """As every index. A tool that the model alone speaks of counts into `total` while that is at most `COUNTED`."""
        drafts = self._lexical.search(query, max(limit, COUNTED), server=server)
        if not self._paths or text.STOP_WORDS.issuperset(read(query).terms):
            return Matches(drafts.hits[:limit], drafts.total, drafts.nearest)
        named = [hit for hit in drafts.hits if "name" in hit.why]
        others = [hit.tool for hit in drafts.hits if "name" not in hit.why]
        likelihood = self._asked(query, others[:DRAFTS], server)
        asked = {hit.tool for hit in drafts.hits}
        extra = sum(tool not in asked for tool in likelihood) if drafts.total <= COUNTED else 0
        if not (drafts.total + extra):
            return drafts
        ranked = _merged(others, likelihood, {hit.tool for hit in named})
        hits = [*named, *_hits(ranked, likelihood, asked, below=0.8 if named else 1.0)][:limit]
        return Matches(hits, max(drafts.total + extra, len(hits)), [])

    @cached_property
    def _paths(self) -> dict[str, decode.Path]:
        """The token path of each tool that is as the model knows it."""
        known, encode = self._bundle.tools, self._bundle.encoder.tokens.encode
        live = ((tool, digest, known.get(tool)) for tool, digest in self._lexical.pairs)
        return {tool: encode(entry.code) for tool, digest, entry in live if entry and entry.digest == digest}

    @cached_property
    def _steps(self) -> decode.Steps:
        return self._compiled(self._paths)

    def _compiled(self, paths: Mapping[str, decode.Path]) -> decode.Steps:
        from toolweft_server.training.align import decode

        return decode.compiled(decode.PathTrie(paths.values()), self._bundle.encoder.end)

    def _asked(self, query: str, drafts: Sequence[str], server: str | None) -> dict[str, float]:
        """What the model says; nothing when its weights are damaged: the lexical index keeps serving."""
        from toolweft_server.training.errors import ArtefactError

        try:
            with self._lock:
                return self._likelihood(query, drafts, server)
        except ArtefactError as error:
            logger.warning("the model is not asked, the lexical index answers alone: %s", error)
            return {}

    def _likelihood(self, query: str, drafts: Sequence[str], server: str | None) -> dict[str, float]:
        """Log P(code | request) of what the model writes and of the drafts that it knows, best first, then by id."""
        from toolweft_server.training.align import decode
        from toolweft_server.training.align.conversations import Turn, request_text

        model, encoder = self._bundle.model, self._bundle.encoder
        prompt = encoder.prompt([Turn("user", request_text(query))])
        mine = self._paths
        if server is not None:
            prefix = f"{identifier(server)}."
            mine = {tool: path for tool, path in mine.items() if tool.startswith(prefix)}
        if not mine:
            return {}
        steps = self._steps if server is None else self._compiled(mine)
        beams = decode.beam_search(model, [prompt], steps, beams=BEAMS, fill=encoder.pad)[0]
        wanted = {hit.path for hit in beams} | {mine[tool] for tool in drafts if tool in mine}
        paths = sorted(wanted)
        # One measure for all, whoever proposed them: the likelihood among every tool of the catalogue.
        scores = dict(zip(paths, decode.verify(model, prompt, paths, self._steps, fill=encoder.pad), strict=True))
        found = {
            tool: scores[path]
            for tool, path in mine.items()
            if path in scores and (tool in drafts or scores[path] >= math.log(LEAST))
        }
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _merged(lexical: Sequence[str], likelihood: Mapping[str, float], named: set[str]) -> list[str]:
    """Tools without a likelihood keep their lexical places; the others share what places are left, likeliest first."""
    ranked = iter([tool for tool in likelihood if tool not in named])
    places = [tool if tool not in likelihood else next(ranked) for tool in lexical]
    return [*places, *ranked]


def _hits(ranked: Sequence[str], likelihood: Mapping[str, float], asked: set[str], *, below: float) -> list[Hit]:
    """Scores fall with the place: likelihoods and lexical weights have no common measure."""
    hits = []
    for place, tool in enumerate(ranked):
        lexical: tuple[Why, ...] = ("lexical",) if tool in asked else ()
        codes: tuple[Why, ...] = ("codes",) if tool in likelihood else ()
        hits.append(Hit(tool, below / (1 + place), lexical + codes))
    return hits
