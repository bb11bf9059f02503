"""`<a_10><b_45>`: how a tool's code is written, for people and for language models.

A letter for each level, and `z` for the suffix digit of true duplicates, which means nothing but "another one".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LEVELS = "abcdefghijklmnopqrstuvwxy"
SUFFIX = "z"

_TOKEN = re.compile(r"<([a-z])_(\d+)>")
_CODE = re.compile(r"(?:<[a-z]_\d+>)+")


def token(level: int, digit: int) -> str:
    """One digit, `<a_10>`: levels from 0.

    Raises:
        ValueError: A level that has no letter, or a negative digit.

    """
    if not 0 <= level < len(LEVELS) or digit < 0:
        raise ValueError(f"level {level}, digit {digit}: there are {len(LEVELS)} levels, and digits start at 0")
    return f"<{LEVELS[level]}_{digit}>"


def spell(digits: Sequence[int], suffix: int = 0) -> str:
    """`(10, 45)` -> `<a_10><b_45>`; a suffix above 0 is written behind it, `<z_1>`."""
    return "".join(token(level, int(digit)) for level, digit in enumerate(digits)) + (
        f"<{SUFFIX}_{suffix}>" if suffix else ""
    )


def parse(text: str) -> tuple[tuple[int, ...], int]:
    """The digits and the suffix of a code as `spell` writes it.

    Raises:
        ValueError: It is none.

    """
    if not _CODE.fullmatch(text):
        raise ValueError(f"{text!r} is no code; one looks like <a_10><b_45>")
    pairs = [(letter, int(digit)) for letter, digit in _TOKEN.findall(text)]
    suffix = pairs.pop()[1] if pairs[-1][0] == SUFFIX else 0
    digits = tuple(digit for _, digit in pairs)
    if spell(digits, suffix) != text or not digits:
        raise ValueError(f"{text!r} is no code: its levels are a, b, c … in this order")
    return digits, suffix
