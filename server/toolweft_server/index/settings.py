"""`IndexEntry`: the part `index` of the configuration, how `find_tools` ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator


class IndexEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["woven", "lexical", "generative"] = "woven"
    without: tuple[Literal["dense", "codes", "use", "examples", "sets"], ...] = ()
    """Parts of the woven index that do not count."""
    model: str | None = None
    """The folder of what `toolweft train lm` wrote; `generative` alone has one."""
    device: str = "auto"
    """Where the model runs: `cpu`, `cuda`; `auto` is a GPU if there is one."""
    learn: bool = True
    """Whether ranks learn from which tools were called after which request. Off: nothing is kept for it, nor used."""
    keep_requests: bool = False
    """Whether what people asked is kept as they wrote it: requests for `toolweft train lm --asked`, and solved tasks as
    examples. Learning keeps vectors alone."""

    @model_validator(mode="after")
    def _fits(self) -> IndexEntry:
        if self.kind == "generative" and not self.model:
            raise ValueError("kind 'generative' needs 'model', the folder that `toolweft train lm` wrote")
        if self.kind != "woven" and self.without:
            raise ValueError(f"'without' belongs to kind 'woven', and kind is {self.kind!r}")
        if self.kind != "generative" and self.model is not None:
            raise ValueError(f"'model' belongs to kind 'generative', and kind is {self.kind!r}")
        return self

    def beside(self, folder: Path) -> IndexEntry:
        """The same with the model's folder whole: a relative one lies in `folder`."""
        if self.model is None:
            return self
        return self.model_copy(update={"model": str((folder / Path(self.model).expanduser()).resolve())})
