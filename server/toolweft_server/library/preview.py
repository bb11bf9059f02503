"""`Preview`: what a person should know of a function before it is shared or taken over: what its code may call.

It is read from the code itself, not from what comes with it: a stranger's description could say anything.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from toolweft_catalog.catalog import Catalog
from toolweft_catalog.parsing import parse
from toolweft_server.library.typed import typed

_EFFECTS: Mapping[str, str] = {"read": "reads", "write": "may write"}


@dataclass(frozen=True, slots=True)
class Preview:
    name: str
    signature: str
    becomes: str
    """What is there already under its name."""
    tools: Mapping[str, str]
    """Ids of the tools that it calls, each with what is known of it, as the end of a sentence."""
    functions: tuple[str, ...]
    imports: tuple[str, ...]
    lines: int
    recorded: int | None = None
    """Recorded calls of tools in its test, with their arguments and results; `None` without a test."""

    def __str__(self) -> str:
        lines = [f"{self.name}{self.signature}  {self.lines} lines; {self.becomes}"]
        lines += [f"  calls {tool}, which {effect}" for tool, effect in self.tools.items()]
        lines += [f"  calls functions.{name}" for name in self.functions]
        lines += [f"  imports {', '.join(self.imports)}"] if self.imports else []
        if self.recorded is not None:
            lines += [f"  its test holds recorded calls of tools, with arguments and results: {self.recorded}"]
        return "\n".join(lines if len(lines) > 1 else [*lines, "  calls nothing"])


def preview(
    source: str, name: str, *, tools: Mapping[str, str], functions: Mapping[str, int], catalog: Catalog, becomes: str,
    recorded: int | None = None,
) -> Preview:  # fmt: skip
    """The preview of checked code, with the tools and functions that it uses.

    Raises:
        LibraryError: It could not be called by name.

    """
    known = {each: _effect(each, catalog) for each in sorted(tools)}
    return Preview(
        name, typed(source, name).signature, becomes, known, tuple(sorted(functions)), _imports(source),
        source.count("\n"), recorded,
    )  # fmt: skip


def _effect(tool: str, catalog: Catalog) -> str:
    if tool not in catalog:
        return "is not connected here"
    return _EFFECTS.get(catalog.tool(tool).annotations.effect, "does not say whether it writes")


def _imports(source: str) -> tuple[str, ...]:
    found: set[str] = set()
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return tuple(sorted(found))
