"""Tool ids: `server.tool`, two Python identifiers made from whatever a server chose to call itself and its tools."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container, Iterable, Mapping

RESERVED = frozenset({"tools", "functions", "parallel"})
"""Names that programs need for themselves. `functions` is the server name of the library and of nobody else."""

_NOT_WORD = re.compile(r"[^0-9A-Za-z_]+")


def identifier(raw: str) -> str:
    """A Python identifier close to `raw`: never empty, never a keyword, ASCII only.

    `create-issue` -> `create_issue`, `2fa` -> `_2fa`, `class` -> `class_`, `日本` -> `u65e5u672c`.
    """
    ascii_only = "".join(c if c.isascii() else f"u{ord(c):x}" for c in raw)
    name = _NOT_WORD.sub("_", ascii_only).strip("_") or "_"
    if name[0].isdigit():
        name = "_" + name
    return name + "_" if keyword.iskeyword(name) else name


def assign(wanted: Iterable[tuple[str, str]], taken: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Ids for (server, tool) pairs: those in `taken` keep theirs, newcomers get a free one in the order given.

    Deterministic. A newcomer whose natural id is in use gets `_2`, `_3` … after the part that collides.
    """
    prefixes = {server: entry.split(".", 1)[0] for (server, _), entry in taken.items()}
    used_prefixes = {*RESERVED, *prefixes.values()}
    used = set(taken.values())
    given: dict[tuple[str, str], str] = {}
    for server, tool in wanted:
        if (server, tool) in given:
            continue
        if (server, tool) in taken:
            given[server, tool] = taken[server, tool]
            continue
        if server not in prefixes:
            prefixes[server] = _free("", identifier(server), used_prefixes)
            used_prefixes.add(prefixes[server])
        given[server, tool] = _free(prefixes[server] + ".", identifier(tool), used)
        used.add(given[server, tool])
    return given


def _free(prefix: str, name: str, used: Container[str]) -> str:
    candidate, n = prefix + name, 2
    while candidate in used:
        candidate, n = f"{prefix}{name}_{n}", n + 1
    return candidate
