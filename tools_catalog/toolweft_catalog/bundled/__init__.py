"""Everyday tools that come with toolweft: the catalogue when nothing is configured. Each module is one server."""

from __future__ import annotations

__all__ = ["modules"]


def modules() -> dict[str, str]:
    """Server name -> dotted path of its module. Nothing is imported."""
    return {name: f"{__name__}.{name}" for name in ("text", "dates", "tables", "units")}
