"""`Recorded`: the calls that a function was proven on, as a file from which its exported test answers tools.

It holds what the function was given and what tools answered, so whoever shares it shares that. Nothing is exported in
part: a call that is no longer kept (they are for seven days), whose result was masked, too large or binary, or anything
that looks like a secret, and there is no test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from toolweft_catalog.call import Value
from toolweft_catalog.catalog import Catalog
from toolweft_catalog.signature import signature
from toolweft_catalog.tool import Json, digest
from toolweft_server.library.function import Function
from toolweft_server.library.share import title
from toolweft_server.library.store import FunctionStore
from toolweft_server.store.store import Store

LARGEST = 300_000
"""Characters of a record that is exported."""


@dataclass(frozen=True, slots=True)
class Recorded:
    text: str
    """`recorded.json`."""
    calls: int
    """Calls of tools in it."""

    @property
    def test(self) -> str:
        """The text of the test, the same for every function."""
        return resources.files(__package__).joinpath("exported.py").read_text(encoding="utf-8")


def recorded(function: Function, store: Store, library: FunctionStore) -> Recorded | str:
    """The record of a function, or why there is none.

    Raises:
        StoreError: The store cannot be read.

    """
    if not function.examples:
        return "no call of it is on record"
    tools, used = set(function.tools), _used(function, library)
    for each in used.values():
        tools |= set(each.tools)
    catalog = store.manifests.catalog()
    if gone := sorted(each for each in tools if each not in catalog):
        return f"there is no tool {gone[0]} any more"
    calls: list[dict[str, Json]] = []
    examples: list[Json] = []
    proofs: dict[str, list[Json]] = {}
    for proof in function.examples:
        kept: Json = {"arguments": proof["arguments"], "digest": proof["digest"]}
        proofs.setdefault(str(proof.get("execution") or function.provenance.get("execution", "")), []).append(kept)
    for execution, own in proofs.items():
        made = _calls(execution, str(function.provenance.get("owner", "")), tools, store)
        if isinstance(made, str):
            return made
        if made or not tools:
            calls += made
            examples += own
    if not examples:
        return "the calls that it was proven on are no longer kept"
    held: dict[str, Json] = {
        "name": function.name, "functions": {name: title(name) for name in sorted(used)},
        "tools": {each: _parameters(each, catalog) for each in sorted(tools)}, "examples": examples, "calls": [*calls],
    }  # fmt: skip
    text = json.dumps(held, indent=2) + "\n"
    if len(text) > LARGEST:
        return f"its record has more than {LARGEST} characters"
    if secret := store.scrub.find(text):
        return f"its record holds what looks like a secret ({secret.kind})"
    return Recorded(text, len(calls))


def _calls(program: str, owner: str, tools: set[str], store: Store) -> Sequence[dict[str, Json]] | str:
    """The calls of these tools that succeeded in a program and are still kept, or why they cannot be exported."""
    past = store.calls.past(program, owner=owner)
    keys = sorted((key for key in past.succeeded if key.tool in tools), key=lambda key: key.ordinal)
    rows = {
        (execution, row["seq"]): row
        for execution in {past.succeeded[key][0] for key in keys}
        for row in store.calls.of(execution)
    }
    found: list[dict[str, Json]] = []
    for key in keys:
        execution, seq, kept = past.succeeded[key]
        arguments = json.loads(rows[execution, seq]["arguments"])
        result = _plain(store.calls.result(execution, seq).value) if kept == "exact" else _NOTHING
        if result is _NOTHING or digest(arguments) != key.arguments:
            return f"a call of {key.tool} was not kept as it was"
        found.append({"tool": key.tool, "arguments": arguments, "result": result})
    return found


_NOTHING: dict[str, Json] = {}


def _plain(value: Value) -> Json:
    """The value as JSON, `_NOTHING` where it holds something binary."""
    try:
        plain: Json = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return _NOTHING
    return plain


def _used(function: Function, library: FunctionStore) -> dict[str, Function]:
    """All saved functions that it stands on, whether directly or not."""
    found: dict[str, Function] = {}
    waiting = [function]
    while waiting:
        for name, version in waiting.pop().functions.items():
            used = library.get(name, version) or library.get(name)
            if used is not None and name not in found:
                found[name] = used
                waiting.append(used)
    return found


def _parameters(tool: str, catalog: Catalog) -> list[Json]:
    return [[each.name, each.original] for each in signature(catalog.tool(tool)).parameters]
