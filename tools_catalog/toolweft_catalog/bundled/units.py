"""Everyday measures: convert lengths, weights, volumes, speeds, temperatures and more; write sizes for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolweft_catalog.ingest.python import tool

_FACTORS: dict[str, dict[str, float]] = {
    "length": {
        "m": 1, "km": 1000, "cm": 0.01, "mm": 0.001, "mi": 1609.344, "yd": 0.9144, "ft": 0.3048, "in": 0.0254,
        "nmi": 1852,
    },
    "mass": {"kg": 1, "g": 0.001, "mg": 1e-6, "t": 1000, "lb": 0.45359237, "oz": 0.028349523125, "st": 6.35029318},
    "volume": {
        "l": 1, "ml": 0.001, "m3": 1000, "gal": 3.785411784, "qt": 0.946352946, "pt": 0.473176473,
        "cup": 0.2365882365, "floz": 0.0295735295625, "tbsp": 0.01478676478125, "tsp": 0.00492892159375,
    },
    "area": {"m2": 1, "km2": 1e6, "ha": 1e4, "acre": 4046.8564224, "ft2": 0.09290304, "mi2": 2589988.110336},
    "speed": {"m/s": 1, "km/h": 1 / 3.6, "mph": 0.44704, "kn": 1852 / 3600},
    "time": {"s": 1, "ms": 0.001, "min": 60, "h": 3600, "d": 86400, "wk": 604800},
    "data": {
        "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
        "bit": 0.125,
    },
}  # fmt: skip
"""Each unit in terms of the first of its kind. Volumes are those of the United States."""


@dataclass(frozen=True)
class Units:
    kind: str
    units: list[str]


@tool(read_only=True, idempotent=True)
def convert(value: float, source: str, to: str) -> float:
    """Convert a value between units of length, mass, volume, area, speed, time or data size.

    Args:
        value: The number to convert.
        source: The unit it is in, such as "km", "lb", "gal", "mph" or "MiB".
        to: The unit wanted, of the same kind.

    """
    kind, factor = _unit(source)
    other_kind, other = _unit(to)
    if kind != other_kind:
        raise ValueError(f"{source!r} is a unit of {kind} and {to!r} one of {other_kind}")
    # Twelve digits: the factors are exact, the division is not.
    return float(f"{value * factor / other:.12g}")


def _unit(name: str) -> tuple[str, float]:
    for kind, units in _FACTORS.items():
        if name in units:
            return kind, units[name]
    near = [unit for units in _FACTORS.values() for unit in units if unit.lower() == name.lower()]
    hint = f"did you mean {near[0]!r}?" if near else "units.known lists them"
    raise ValueError(f"there is no unit {name!r}; {hint}")


@tool(read_only=True, idempotent=True)
def known() -> list[Units]:
    """List the units that can be converted, by kind."""
    return [Units(kind, list(units)) for kind, units in _FACTORS.items()]


@tool(read_only=True, idempotent=True)
def temperature(value: float, source: Literal["C", "F", "K"], to: Literal["C", "F", "K"]) -> float:
    """Convert a temperature between degrees Celsius, degrees Fahrenheit and kelvins.

    Args:
        value: The temperature.
        source: The scale it is in.
        to: The scale wanted.

    """
    kelvin = {"C": value + 273.15, "F": (value - 32) * 5 / 9 + 273.15, "K": value}[source]
    if kelvin < -1e-9:
        raise ValueError(f"{value:g} {source} is below absolute zero")
    return round({"C": kelvin - 273.15, "F": (kelvin - 273.15) * 9 / 5 + 32, "K": kelvin}[to], 6)


@tool(read_only=True, idempotent=True)
def readable_size(size: int, binary: bool = False) -> str:
    """Write a number of bytes for people: 1500000 as "1.5 MB".

    Args:
        size: The number of bytes.
        binary: Count in steps of 1024 (KiB, MiB) and not of 1000 (kB, MB).

    """
    step, prefixes = (
        (1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")) if binary else (1000, ("", "k", "M", "G", "T", "P", "E"))
    )
    amount, place = float(abs(size)), 0
    while amount >= step and place < len(prefixes) - 1:
        amount, place = amount / step, place + 1
    shown = f"{amount:.1f}".removesuffix(".0") if amount < 100 else f"{amount:,.0f}"
    return f"{'-' if size < 0 else ''}{shown} {prefixes[place]}B"


@tool(read_only=True, idempotent=True)
def readable_duration(seconds: float) -> str:
    """Write a duration for people: 93784 seconds as "1 d 2 h 3 min 4 s".

    Args:
        seconds: The duration in seconds.

    """
    rest, parts = round(abs(seconds)), []
    for name in ("d", "h", "min", "s"):
        amount, rest = divmod(rest, int(_FACTORS["time"][name]))
        if amount:
            parts.append(f"{amount} {name}")
    return ("-" if seconds < 0 and parts else "") + (" ".join(parts) or "0 s")
