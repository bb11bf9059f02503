"""Where the shared data sets are: real and published tool catalogues, with requests whose right tools are known.

The folder is `TOOLWEFT_DATA`, or `shared/data` beside the checkout. Nothing here is part of the product;
`toolweft_server.evaluation.data` reads the format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from toolweft_catalog.tool import Tool
from toolweft_server.evaluation import data
from toolweft_server.evaluation.data import Dataset

SETS = ("weft_queries", "metatool", "toolbench", "sealtools", "bfcl", "apibank", "nestful")
Split = Literal["train", "dev", "test"]


def folder() -> Path:
    """Where the data is.

    Raises:
        SystemExit: It is not there; says which variable to set.

    """
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = Path(os.environ.get("TOOLWEFT_DATA", default))
    if not found.is_dir():
        raise SystemExit(f"no data sets at {str(found)!r}: set TOOLWEFT_DATA to the folder that holds them")
    return found


def load(name: str, split: Split) -> Dataset:
    """The requests of one split, which may be none, over the whole catalogue."""
    whole = data.read(folder() / name)
    return replace(whole, requests=[request for request in whole.requests if request.split == split])


def stream(name: str, limit: int | None = None) -> Iterator[Tool]:
    """The first `limit` tools alone, read one at a time."""
    return data.stream(folder() / name, limit)


def requests(name: str, split: Split) -> list[str]:
    return [request.text for request in load(name, split).requests]
