"""What a benchmark ran on: printed with every figure, because a figure without it means little."""

from __future__ import annotations

import os
import platform
from importlib import metadata


def describe() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": [round(each, 2) for each in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "mcp": metadata.version("mcp"),
        "toolweft": metadata.version("toolweft"),
    }


def line() -> str:
    return ", ".join(f"{name} {value}" for name, value in describe().items() if value is not None)
