"""`certain`: slips in a program that only one change can mend are mended here, without asking the model.

A tool or argument spelt with other capitals or underscores, a number in quotes where a number is due and the like.
Whatever leaves a choice, such as the right action of another server, is the model's to make.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from toolweft_catalog.parsing import parse
from toolweft_catalog.tool import Json
from toolweft_catalog.wire import FoundTool
from toolweft_client.calls import uses
from toolweft_client.signature import Accepted, Parameters, kind_of, literal, of_tool


class _Edit(NamedTuple):
    line: int
    start: int
    """In bytes of the line, as `ast` counts."""
    end: int
    text: str
    told: str


def certain(source: str, tools: Mapping[str, FoundTool], stubs: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The program with all such slips mended, and what was done. `source` parses."""
    edits: list[_Edit] = []
    for use in uses(parse(source)):
        tool = use.tool
        if tool not in tools:
            alike = [each for each in tools if _plain(each) == _plain(tool)]
            if len(alike) != 1:
                continue
            edits += _tail(source, use.node, tool, tool := alike[0])
        known = of_tool(tools[tool].call, stubs.get(tool, ""), tool) if use.call else None
        if use.call and known:
            edits += [*_names(use.call, known), *_literals(tool, use.call, known)]
    return _applied(source, edits), tuple(dict.fromkeys(each.told for each in edits))


def bound(call: ast.Call, known: Parameters) -> Iterator[tuple[str, ast.expr]]:
    """Arguments of a call by name, as far as it shows them."""
    for name, value in zip(known.names[: known.positional], call.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        yield name, value
    yield from ((each.arg, each.value) for each in call.keywords if each.arg)


def _tail(source: str, node: ast.expr, wrong: str, right: str) -> Iterator[_Edit]:
    """The end of a dotted name; nothing where the tool goes by a name of the program's own."""
    if (
        node.end_lineno == node.lineno
        and node.end_col_offset
        and (ast.get_source_segment(source, node) or "").endswith(wrong)
    ):
        start = node.end_col_offset - len(wrong.encode())
        yield _Edit(node.lineno, start, node.end_col_offset, right, f"{wrong} is {right}")


def _names(call: ast.Call, known: Parameters) -> Iterator[_Edit]:
    given = {each.arg for each in call.keywords if each.arg} | set(known.names[: len(call.args)])
    for each in call.keywords:
        if each.arg is None or each.arg in known.names:
            continue
        alike = [name for name in known.names if _plain(name) == _plain(each.arg) and name not in given]
        if len(alike) == 1:
            end = each.col_offset + len(each.arg.encode())
            yield _Edit(each.lineno, each.col_offset, end, alike[0], f"argument {each.arg} is {alike[0]}")


def _literals(tool: str, call: ast.Call, known: Parameters) -> Iterator[_Edit]:
    for name, node in bound(call, known):
        taken, given = known.accepts.get(name), literal(node)
        if not (taken and given and given.known) or taken.fits(given) or not isinstance(node, ast.Constant):
            continue
        meant = _meant(given.value, taken)
        if meant is not None and node.lineno == node.end_lineno and node.end_col_offset is not None:
            told = f"{name} of {tool} is {meant!r}, not {given.value!r}"
            yield _Edit(node.lineno, node.col_offset, node.end_col_offset, repr(meant), told)


def _meant(value: Json, taken: Accepted) -> Json:
    """The one value of the accepted kind that says the same; `None` where there is none, or more."""
    if taken.values:
        alike = [each for each in taken.values if str(each).lower() == str(value).lower()]
        return alike[0] if len(alike) == 1 and not taken.kinds else None
    kinds = taken.kinds - {"None"}
    if kinds == {"str"} and kind_of(value) in ("int", "float"):
        return str(value)
    if not isinstance(value, str):
        return None
    if kinds == {"bool"}:
        return {"true": True, "false": False}.get(value.lower())
    try:
        number = int(value) if kinds == {"int"} else float(value) if kinds <= {"int", "float"} and kinds else None
    except ValueError:
        return None
    return number if str(number) == value else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _applied(source: str, edits: list[_Edit]) -> str:
    """The edits made from the end, so that none moves another."""
    lines = [line.encode() for line in source.split("\n")]
    for edit in sorted(set(edits), key=lambda each: (each.line, each.start), reverse=True):
        line = lines[edit.line - 1]
        lines[edit.line - 1] = line[: edit.start] + edit.text.encode() + line[edit.end :]
    return b"\n".join(lines).decode()
