"""`GenerativeKind`: opens the generative index where there is a trained model, and the lexical one where there is none.

A model that is missing, damaged or of other parts, or the extra that it needs, never stops a server: the lexical index
answers, the log has the reason, and `note` says it with each answer.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from toolweft_catalog.catalog import Catalog
from toolweft_server.errors import ToolweftError
from toolweft_server.index.base import ToolIndex
from toolweft_server.index.generative import GenerativeIndex
from toolweft_server.index.saved import SavedIndex

if TYPE_CHECKING:
    from toolweft_server.training.align.bundle import Bundle

logger = logging.getLogger(__name__)

NEEDED = ("torch", "transformers", "safetensors")


class GenerativeKind:
    """Blocking; used from worker threads. The model is loaded once, when the index is first opened."""

    def __init__(self, saved: SavedIndex, model: Path, *, device: str = "auto") -> None:
        self._saved, self._model, self._device = saved, model, device
        self.note: str | None = None

    def open(self, catalog: Catalog) -> ToolIndex:
        lexical = self._saved.open(catalog)
        try:
            bundle = self._load()
        except ToolweftError as error:
            logger.warning("the generative index cannot be opened, the lexical one answers: %s", error)
            self.note = f"The generative index cannot be opened, words alone rank: {error}."
            return lexical
        return self._looked_at(GenerativeIndex(lexical, bundle))

    def save(self, index: ToolIndex) -> None:
        self._saved.save(self._looked_at(index) if isinstance(index, GenerativeIndex) else index)

    def _looked_at(self, index: GenerativeIndex) -> GenerativeIndex:
        """A model that was taught other tools than those that are here answers nothing, and that is said."""
        strange = len(index) and not index.known
        says = f"The model of the generative index knows none of the {len(index)} tools here, words alone rank."
        self.note = says if strange else None
        return index

    def _load(self) -> Bundle:
        if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
            _refuse(f"it needs {', '.join(missing)}: pip install 'toolweft[train]'")
        from toolweft_server.training.align import bundle as bundles

        try:
            return bundles.load(self._model, device=self._device)
        except (RuntimeError, MemoryError, AssertionError) as error:
            # What torch raises for a device that is not there, or too small.
            _refuse(f"the model in {str(self._model)!r} does not run on {self._device!r}: {error}")


def _refuse(why: str) -> NoReturn:
    raise ToolweftError(why)
